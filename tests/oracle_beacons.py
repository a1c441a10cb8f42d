"""Beacons again, straight from the sessions: one pair after the other, in plain Python, from the definitions alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import floor
from typing import Any

from oracle import DAY, OracleConfig, Row, Session, batch_of, grouped, is_host, midnight, slice_of

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1)
Key = tuple[str, str, int | None, datetime]
Start = tuple[int, int | None]
"""When, in microseconds, and with how many bytes."""


@dataclass(frozen=True)
class Rules:
    """The thresholds of a table, as its spec has them by default."""

    length: timedelta = DAY
    min_connections: int = 8
    max_starts: int = 86_400
    burst: timedelta = timedelta(seconds=1)
    burst_share: float = 0.05
    missed_beats: int = 3
    full_coverage_share: float = 0.5
    halving_intervals: int = 4
    confirmation_share: float = 0.5
    min_score: float = 0.1
    min_period: timedelta = timedelta(0)
    max_starts_per_beat: float = float("inf")


FAST = Rules()
SLOW = Rules(length=14 * DAY, max_starts=168, burst=2 * HOUR, min_period=3 * HOUR, max_starts_per_beat=1.5)


def quantile(values: Iterable[float], share: float) -> float:
    """With linear interpolation between the two values nearest to the place."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def in_reach(sessions: Iterable[Session], end: datetime, length: timedelta, config: OracleConfig) -> list[Session]:
    """The sessions of internal sources whose slice lies in the time before the end and that were known by then."""
    return [
        s
        for s in sessions
        if s["event_name"] == "TRAFFIC"
        and end - length <= slice_of(s, config) < end
        and batch_of(s)[1] <= end
        and is_host(s["source_ip"], config)
    ]


def by_pair(sessions: Iterable[Session]) -> dict[tuple[str, str, int | None], list[Session]]:
    return grouped(sessions, lambda s: (s["source_ip"], s["destination_ip"], s["destination_port"]))


def prevalence(pair: tuple[str, str, int | None], pairs: Iterable[tuple[str, str, int | None]]) -> float:
    """Of the other sources, the share that calls the same destination and port."""
    pairs = list(pairs)
    others = {source for source, _, _ in pairs} - {pair[0]}
    callers = {source for source, *service in pairs if tuple(service) == pair[1:]} - {pair[0]}
    return len(callers) / len(others) if others else 0.0


def bursts(starts: Iterable[Start], rules: Rules) -> list[list[Start]]:
    """The starts in order, those of one burst together."""
    ordered = sorted(starts, key=lambda start: start[0])
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(ordered)]
    shortest = rules.burst // MICROSECOND
    wide = [gap for gap in gaps if gap >= shortest]
    far = rules.burst_share * quantile(wide, 0.9) if wide else 0.0
    found = [[ordered[0]]]
    for gap, start in zip(gaps, ordered[1:], strict=True):
        if gap >= shortest and gap >= far:
            found.append([start])
        else:
            found[-1].append(start)
    return found


def spans(interval: int, period: float) -> int:
    """How many periods an interval is long, rounded, one at least."""
    return max(1, floor(interval / period + 0.5))


