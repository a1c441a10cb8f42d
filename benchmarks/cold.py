"""A quarter hour of 10,000 sessions through everything: a process of its own, on a lake with a day of history."""

from __future__ import annotations

import sys
from functools import partial

from benchmarks.data import Traffic
from benchmarks.lakes import Ground
from benchmarks.measure import Cost, Line, alternate, child_cost, line
from benchmarks.settings import NOON, Setting
from ndr.time import DAY, SLICE, Interval

SESSIONS, HOSTS = 10_000, 1_000
SLICES_A_DAY = DAY // SLICE
GOAL = 3
NDR = (sys.executable, "-m", "ndr.cli")


def measured(setting: Setting) -> list[Line]:
    """With the queries compiled by an earlier run, and without; every run takes the next quarter hour."""
    rows, hosts = setting.sized(SESSIONS), setting.sized(HOSTS)
    lake = setting.folder / "lake"
    ground = Ground(lake)
    ground.take(Traffic(rows * SLICES_A_DAY, hosts, NOON - DAY, DAY).parquet(setting.folder / "day.parquet"))
    ground.build(("delta", "pair_counts"), Interval(NOON - DAY, NOON))
    ground.build(("fg_a",), Interval(NOON - SLICE, NOON))
    ground.settle()
    ground.close()
    logs = [
        Traffic(rows, hosts, NOON + SLICE * k, SLICE, seed=k).json_lines(setting.folder / f"batch-{k}.json.gz")
        for k in range(2 * (setting.runs + 1))
    ]

    def batch(number: int, *, compiled: bool) -> Cost:
        k = 2 * number + compiled
        cache = setting.folder / ("compiled" if compiled else f"nothing-{number}")
        return child_cost((*NDR, "run", str(logs[k]), "--lake", str(lake)), {"XDG_CACHE_HOME": str(cache)})

    floor, first, later = alternate(
        setting.runs,
        lambda _: child_cost((*NDR, "--version")),
        partial(batch, compiled=False),
        partial(batch, compiled=True),
    )
    what = f"ndr run of {rows:,} sessions, 24 h of history"
    return [
        line("cold", "floor: ndr --version, a process that does nothing", floor),
        line("cold", f"{what}, queries compiled before", later, floor, seconds=GOAL),
        line("cold", f"{what}, nothing compiled before", first, floor, seconds=GOAL),
    ]
