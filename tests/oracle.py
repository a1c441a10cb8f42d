"""Every feature of FG-A again, straight from the sessions: no slices merged, no tables, clarity before speed.

It is written from the definitions alone and shares no code with the program, so that a mistake has to be made twice;
one file, because it is read from top to bottom as the definition itself.
Every function takes sessions as plain dicts: the columns of ``SESSION_FIELDS`` plus ``mini_batch_id`` and
``batch_end_ts``, both null (or absent) unless the session came in an explicit batch.
"""

from __future__ import annotations

import ipaddress
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

Session = Mapping[str, Any]
Row = dict[str, Any]
Item = TypeVar("Item")

QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
PORT_SETS = ("high_risk", "admin", "fileshare", "directory", "db")
BLOCKED = ("deny", "drop", "reset", "block", "reject")
ALLOWED = ("allow", "accept", "pass", "permit")
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "169.254.0.0/16", "fe80::/10")


@dataclass(frozen=True)
class OracleCalendar:
    """Hours are ``[from, to)`` in local time; weekend days as Python counts them, Monday is 0."""

    time_zone: str = "UTC"
    working_hours: tuple[int, int] = (7, 17)
    night_hours: tuple[int, int] = (22, 7)
    weekend: frozenset[int] = frozenset({5, 6})
    holidays: frozenset[date] = frozenset()


@dataclass(frozen=True)
class OracleConfig:
    internal_networks: tuple[str, ...] = PRIVATE
    segments: Mapping[str, str] = field(default_factory=dict)
    high_risk_segments: frozenset[str] = frozenset()
    port_sets: Mapping[str, frozenset[int]] = field(default_factory=lambda: dict.fromkeys(PORT_SETS, frozenset()))
    calendar: OracleCalendar = OracleCalendar()
    rare_thresholds: Mapping[str, int] = field(default_factory=lambda: {"peer": 3, "port": 3, "pair": 3})
    clock: str = "event_end"
    windows: Mapping[str, timedelta] = field(
        default_factory=lambda: {
            "w_15m": QUARTER,
            "w_30m": timedelta(minutes=30),
            "w_1h": timedelta(hours=1),
            "w_8h": timedelta(hours=8),
            "w_24h": timedelta(hours=24),
        }
    )


@dataclass(frozen=True)
class View:
    """One session as one of its internal ends sees it."""

    host: str
    role: str
    peer: str
    segment: str
    peer_segment: str
    clock: datetime
    slice_start: datetime
    batch: str
    batch_end: datetime
    weight: int
    traffic: bool
    port: int | None
    session: Session


def is_host(ip: str, config: OracleConfig) -> bool:
    address = ipaddress.ip_address(ip)
    return any(address in ipaddress.ip_network(network) for network in config.internal_networks)


def segment_of(ip: str, config: OracleConfig) -> str:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return "SEG_UNKNOWN"
    named = {ipaddress.ip_network(cidr): name for cidr, name in config.segments.items()}
    matches = [network for network in named if address in network]
    if matches:
        return named[max(matches, key=lambda network: network.prefixlen)]
    return str(ipaddress.ip_network((ip, 24 if address.version == 4 else 64), strict=False))


def midnight(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, moment.day)


def slice_of(session: Session, config: OracleConfig) -> datetime:
    return slice_of_moment(session[config.clock])


def slice_of_moment(moment: datetime) -> datetime:
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def batch_of(session: Session) -> tuple[str, datetime]:
    """The name and the end of the batch that brought the session: its own slice, unless it says otherwise.

    A batch is known by its end: the name is only what was given to it, see :func:`named`.
    """
    own = slice_of_moment(session["event_end"]) + QUARTER
    given = session.get("batch_end_ts")
    end = max(given or own, own)
    return (session["mini_batch_id"] if given == end else None) or f"{end - QUARTER:%Y%m%dT%H%MZ}", end


def named(sessions: Iterable[Session]) -> dict[datetime, str]:
    """The batches that somebody named, by their ends."""
    return {s["batch_end_ts"]: s["mini_batch_id"] for s in sessions if s.get("batch_end_ts")}


