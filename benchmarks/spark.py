"""Growth with hosts and days of the three dear steps, on DuckDB and on Spark in the same run, and what skew does.

What both make is compared cell by cell. A page of its own holds the curves, and the estimate that is made of them.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from benchmarks.measure import Chapter, Line
from benchmarks.settings import Setting
from benchmarks.spark_grounds import FG_A, FG_B, FG_C, HALF_SEGMENT, HEAVY_HOST, Case, Pair
from benchmarks.spark_page import chapter
from benchmarks.spark_watch import Sparked, Spent
from ndr.errors import AdapterError

MASTER, MEMORY = "local[2]", 4 << 30
CASES = (
    *(Case(FG_A, hosts, 1_000) for hosts in (500, 1_000, 2_000)),
    Case(FG_A, 1_000, 1_000, HEAVY_HOST),
    *(Case(FG_C, hosts, 200) for hosts in (250, 500, 1_000)),
    Case(FG_C, 500, 1_000),
    Case(FG_C, 500, 1_000, HEAVY_HOST),
    Case(FG_C, 500, 200, HALF_SEGMENT),
    *(Case(FG_B, hosts, 3) for hosts in (60, 125, 250)),
    *(Case(FG_B, hosts, 7) for hosts in (60, 125)),
    Case(FG_B, 125, 3, HALF_SEGMENT),
)
"""About twenty minutes on two cores that nobody else uses."""
SMALL = (Case(FG_A, 20, 50), Case(FG_A, 20, 50, HEAVY_HOST))
"""For trying whether it works; Spark takes as long for next to nothing."""
SERIOUS = 0.05
WARMING = 1
"""Rounds of a step's first case that are not counted: Java compiles what runs often while it runs."""


def measured(setting: Setting) -> Chapter:
    """All cases, one after the other in one session of Spark."""
    cases = CASES if setting.scale >= SERIOUS else SMALL
    spark = Sparked(setting.folder / "spark", MEMORY, MASTER)
    about: dict[str, Any] = {"versions": spark.versions, "started": spark.started, "master": MASTER, "memory": MEMORY}
    records: list[dict[str, Any]] = []
    try:
        for number, case in enumerate(_sized(cases, setting)):
            first = all(each["step"] != case.step for each in records)
            records.append(_record(case, setting, number, spark, WARMING if first and cases is CASES else 0))
            print(f"spark: {case.step} of {case.what}: {_told(records[-1])}", file=sys.stderr, flush=True)
    except AdapterError as error:  # what was measured before is worth keeping
        about["failed"] = f"{case.step} of {case.what}: {error}"
        print(f"spark: {about['failed']}", file=sys.stderr)
    finally:
        spark.close()
    found = {"about": about, "records": records}
    return Chapter([line for record in records for line in _lines(record)], chapter(found), found)


def _sized(cases: Sequence[Case], setting: Setting) -> list[Case]:
    scale = setting.scale if cases is CASES else 1.0
    return [replace(case, hosts=max(20, int(case.hosts * scale))) for case in cases]


def _record(case: Case, setting: Setting, number: int, spark: Sparked, warming: int) -> dict[str, Any]:
    """A case: what its builds took on either engine, and whether both made the same."""
    pair = Pair(case, setting.folder / str(number), spark)
    try:
        rounds = [pair.round() for _ in range(warming + setting.runs)]
        compared, rows = pair.compared(), pair.rows
    finally:
        pair.close()
        pair.remove()
        gc.collect()
    duckdb, java = [_typical([each[place] for each in rounds[warming:]]) for place in (0, 1)]
    return {
        "step": case.step, "what": case.what, "hosts": case.hosts, "density": case.density, "skew": case.skew,
        "rows": rows, "duckdb": duckdb, "spark": java,
        "cold": sum(each.seconds for each in rounds[0][1].values()) if warming else None,
        "cells": compared.cells, "different": compared.different, "worst_relative": compared.worst_relative,
    }  # fmt: skip


def _typical(rounds: Sequence[dict[str, Spent]]) -> dict[str, Any]:
    """Of each table, the round that took the median of time."""
    found = {}
    for table in rounds[0]:
        middle = median(each[table].seconds for each in rounds)
        found[table] = min((each[table] for each in rounds), key=lambda spent: abs(spent.seconds - middle)).facts()
    return found


def _told(record: dict[str, Any]) -> str:
    times = [sum(spent["seconds"] for spent in record[engine].values()) for engine in ("duckdb", "spark")]
    same = "equal" if not record["different"] else f"{record['different']} CELLS DIFFER"
    return f"DuckDB {times[0]:.1f} s, Spark {times[1]:.1f} s, {same}"


def _lines(record: dict[str, Any]) -> list[Line]:
    """The case on either engine; Spark's ratio is to DuckDB."""
    lines = []
    least = sum(spent["seconds"] for spent in record["duckdb"].values())
    for engine in ("duckdb", "spark"):
        builds = record[engine].values()
        seconds = sum(spent["seconds"] for spent in builds)
        lines.append(
            Line(
                "spark", f"{record['step']}, {record['what']}: {engine}", seconds,
                sum(spent["cpu"] + spent["java_cpu"] for spent in builds),
                max(spent["peak"] + spent["java_peak"] for spent in builds),
                ratio=seconds / least if engine == "spark" else None,
                goal="equal cells" if engine == "spark" else "",
                met=not record["different"] if engine == "spark" else None,
            )
        )  # fmt: skip
    return lines
