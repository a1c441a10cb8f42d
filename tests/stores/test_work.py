"""The same work in every lake: the same files, the same refusals, and nothing left to do afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handmade import HOST, MINUTE, OTHER, PEER, SECOND, T, session
from ndr.aws import copies
from ndr.errors import DataError
from ndr.lake import Lake, checksum
from ndr.ledger import Part
from ndr.plan import Planner
from ndr.queries import QueryCache
from ndr.tables import TABLES
from ndr.time import SLICE, Interval
from stores.conftest import Stores
from worlds import World

BUILT = ("delta", "pair_counts", "fg_a")
WHEN = Interval(T - 4 * SLICE, T)


@pytest.fixture
def worlds(stores: Stores, tmp_path: Path) -> Iterator[list[World]]:
    """A world in a folder, and one in the lake that is tried."""
    made = [World(tmp_path / "beside"), World(tmp_path / "tried")]
    for world, lake in zip(made, (made[0].lake, stores.open()), strict=True):
        world.shop.engine.close()
        world.lake = lake  # type: ignore[assignment]
        world.shop = replace(world.shop, lake=lake, engine=stores.engine(), queries=QueryCache.of_user())
    yield made
    for world in made:
        world.ledger.close()


def rows(end: Any) -> list[dict[str, Any]]:
    own = {"mini_batch_id": None, "batch_end_ts": None}
    pairs = ((HOST, PEER, 443), (HOST, OTHER, 445), (OTHER, "203.0.113.7", 53))
    return [
        {**session(end - number * SECOND), **own, "source_ip": a, "destination_ip": b, "destination_port": port}
        for number, (a, b, port) in enumerate(pairs)
    ]


def parts(world: World) -> list[Part]:
    return [part for name in BUILT for part in world.ledger.parts(name, "1") if part.path]


def missing(world: World, lake: Lake) -> list[str]:
    steps = Planner(world.shop.config, world.ledger, lake).plan([TABLES[name] for name in BUILT], WHEN)
    return [step.table.name for step in steps if step.ids]


@pytest.mark.parametrize("copied", [copies.SMALL, -1], ids=["small files copied", "all read in place"])
def test_the_same_logs_become_the_same_files(
    worlds: list[World], stores: Stores, copied: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "SMALL", copied)
    for world in worlds:
        for number in range(4):
            world.put(rows(T - number * SLICE - MINUTE), f"unit {number}")
        world.build(["fg_a"], WHEN)
    here, there = worlds
    assert parts(here)
    assert parts(here) == parts(there)
    fresh = stores.open()
    assert all(checksum(fresh.fetch(part.path)) == part.checksum for part in parts(there))
    assert missing(there, fresh) == []


def test_a_late_log_replaces_what_it_touches_and_is_read_anew(worlds: list[World]) -> None:
    for world in worlds:
        world.put(rows(T - SLICE - MINUTE), "first")
        world.build(["fg_a"], WHEN)
        world.put([{**row, "source_bytes": 10**6} for row in rows(T - SLICE - 2 * MINUTE)], "late")
        world.build(["fg_a"], WHEN)
    here, there = worlds
    assert sum(part.rows for part in parts(here)) > 0
    assert parts(here) == parts(there)


def test_a_file_that_somebody_removed_is_missed_and_made_again(worlds: list[World], stores: Stores) -> None:
    _, world = worlds
    world.put(rows(T - MINUTE), "first")
    world.build(["fg_a"], WHEN)
    lost = next(part for part in parts(world) if part.table == "fg_a")
    stores.open().remove(lost.path)
    again = stores.open()
    assert missing(world, again) == ["fg_a"]
    world.lake = again  # type: ignore[assignment]
    world.shop = replace(world.shop, lake=again)
    world.build(["fg_a"], WHEN)
    assert checksum(stores.open().fetch(lost.path)) == lost.checksum


def test_lost_sessions_are_named(worlds: list[World], stores: Stores) -> None:
    _, world = worlds
    world.put(rows(T - MINUTE), "first")
    (unit,) = world.ledger.units()
    stores.open().remove(unit.path)
    world.shop = replace(world.shop, lake=stores.open())
    with pytest.raises(DataError, match="are gone from the lake"):
        world.build(["fg_a"], WHEN)