def views_of(sessions: Iterable[Session], config: OracleConfig) -> list[View]:
    """Each session once for each end that is a host: twice between two hosts, twice when a host talks to itself."""
    sessions = list(sessions)
    ips = {s[end] for s in sessions for end in ("source_ip", "destination_ip")}
    segments = {ip: segment_of(ip, config) for ip in ips}
    hosts = {ip for ip in ips if is_host(ip, config)}
    names = named(sessions)
    views = []
    for s in sessions:
        batch, batch_end = batch_of(s)
        batch = names.get(batch_end, batch)
        source, destination = s["source_ip"], s["destination_ip"]
        for role, host, peer in (("outbound", source, destination), ("inbound", destination, source)):
            if host in hosts:
                views.append(
                    View(
                        host=host,
                        role=role,
                        peer=peer,
                        segment=segments[host],
                        peer_segment=segments[peer],
                        clock=s[config.clock],
                        slice_start=slice_of(s, config),
                        batch=batch,
                        batch_end=batch_end,
                        weight=s["repeat_cnt"] or 1,
                        traffic=s["event_name"] == "TRAFFIC",
                        port=s["destination_port"],
                        session=s,
                    )
                )
    return views


def grouped(items: Iterable[Item], key: Callable[[Item], Any]) -> dict[Any, list[Item]]:
    groups: dict[Any, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def in_units(value: float) -> float:
    """Logarithms, and sums of them, are told to the nearest 2^-26."""
    return round(value * 2**26) / 2**26


def heads_of(counts: Iterable[int]) -> tuple[float | None, float | None]:
    """Entropy in nats and the largest share of counts; both null when they sum to nothing."""
    counts = list(counts)
    total = sum(counts)
    if total == 0:
        return None, None
    entropy = in_units(math.fsum(c / total * math.log(total / c) for c in counts if c))
    return entropy, max(counts) / total


def ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def known_sum(values: Iterable[int | None]) -> int | None:
    """0 of nothing, null of nothing but unknowns, else the sum of what is known."""
    values = list(values)
    known = [v for v in values if v is not None]
    return sum(known) if known or not values else None


def duration(session: Session) -> timedelta:
    length: timedelta = session["event_end"] - session["event_start"]
    return length


def additive(rows: Sequence[View], config: OracleConfig) -> Row:
    """Counts times the repeat count, bytes and seconds as they are; zeros for no rows."""
    sessions = [r for r in rows if r.traffic]

    def cnt(which: Callable[[Session], object]) -> int:
        return sum(r.weight for r in sessions if which(r.session))

    def acted(s: Session, prefixes: tuple[str, ...]) -> bool:
        return str(s["event_action"]).startswith(prefixes)

    every = sum(r.weight for r in sessions)
    values: Row = {
        "sessions_cnt": every,
        "traffic_cnt": every,
        "threat_cnt": sum(r.weight for r in rows if not r.traffic),
        "alert_cnt": sum(r.weight for r in rows if r.session["event_action"] == "alert"),
        "allow_cnt": cnt(lambda s: acted(s, ALLOWED)),
        "deny_cnt": cnt(lambda s: acted(s, BLOCKED)),
        "rst_cnt": cnt(lambda s: (s["event_reason"] or "").startswith("tcp-rst")),
        "aged_out_cnt": cnt(lambda s: s["event_reason"] == "aged-out"),
        "zero_reply_cnt": cnt(lambda s: s["destination_bytes"] == 0),
        "failed_cnt": cnt(lambda s: acted(s, BLOCKED) or s["established"] is False),
        "short_session_cnt": cnt(lambda s: duration(s) <= SECOND),
        "bytes_src_sum": known_sum(r.session["source_bytes"] for r in sessions),
        "bytes_dst_sum": known_sum(r.session["destination_bytes"] for r in sessions),
        "duration_sum": sum(duration(r.session) // MICROSECOND for r in sessions) / 1e6,
    }
    for protocol in ("tcp", "udp", "icmp"):
        values[f"{protocol}_cnt"] = sum(r.weight for r in sessions if r.session["network_transport"] == protocol)
    for name in PORT_SETS:
        values[f"{name}_port_sessions_cnt"] = sum(r.weight for r in sessions if r.port in config.port_sets[name])
    return values


def max_sessions_per_minute(rows: Iterable[View]) -> int:
    """The busiest minute of starts that one batch saw within one slice."""
    minutes: Counter[Hashable] = Counter()
    for r in rows:
        if r.traffic:
            start: datetime = r.session["event_start"]
            minutes[r.slice_start, r.batch, start.replace(second=0, microsecond=0)] += r.weight
    return max(minutes.values(), default=0)


def concentration(name: str, sessions: Sequence[View], key: Callable[[View], Hashable]) -> Row:
    """How many peers or ports there are and how unevenly sessions and bytes spread over them."""
    counts: Counter[Hashable] = Counter()
    volumes: Counter[Hashable] = Counter()
    for r in sessions:
        counts[key(r)] += r.weight
        volumes[key(r)] += (r.session["source_bytes"] or 0) + (r.session["destination_bytes"] or 0)
    entropy, top_sessions = heads_of(counts.values())
    _, top_bytes = heads_of(volumes.values())
    return {
        f"{name}_nunique": len(counts),
        f"{name}_entropy": entropy,
        f"{name}_top1_sessions_share": top_sessions,
        f"{name}_top1_bytes_share": top_bytes,
    }


def peers(rows: Iterable[View], config: OracleConfig) -> Row:
    sessions = [r for r in rows if r.traffic]
    risky = [r for r in sessions if r.peer_segment in config.high_risk_segments]
    return {
        **concentration("peer_ip", sessions, lambda r: r.peer),
        **concentration("peer_port", [r for r in sessions if r.port is not None], lambda r: r.port),
        "peer_segment_nunique": len({r.peer_segment for r in sessions}),
        "high_risk_segment_sessions_cnt": sum(r.weight for r in risky),
        "high_risk_segment_unique_dsts": len({r.peer for r in risky}),
        "has_high_risk_segment_interaction": int(bool(risky)),
    }


def ratios(sums: Row) -> Row:
    sessions = sums["sessions_cnt"]
    source, destination = sums["bytes_src_sum"], sums["bytes_dst_sum"]
    comparable = sessions and source is not None and destination is not None
    return {
        "duration_mean": ratio(sums["duration_sum"], sessions),
        "deny_ratio": ratio(sums["deny_cnt"], sessions),
        "failed_ratio": ratio(sums["failed_cnt"], sessions),
        "transport_tcp_ratio": ratio(sums["tcp_cnt"], sessions),
        "transport_udp_ratio": ratio(sums["udp_cnt"], sessions),
        "transport_icmp_ratio": ratio(sums["icmp_cnt"], sessions),
        "bytes_asymmetry_ratio": (source + 1) / (destination + 1) if comparable else None,
        "has_high_risk_port_activity": int(sums["high_risk_port_sessions_cnt"] > 0),
    }


def known_at(row: View, end: datetime) -> bool:
    """Whether the history that a batch ending at ``end`` looks back on holds this session.

    Days are compacted when a whole day has passed since they ended, 28 of them back; what comes late for such a day is
    seen once the next compaction has it. (Its batch ends by that midnight exactly when the day in which it ends does.)
    """
    compacted = midnight(end - DAY)
    by = compacted if compacted - 28 * DAY <= row.slice_start < compacted else end
    return row.batch_end <= by


def novelty(
    window: Iterable[View], lookback: Iterable[View], segment_ports: frozenset[int], config: OracleConfig
) -> Row:
    """Keys of the window seen never (new) or seldom (rare, new ones included) before it."""
    keys: dict[str, Callable[[View], Hashable]] = {
        "peer": lambda r: r.peer,
        "port": lambda r: r.port,
        "pair": lambda r: (r.peer, r.port),
    }
    fresh, rare, present = {}, {}, {}
    for name, key in keys.items():
        countable = [r for r in window if r.traffic and not (name == "port" and r.port is None)]
        seen: Counter[Hashable] = Counter()
        for r in lookback:
            if r.traffic:
                seen[key(r)] += r.weight
        here = {key(r) for r in countable}
        present[name] = len(here)
        fresh[name] = sum(seen[k] == 0 for k in here)
        rare[name] = sum(seen[k] <= config.rare_thresholds[name] for k in here)
    ports = {r.port for r in window if r.traffic and r.port is not None}
    return {
        "new_peer_cnt_lookback30d": fresh["peer"],
        "rare_peer_cnt_lookback30d": rare["peer"],
        "new_peer_ratio_lookback30d": ratio(fresh["peer"], present["peer"]),
        "new_dst_port_cnt_lookback30d": fresh["port"],
        "rare_dst_port_cnt_lookback30d": rare["port"],
        "new_pair_cnt_lookback30d": fresh["pair"],
        "new_src_dst_port_cnt_lookback30d": len(ports - segment_ports),
    }


def time_context(end: datetime, calendar: OracleCalendar) -> Row:
    local = (end - QUARTER).replace(tzinfo=UTC).astimezone(ZoneInfo(calendar.time_zone))

    def within(hours: tuple[int, int]) -> bool:
        start, stop = hours
        return start <= local.hour < stop if start <= stop else local.hour >= start or local.hour < stop

    working = within(calendar.working_hours)
    night = not working and within(calendar.night_hours)
    weekend, holiday = local.weekday() in calendar.weekend, local.date() in calendar.holidays
    return {
        "hour_of_day": local.hour,
        "day_of_week": local.weekday(),
        "is_working_hours": int(working),
        "is_off_hours": int(not working and not night),
        "is_night_hours": int(night),
        "is_weekend": int(weekend),
        "is_holiday": int(holiday),
        "time_band": ("WE_" if weekend or holiday else "WD_") + ("WORKING" if working else "NIGHT" if night else "OFF"),
    }


def batch_ending_at(end: datetime, sessions: Iterable[Session]) -> str:
    explicit = {s["mini_batch_id"] for s in sessions if s.get("mini_batch_id") and s.get("batch_end_ts") == end}
    return min(explicit) if explicit else f"{end - QUARTER:%Y%m%dT%H%MZ}"


def role_metrics(
    window: Sequence[View], lookback: Sequence[View], segment_ports: frozenset[int], config: OracleConfig
) -> Row:
    sums = additive(window, config)
    return {
        **sums,
        "max_sessions_per_minute": max_sessions_per_minute(window),
        **peers(window, config),
        **ratios(sums),
        **novelty(window, lookback, segment_ports, config),
    }


def _window(views: Iterable[View], length: timedelta, end: datetime) -> list[View]:
    return [v for v in views if end - length <= v.clock < end and v.batch_end <= end]


def _lookback(views: Iterable[View], length: timedelta, end: datetime) -> list[View]:
    until = end - length
    return [v for v in views if until - 30 * DAY <= v.clock < until and known_at(v, end)]


def fg_a(
    sessions: Sequence[Session], ends: Iterable[datetime], config: OracleConfig
) -> dict[tuple[str, str, datetime], Row]:
    """One row per (host_ip, window_label, window_end_ts): what the host did in both roles."""
    views = views_of(sessions, config)
    by_host = grouped(views, lambda v: v.host)
    rows: dict[tuple[str, str, datetime], Row] = {}
    for end in ends:
        common = {"mini_batch_id": batch_ending_at(end, sessions), **time_context(end, config.calendar)}
        for label, length in config.windows.items():
            segment_history = grouped(_lookback(views, length, end), lambda v: (v.segment, v.role))
            for host, own in by_host.items():
                window = _window(own, length, end)
                if not window:
                    continue
                row: Row = {"record_id": f"{host}|{label}|{end:%Y-%m-%dT%H:%M:%SZ}", "segment_id": own[0].segment}
                lookback = _lookback(own, length, end)
                for role, prefix in (("outbound", ""), ("inbound", "in_")):
                    ports = {v.port for v in segment_history.get((own[0].segment, role), ()) if v.traffic}
                    metrics = role_metrics(
                        [v for v in window if v.role == role],
                        [v for v in lookback if v.role == role],
                        frozenset(p for p in ports if p is not None),
                        config,
                    )
                    row.update({prefix + name: value for name, value in metrics.items()})
                rows[host, label, end] = {**row, **common}
    return rows


def delta(sessions: Iterable[Session], config: OracleConfig) -> dict[tuple[str, str, datetime, str], Row]:
    """One row per (host_ip, role, slice_start_ts, mini_batch_id): the additive metrics and the busiest minute."""
    partials = grouped(views_of(sessions, config), lambda v: (v.host, v.role, v.slice_start, v.batch))
    return {
        key: {**additive(rows, config), "max_sessions_per_minute": max_sessions_per_minute(rows)}
        for key, rows in partials.items()
    }


def pair_counts(
    sessions: Iterable[Session], config: OracleConfig
) -> dict[tuple[str, str, int | None, datetime, str], Row]:
    """One row per (src_ip, dst_ip, dst_port, slice_start_ts, mini_batch_id) of TRAFFIC, whoever the two ends are."""
    partials = grouped(
        (s for s in sessions if s["event_name"] == "TRAFFIC"),
        lambda s: (
            s["source_ip"],
            s["destination_ip"],
            s["destination_port"],
            slice_of(s, config),
            batch_of(s)[0],
        ),
    )
    return {
        key: {
            "sessions_cnt": sum(s["repeat_cnt"] or 1 for s in rows),
            "source_bytes_sum": known_sum(s["source_bytes"] for s in rows),
            "destination_bytes_sum": known_sum(s["destination_bytes"] for s in rows),
            "first_event_start": min(s["event_start"] for s in rows),
            "last_event_start": max(s["event_start"] for s in rows),
            "src_segment_id": segment_of(key[0], config),
            "dst_segment_id": segment_of(key[1], config),
        }
        for key, rows in partials.items()
    }
