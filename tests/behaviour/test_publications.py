"""Which baselines there are to be, and which of them a moment is compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ndr.ledger import Unit
from ndr.local_ledger import SqliteLedger
from ndr.publications import publications, stretches, warmup_references
from ndr.specs import Config
from ndr.table import SERVICE, PartKey, Publication, in_force
from ndr.time import DAY, SLICE, Interval

MARCH, APRIL, MAY = (datetime(2026, month, 1) for month in (3, 4, 5))
SHORT = {"horizons": ["2d", "4d"], "safety_gaps": {"2d": {"tail_days": 1}, "4d": {"tail_days": 2}}}
"""Horizons that reach 3 and 6 days back."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(tmp_path / "ledger.sqlite")) as found:
        yield found


def bring(ledger: SqliteLedger, slices: Mapping[datetime, datetime]) -> None:
    """Import a record of each slice, known by the given time."""
    name = hashlib.sha256(repr(slices).encode()).hexdigest()
    keys = {PartKey(start, known): 1 for start, known in slices.items()}
    ledger.import_units([Unit(name, "a.json", "zeek", 1, name, "", None, "", "", keys, {})], [])


def on_time(ledger: SqliteLedger, first: datetime, days: int, *gaps: int) -> None:
    """A record at noon and one at the end of every day but some, each known when its slice ends."""
    starts = [first + n * DAY + hour for n in range(days) if n not in gaps for hour in (DAY / 2, DAY - SLICE)]
    bring(ledger, {start: start + SLICE for start in starts})


def config(**baselines: Any) -> Config:
    return Config.model_validate({"jobs": {"fg_b_builder": baselines}})


def found(ledger: SqliteLedger, **baselines: Any) -> dict[datetime, list[str]]:
    """Reference time -> horizons, of the regular publications."""
    every = publications(config(**baselines), ledger)
    assert [p.reference for p in every] == sorted({p.reference for p in every})
    return {p.reference: list(p.horizons) for p in every if not p.provisional}


def test_the_documented_example(ledger: SqliteLedger) -> None:
    """Logs since 5 March, as docs/baselines.md has it."""
    on_time(ledger, datetime(2026, 3, 5), 60)
    assert found(ledger) == {
        datetime(2026, 3, 14): ["7d"],
        APRIL: ["7d"],
        datetime(2026, 4, 11): ["7d", "30d"],
        MAY: ["7d", "30d"],
    }


def test_the_bounds_leave_the_safety_gap(ledger: SqliteLedger) -> None:
    on_time(ledger, MARCH, 31)
    (_, last) = (p for p in publications(config(), ledger))
    assert last == Publication(APRIL, {"7d": Interval(APRIL - 9 * DAY, APRIL - 2 * DAY)})
    on_time(ledger, APRIL, 30)
    (last,) = (p for p in publications(config(), ledger) if p.reference == MAY)
    assert last.horizons["30d"] == Interval(MAY - 37 * DAY, MAY - 7 * DAY)


def test_a_schedule_by_month_week_or_day(ledger: SqliteLedger) -> None:
    on_time(ledger, MARCH, 40)
    first = MARCH + 3 * DAY
    spec = {"horizons": ["2d"], "safety_gaps": {"2d": {"tail_days": 1}}}
    assert list(found(ledger, **spec, schedule="monthly")) == [first, APRIL]
    mondays = [MARCH + n * DAY for n in range(3, 41) if (MARCH + n * DAY).weekday() == 0]
    assert list(found(ledger, **spec, schedule="weekly")) == [first, *mondays]
    assert list(found(ledger, **spec, schedule="daily")) == [MARCH + n * DAY for n in range(3, 41)]


def test_a_reference_after_the_last_arrival_is_not_there_yet(ledger: SqliteLedger) -> None:
    days = {MARCH + n * DAY: MARCH + n * DAY + SLICE for n in range(3)}
    bring(ledger, days)
    assert found(ledger, **SHORT) == {}
    bring(ledger, {MARCH + 3 * DAY - SLICE: MARCH + 3 * DAY})
    assert found(ledger, **SHORT) == {MARCH + 3 * DAY: ["2d"]}, "the midnight itself is enough"


def test_a_horizon_needs_its_first_day(ledger: SqliteLedger) -> None:
    on_time(ledger, MARCH, 8, 2)
    assert found(ledger, **SHORT, schedule="daily") == {
        MARCH + 3 * DAY: ["2d"],
        MARCH + 4 * DAY: ["2d"],
        MARCH + 6 * DAY: ["2d", "4d"],
        MARCH + 7 * DAY: ["2d", "4d"],
        MARCH + 8 * DAY: ["2d"],
    }


@pytest.mark.parametrize(("missing", "published"), [((1, 2), True), ((1, 2, 3), False), ((0,), False)])
def test_a_horizon_needs_half_of_its_days(ledger: SqliteLedger, missing: tuple[int, ...], published: bool) -> None:  # noqa: FBT001
    on_time(ledger, MARCH, 7, *missing)
    spec = {"horizons": ["4d"], "safety_gaps": {"4d": {"tail_days": 0}}, "schedule": "daily"}
    assert (MARCH + 4 * DAY in found(ledger, **spec)) is published


