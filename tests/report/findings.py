"""Findings made by hand: what a report is about, without a lake."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from ndr.report.findings import (
    Baselines,
    Beacon,
    Contribution,
    Deviation,
    Episode,
    Findings,
    Host,
    Line,
    Model,
    Peer,
    Quality,
)
from ndr.table import Publication
from ndr.time import SLICE, Interval

START = datetime(2026, 3, 4)
DAY = timedelta(days=1)
STEPS = 7 * 96
ENDS = tuple(START + SLICE * n for n in range(1, STEPS + 1))
PEAK = START + 6.2 * DAY
PEAK = PEAK - (PEAK - START) % SLICE
HOSTILE = (
    "<script>window.owned = 1</script>",
    '"><img src=x onerror="window.owned = 2">',
    "'; window.owned = 3; //",
    "\u202egnp.exe\u2066",
    "line\nbreak\x1b[31m\x00\u2028",
    "</title></style></script><svg onload=window.owned=4>",
    "{{7*7}}${7*7}&amp;&#x3c;b&#x3e;",
)
"""Names as an attacker would choose them."""


def line(metric: str, top: float, usual: float, seed: int = 0) -> Line:
    """A metric that goes up and down by the hour of the day, with a peak and gaps."""

    def value(n: int) -> float | None:
        hour = n % 96 / 4
        if ENDS[n] in {PEAK, PEAK - SLICE}:
            return top
        if 0 <= hour < 5 and (n + seed) % 7:
            return None
        calm = usual * (1 + math.sin(hour / 24 * 2 * math.pi - 2)) / 2 * (1 + (n * 37 + seed) % 11 / 20)
        return round(calm)

    def band(share: float) -> tuple[float, ...]:
        return tuple(round(usual * share * (1.0 if 28 <= n % 96 < 68 else 0.3), 2) for n in range(STEPS))

    return Line(metric, tuple(value(n) for n in range(STEPS)), band(0.3), band(0.5), band(0.8), band(1.2))


def host(rank: int = 1, **changes: Any) -> Host:
    """A host that reached for many others at night."""
    course = tuple(
        None
        if n % 96 < 20 and n % 7
        else 0.3 + (n * 17 + rank) % 13 / 4 + (38.7 - rank if abs((ENDS[n] - PEAK) / SLICE) < 4 else 0)
        for n in range(STEPS)
    )
    alarms = tuple(value is not None and value > 10 for value in course)
    told: dict[str, Any] = {
        "rank": rank, "address": f"10.64.0.{20 + rank}", "name": f"WS-{rank:04}", "segment": "offices",
        "leading_kind": "lateral_movement", "techniques": ("T1021", "T1570"), "score": 0.99994, "evidence": 42.0 - rank,
        "window": "w_30m", "peak": PEAK, "anomalous": True, "windows": sum(alarms), "scored": 600,
        "first": PEAK - SLICE * 4, "last": PEAK + SLICE * 3, "source": "host", "horizon": "7d", "cold": False,
        "provisional": False, "course": course, "severity": "high", "alarms": alarms,
        "lines": (
            line("admin_port_sessions_cnt", 1172, 0), line("bytes_src_sum", 8.2e8, 2.4e6, rank),
            line("peer_ip_nunique", 61, 24, 3 * rank),
        ),
        "deviations": (
            Deviation("admin_port_sessions_cnt", 1172, 0, 1172, "host"),
            Deviation("bytes_src_sum", 8.2e8, 1.2e6, 611.2, "host"),
            Deviation("failed_ratio", 0.62, 0.01, 41.2, "segment"),
            Deviation("in_sessions_cnt", 1, 12, -4.1, "host"),
        ),
        "contributions": (
            Contribution("lateral_movement_score", 18.2, 6.1, 0.2, "training", "T1021"),
            Contribution("scan_suspicion_score", 9.4, 3.3, 0.1, "training", "T1046"),
            Contribution("admin_port_sessions_cnt_z_mad_clipped", 6.3, 1172, 0, "host", ""),
            Contribution("bytes_src_sum_log_ratio", 2.1, 8.2e8, 1.2e6, "host", ""),
            Contribution("pair_rarity_max", -1.2, 0.03, 1.0, "training", ""),
            Contribution("other_features", 4.2, None, None, "", ""),
        ),
        "peers": (
            Peer("10.10.0.10", 1, (22,), 1, 412, 31_000_000, 2_100_000, 1, rare=True, seen=0),
            Peer("203.0.113.9", 1, (), 0, 3, None, None, 0, rare=True, seen=2),
            Peer("10.10.0.31", 622, (3, 9990), 621, 700, 36_000, 0, 57, rare=True, seen=80),
            Peer("10.10.0.2", 2, (80, 443), 2, 1200, 5_000, 42_000_000, 0, rare=False, seen=3120),
        ),
        "pairs": 664, "new_pairs": 58, "all_peers": 65,
        "beacon": Beacon("198.51.100.7", 443, 1800.0, 45, 0.91),
        "episodes": (
            Episode(PEAK - SLICE * 4, PEAK + SLICE * 3, "lateral_movement", 41.0, 17),
            Episode(PEAK - 2 * DAY, PEAK - 2 * DAY + SLICE, "scan", 12.0, 2),
        ),
    }  # fmt: skip
    return Host(**told | changes)


def hostile(rank: int, name: str) -> Host:
    """A host that is called so, met a peer that is called so, and so on."""
    return host(
        rank,
        name=name,
        segment=name,
        leading_kind="beacon",
        techniques=(name[:20],),
        beacon=Beacon(name, 443, 60.0, 3, 0.5),
        peers=(Peer(name, 1, (443,), 1, 1, 1, 1, 1, rare=True, seen=0),),
        contributions=(Contribution(name, 1.0, 1.0, 0.0, name, name),),
        deviations=(Deviation(name, 3.0, 1.0, 2.0, name),),
    )


def findings(*hosts: Host, **changes: Any) -> Findings:
    """A week in which these hosts stood out."""
    regular = Publication(START - DAY, {"7d": Interval(START - 10 * DAY, START - 3 * DAY)})
    later = Publication(START + 4 * DAY, {"7d": Interval(START - 3 * DAY, START + 4 * DAY)}, provisional=True)
    told: dict[str, Any] = {
        "lake": "/data/lake of today", "period": Interval(START, ENDS[-1]), "sessions": 1_234_567, "hosts_seen": 40,
        "standing": "baselines of 2026-03-03T00:00:00Z over 7d",
        "hosts_anomalous": len(hosts) + 1, "hosts_alerted": sum(each.anomalous for each in hosts), "windows": 660,
        "cold_hosts": 3, "covered": 2, "hosts": hosts, "ends": ENDS,
        "quality": Quality(12, 1_240_000, 1_234_567, {"no usable time": 12, "no source address": 3}, {"lab": 5418},
                           {"negative bytes": 7}),
        "baselines": (Baselines(regular, START, START + 4 * DAY), Baselines(later, START + 4 * DAY, ENDS[-1])),
        "model": Model("isolation_forest", "0a1b2c3d4e5f", {"Trained on": "38,000 windows of 40 hosts"}),
    }  # fmt: skip
    return Findings(**told | changes)
