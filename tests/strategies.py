"""Sessions made up to be awkward: for hypothesis (shrinks) and from a seeded ``random.Random`` (fast, thousands).

Both draw from the same few hosts, peers, ports and moments, so that keys repeat and the edges of windows, lookbacks,
days and batches are hit exactly. A session is a dict with the columns of ``SESSION_FIELDS``, ``mini_batch_id`` and
``batch_end_ts``; it is aimed at a window end, the ``anchor``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, TypeVar

import pyarrow as pa
from hypothesis import strategies as st

from ndr.tables.sessions import SESSION_FIELDS
from oracle import QUARTER, OracleCalendar, OracleConfig, midnight

Option = TypeVar("Option")
Pick = Callable[[Sequence[Any]], Any]  # one of several: the only thing the two generators do differently

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
WINDOWS = (QUARTER, 2 * QUARTER, 4 * QUARTER, 32 * QUARTER, 96 * QUARTER)

ONLY_SOURCES = ("10.1.1.9", "fd00:1::9")
ONLY_DESTINATIONS = ("10.1.2.1", "fd00:2::1")
BOTH_WAYS = ("10.1.1.1", "10.1.1.2", "192.168.7.7", "fd00:1::1")
INTERNET = ("203.0.113.5", "198.51.100.7", "8.8.8.8", "2001:db8::5", "2001:db8:0:1::7")
SELDOM = tuple(f"100.64.{i % 3}.{i}" for i in range(150))  # peers that thousands of sessions meet once or twice
SOURCES = ONLY_SOURCES + BOTH_WAYS * 2 + INTERNET
DESTINATIONS = ONLY_DESTINATIONS + BOTH_WAYS + INTERNET

ANCHORS = (
    datetime(2026, 3, 4, 10, 15),
    datetime(2026, 3, 1),  # a month ends at midnight
    datetime(2026, 3, 1, 0, 15),
    datetime(2026, 1, 1, 7, 45),
    datetime(2024, 3, 1, 12),  # the day after a leap day
    datetime(2026, 3, 29, 1, 15),  # Europe moves its clocks forward
    datetime(2026, 10, 25, 1, 15),  # and back
    datetime(2026, 3, 6, 17),  # Friday, the working day is over
)

SEGMENTS = {
    "10.1.0.0/16": "office",
    "10.1.2.0/24": "servers",
    "203.0.113.0/24": "partners",
    "fd00::/16": "lab",
    "2001:db8::/64": "partners",
}
PORT_SETS = {
    "high_risk": frozenset({23, 445}),
    "admin": frozenset({22, 3389}),
    "fileshare": frozenset({445}),
    "directory": frozenset({53, 389}),
    "db": frozenset({5432}),
}
CALENDARS = (
    OracleCalendar(),
    OracleCalendar("Europe/Berlin", holidays=frozenset({date(2026, 3, 29), date(2026, 3, 4)})),
    OracleCalendar("Asia/Kathmandu", (8, 18), (23, 6), frozenset({4, 5}), frozenset({date(2026, 3, 1)})),
    OracleCalendar("America/St_Johns", (6, 14), (20, 6), frozenset({6})),
)
CONFIGS = (
    OracleConfig(
        segments=SEGMENTS,
        high_risk_segments=frozenset({"servers", "partners"}),
        port_sets=PORT_SETS,
        calendar=CALENDARS[1],
    ),
    OracleConfig(port_sets=PORT_SETS, high_risk_segments=frozenset({"10.1.1.0/24", "2001:db8::/64"})),
    OracleConfig(
        internal_networks=("10.1.1.0/24", "fd00:1::/32", "203.0.113.0/24"),
        segments=SEGMENTS,
        high_risk_segments=frozenset({"office"}),
        port_sets={**PORT_SETS, "db": frozenset(), "admin": frozenset({22, 23, 443})},
        calendar=CALENDARS[2],
        rare_thresholds={"peer": 1, "port": 5, "pair": 0},
    ),
    OracleConfig(segments=SEGMENTS, port_sets=PORT_SETS, calendar=CALENDARS[3], clock="event_start"),
)

PORTS = (53, 443, 443, 445, 22, 5432, 40000, None)
SELDOM_PORTS = tuple(range(8000, 8150))
ACTIONS = ("allow",) * 6 + (
    "deny",
    "drop",
    "reset-both",
    "block",
    "reject",
    "accept",
    "pass",
    "permit",
    "alert",
    "start",
)
REASONS = (None, None, "aged-out", "tcp-fin", "tcp-rst-from-client", "tcp-rst-from-server", "policy-deny")
SIZES = (None, 0, 0, 1, 60, 1500, 1500, 70_000, 10**12)
REPEATS = (None, None, None, 1, 2, 7)
DURATIONS = (
    timedelta(0),
    timedelta(0),
    TICK,
    timedelta(milliseconds=137, microseconds=1),
    timedelta(seconds=1),
    timedelta(seconds=1) + TICK,
    timedelta(seconds=59),
    timedelta(minutes=20),
    timedelta(hours=5, seconds=3),
    timedelta(days=2),
    timedelta(days=33),
)
DELAYS = (timedelta(0), QUARTER, 4 * QUARTER, 40 * QUARTER, DAY, 3 * DAY)


def _edges(anchor: datetime) -> list[datetime]:
    """Where windows, lookbacks and the compacted history of a batch that ends at ``anchor`` begin and end."""
    compacted = midnight(anchor - DAY)
    edges = [anchor, midnight(anchor), compacted, compacted - DAY, compacted - 28 * DAY, anchor + QUARTER]
    for length in WINDOWS:
        edges += [anchor - length, anchor - length - 30 * DAY]
    return edges


def _moment(pick: Pick, anchor: datetime) -> datetime:
    kind = pick(("window", "window", "window", "edge", "edge", "day", "month", "minute"))
    if kind == "edge":
        moment: datetime = pick(_edges(anchor))
        shift: timedelta = pick((-TICK, timedelta(0), timedelta(0), TICK))
        return moment + shift
    if kind == "minute":  # a busy minute: sessions pile up in it, across a slice boundary
        within: timedelta = pick((-TICK, timedelta(0), timedelta(seconds=1), timedelta(seconds=58)))
        return anchor - QUARTER + within
    back: timedelta = {"window": pick(WINDOWS), "day": 2 * DAY, "month": 33 * DAY}[kind]
    share: int = pick(range(1, 10_001))
    return anchor - back / 10_000 * share


def _batch(pick: Pick, moment: datetime, anchor: datetime) -> tuple[str | None, datetime | None]:
    """Mostly the session's own slice, else an explicit batch: on time, late, or ending just where that matters."""
    if pick(range(5)) < 4:
        return None, None
    slice_end = moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0) + QUARTER
    compacted = midnight(anchor - DAY)
    late = [end for end in (anchor, anchor + QUARTER, compacted, compacted + QUARTER) if end > slice_end]
    end = pick([slice_end + delay for delay in DELAYS] + late * 2)
    return f"import-{end:%Y%m%dT%H%M}", end


