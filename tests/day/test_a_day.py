"""A simulated day through the command line: what is built once is built, and what is lost comes back the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from day.lakes import DAY, START, add_up, build_count, differing, files, hour, ndr, plan, rebuilt_since, run, write

# The rows of three days ago reach the windows of today through pair_days and pair_history.
EARLIER = START - 2 * DAY - timedelta(hours=10)


@pytest.fixture(scope="module")
def day(tmp_path_factory) -> Path:
    """A lake with a simulated day of a small network, made by the installed program."""
    folder = tmp_path_factory.mktemp("day")
    assert ndr("simulate", folder / "logs", "--hosts", 8, "--days", 0.25, "--formats", "zeek").code == 0
    return folder


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> Path:
    """A lake with an hour of sessions, and an hour of sessions two days and a half before."""
    folder = tmp_path_factory.mktemp("history")
    write(folder / "logs/old.json", hour(12, EARLIER + timedelta(hours=9)))
    write(folder / "logs/new.json", hour())
    run(folder / "lake", folder / "logs")
    return folder


@pytest.fixture
def lake(history: Path, tmp_path: Path) -> Path:
    shutil.copytree(history / "lake", tmp_path / "lake")
    return tmp_path / "lake"


def test_the_program_as_it_is_started(day: Path) -> None:
    lake = day / "lake"
    command = [
        sys.executable,
        "-m",
        "ndr.cli",
        "run",
        str(day / "logs/zeek"),
        "--lake",
        str(lake),
        "--no-warmup",
        "--format",
        "json",
    ]
    first = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)  # noqa: S603
    summary = json.loads(first.stdout)
    add_up(summary)
    assert summary["sessions"] > 100
    assert summary["hosts"] >= 8
    assert first.stderr == ""
    ends = (summary["first_window_end"], summary["last_window_end"])
    assert summary["windows"] >= 24, ends

    before = files(lake)
    again = subprocess.run(command[:-2], capture_output=True, text=True, check=True, env=os.environ)  # noqa: S603
    assert "nothing to build" in again.stdout
    assert files(lake) == before
    assert plan(lake) == {}
    status = ndr("status", "--verify", "--lake", lake, "--format", "json")
    assert status.code == 0
    assert not any(row["lost"] or row["changed"] for row in status.data)


def test_a_second_run_builds_nothing_and_says_so(history: Path, lake: Path) -> None:
    before, builds = files(lake), build_count(lake)
    summary = run(lake, history / "logs")
    assert summary["built"] == {}
    assert summary["records_read"] == 0
    assert len(summary["known_files"]) == 2
    assert files(lake) == before
    assert build_count(lake) == builds
    assert "nothing to build" in ndr("run", history / "logs", "--lake", lake, "--no-warmup").out
    assert plan(lake) == {}


def readers(place: str) -> tuple[str, ...]:
    """The tables that are made of the table a file belongs to, itself first."""
    after = {
        "delta": ("delta", "fg_a"),
        "pair_counts": ("pair_counts", "pair_days", "pair_history", "beacons", "slow_beacons", "fg_a"),
        "pair_days": ("pair_days", "pair_history", "slow_beacons", "fg_a"),
        "pair_history": ("pair_history", "fg_a"),
        "fg_a": ("fg_a",),
    }
    return after[place.partition("/")[0]]


def lost(lake: Path, table: str, pick: int) -> list[Path]:
    """The files of one partition of a table."""
    folders = sorted({path.parent for path in (lake / table).rglob("*.parquet")})
    return sorted(folders[pick].glob("*.parquet"))


@pytest.mark.parametrize(
    ("table", "pick"),
    [("delta", -1), ("delta", 0), ("pair_counts", -2), ("pair_counts", 0), ("pair_days", 0), ("pair_history", -1),
     ("fg_a", -1), ("fg_a", 0)],
)  # fmt: skip
def test_a_lost_partition_comes_back_with_its_dependants_and_nothing_else(history, lake, table, pick) -> None:
    before, builds = files(lake), build_count(lake)
    gone = lost(lake, table, pick)
    for path in gone:
        path.unlink()
    status = ndr("status", "--lake", lake, "--format", "json")
    assert status.code == 3
    assert {row["table"]: row["lost"] for row in status.data if row["lost"]} == {table: len(gone)}

    planned = plan(lake)
    assert planned
    assert set(planned) <= set(readers(table))
    assert planned[table] == len(gone)
    built = run(lake, history / "logs")["built"]
    assert {name: parts for name, parts in built.items() if name in planned} == planned
    assert set(built) - set(planned) <= {"pair_days", "beacons", "slow_beacons"} & set(readers(table))
    assert files(lake) == before
    written = rebuilt_since(lake, builds)
    assert {str(path.relative_to(lake)) for path in gone} <= set(written)
    assert {place.partition("/")[0] for place in written} <= set(readers(table))
    assert len(written) == len(set(written))
    assert plan(lake) == {}


def test_a_lost_slice_rebuilds_the_windows_that_read_it(history: Path, lake: Path) -> None:
    (gone,) = lost(lake, "delta", -1)
    gone.unlink()
    builds = build_count(lake)
    run(lake, history / "logs")
    assert rebuilt_since(lake, builds) == [
        str(gone.relative_to(lake)),
        "fg_a/feature_spec_version=1/dt=2026-03-04/20260304T1045Z.parquet",
    ]


def test_a_lost_sessions_file_is_reported_and_brought_back(history: Path, lake: Path) -> None:
    before = files(lake)
    gone = min((lake / "sessions").iterdir())
    gone.unlink()
    status = ndr("status", "--lake", lake, "--format", "json")
    assert status.code == 3
    assert {row["table"]: row["lost"] for row in status.data if row["lost"]} == {"sessions": 1}
    run(lake, history / "logs")
    assert differing(before, files(lake)) == set()
    assert ndr("status", "--verify", "--lake", lake).code == 0
