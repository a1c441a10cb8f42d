"""FG-A of one quarter hour with a day of history behind it, beside one hash aggregation of that history."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.data import Traffic
from benchmarks.lakes import MEMORY_LIMIT, Ground
from benchmarks.measure import Cost, Line, alternate, cost, line
from benchmarks.settings import NOON, Setting, floor_query, listed
from ndr.time import DAY, SLICE, Interval

SESSIONS, HOSTS = 1_000_000, 1_000
MERGED = """count(*) AS slices, sum(sessions_cnt) AS sessions, sum(source_bytes) AS sent,
  sum(destination_bytes) AS received, min(first_event_start) AS first, max(last_event_start) AS last"""
ONCE = "SELECT src_ip, dst_ip, {merged} FROM read_parquet({files}) GROUP BY ALL"
TWICE = """
SELECT role, host, peer, {merged} FROM (
  SELECT 'outbound' AS role, src_ip AS host, dst_ip AS peer, * FROM read_parquet({files}) WHERE src_is_host
  UNION ALL SELECT 'inbound', dst_ip, src_ip, * FROM read_parquet({files}) WHERE dst_is_host) GROUP BY ALL"""
GOAL = 5


def measured(setting: Setting) -> list[Line]:
    """Two floors: every pair once, and seen by both of its ends as FG-A sees it; the goal is about the first."""
    rows = setting.sized(SESSIONS)
    traffic = Traffic(rows, setting.sized(HOSTS), NOON - DAY, DAY)
    ground = Ground(setting.folder / "lake")
    ground.take(traffic.parquet(setting.folder / "day.parquet"))
    ground.build(("delta", "pair_counts"), Interval(NOON - DAY, NOON))
    once, twice = (
        partial(floor_query, text.format(merged=MERGED, files=listed(ground.files("pair_counts"))), MEMORY_LIMIT)
        for text in (ONCE, TWICE)
    )
    last = Interval(NOON - SLICE, NOON)

    def subject(_: int) -> Cost:
        ground.forget(["fg_a"])
        return cost(lambda: ground.build(["fg_a"], last))

    floor, both, made = alternate(setting.runs, lambda _: cost(once), lambda _: cost(twice), subject)
    what = f"24 h of pair_counts, {rows:,} sessions"
    lines = [
        line("fg_a", f"floor: {what}, by source and destination", floor),
        line("fg_a", f"floor: {what}, by host, peer and role", both, floor),
        line("fg_a", "FG-A of one quarter hour with 24 h of history", made, floor, most=GOAL),
        line("fg_a", "… the same beside the floor of both roles", made, both),
        *_breakdown(ground, last),
    ]
    ground.close()
    return lines


def _breakdown(ground: Ground, last: Interval) -> list[Line]:
    ground.forget(["fg_a"])
    start = time.perf_counter()
    ground.plan(["fg_a"], last)
    planned = time.perf_counter() - start
    shop, engine = ground.watched(probing=True)
    whole = cost(lambda: ground.build(["fg_a"], last, shop))
    return [
        Line("fg_a", "… planning", planned),
        Line("fg_a", "… its query alone", engine.queries),
        Line("fg_a", "… query, sort and write", engine.writes),
        Line("fg_a", "… publish, ledger", whole.seconds - planned - engine.queries - engine.writes),
    ]
