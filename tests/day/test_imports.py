"""Logs that grow, move, are packed again, come twice or in another order: the lake is that of one import."""

from __future__ import annotations

import gzip
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from day.lakes import (
    HOSTS,
    MINUTE,
    QUARTER,
    START,
    build_count,
    differing,
    files,
    hour,
    made,
    ndr,
    parts,
    plan,
    rebuilt_since,
    record,
    run,
    sessions,
    text,
    write,
    write_config,
)  # fmt: skip

ROWS = hour(24)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A lake made by one import of everything."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder / "lake", write(folder / "all.json", ROWS))
    return folder / "lake"


@pytest.fixture
def one(whole: Path, lake: Path) -> Path:
    """A copy of that lake, to change."""
    shutil.copytree(whole, lake)
    return lake


def assert_same(lake: Path, whole: Path) -> None:
    assert made(lake) == made(whole)
    assert sessions(lake) == sessions(whole)
    assert parts(lake) == parts(whole)


@pytest.mark.parametrize("cut", [0, 40], ids=["at a line end", "within a line"])
def test_a_growing_file_is_imported_once(tmp_path: Path, lake: Path, whole: Path, cut: int) -> None:
    log = tmp_path / "grow.json"
    content = text(ROWS)
    lines = content.splitlines(keepends=True)
    for size in (5, 14, 24):
        log.write_text("".join(lines[:size])[: -cut or None] if size < 24 else content, encoding="utf-8")
        run(lake, log)
    assert_same(lake, whole)
    assert run(lake, log)["built"] == {}


def test_a_renamed_or_repacked_file_holds_nothing_new(tmp_path: Path, one: Path) -> None:
    before = files(one)
    log = write(tmp_path / "elsewhere/renamed.log", ROWS)
    with gzip.open(tmp_path / "elsewhere/packed.json.gz", "wt") as packed:
        packed.write(log.read_text(encoding="utf-8"))
    summary = run(one, tmp_path / "elsewhere")
    assert (summary["records_read"], summary["built"]) == (0, {})
    assert len(summary["known_files"]) == 2
    assert files(one) == before


def test_the_same_content_twice_in_one_run_counts_once(tmp_path: Path, lake: Path, whole: Path) -> None:
    for name in ("a.json", "b.json", "sub/c.json"):
        write(tmp_path / "logs" / name, ROWS)
    summary = run(lake, tmp_path / "logs")
    assert summary["sessions"] == len(ROWS)
    assert len(summary["known_files"]) == 2
    assert_same(lake, whole)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_another_order_makes_the_same_lake(tmp_path: Path, lake: Path, whole: Path, order: tuple[int, ...]) -> None:
    for n in order:
        run(lake, write(tmp_path / f"{n}.json", ROWS[n::3]))
    assert_same(lake, whole)


def test_all_at_once_or_one_by_one_gives_the_same_bytes_everywhere(tmp_path: Path) -> None:
    logs = [write(tmp_path / f"{n}.json", ROWS[n::3]) for n in range(3)]
    run(tmp_path / "once", *logs)
    for log in reversed(logs):
        run(tmp_path / "singly", log)
    assert files(tmp_path / "singly") == files(tmp_path / "once")


CHANGES = {
    "segments": ({"project_parameters": {"segments": {"10.1.0.0/16": "OFFICE"}}}, {"delta", "pair_counts", "fg_a"}),
    "calendar": ({"project_parameters": {"calendar": {"time_zone": "Asia/Tokyo"}}}, {"fg_a"}),
    "rare thresholds": ({"jobs": {"fg_a_builder": {"lookback30d": {"rare_thresholds": {"peer": 9}}}}}, {"fg_a"}),
    "port sets": ({"project_parameters": {"port_sets": {"db": [443]}}}, {"delta", "fg_a"}),
}

