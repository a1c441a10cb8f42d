"""How much a run must look at again: the surroundings of what was imported, or everything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from day.pasts import MONDAY
from ndr import news
from ndr.ledger import Part, Unit
from ndr.publications import publications
from ndr.specs import Config
from ndr.table import PartKey
from ndr.time import DAY, SLICE, Interval
from worlds import World

SPEC = {"horizons": ["2d", "4d"], "safety_gaps": {"2d": {"tail_days": 1}, "4d": {"tail_days": 2}}}
MONTH = 31 * DAY


@pytest.fixture
def settled(tmp_path: Path) -> Iterator[World]:
    """A week of logs, three days without, and a week; all baselines of it noted as made, and the run as finished."""
    world = World(tmp_path, Config.model_validate({"jobs": {"fg_b_builder": SPEC}}))
    bring(world, *(MONDAY + n * DAY for n in range(17) if n not in {7, 8, 9}))
    for publication in publications(world.shop.config, world.ledger):
        keys = publication.keys()
        world.ledger.commit([Part("fg_b_host", "1", key, "id", 1, "", "") for key in keys], [], {})
    world.ledger.settle(news.settled_by(world.shop))
    yield world
    world.close()


def bring(world: World, *starts: datetime, known_at: datetime | None = None) -> None:
    """Import a record of each slice, known when it ended unless said otherwise."""
    name = hashlib.sha256(repr((starts, known_at)).encode()).hexdigest()
    slices = {PartKey(start, known_at or start + SLICE): 1 for start in starts}
    world.ledger.import_units([Unit(name, "a.json", "zeek", 1, name, "", None, "", "", slices, {})], [])


LAST = MONDAY + 16 * DAY + SLICE


def test_nothing_imported_is_everything(settled: World) -> None:
    assert news._affected(settled.shop) is None


def test_the_time_since_the_last_arrival_is_looked_at(settled: World) -> None:
    bring(settled, LAST + DAY)
    assert news._affected(settled.shop) == Interval(LAST - SLICE, LAST + DAY + MONTH)


def test_older_logs_are_looked_at_as_far_as_they_matter(settled: World) -> None:
    bring(settled, MONDAY + 2 * DAY + SLICE)
    assert news._affected(settled.shop) == Interval(MONDAY + 2 * DAY + SLICE, MONDAY + 2 * DAY + SLICE + MONTH)


def test_a_late_arrival_is_looked_at_from_what_it_tells_to_when_it_came(settled: World) -> None:
    bring(settled, MONDAY + 2 * DAY, known_at=LAST + DAY)
    assert news._affected(settled.shop) == Interval(MONDAY + 2 * DAY, LAST - SLICE + MONTH)


def test_a_table_that_is_asked_for_from_now_on_is_made_everywhere(settled: World) -> None:
    bring(settled, LAST + DAY)
    jobs = {**settled.shop.config.jobs, "prediction_feature_join": {}}
    asked = replace(settled.shop, config=settled.shop.config.model_copy(update={"jobs": jobs}))
    assert news._affected(settled.shop) is not None
    assert news._affected(asked) is None


def test_a_publication_that_is_not_called_for_any_more_is_everything(settled: World) -> None:
    """The gap is filled, and with it the first baselines after the gap are those of any midnight."""
    before = {p.reference for p in publications(settled.shop.config, settled.ledger)}
    bring(settled, *(MONDAY + n * DAY for n in (7, 8, 9)))
    assert before - {p.reference for p in publications(settled.shop.config, settled.ledger)}
    assert news._affected(settled.shop) is None
    settled.ledger.settle(news.settled_by(settled.shop))
    bring(settled, LAST + DAY)
    assert news._affected(settled.shop) is not None, "that was settled"