def test_only_what_was_known_by_the_reference_covers_a_horizon(ledger: SqliteLedger) -> None:
    """The first day arrived when its horizon had long ended: the publications before the arrival never saw it."""
    on_time(ledger, MARCH + DAY, 9)
    before = found(ledger, **SHORT, schedule="daily")
    assert min(before) == MARCH + 4 * DAY
    late = MARCH + 6 * DAY
    bring(ledger, {MARCH: late})
    assert found(ledger, **SHORT, schedule="daily") == before | {late: ["2d", "4d"]}
    bring(ledger, {MARCH + SLICE: MARCH + 3 * DAY + SLICE})
    assert found(ledger, **SHORT, schedule="daily") == before | {late: ["2d", "4d"]}, "a quarter hour too late"
    bring(ledger, {MARCH + 2 * SLICE: MARCH + 3 * DAY})
    assert found(ledger, **SHORT, schedule="daily")[MARCH + 3 * DAY] == ["2d"]


def test_every_stretch_of_data_has_its_first_baselines(ledger: SqliteLedger) -> None:
    """A pause as long as a horizon makes its next coverage a first one, also years later."""
    on_time(ledger, MARCH, 7)
    on_time(ledger, MARCH + 9 * DAY, 7)
    years = datetime(2031, 7, 9)
    on_time(ledger, years, 7)
    assert found(ledger, **SHORT) == {
        MARCH + 3 * DAY: ["2d"],
        MARCH + 6 * DAY: ["2d", "4d"],
        MARCH + 12 * DAY: ["2d", "4d"],
        years + 3 * DAY: ["2d"],
        years + 6 * DAY: ["2d", "4d"],
    }


def test_a_stray_day_before_the_others_delays_nothing(ledger: SqliteLedger) -> None:
    """A record of a clock that is wrong, or an old log that is found later, takes no baselines away."""
    on_time(ledger, MARCH + 5 * DAY, 9)
    plain = found(ledger, **SHORT)
    assert plain == {MARCH + 8 * DAY: ["2d"], MARCH + 11 * DAY: ["2d", "4d"]}
    bring(ledger, {MARCH + DAY: MARCH + DAY + SLICE})
    assert found(ledger, **SHORT) == plain | {MARCH + 4 * DAY: ["2d"]}, "one of two days is half"
    bring(ledger, {MARCH + 4 * DAY: MARCH + 9 * DAY})
    assert found(ledger, **SHORT).items() >= {MARCH + 8 * DAY: ["2d"]}.items(), "that day came after the reference"


def test_asked_ones_stand_beside_the_schedule(ledger: SqliteLedger) -> None:
    on_time(ledger, MARCH, 9)
    plain = found(ledger, **SHORT)
    asked = MARCH + 8 * DAY
    assert asked not in plain
    more = publications(config(**SHORT), ledger, {asked: False})
    assert {p.reference: list(p.horizons) for p in more} == plain | {asked: ["2d", "4d"]}
    assert found(ledger, **SHORT) == plain, "asking what would be is not asking for it"
    ledger.ask_publication("1", asked, provisional=False)
    ledger.ask_publication("1", MARCH + DAY, provisional=False)
    ledger.ask_publication("1", MARCH + 100 * DAY, provisional=False)
    ledger.ask_publication("2", MARCH + 7 * DAY, provisional=False)
    assert found(ledger, **SHORT) == plain | {asked: ["2d", "4d"]}


def provisional(ledger: SqliteLedger, **baselines: Any) -> dict[datetime, dict[str, Interval]]:
    return {p.reference: dict(p.horizons) for p in publications(config(**baselines), ledger) if p.provisional}


def test_provisional_ones_look_at_all_there_is(ledger: SqliteLedger) -> None:
    on_time(ledger, MARCH, 2)
    ledger.ask_publication("1", MARCH + 2 * DAY, provisional=True)
    assert provisional(ledger, **SHORT) == {MARCH + 2 * DAY: {"2d": Interval(MARCH - DAY, MARCH + 2 * DAY)}}
    assert found(ledger, **SHORT) == {}


def test_provisional_horizons_that_see_the_same_days_are_one(ledger: SqliteLedger) -> None:
    """Of 2d and 4d, which reach 3 and 6 days back, the longer one is there only when it sees more."""
    on_time(ledger, MARCH + DAY, 1)
    on_time(ledger, MARCH + 5 * DAY, 1)
    ledger.ask_publication("1", MARCH + 6 * DAY, provisional=True)
    ledger.ask_publication("1", MARCH + 8 * DAY, provisional=True)
    assert {at: list(horizons) for at, horizons in provisional(ledger, **SHORT).items()} == {
        MARCH + 6 * DAY: ["2d", "4d"],
        MARCH + 8 * DAY: ["2d"],
    }