def rhythm(beats: Sequence[Sequence[Start]], rules: Rules) -> Row | None:
    """The sub-scores and the score of a pair; nothing when it breaks a rule."""
    if len(beats) < rules.min_connections:
        return None
    begins = [beat[0][0] for beat in beats]
    intervals = [later - earlier for earlier, later in pairwise(begins)]
    n = len(intervals)
    usual = quantile(intervals, 0.5)
    period = floor(quantile([floor(i / spans(i, usual) + 0.5) for i in intervals], 0.5) + 0.5)
    residuals = [i - spans(i, period) * period for i in intervals]
    mean_deviation_twice = sum(min(2 * abs(r), period) for r in residuals)
    ratio = 2 * mean_deviation_twice / (n * period)
    q1, q2, q3 = (quantile(residuals, share) for share in (0.25, 0.5, 0.75))
    covered = period + sum(i for i in intervals if spans(i, period) <= rules.missed_beats + 1)
    full = rules.full_coverage_share * (rules.length // MICROSECOND)
    scores = {
        "interval_regularity": max(0.0, 1 - ratio * ratio),
        "interval_skew_score": 1.0 if 20 * (q3 - q1) < period else 1 - abs(q1 + q3 - 2 * q2) / (q3 - q1),
        "size_regularity": size_regularity(beats[:-1]),
        "coverage_score": min(1.0, covered / full),
    }
    others = [v for name, v in scores.items() if name != "interval_regularity" and v is not None]
    confirmed = 1 - rules.confirmation_share + rules.confirmation_share * sum(others) / len(others)
    score = n / (n + rules.halving_intervals) * (scores["interval_regularity"] or 0.0) * confirmed
    lengths = sum(len(beat) for beat in beats[:-1]) / n
    if score < rules.min_score or period < rules.min_period // MICROSECOND or lengths > rules.max_starts_per_beat:
        return None
    return {"connections_cnt": n + 1, "interval_median_seconds": period / 1e6, **scores, "beacon_score": score}


def size_regularity(beats: Iterable[Sequence[Start]]) -> float | None:
    told = [[size for _, size in beat if size is not None] for beat in beats]
    sizes = [sum(known) for known in told if known]
    median = quantile(sizes, 0.5) if sizes else 0.0
    if not median:
        return None
    return max(0.0, 1 - quantile([abs(size - median) for size in sizes], 0.5) / median)


def scored(pairs: Mapping[tuple[str, str, int | None], Sequence[Start]], end: datetime, rules: Rules) -> dict[Key, Row]:
    found = {}
    for pair, starts in pairs.items():
        row = rhythm(bursts(starts, rules), rules)
        if row:
            found[(*pair, end)] = {**row, "prevalence_share": prevalence(pair, pairs)}
    return found


def beacons(
    sessions: Sequence[Session], ends: Iterable[datetime], config: OracleConfig, rules: Rules = FAST
) -> dict[Key, Row]:
    """One row per pair and full hour that keeps time in the 24 hours before."""
    rows: dict[Key, Row] = {}
    for end in ends:
        pairs = by_pair(in_reach(sessions, end, rules.length, config))
        starts = {pair: [_start(s) for s in some] for pair, some in pairs.items()}
        found = scored(starts, end, rules)
        busy = {pair for pair, some in pairs.items() if sum(s["repeat_cnt"] or 1 for s in some) > rules.max_starts}
        rows |= {key: row for key, row in found.items() if key[:3] not in busy}
    return rows


def slow_beacons(
    sessions: Sequence[Session], ends: Iterable[datetime], config: OracleConfig, rules: Rules = SLOW
) -> dict[Key, Row]:
    """One row per pair and midnight whose hours with sessions keep time in the 14 days before."""
    rows: dict[Key, Row] = {}
    for end in ends:
        pairs = {
            pair: [(_microseconds(hour), None) for hour in {_hour(slice_of(s, config)) for s in some}]
            for pair, some in by_pair(in_reach(sessions, end, rules.length, config)).items()
        }
        found = scored(pairs, end, rules)
        rows |= {key: row for key, row in found.items() if len(pairs[key[:3]]) <= rules.max_starts}
    return rows


def active_hours(sessions: Iterable[Session], config: OracleConfig) -> dict[tuple[Any, ...], int]:
    """For every pair, day and midnight by which its batch had ended: the hours with sessions as bits."""
    found: dict[tuple[Any, ...], int] = {}
    for s in sessions:
        if s["event_name"] == "TRAFFIC":
            slice_start, batch_end = slice_of(s, config), batch_of(s)[1]
            known = midnight(batch_end) if batch_end == midnight(batch_end) else midnight(batch_end) + DAY
            key = (s["source_ip"], s["destination_ip"], s["destination_port"], midnight(slice_start), known)
            found[key] = found.get(key, 0) | 1 << slice_start.hour
    return found


def _start(session: Session) -> Start:
    return _microseconds(session["event_start"]), session["source_bytes"]


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND
