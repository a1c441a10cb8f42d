"""What must hold of a lake: the plan, the files and the parts add nothing to the numbers and lose nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from laws.comparing import EFFORT, expect_delta, expect_fg_a, expect_pair_counts
from ndr.lake import checksum
from ndr.queries import QueryCache
from ndr.time import Interval
from oracle import DAY, QUARTER, batch_of
from strategies import ANCHORS, CONFIGS, random_sessions
from worlds import World, config_of, span_of

Row = dict[str, Any]
EVENING, MONTH, SPRING = ANCHORS[0], ANCHORS[2], ANCHORS[5]
BUILT = ["delta", "pair_counts", "pair_days", "pair_history", "fg_a"]


@contextmanager
def world(root: Path, config: int) -> Iterator[World]:
    made = World(root, config_of(CONFIGS[config]))
    made.shop = replace(made.shop, queries=QueryCache.of_user())  # the tests' own cache
    yield made
    made.close()


def made_up(seed: int, config: int, anchor: datetime, size: int = 60, *, explicit: bool = True) -> list[Row]:
    """Sessions around an anchor, and one just after it, so that its batch has come."""
    rng = Random(seed)  # noqa: S311 - made-up data, not secrets
    clock = CONFIGS[config].clock
    rows = random_sessions(rng, size, anchor=anchor, clock=clock, explicit=explicit)
    last = {**rows[0], "event_start": anchor, "event_end": anchor, "mini_batch_id": None, "batch_end_ts": None}
    return [*rows, last]


def files(made: World) -> dict[str, str]:
    """Every data file of the tables, with its hash."""
    paths = sorted(path for name in BUILT for path in (made.root / name).rglob("*.parquet"))
    return {str(path.relative_to(made.root)): checksum(path) for path in paths}


def built(root: Path, config: int, imports: Sequence[Sequence[Row]], ends: Sequence[datetime]) -> dict[str, str]:
    """The files of a lake into which some units were imported, and then all was built."""
    with world(root, config) as made:
        for i, rows in enumerate(imports):
            made.put(rows, f"unit {i}")
        made.build(["fg_a"], span_of(ends))
        return files(made)


@pytest.mark.parametrize("seed", range(10 * EFFORT))
def test_a_lake_says_what_the_oracle_says(tmp_path: Path, seed: int) -> None:
    config, anchor = seed % len(CONFIGS), ANCHORS[(seed * 3 + 1) % len(ANCHORS)]
    rows = made_up(seed, config, anchor)
    with world(tmp_path, config) as made:
        made.put(rows)
        made.build(BUILT, span_of([anchor]))
        expect_fg_a([r for r in made.read("fg_a") if r["window_end_ts"] == anchor], rows, [anchor], CONFIGS[config])
        day = Interval(anchor - DAY, anchor)
        expect_pair_counts(made.read("pair_counts"), rows, CONFIGS[config], day)
        expect_delta(made.read("delta"), rows, CONFIGS[config], day)


@pytest.mark.parametrize(("config", "anchor"), [(0, MONTH), (1, SPRING)])
def test_in_which_files_and_order_the_sessions_come_changes_no_byte(
    tmp_path: Path, config: int, anchor: datetime
) -> None:
    rows, rng = made_up(11, config, anchor), Random(5)  # noqa: S311 - made-up data, not secrets
    whole = built(tmp_path / "whole", config, [rows], [anchor])
    mixed = rng.sample(rows, len(rows))
    parts = [mixed[:7], mixed[7:30], mixed[30:]]
    assert built(tmp_path / "split", config, parts, [anchor]) == whole
    assert built(tmp_path / "turned", config, parts[::-1], [anchor]) == whole
    assert any(path.startswith("fg_a/") for path in whole)


def test_importing_and_building_again_changes_no_byte(tmp_path: Path) -> None:
    rows = made_up(3, 0, EVENING)
    with world(tmp_path, 0) as made:
        for batch in (rows, rows):
            made.put(batch)
            made.build(["fg_a"], span_of([EVENING]))
            first = files(made) if batch is rows and not made.build(["fg_a"], span_of([EVENING])) else {}
        assert files(made) == first != {}


def test_building_as_the_sessions_come_is_building_at_the_end(tmp_path: Path) -> None:
    """Each batch built when it has come, late sessions after; the last state is that of one build."""
    ends = [EVENING - 2 * QUARTER, EVENING - QUARTER, EVENING]
    rows = made_up(8, 0, EVENING)
    arrivals = [[r for r in rows if batch_of(r)[1] <= ends[0]]]
    for end, before in zip(ends[1:], ends, strict=False):
        arrivals.append([r for r in rows if before < batch_of(r)[1] <= end])
    arrivals.append([r for r in rows if batch_of(r)[1] > EVENING])
    with world(tmp_path / "live", 0) as live:
        for i, arrived in enumerate(arrivals):
            if arrived:
                live.put(arrived, f"arrival {i}")
                live.build(["fg_a"], span_of(ends))
        assert files(live) == built(tmp_path / "after", 0, [rows], ends)


def test_late_sessions_leave_earlier_features_as_they_were(tmp_path: Path) -> None:
    rows = made_up(21, 0, EVENING)
    known = [r for r in rows if batch_of(r)[1] <= EVENING]
    late = [r for r in rows if batch_of(r)[1] > EVENING]
    assert any(r["event_end"] < EVENING for r in late)
    with world(tmp_path, 0) as made:
        made.put(known, "known")
        made.build(["fg_a"], span_of([EVENING]))
        before = files(made)
        made.put(late, "late")
        assert "fg_a" not in made.build(["fg_a"], span_of([EVENING]))
        after = files(made)
    assert {path: after[path] for path in before} == before


def test_parts_made_together_are_those_made_alone(tmp_path: Path) -> None:
    ends = [MONTH + QUARTER * step for step in range(-4, 5)]
    rows = made_up(13, 1, MONTH + 4 * QUARTER, 80)
    together = built(tmp_path / "together", 1, [rows], ends)
    with world(tmp_path / "alone", 1) as made:
        made.shop = replace(made.shop, chunk_rows=1)
        made.put(rows)
        made.build(["fg_a"], span_of(ends))
        assert files(made) == together
    assert sum(path.startswith("fg_a/") for path in together) == len(ends)