def test_a_provisional_one_of_nothing_is_none(ledger: SqliteLedger) -> None:
    """Or it would stand in the way of one that knows something."""
    on_time(ledger, MARCH, 2)
    for day in (-3, 0, 8, 40):
        ledger.ask_publication("1", MARCH + day * DAY, provisional=True)
    assert provisional(ledger, **SHORT) == {}
    ledger.ask_publication("1", MARCH + 7 * DAY, provisional=True)
    assert {at: list(horizons) for at, horizons in provisional(ledger, **SHORT).items()} == {MARCH + 7 * DAY: ["4d"]}


def test_an_asked_provisional_one_gives_way_to_a_regular_one(ledger: SqliteLedger) -> None:
    on_time(ledger, MARCH, 4)
    ledger.ask_publication("1", MARCH + 3 * DAY, provisional=True)
    assert provisional(ledger, **SHORT) == {}
    assert found(ledger, **SHORT) == {MARCH + 3 * DAY: ["2d"]}


def test_warming_up_takes_the_last_midnight_with_a_whole_day_before_it(ledger: SqliteLedger) -> None:
    evening = MARCH + DAY - 4 * SLICE
    bring(ledger, {evening: evening + SLICE})
    assert warmup_references(config(), ledger) == [MARCH + DAY], "for there is none yet"
    bring(ledger, {MARCH + 2 * DAY: MARCH + 2 * DAY + SLICE})
    assert warmup_references(config(), ledger) == [MARCH + 2 * DAY, MARCH + 3 * DAY]
    bring(ledger, {MARCH + 3 * DAY: MARCH + 3 * DAY + SLICE})
    assert warmup_references(config(), ledger) == [MARCH + 2 * DAY, MARCH + 3 * DAY], "a whole day lies before it"


def test_warming_up_serves_every_stretch_that_has_no_baselines(ledger: SqliteLedger) -> None:
    on_time(ledger, MARCH, 2)
    on_time(ledger, MARCH + 200 * DAY, 5)
    on_time(ledger, MARCH + 400 * DAY, 2)
    assert list(found(ledger, **SHORT)) == [MARCH + n * DAY for n in (3, 6, 203, 206)]
    assert warmup_references(config(**SHORT), ledger) == [MARCH + 2 * DAY, MARCH + 402 * DAY]
    ledger.ask_publication("1", MARCH + 2 * DAY, provisional=True)
    assert warmup_references(config(**SHORT), ledger) == [MARCH + 2 * DAY, MARCH + 402 * DAY], "asked again is the same"


def test_stretches_reach_a_day_beyond_their_data() -> None:
    assert stretches([]) == []
    ends = [MARCH, MARCH + DAY, MARCH + 2 * DAY + SLICE]
    assert stretches(reversed(ends)) == [Interval(MARCH, MARCH + 2 * DAY), Interval(ends[2], ends[2] + DAY)]


def regular(*references: datetime) -> list[Publication]:
    return [Publication(reference, {}) for reference in references]


def warm(*references: datetime) -> list[Publication]:
    return [Publication(reference, {}, provisional=True) for reference in references]


LATER = MARCH + 10 * DAY
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("known", "moment", "expected"),
    [
        ([], MARCH, None),
        (regular(MARCH), MARCH, MARCH),
        (regular(MARCH), MARCH - TICK, None),
        (regular(MARCH, APRIL), APRIL - TICK, MARCH),
        (regular(MARCH, APRIL), APRIL, APRIL),
        (regular(MARCH), MARCH + SERVICE, MARCH),
        (regular(MARCH), MARCH + SERVICE + TICK, None),
        (regular(MARCH) + warm(LATER), LATER + DAY, MARCH),
        (warm(MARCH) + regular(LATER), LATER - TICK, MARCH),
        (warm(MARCH) + regular(LATER), LATER, LATER),
        (warm(MARCH, LATER), LATER + DAY, LATER),
        (warm(MARCH, LATER), MARCH - DAY, MARCH),
        (warm(MARCH, LATER), LATER - DAY, MARCH),
        (regular(MARCH) + warm(LATER), MARCH - DAY, LATER),
        (regular(MARCH) + warm(MARCH + SERVICE), MARCH + SERVICE + DAY, MARCH + SERVICE),
        (warm(MARCH), MARCH - SERVICE, MARCH),
        (warm(MARCH), MARCH - SERVICE - TICK, None),
        (warm(MARCH), MARCH + SERVICE + TICK, None),
    ],
)
def test_the_publication_in_force(known: list[Publication], moment: datetime, expected: datetime | None) -> None:
    """The latest regular one, else the latest provisional one, else one that looks back; each for a season."""
    chosen = in_force(sorted(known, key=lambda p: p.reference), moment)
    assert (chosen.reference if chosen else None) == expected


def test_a_season_is_92_days() -> None:
    """From one first of a quarter to the next, whichever months lie between."""
    assert timedelta(days=92) == SERVICE
