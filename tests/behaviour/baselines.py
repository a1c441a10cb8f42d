"""Hand-made behaviour through the program's own recipes: what it says of one host against its past.

One metric is told, ``sessions_cnt`` unless said otherwise; it is baselined from three slices on (``PLAIN``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from laws.publishing import Made, press_of
from oracle_baselines import DAY, QUARTER, Row
from strategies_baselines import APRIL, PLAIN, Case, behaviour

NOW = APRIL + 10 * 4 * QUARTER  # a working Wednesday morning
HOST, OTHER, THIRD = "10.1.1.1", "10.1.1.2", "10.1.1.3"
OFFICE, SERVERS = "office", "servers"
PUBLISHED = ((APRIL, False, ("7d",)),)


def seen(
    *counts: float | None, host: str = HOST, segment: str = OFFICE, band: str = "WD_WORKING", window: str = "w_15m",
    metric: str = "sessions_cnt", days_ago: int = 4,
) -> list[Row]:  # fmt: skip
    """Consecutive slices of the past, well inside both the horizons when ``days_ago`` is between 3 and 9."""
    start = APRIL - days_ago * DAY
    empty = dict.fromkeys(PLAIN.metrics)
    return [
        behaviour(host, segment, window, start + (place + 1) * QUARTER, band, empty | {metric: value})
        for place, value in enumerate(counts)
    ]


def now(
    value: float | None, host: str = HOST, segment: str = OFFICE, band: str = "WD_WORKING", window: str = "w_15m",
    metric: str = "sessions_cnt", end: datetime = NOW,
) -> Row:  # fmt: skip
    """The row that is judged."""
    return behaviour(host, segment, window, end, band, dict.fromkeys(PLAIN.metrics) | {metric: value})


def judged(past: list[Row], current: Row, **more: Any) -> Row:
    """What FG-C says of the row, against the shortest horizon there is."""
    found = judgements(past, [current], **more)
    assert len({row["baseline_horizon"] for row in found}) == len(found)
    return min(found, key=lambda row: int(row["baseline_horizon"].rstrip("d")))


def judgements(past: list[Row], current: list[Row], **more: Any) -> list[Row]:
    """All rows of FG-C."""
    return press_of(0).make(Case(past, current, **{"publications": PUBLISHED, **more})).deviations


def baselines(past: list[Row], publications: Sequence[Any] = PUBLISHED, **more: Any) -> Made:
    """The tables of the shortest horizon of the first publication."""
    press = press_of(0)
    publication = press.publication(*publications[0])
    horizon = min(publication.horizons, key=lambda name: int(name.rstrip("d")))
    return press.baselines(Case(past, [], tuple(publications), **more), publication, horizon)


def metadata(past: list[Row], host: str = HOST, window: str = "w_15m", **more: Any) -> Row:
    """What ``fg_b_ip_metadata`` says of a host."""
    (row,) = [
        r for r in baselines(past, **more)["fg_b_ip_metadata"] if (r["host_ip"], r["window_label"]) == (host, window)
    ]
    return row


def machine(name: str, host: str = HOST, month: str = "2026-03") -> Row:
    return {"ip_address": host, "machine_name": name, "active": True, "snapshot_month": month}


def pair_day(source: str = HOST, peer: str = "203.0.113.5", port: int | None = 443, sessions: int = 1) -> Row:
    """A day on which a pair was seen."""
    day = APRIL - 4 * DAY
    return {
        "src_ip": source, "dst_ip": peer, "dst_port": port, "day_start_ts": day, "known_ts": day + DAY,
        "sessions_cnt": sessions, "last_event_start": day, "src_is_host": True, "dst_is_host": False,
        "src_segment_id": OFFICE, "dst_segment_id": "somewhere",
    }  # fmt: skip


def pair_now(source: str = HOST, peer: str = "203.0.113.5", port: int | None = 443) -> Row:
    """A pair in the quarter hour that is judged."""
    return {
        "src_ip": source, "dst_ip": peer, "dst_port": port, "slice_start_ts": NOW - QUARTER, "batch_end_ts": NOW,
        "mini_batch_id": "now", "sessions_cnt": 1, "src_is_host": True, "dst_is_host": False,
        "src_segment_id": OFFICE, "dst_segment_id": "somewhere", "first_event_start": NOW - QUARTER,
        "last_event_start": NOW - QUARTER,
    }  # fmt: skip
