"""The benchmarks run, at a thousandth of their size; what they measure is nobody's assertion."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from benchmarks.data import Traffic
from benchmarks.measure import Cost, alternate, line
from benchmarks.report import page, table

from ndr.sources.files import read_file
from ndr.tables.sessions import SESSION_FIELDS

ROOT = Path(__file__).resolve().parents[1]
QUARTER = Traffic(500, 50, datetime(2026, 3, 3, 12), timedelta(minutes=15))


def test_the_same_traffic_is_the_same_file(tmp_path) -> None:
    one, other = (QUARTER.parquet(tmp_path / name).read_bytes() for name in ("one", "other"))
    assert one == other


def test_traffic_is_sessions(tmp_path) -> None:
    made = pq.read_table(QUARTER.parquet(tmp_path / "made.parquet"))
    assert made.schema.names == SESSION_FIELDS.names
    assert made.schema.types == SESSION_FIELDS.types
    ends = made["event_end"].to_pylist()
    assert ends == sorted(ends)
    assert QUARTER.start <= ends[0]
    assert ends[-1] < QUARTER.start + QUARTER.length


def test_written_as_logs_it_is_read_back_whole(tmp_path) -> None:
    logs = QUARTER.json_lines(tmp_path / "logs.json.gz")
    report = read_file(
        logs, source=None, specs={}, sessions_to=tmp_path / "s", quarantine_to=tmp_path / "q", known=lambda head: {}
    )
    assert (report.outcome, report.source, report.read, report.sessions) == ("imported", "palo_alto", 500, 500)
    assert not report.mended


def test_a_ratio_is_that_of_the_medians_and_the_first_round_is_not_counted() -> None:
    told = []

    def contestant(number: int) -> Cost:
        told.append(number)
        return Cost(float(number), 1.0, 100)

    mine, floor = alternate(3, contestant, lambda number: Cost(0.5, 0.5, 50))
    assert told == [0, 1, 2, 3]
    found = line("slices", "something", mine, floor, most=3)
    assert (found.seconds, found.ratio, found.cpu_ratio, found.spread, found.met) == (2.0, 4.0, 2.0, (2.0, 6.0), False)
    assert "| slices | something | 2.000 | 1.00 |" in page([found], "python -m benchmarks", 3, 1)
    assert table([found]).splitlines()[1].split()[:3] == ["slices", "something", "2.000"]


# "cold" is left out: it starts the program six times, and "memory" starts the same command once; so is "fg_b_memory",
# which makes what "fg_b" makes.
@pytest.mark.parametrize("figure", ["slices", "fg_a", "fg_b", "fg_c", "import", "history", "memory"])
def test_a_figure_can_be_measured(figure) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "benchmarks", "--only", figure, "--runs", "1", "--scale", "0.001"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith(figure)
