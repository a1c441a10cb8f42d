"""The memory of FG-B with many hosts and longer and longer horizons: it must follow the limit, not the rows.

10,000 hosts over 37 days are 144 million rows in bounds, which take hours to make up; so the horizons here are shorter
and the limit lower. ``python -m benchmarks.bounded LAKE HORIZON LIMIT`` is the process that is measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.baselines import GIVEN, MADE, REFERENCE, ground_of, reopened
from benchmarks.measure import Line, child_cost
from benchmarks.settings import Setting
from ndr.time import DAY, Interval

HOSTS = 10_000
HORIZONS = ("1d", "3d")
ENGINE_LIMIT = "2GB"
GOAL_BYTES = 4 << 30
GAP_DAYS = 2


def measured(setting: Setting) -> list[Line]:
    """One run each; the peak is the largest resident size of the process, Python and all."""
    lines = []
    hosts = setting.sized(HOSTS)
    for horizon in HORIZONS:
        lake = setting.folder / f"lake-{horizon}"
        ground = ground_of(lake, hosts, int(horizon[:-1]), horizon, GAP_DAYS)
        rows = ground.ledger.row_count("fg_a", ground.shop.config.feature_spec_version)
        ground.close()
        spent = child_cost((sys.executable, "-m", "benchmarks.bounded", str(lake), horizon, ENGINE_LIMIT))
        what = f"FG-B of {hosts:,} hosts, horizon {horizon}, {rows:,} rows, engine limit {ENGINE_LIMIT}"
        met = spent.peak_bytes <= GOAL_BYTES
        lines.append(
            Line(
                "fg_b_memory", what, spent.seconds, spent.cpu_seconds, spent.peak_bytes,
                goal="peak ≤ 4,096 MiB", met=met,
            )
        )  # fmt: skip
    return lines


if __name__ == "__main__":
    ground = reopened(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    made = ground.build(MADE, Interval(REFERENCE, REFERENCE + DAY), given=GIVEN)
    if list(made) != list(MADE):
        raise AssertionError(f"made {made} instead of {MADE}")
    ground.close()
