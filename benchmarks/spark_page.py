"""What there is to read about Spark: the curves, what skew does, and the estimate with all it takes for granted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import markdown
from benchmarks.spark_estimate import estimate
from benchmarks.spark_fit import ROWS, TABLES, Fit, Record, by_output, cpu, fit, rows_of, seconds, shuffled
from benchmarks.spark_model import Assumed

_MIB, _GIB = 2**20, 2**30
_GROWTH = """\
## Growth

{versions}, `{master}`, a memory limit of {memory:.0f} GiB for either engine (of Spark's, three quarters are Java's
heap). Spark started in {started:.1f} s, once. Every size is built by DuckDB, then by Spark, from the same files; the
first size of a step is built before, uncounted, because Java compiles what runs often. *core-s* are seconds of all
threads. *memory* is the peak of this process and, after the plus, of Java, which takes what it is given before it
clears up. *cells* are those of both results, held against each other.

{growth}

{cold}

### Fixed part and slope

Least squares over the sizes above: what a build costs whatever it reads, and what a million rows of input add. For FG-C
pairs and other rows (FG-A, baselines of hosts) count apart. *worst* is the largest residual as a share of the mean.
Where no slope is seen at these sizes, the most that the residuals could hide stands for it.

{fits}

What came out of Spark is sorted and written by one process, the driver's DuckDB (`last`), which is part of the above:

{last}
"""
_SKEW = """\
## Skew

Beside the even case with as many hosts and sessions. *longest task* is that of the stage in which most time was spent,
beside its median task; a stage with one task has no other to wait for.

{skew}
"""


def chapter(found: Mapping[str, Any]) -> str:
    """Everything that there is to read of a run."""
    records = found["records"]
    parts = [_growth(found)]
    if skewed := [record for record in records if record["skew"]]:
        parts.append(_SKEW.format(skew=_skew(skewed, records)))
    if failed := found["about"].get("failed"):
        parts.append(f"## Failed\n\nNothing was measured from here on: {failed}\n")
    if set(TABLES) <= {name for record in records for name in record["spark"]}:
        parts.append(estimate(records, Assumed()))
    return "\n".join(parts)


def _growth(found: Mapping[str, Any]) -> str:
    records, about = found["records"], found["about"]
    even = [record for record in records if not record["skew"]]
    cold = "; ".join(f"{r['step']} {r['cold']:.1f} s" for r in records if r["cold"])
    present = [name for name in TABLES if any(name in record["spark"] for record in even)]
    return _GROWTH.format(
        versions=about["versions"], master=about["master"], memory=about["memory"] / _GIB, started=about["started"],
        growth=markdown(
            ("step", "of", "engine", "rows in", "rows out", "s", "core-s", "memory MiB", "jobs", "stages", "tasks",
             "shuffled MiB", "spilled MiB", "cells", "differ"),
            [row for record in even for row in _rows(record)],
        ),
        cold=f"The very first build with Spark, nothing compiled yet: {cold}." if cold else "",
        fits=_fits(even, present), last=_last(even, present),
    )  # fmt: skip


def _rows(record: Record) -> list[list[str]]:
    """A case on both engines, its tables one by one where there are several."""
    rows = []
    shown = [name for name in record["rows"] if name in TABLES]
    for name in shown:
        for engine in ("duckdb", "spark"):
            spent = record[engine][name]
            told = [name, record["what"], engine, *_costs(spent, sum(record["rows"][name].values()))]
            spark = engine == "spark" and name == shown[-1]
            rows.append([*told, *([f"{record['cells']:,}", f"{record['different']:,}"] if spark else ["", ""])])
    return rows


def _costs(spent: Mapping[str, Any], rows: int) -> list[str]:
    counted = spent["spent"]
    java = f" + {spent['java_peak'] / _MIB:,.0f}" if spent["java_peak"] else ""
    found = [f"{rows:,}", f"{spent['rows_out']:,}", f"{spent['seconds']:.1f}", f"{cpu(spent):.1f}"]
    found.append(f"{spent['peak'] / _MIB:,.0f}{java}")
    if not counted:
        return [*found, *[""] * 5]
    found += [f"{counted.get(name, 0):,}" for name in ("jobs", "stages", "tasks")]
    return [*found, f"{shuffled(spent) / _MIB:,.1f}", f"{spent['spilled_bytes'] / _MIB:,.1f}"]


def _fits(records: Sequence[Record], present: Sequence[str]) -> str:
    rows = []
    for name in present:
        if sum(name in record["spark"] for record in records) <= len(rows_of(name, records_rows(records, name))):
            continue
        for engine in ("duckdb", "spark"):
            wall, work = fit(records, name, engine, seconds), fit(records, name, engine, cpu)
            peak = fit(records, name, engine, lambda spent: float(spent["peak"] + spent["java_peak"]))
            moved = fit(records, name, engine, shuffled)
            rows += [
                [name, engine, kind, f"{wall.fixed:.2f}", f"{wall.slopes[kind]:.2f}", f"{wall.residual:.0%}",
                 f"{work.fixed:.2f}", f"{work.slopes[kind]:.2f}", f"{work.residual:.0%}",
                 f"{moved.slopes[kind] / 1e6:.1f}" if engine == "spark" else "",
                 f"{peak.fixed / _MIB:,.0f}", f"{peak.slopes[kind] / _MIB:,.0f}"]
                for kind in wall.slopes
            ]  # fmt: skip
    titles = ("step", "engine", "rows", "fixed s", "s a million", "worst", "fixed core-s", "core-s a million", "worst",
              "shuffled B a row", "fixed MiB", "MiB a million")  # fmt: skip
    return markdown(titles, rows)


def records_rows(records: Sequence[Record], name: str) -> Mapping[str, int]:
    """The rows that a table's first case reads."""
    found: Mapping[str, int] = next(record["rows"][name] for record in records if name in record["rows"])
    return found


