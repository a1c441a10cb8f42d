"""Sessions to delta and pair_counts, through planning, building and publishing, beside one hash aggregation of them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from benchmarks.data import Traffic
from benchmarks.lakes import MEMORY_LIMIT, Ground
from benchmarks.measure import Cost, Line, alternate, cost, line
from benchmarks.settings import NOON, Setting, floor_query, listed
from ndr.time import DAY, SLICE, Interval

SESSIONS = 1_000_000
TABLES = ("delta", "pair_counts")
FLOOR = """
SELECT source_ip, destination_ip, destination_port, count(*) AS sessions, sum(source_bytes) AS sent,
  sum(destination_bytes) AS received, min(event_start) AS first, max(event_start) AS last
FROM read_parquet({files}) GROUP BY ALL"""
GOAL = 6


def measured(setting: Setting) -> list[Line]:
    """Both shapes: all sessions in one quarter hour, and spread over a day."""
    return [
        *_shape(setting, "one quarter hour", SLICE, 4_000),
        *_shape(setting, "24 h", DAY, 1_000),
    ]


def _shape(setting: Setting, shape: str, length: timedelta, hosts: int) -> list[Line]:
    rows = setting.sized(SESSIONS)
    sessions = Traffic(rows, setting.sized(hosts), NOON - length, length).parquet(setting.folder / f"{shape}.parquet")
    ground = Ground(setting.folder / shape.replace(" ", "-"))
    ground.take(sessions)
    interval = Interval(NOON - length, NOON)
    query = FLOOR.format(files=listed(ground.sessions()))

    def subject(_: int) -> Cost:
        ground.forget(TABLES)
        return cost(partial(ground.build, TABLES, interval))

    floor, made = alternate(setting.runs, lambda _: cost(partial(floor_query, query, MEMORY_LIMIT)), subject)
    what = f"{rows:,} sessions in {shape}"
    lines = [
        line("slices", f"floor: one hash aggregation of {what}", floor),
        line("slices", f"delta + pair_counts of {what}", made, floor, most=GOAL),
        *_breakdown(ground, interval),
    ]
    ground.close()
    return lines


def _breakdown(ground: Ground, interval: Interval) -> list[Line]:
    """Where the time of a build goes, from one more run per table."""
    lines = []
    ground.forget(TABLES)
    for name in TABLES:
        shop, engine = ground.watched(probing=True)
        whole = cost(partial(ground.build, [name], interval, shop))
        rest = whole.seconds - engine.queries - engine.writes
        lines += [
            Line("slices", f"… {name}: its query alone", engine.queries),
            Line("slices", f"… {name}: query, sort and write", engine.writes),
            Line("slices", f"… {name}: plan, publish, ledger", rest),
        ]
    return lines
