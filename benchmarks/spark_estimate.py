"""``python -m benchmarks.spark_estimate``: what an estate that nobody here has would take, in words and tables.

The slopes of a recorded run are carried over by assumptions, each of which is an option.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from benchmarks import spark_model as scale
from benchmarks.report import markdown
from benchmarks.spark_fit import TABLES, Record
from benchmarks.spark_model import Assumed, Load, Model, Taken, loads, most_hosts, quarter_seconds, ranges
from ndr.tables.fg_b import COLUMNS

RESULTS = Path(__file__).with_name("RESULTS-spark.json")
_GIB = 2**30
_ESTIMATE = """\
## {hosts:,.0f} hosts: an estimate

Nothing of this size was measured. This is the arithmetic: rows x slope / (cores x efficiency), the fixed part, bytes /
network, and the driver's last step. The slopes come from {beyond:,.0f} times fewer rows, where joins and hash tables
still fit a cache. `python -m benchmarks.spark_estimate` makes it anew under other assumptions, each of which is an
option.

{assumed}

Of a quarter hour that is {pairs:.0f} pairs for each host, {window:,.0f} million rows in 24 h, and {past:,.0f} million
rows of FG-A in a publication of baselines. Prices are on-demand list prices of us-east-1 as known in 2025: check them.
Reading logs, slices, pair history, beacons and scores come on top; they pass over a quarter hour, small beside 24 h.

### Each step, middle assumption

{steps}

The last column is what DuckDB would hold if it put nothing aside. FG-B it divides by time band, window and column
when memory is short; of FG-A and FG-C it puts rows aside on disk, which was not measured, so they decide what is said
to fit.

{serial}
### A quarter hour, and a month

{sums}

*low* and *high*: efficiency a third higher and a third lower, pairs about a quarter fewer and more. A job is billed
while it runs; a cluster that stands by costs {standing:,.0f} USD a month whatever it does, the one machine
{one_standing:,.0f} USD.

### Where one engine beats the other

The one machine has {one_vcpus:.0f} vCPUs and {one_memory:.0f} GiB. *fits* is the largest estate for which DuckDB's own
peak, as it was measured, stays within 80 % of that; beyond, it puts rows aside on disk, which was not measured.