def _last(records: Sequence[Record], present: Sequence[str]) -> str:
    rows = []
    for name in present:
        largest = max((r["spark"][name] for r in records if name in r["spark"]), key=lambda spent: spent["rows_out"])
        share, taken = largest["last_seconds"] / largest["seconds"], max(largest["last_seconds"], 1e-9)
        slope: Fit = by_output(records, name, lambda spent: float(spent["last_cpu"]))
        rows.append([
            name, f"{largest['rows_out']:,} rows", f"{taken:.2f}", f"{share:.0%}",
            f"{largest['rows_out'] / taken:,.0f}", f"{slope.slopes[ROWS]:,.0f}", f"{largest['peak'] / _MIB:,.0f}",
        ])  # fmt: skip
    titles = ("table", "largest", "last s", "of all", "rows a second", "core-s a million rows", "process MiB")
    return markdown(titles, rows)


def _skew(skewed: Sequence[Record], records: Sequence[Record]) -> str:
    rows = []
    for record in skewed:
        alike = [r for r in records if not r["skew"] and all(r[k] == record[k] for k in ("step", "hosts", "density"))]
        even = alike[0] if alike else None
        for name, spent in record["spark"].items():
            beside = even["spark"][name] if even else None
            duckdb = (record["duckdb"][name]["seconds"], even["duckdb"][name]["seconds"] if even else math.nan)
            rows.append([
                name, record["what"], f"{sum(record['rows'][name].values()):,}", f"{spent['seconds']:.1f}",
                f"{beside['seconds']:.1f}" if beside else "",
                f"{spent['seconds'] / beside['seconds']:.2f}" if beside else "", f"{duckdb[0] / duckdb[1]:.2f}",
                _tasks(spent), _tasks(beside) if beside else "", spent["largest"],
                f"{spent['java_peak'] / _MIB:,.0f}", f"{beside['java_peak'] / _MIB:,.0f}" if beside else "",
                f"{record['different']:,}",
            ])  # fmt: skip
    titles = ("table", "of", "rows in", "s", "even s", "ratio", "DuckDB's ratio", "longest / median task s", "even",
              "that stage", "Java MiB", "even", "cells that differ")  # fmt: skip
    return markdown(titles, rows)


def _tasks(spent: Mapping[str, Any]) -> str:
    return f"{spent['longest']:.2f} / {spent['middle']:.2f}"