RHYTHMS = {"pair_days", "beacons", "slow_beacons"}
"""What is made beside the windows, some of it of the same slices."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_configuration_rebuilds_the_tables_that_depend_on_it(tmp_path, one, change) -> None:
    values, expected = CHANGES[change]
    before = files(one)
    config = write_config(tmp_path / "ndr.json", **values)
    log = write(tmp_path / "all.json", ROWS)
    assert set(plan(one, "fg_a", "--config", config)) == expected
    summary = run(one, log, "--config", config)
    assert set(summary["built"]) - RHYTHMS == expected
    assert {place.partition("/")[0] for place in differing(before, files(one))} <= expected | RHYTHMS
    assert plan(one, "fg_a", "--config", config) == {}
    run(one, log)
    assert files(one) == before


def at(quarters: int) -> str:
    return f"{(START + quarters * QUARTER).isoformat()}Z"


def batch(name: str, first: int, last: int) -> tuple[str, ...]:
    return ("--mini-batch-id", name, "--batch-start", at(first), "--batch-end", at(last))


LATE = [record(START + minute * MINUTE, source_ip=HOSTS[2], destination_port=3389) for minute in (2, 17, 62)]


TODAY = "pair_days/feature_spec_version=1/dt=2026-03-04/20260304T0000Z.parquet"
"""Known as of the midnight to come, so that late sessions still go into it."""


def without_today(lake: Path) -> dict[str, str]:
    return {place: hashed for place, hashed in files(lake).items() if place != TODAY}


def test_late_sessions_of_a_named_batch_change_nothing_that_was_known_before(tmp_path: Path, one: Path) -> None:
    before, builds = without_today(one), build_count(one)
    late = write(tmp_path / "late.json", LATE)
    run(one, late, *batch("B5", 4, 5))
    after = files(one)
    assert {place: after.get(place) for place in before} == before
    added = {place for place in after.keys() - before.keys() if not place.startswith("sessions/")}
    assert TODAY in added
    assert "delta/dt=2026-03-04/hh=10/mm=00/B5.v1.parquet" in added
    assert "pair_counts/dt=2026-03-04/hh=10/mm=15/feature_spec_version=1/B5.parquet" in added
    assert set(rebuilt_since(one, builds)) == added
    windows = {place for place in added if place.startswith("fg_a/")}
    assert windows == {"fg_a/feature_spec_version=1/dt=2026-03-04/B5.parquet"}

    again = run(one, late, *batch("B5", 4, 5))
    assert again["built"] == {}
    assert files(one) == after


def test_a_batch_that_comes_with_other_content_replaces_its_own_rows(tmp_path: Path, one: Path) -> None:
    before = without_today(one)
    late = write(tmp_path / "late.json", LATE)
    run(one, late, *batch("B5", 4, 5))
    first = files(one)
    write(late, LATE[1:])
    run(one, late, *batch("B5", 4, 5))
    assert {place: hashed for place, hashed in files(one).items() if place in before} == before
    assert not (one / "delta/dt=2026-03-04/hh=10/mm=00/B5.v1.parquet").exists()
    assert len(sessions(one)) == len(ROWS) + 2
    write(late, LATE)
    run(one, late, *batch("B5", 4, 5))
    assert files(one) == first
    assert plan(one) == {}


def test_batches_that_contradict_are_refused(tmp_path: Path, one: Path) -> None:
    late = write(tmp_path / "late.json", LATE)
    run(one, late, *batch("B5", 4, 5))
    before = files(one)
    for other in (batch("B5", 4, 6), batch("B6", 3, 5)):
        answer = ndr("run", late, "--lake", one, *other)
        assert answer.code == 3
        assert "contradicts batch 'B5'" in answer.err
        assert files(one) == before


@pytest.mark.parametrize(
    "options",
    [batch("B5", 4, 5)[:2], batch("../x", 4, 5), batch("B5", 5, 4), ("--mini-batch-id", "B", "--batch-start", at(0),
     "--batch-end", (START + timedelta(minutes=7)).isoformat())],
)  # fmt: skip
def test_a_batch_that_cannot_be_meant_is_a_usage_error(tmp_path: Path, lake: Path, options: tuple[str, ...]) -> None:
    answer = ndr("run", write(tmp_path / "late.json", LATE), "--lake", lake, *options)
    assert answer.code == 2
    assert not (lake / "sessions").exists()