{crossing}
"""
_SERIAL = """\
**The largest task.** Quantiles of a segment and of everybody are made of counted values: those of one column and one
group, time band x window, are put in order by one task, on disk where they are more than its memory holds. The largest
has {rows:,.0f} million rows of the longest horizon, {share:.2%} of the work of its table, where each of the {cores:.0f}
cores has {core:.2%}.
"""
LONGEST_DAYS = 30
"""The longest horizon."""


def estimate(records: Sequence[Record], a: Assumed) -> str:
    """The estimate under some assumptions."""
    model = Model(records)
    pairs, past = loads(a)[0][0].read["pairs"], loads(a)[1][0].read["rows"]
    most = max(sum(record["rows"]["fg_a"].values()) for record in records if "fg_a" in record["rows"])
    assumed = [[field.name.replace("_", " "), f"{getattr(a, field.name):,g}"] for field in fields(a)]
    return _ESTIMATE.format(
        hosts=a.hosts, beyond=pairs / most, pairs=a.pairs, window=pairs / 1e6, past=past / 1e6,
        assumed=markdown(("assumption", "value"), assumed), steps=_steps(model, a), serial=_serial(a),
        sums=_sums(model, a), standing=a.instances * a.price * scale.MONTH_HOURS,
        one_standing=a.one_price * scale.MONTH_HOURS, one_vcpus=a.one_vcpus, one_memory=a.one_memory_gib,
        crossing=_crossing(model, a),
    )  # fmt: skip


def _steps(model: Model, a: Assumed) -> str:
    rows = []
    quarter, month = loads(a)
    for load in (*quarter, *month):
        for where, take in (("cluster", model.cluster), ("one machine", model.one)):
            took = take(load, a)
            parts = (took.core_seconds, took.fixed, took.computing, took.network, took.last)
            rows.append([
                load.table, where, f"{sum(load.read.values()) / 1e6:,.0f}", *(f"{part:,.0f}" for part in parts),
                f"{took.seconds / 60:,.1f}", f"{took.shuffled_bytes / 1e9:,.1f}", f"{took.peak_bytes / _GIB:,.1f}",
            ])  # fmt: skip
    titles = (
        "step", "where", "million rows in", "core-s", "fixed s", "computing s", "network s", "driver's last step s",
        "minutes", "shuffled GB", "GiB of the driver, or of the machine",
    )  # fmt: skip
    return markdown(titles, rows)


def _serial(a: Assumed) -> str:
    """What no cluster divides: the values of one column in one group are put in order by one task."""
    rows = scale.QUARTERS * LONGEST_DAYS * scale.WINDOWS * a.largest_group * a.hosts
    return _SERIAL.format(rows=rows / 1e6, share=a.largest_group / len(COLUMNS), cores=a.cores, core=1 / a.cores)


def _sums(model: Model, a: Assumed) -> str:
    rows = []
    for name, assumed in ranges(a).items():
        for where, take, rate in (
            ("cluster", model.cluster, assumed.instances * assumed.price),
            ("one machine", model.one, assumed.one_price),
        ):
            took = quarter_seconds(take, assumed)
            made = sum(take(load, assumed).seconds for load in loads(assumed)[1])
            month = (took * scale.MONTH_QUARTERS + made) / scale.HOUR
            late = "yes" if took > scale.QUARTER else "no"
            rows.append([
                name, where, f"{took / 60:,.1f}", f"{took / scale.HOUR * rate:,.2f}", late, f"{made / 60:,.0f}",
                f"{made / scale.HOUR * rate:,.2f}", f"{month:,.0f}", f"{month * rate:,.0f}",
            ])  # fmt: skip
    titles = (
        "range", "where", "minutes a quarter hour", "USD", "longer than it lasts", "minutes a publication", "USD",
        "hours a month", "USD a month",
    )  # fmt: skip
    return markdown(titles, rows)


def _crossing(model: Model, a: Assumed) -> str:
    rows = []
    for sessions in sorted({600.0, 5_000.0, a.sessions}):
        told = []
        for assumed in (replace(each, sessions=sessions) for each in ranges(a).values()):
            slower = most_hosts(lambda b: quarter_seconds(model.one, b) <= quarter_seconds(model.cluster, b), assumed)
            in_time = [most_hosts(partial(_in_time, take), assumed) for take in (model.one, model.cluster)]
            told.append([slower, in_time[0], most_hosts(lambda b: _fitting(model, b), assumed), in_time[1]])
        spans = [_span(each, never="never" if place == 0 else "no limit")
                 for place, each in enumerate(zip(*told, strict=True))]  # fmt: skip
        if all(in_time >= fits for _, in_time, fits, _ in told):
            spans[1] = "all that fits"
        rows.append([f"{sessions:,.0f}", "a host and day", *spans])
    titles = ("sessions", "of", "Spark is faster from (hosts)", "DuckDB in 15 minutes up to", "DuckDB fits up to",
              "the cluster in 15 minutes up to")  # fmt: skip
    return markdown(titles, rows)


def _in_time(take: Callable[[Load, Assumed], Taken], a: Assumed) -> bool:
    return quarter_seconds(take, a) <= scale.QUARTER


def _fitting(model: Model, a: Assumed) -> bool:
    return all(model.one(load, a).peak_bytes <= 0.8 * a.one_memory_gib * _GIB for load in loads(a)[0])


def _span(found: Sequence[float], never: str) -> str:
    least, most = (never if math.isinf(each) else f"{each:,.0f}" for each in (min(found), max(found)))
    return least if least == most else f"{least} to {most}"


def main() -> None:
    """Print the estimate of a recorded run under other assumptions."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spark_estimate", description=__doc__)
    parser.add_argument(
        "results", nargs="?", default=RESULTS, type=Path, metavar="FILE", help=f"default {RESULTS.name}"
    )
    for each in fields(Assumed):
        parser.add_argument(
            f"--{each.name.replace('_', '-')}", type=float, default=each.default, help="default %(default)s"
        )
    options = vars(parser.parse_args())
    held = json.loads(options.pop("results").read_text(encoding="utf-8"))
    if missing := {*TABLES} - {table for record in held["records"] for table in record["spark"]}:
        parser.error(f"the run has no {', '.join(sorted(missing))}: record one of the whole size")
    print(estimate(held["records"], Assumed(**options)))


if __name__ == "__main__":
    main()