def _session(pick: Pick, anchor: datetime, clock: str) -> dict[str, Any]:
    moment, duration = _moment(pick, anchor), pick(DURATIONS)
    source, destination = pick(SOURCES), pick(DESTINATIONS)
    port = pick(PORTS)
    match pick(range(30)):
        case 26 | 27:
            destination = pick(SELDOM)
        case 28:
            source = pick(SELDOM)
        case 29:
            destination = source
        case 24 | 25:
            port = pick(SELDOM_PORTS)
    transport = pick(("tcp", "tcp", "tcp", "udp", "icmp", "gre"))
    has_ports = transport in ("tcp", "udp")
    batch, batch_end = _batch(pick, moment, anchor)
    return {
        "event_start": moment if clock == "event_start" else moment - duration,
        "event_end": moment + duration if clock == "event_start" else moment,
        "source_ip": source,
        "destination_ip": destination,
        "source_port": pick((1024, 50_000, None)) if has_ports else None,
        "destination_port": port if has_ports else None,
        "network_transport": transport,
        "source_bytes": pick(SIZES),
        "destination_bytes": pick(SIZES),
        "source_packets": pick((None, 0, 3)),
        "destination_packets": pick((None, 0, 4)),
        "event_action": pick(ACTIONS),
        "event_reason": pick(REASONS),
        "event_name": pick(("TRAFFIC",) * 6 + ("THREAT",)),
        "established": pick((True, True, False, None)),
        "repeat_cnt": pick(REPEATS),
        "application": pick((None, "ssl")),
        "rule": None,
        "machine_name": pick((None, "VDI-7")),
        "sensor": None,
        "mini_batch_id": batch,
        "batch_end_ts": batch_end,
    }


