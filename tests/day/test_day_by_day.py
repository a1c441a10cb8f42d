"""Logs that come in several runs, in any order, late or twice, end in the lake that one run makes of them."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from day.lakes import DAY, START, differing, features, files, parts, run, write
from day.pasts import MONDAY, PUBLISHED, configured, some
from ndr.tables import TABLES
from ndr.time import SLICE

TUESDAY, WEDNESDAY, HOUR = MONDAY + DAY, MONDAY + 2 * DAY, timedelta(hours=1)
SILENCE = timedelta(hours=14)
ALL = [name for name, t in TABLES.items() if t.recipe and name not in {"predictions", "prediction_feature_join"}]
ARRIVAL = TUESDAY + DAY / 2
LATE = (
    "--mini-batch-id", "LATE", "--batch-start", (ARRIVAL - SLICE).isoformat(), "--batch-end", ARRIVAL.isoformat(),
)  # fmt: skip


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of Monday, all of Tuesday, half an hour of Wednesday, each in a file."""
    folder = tmp_path_factory.mktemp("days")
    write(folder / "monday.json", some(TUESDAY - DAY / 24, 4))
    write(folder / "tuesday.json", some(TUESDAY, 96, 8))
    write(folder / "wednesday.json", some(WEDNESDAY, 2))
    write(folder / "late.json", some(TUESDAY - 2 * SLICE, 2, destination_port=22, source_bytes=77_000))
    return folder


@pytest.fixture(scope="module")
def options(logs: Path) -> tuple[str, Path]:
    """Horizons of one and two days just before each midnight."""
    return configured(logs, safety_gaps={"1d": {"tail_days": 0}, "2d": {"tail_days": 0}})


@pytest.fixture(scope="module")
def at_once(logs: Path, options: tuple[str, Path]) -> Path:
    lake = logs / "at-once"
    built = run(lake, *(logs / f"{day}.json" for day in ("monday", "tuesday", "wednesday")), *options)
    assert built["baselines"]["reference"] == "2026-03-04T00:00:00Z"
    assert built["baselines"]["horizons"] == ["1d", "2d"]
    return lake


def test_the_time_between_two_runs_is_made_by_the_second(tmp_path: Path) -> None:
    """Windows that had not ended when the first run looked, and a midnight, though no session is in them."""
    first = write(tmp_path / "logs/first.json", some(START + timedelta(hours=8)))
    second = write(tmp_path / "logs/second.json", some(START + timedelta(hours=8) + SILENCE))
    run(tmp_path / "bit-by-bit", first)
    run(tmp_path / "bit-by-bit", second)
    assert run(tmp_path / "bit-by-bit", second)["built"] == {}
    run(tmp_path / "at-once", first, second)
    assert files(tmp_path / "bit-by-bit", "fg_a", "slow_beacons") == files(tmp_path / "at-once", "fg_a", "slow_beacons")
    assert len(files(tmp_path / "at-once", "fg_a")) == SILENCE / SLICE + 1
    assert DAY > SILENCE


HOURS = {"evening": TUESDAY - 2 * HOUR, "night": TUESDAY - 2 * SLICE, "morning": TUESDAY + HOUR}
"""When an hour of logs begins; nothing is heard around midnight but for two quarter hours before it."""


@pytest.fixture(scope="module")
def hours(logs: Path, options: tuple[str, Path]) -> Path:
    """A folder with the logs around one midnight by the hour, a late batch, and the lake of all of them at once."""
    for name, start in HOURS.items():
        write(logs / "hours" / f"{name}.json", some(start, 1 if name == "night" else 4))
    run(logs / "hours/lake", *(logs / f"hours/{name}.json" for name in HOURS), *options)
    return logs / "hours"


@pytest.mark.parametrize("order", [("evening", "night", "morning"), ("morning", "evening", "night")])
def test_logs_that_come_one_by_one_are_those_that_come_at_once(hours: Path, options, lake: Path, order) -> None:
    for name in order:
        run(lake, hours / f"{name}.json", *options)
    assert {place.split("/")[0] for place in files(lake)} > {*PUBLISHED, "fg_a", "beacons"}
    assert differing(features(lake), features(hours / "lake")) == set()
    assert parts(lake, ALL) == parts(hours / "lake", ALL)
    assert run(lake, hours / "evening.json", *options)["built"] == {}


def test_a_late_batch_makes_the_same_lake_whenever_it_is_given(hours: Path, options, tmp_path: Path) -> None:
    """First or last: what was known at a moment does not depend on the order of the runs."""
    arrival = TUESDAY - SLICE
    times = ("--batch-start", (arrival - SLICE).isoformat(), "--batch-end", arrival.isoformat())
    late = (
        write(tmp_path / "late.json", some(HOURS["evening"], 2, destination_port=22)),
        "--mini-batch-id",
        "LATE",
        *times,
        *options,
    )
    every = (hours / "morning.json", hours / "night.json", hours / "evening.json", *options)
    for place, commands in {"first": (late, every), "last": (every, late)}.items():
        for command in commands:
            run(tmp_path / place, *command)
    assert differing(features(tmp_path / "first"), features(tmp_path / "last")) == set()
    assert differing(files(tmp_path / "first", "fg_b"), files(hours / "lake", "fg_b")) != set()


@pytest.fixture(scope="module")
def with_late(at_once: Path, logs: Path, options: tuple[str, Path]) -> Path:
    """The lake after a batch about Monday that arrived on Tuesday noon."""
    lake = Path(shutil.copytree(at_once, logs / "with-late"))
    run(lake, logs / "late.json", *LATE, *options)
    return lake


def known_at(lake: Path, table: str) -> dict[str, datetime]:
    """Place -> when the part was known, of every file of a table."""
    return {path: key.known_at for _, key, _, path, _ in parts(lake, (table,)) if path}


def test_late_sessions_change_only_baselines_of_after_their_arrival(at_once: Path, with_late: Path) -> None:
    for table in (name for name in ALL if TABLES[name].published):
        before, after = ({key: check for _, key, _, _, check in parts(lake, (table,))} for lake in (at_once, with_late))
        assert before.keys() == after.keys()
        changed = {(key.start, key.horizon) for key in before if before[key] != after[key]}
        seen = {(WEDNESDAY, "2d")} if "pair" in table else {(WEDNESDAY, "1d"), (WEDNESDAY, "2d")}
        assert changed <= seen, f"{table}: what was published on Tuesday did not know"
        assert changed or table in {"fg_b_capping", "fg_b_ip_metadata"}, table


def test_late_sessions_leave_deviations_of_before_their_arrival_as_they_were(at_once: Path, with_late: Path) -> None:
    changed = differing(files(at_once, "fg_c"), files(with_late, "fg_c"))
    times = known_at(at_once, "fg_c") | known_at(with_late, "fg_c")
    assert changed
    assert {times[place] >= ARRIVAL for place in changed} == {True}
    assert min(times[place] for place in changed) == ARRIVAL
    assert min(times.values()) < ARRIVAL - DAY / 4


def test_a_batch_that_is_replayed_changes_nothing(with_late: Path, logs: Path, options, tmp_path: Path) -> None:
    lake = Path(shutil.copytree(with_late, tmp_path / "lake"))
    moved = shutil.copy(logs / "monday.json", tmp_path / "another-name.json")
    assert run(lake, logs / "late.json", *LATE, *options)["built"] == {}
    assert run(lake, moved, *options)["built"] == {}
    assert differing(features(lake), features(with_late)) == set()
