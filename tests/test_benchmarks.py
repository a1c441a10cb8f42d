"""The benchmarks run, at a thousandth of their size; what they measure is nobody's assertion."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from benchmarks.data import Traffic
from benchmarks.measure import Cost, alternate, line
from benchmarks.report import page, table
from benchmarks.spark_fit import BY_HOST, cpu, fit, fitted
from benchmarks.spark_model import Assumed, Model, loads, most_hosts, quarter_seconds
from benchmarks.spark_page import chapter
from benchmarks.spark_watch import Spent

from ndr.engines.spark_session import java_home
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


def _spent(rows: int, cpu: float, *, java: float = 0.0) -> dict[str, Any]:
    counted = {"jobs": 1, "stages": 2, "tasks": 4, "shuffle_bytes": 30 * rows} if java else {}
    return Spent(cpu + java, cpu, java, 1 << 29, 1 << 30 if java else 0, rows, spent=counted).facts()


def _records() -> list[dict[str, Any]]:
    """Cases of which every million rows takes two core-seconds on DuckDB and ten in Java."""
    steps = {
        "fg_a": {"fg_a": "pair_counts"}, "fg_b": dict.fromkeys(BY_HOST, "fg_a"), "fg_c": {"fg_c": "fg_b_host"},
    }  # fmt: skip
    return [
        {
            "step": step, "what": f"{hosts} hosts", "hosts": hosts, "density": 1, "skew": skew, "cold": None,
            "rows": {name: {read: hosts * 1000} for name, read in tables.items()}, "cells": 9, "different": 0,
            "duckdb": {name: _spent(hosts, 0.5 + hosts / 500) for name in tables},
            "spark": {name: _spent(hosts, 0.1, java=8 + hosts / 100) for name in tables},
        }
        for step, tables in steps.items()
        for hosts, skew in ((500, ""), (1000, ""), (4000, ""), (1000, "one host with most"))
    ]  # fmt: skip


def test_what_is_fixed_and_what_grows_are_told_apart() -> None:
    found = fit(_records(), "fg_a", "spark", cpu)
    assert (found.fixed, found.slopes["pairs"]) == pytest.approx((8.1, 10))
    assert found.residual == pytest.approx(0)


def test_nothing_is_said_to_take_less_than_nothing() -> None:
    found = fitted([{"rows": 1e6}, {"rows": 2e6}, {"rows": 3e6}], [1.0, 3.0, 5.0])
    assert found.fixed == 0
    assert found.slopes["rows"] == pytest.approx(22 / 14)


def test_rows_whose_cost_is_not_seen_may_cost_what_the_noise_hides() -> None:
    rows = [{"hosts": hosts * 1e6, "pairs": pairs * 1e6} for hosts, pairs in ((1, 1), (2, 2), (4, 4), (2, 9))]
    found = fitted(rows, [3.0, 5.0, 9.0, 4.8])
    assert found.slopes["hosts"] == pytest.approx(2, rel=0.05)
    assert found.slopes["pairs"] == pytest.approx(found.worst / 8)
    assert found.worst > 0


def test_an_estimate_grows_with_the_hosts_and_shrinks_with_the_instances() -> None:
    model, a = Model(_records()), Assumed()
    usual, twice, wide = (
        quarter_seconds(model.cluster, each) for each in (a, replace(a, hosts=2 * a.hosts), replace(a, instances=20))
    )
    assert wide < usual < twice
    work = model.cluster(loads(a)[0][0], a)
    assert work.core_seconds == pytest.approx(10 * loads(a)[0][0].read["pairs"] / 1e6)
    assert work.computing == pytest.approx(work.core_seconds / (160 * 0.6))


def test_where_one_engine_beats_the_other_lies_between_both() -> None:
    found = most_hosts(lambda a: a.hosts <= 12_345, Assumed())
    assert found == pytest.approx(12_345, rel=0.01)
    assert most_hosts(lambda _: False, Assumed()) == 0
    assert most_hosts(lambda _: True, Assumed()) == float("inf")


def test_the_page_of_spark_holds_curves_skew_and_estimate() -> None:
    about = {"versions": "Spark 4", "started": 8.0, "master": "local[2]", "memory": 4 << 30}
    text = chapter({"about": about, "records": _records()})
    assert "| fg_a | 4000 hosts | spark | 4,000,000 | 4,000 | 48.1 |" in text
    assert "| fg_a | one host with most" not in text
    assert "## 93,000 hosts: an estimate" in text


def test_spark_can_be_measured_beside_duckdb(tmp_path) -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    if java_home() is None:
        pytest.skip("there is no Java that Spark runs on")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "spark", "--scale", "0.001"],
        cwd=ROOT, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(", equal\n") == 2, done.stderr