def random_sessions(
    rng: Random, n: int, *, anchor: datetime = ANCHORS[0], clock: str = "event_end", explicit: bool = True
) -> list[dict[str, Any]]:
    """``n`` sessions around the window end ``anchor``; the same seed gives the same sessions.

    Args:
        rng: where the chances come from.
        n: how many.
        anchor: the window end the sessions are aimed at, on a quarter hour.
        clock: which of the two times the awkward moments apply to.
        explicit: whether some sessions come in explicit, mostly late, batches.
    """
    sessions = [_session(rng.choice, anchor, clock) for _ in range(n)]
    return sessions if explicit else [{**s, "mini_batch_id": None, "batch_end_ts": None} for s in sessions]


def random_ends(rng: Random, n: int, *, anchor: datetime = ANCHORS[0]) -> list[datetime]:
    """The anchor and up to ``n - 1`` other window ends, soon or long after it, or before; ascending."""
    steps = (-96, -33, -1, 1, 2, 4, 31, 96, 97, 96 * 3, 96 * 30)
    return sorted({anchor, *(anchor + QUARTER * rng.choice(steps) for _ in range(n - 1))})


def random_config(rng: Random) -> OracleConfig:
    """One of the configurations, which between them differ in every setting."""
    return rng.choice(CONFIGS)


anchors = st.sampled_from(ANCHORS)
configs = st.sampled_from(CONFIGS)


@st.composite
def one_session(draw: st.DrawFn, anchor: datetime = ANCHORS[0], clock: str = "event_end") -> dict[str, Any]:
    """One session around ``anchor``; every choice shrinks towards the plainest, which stands first."""

    def pick(options: Sequence[Option]) -> Option:
        return draw(st.sampled_from(options))

    return _session(pick, anchor, clock)


def sessions(
    anchor: datetime = ANCHORS[0], clock: str = "event_end", max_size: int = 30
) -> st.SearchStrategy[list[dict[str, Any]]]:
    """One to ``max_size`` sessions around ``anchor``."""
    return st.lists(one_session(anchor, clock), min_size=1, max_size=max_size)


@st.composite
def cases(draw: st.DrawFn, max_size: int = 30) -> tuple[list[dict[str, Any]], list[datetime], OracleConfig]:
    """Sessions, window ends and a configuration that belong together: the arguments of ``oracle.fg_a``."""
    config, anchor = draw(configs), draw(anchors)
    later = draw(st.lists(st.sampled_from((-96, -1, 1, 4, 96, 97, 96 * 30)), max_size=2, unique=True))
    ends = sorted({anchor, *(anchor + QUARTER * steps for steps in later)})
    return draw(sessions(anchor, config.clock, max_size)), ends, config


def session_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """The sessions as Arrow: ``SESSION_FIELDS``, then ``mini_batch_id`` and ``batch_end_ts``."""
    schema = SESSION_FIELDS.append(pa.field("mini_batch_id", pa.string())).append(
        pa.field("batch_end_ts", pa.timestamp("us"))
    )
    return pa.Table.from_pylist(list(rows), schema)
