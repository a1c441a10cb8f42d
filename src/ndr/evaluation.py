"""Evaluation: how well scores find attacks that are known, over windows and over the hosts of each day.

Every number is null where it is undefined: with nothing but attacks, or nothing but peace, there is no curve.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from statistics import median
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ndr.errors import UsageError
from ndr.run import Workshop
from ndr.summary import stored
from ndr.tables.fg_a import WINDOWS
from ndr.tables.predictions import predictions
from ndr.time import Interval, iso

PLACES = 10
"""How many hosts a day somebody is willing to look at."""
_DAY = np.timedelta64(1, "D")
_TICK = np.timedelta64(1, "us")

Array: TypeAlias = npt.NDArray[Any]


class Attack(Protocol):
    """What must be known of an attack."""

    @property
    def kind(self) -> str:
        """What it was."""

    @property
    def host(self) -> str:
        """Who did it, or was made to."""

    @property
    def start(self) -> datetime:
        """Its first moment."""

    @property
    def end(self) -> datetime:
        """Its last moment."""


@dataclass(frozen=True)
class Scored:
    """Scored windows ``[start, end)`` of hosts, a column each; the greater a score, the more suspicious."""

    hosts: Array
    starts: Array
    ends: Array
    scores: Array

    @classmethod
    def of(cls, rows: Iterable[tuple[str, datetime, datetime, float]]) -> Scored:
        """From rows of host, start, end and score."""
        hosts, starts, ends, scores = tuple(zip(*rows, strict=True)) or ((), (), (), ())
        return cls(
            np.array(hosts, dtype=object), np.array(starts, "datetime64[us]"), np.array(ends, "datetime64[us]"),
            np.array(scores, float),
        )  # fmt: skip

    @property
    def days(self) -> Array:
        """The day in which each window ends; midnight ends the day before."""
        found: Array = (self.ends - _TICK).astype("datetime64[D]")
        return found

    def touched(self, attack: Attack) -> Array:
        """Which rows are of the attack's host and hold any of its time."""
        found: Array = (
            (self.hosts == attack.host)
            & (self.ends > np.datetime64(attack.start, "us"))
            & (self.starts <= np.datetime64(attack.end, "us"))
        )
        return found


def scored(shop: Workshop, within: Interval | None = None) -> Scored:
    """The predictions of the model in force, by their evidence: it goes on where ``prediction_score`` is nearly 1."""
    files = stored(predictions, shop, within)
    if not files.paths:
        return Scored.of(())
    rows = predictions.unbound("rows")
    told = rows.select("host_ip", "window_label", "window_end_ts", "evidence")
    found = pa.Table.from_batches(shop.engine.batches(shop.engine.compile(told), {"rows": files}))
    lengths = {label: np.timedelta64(length) for label, length in WINDOWS.items()}
    ends = found["window_end_ts"].to_numpy().astype("datetime64[us]")
    starts = ends - np.array([lengths[label] for label in found["window_label"].to_pylist()], "timedelta64[us]")
    hosts = np.array(found["host_ip"].to_pylist(), dtype=object)
    return Scored(hosts, starts, ends, found["evidence"].to_numpy())


@dataclass(frozen=True)
class _Day:
    """The hosts of a day with the score each is ranked by, and those of them that were attacked."""

    scores: dict[str, float]
    attacked: frozenset[str]

    @cached_property
    def _rising(self) -> list[float]:
        return sorted(self.scores.values())

    def place(self, host: str, score: float) -> int:
        """The place that a score of the host would take: behind every other host that has as much."""
        as_much = len(self.scores) - bisect_left(self._rising, score)
        return 1 + as_much - (host in self.scores and self.scores[host] >= score)


class _Ranked:
    """The hosts of each day."""

    def __init__(self, rows: Scored, attacks: Sequence[Attack]) -> None:
        self.rows = rows
        self.touched = [np.flatnonzero(rows.touched(attack)) for attack in attacks]
        self.row_days = rows.days
        self.positive = np.zeros(len(rows.scores), bool)
        for places in self.touched:
            self.positive[places] = True
        spans = [days_of(attack) for attack in attacks]
        of_days = {day: [a.host for a, (first, last) in zip(attacks, spans, strict=True) if first <= day <= last]
                   for day in whole_days(rows)}  # fmt: skip
        self.days = {day: self._day(day, frozenset(hosts)) for day, hosts in of_days.items()}
        self.scored_days = [[day for day in self.days if first <= day <= last] for first, last in spans]

    def _day(self, day: Any, attacked: frozenset[str]) -> _Day:
        today = np.flatnonzero(self.row_days == day)
        hosts, scores, positive = self.rows.hosts[today], self.rows.scores[today], self.positive[today]
        best: dict[str, float] = dict.fromkeys(attacked, -np.inf)
        stained = {host for host in hosts[positive] if host not in attacked}
        for host, score, touching in zip(hosts, scores, positive, strict=True):
            if host not in stained and (touching or host not in attacked):
                best[host] = max(best.get(host, -np.inf), float(score))
        return _Day(best, attacked)


def whole_days(rows: Scored) -> Array:
    """The days of the windows, without fragments: those with less than a tenth of the window ends of the fullest."""
    ends = np.unique(rows.ends)
    days, counts = np.unique((ends - _TICK).astype("datetime64[D]"), return_counts=True)
    found: Array = days[counts * 10 >= counts.max(initial=0)]
    return found


def days_of(attack: Attack) -> tuple[Any, Any]:
    """First and last day of an attack."""
    return np.datetime64(attack.start, "D"), np.datetime64(attack.end, "D")


def evaluate(rows: Scored, attacks: Sequence[Attack], k: int = PLACES) -> dict[str, Any]:
    """How well the scores find the attacks: ``recall_at_<k>``, ``average_precision``, ``roc_auc``, ``per_kind``, more.

    - A *row* is positive when its window holds any of an attack of its host.
    - A *host-day* is a host on a day in which a window of it ends, ranked by the greatest of its scores of the day. It
      is attacked when an attack lies in the day: then only its positive rows count, for what stood out for another
      reason found nothing. Without any it comes last. A host-day of which only windows reach back to an attack is
      neither and takes no place. A day with less than a tenth of the window ends of the fullest is a fragment and does
      not count.
    - ``recall_at_<k>`` = attacked host-days among the first k of their day / attacked host-days; ``reachable_at_<k>``
      is what a perfect ranking has: there are k places only. ``precision_at_<k>`` = the same / places taken, on all
      days.
    - An attack is *found* at the end of the first of its positive rows that is among the first k of its day; the delay
      counts from its start. Medians of delays are null when half of the attacks or more were never found.
    - Of equal scores the worst place counts; ``roc_auc`` and ``average_precision`` take ties as chance would break
      them, and are null with one class only. On the top level they are those of host-days.

    Attacks on days without any score were not looked for: they are counted as ``attacks_outside`` and nowhere else.

    Raises:
        UsageError: ``k`` is not positive.
    """
    if k < 1:
        raise UsageError(f"{k} hosts per day: there must be at least 1.")
    ranked = _Ranked(rows, attacks)
    chosen = [number for number, days in enumerate(ranked.scored_days) if days]
    told = [_told(ranked, attacks[number], number, k) for number in chosen]
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for each in sorted(told, key=lambda each: each["kind"]):
        by_kind.setdefault(each["kind"], []).append(each)
    return {
        **_over_days(list(ranked.days.values()), k),
        "attacks": len(chosen),
        "attacks_found": sum(each["delay_seconds"] is not None for each in told),
        "attacks_outside": len(attacks) - len(chosen),
        "delay_seconds": _median([each["delay_seconds"] for each in told]),
        "rows": {"rows": len(rows.scores), "positive": int(ranked.positive.sum()),
                 **curves(ranked.positive, rows.scores)},
        "per_kind": {kind: _of_kind(each, k) for kind, each in by_kind.items()},
        "per_attack": told,
    }  # fmt: skip


def _over_days(days: Sequence[_Day], k: int) -> dict[str, Any]:
    """The measures of the hosts of each day."""
    attacked = sum(len(day.attacked) for day in days)
    found = sum(
        is_found(day.scores[host], day.place(host, day.scores[host]), k) for day in days for host in day.attacked
    )
    taken = sum(min(k, sum(score > -np.inf for score in day.scores.values())) for day in days)
    positive = np.array([host in day.attacked for day in days for host in day.scores], bool)
    scores = np.array([score for day in days for score in day.scores.values()], float)
    return {
        f"recall_at_{k}": found / attacked if attacked else None,
        f"reachable_at_{k}": sum(min(k, len(day.attacked)) for day in days) / attacked if attacked else None,
        f"precision_at_{k}": found / taken if taken and attacked else None,
        **curves(positive, scores),
        "days": len(days), "host_days": len(scores), "attacked_host_days": attacked,
    }  # fmt: skip


def is_found(score: float, place: int, k: int) -> bool:
    """Whether a place is among the first k; who has no score has none."""
    return bool(score > -np.inf) and place <= k


def curves(positive: Array, scores: Array) -> dict[str, float | None]:
    """Average precision and area under the ROC curve; None where there is one class only."""
    if positive.all() or not positive.any():
        return {"average_precision": None, "roc_auc": None}
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415 - slow to load

    known = scores[np.isfinite(scores)]
    last = float(known.min()) - 1.0 if len(known) else 0.0
    ordered = np.unique(np.where(np.isfinite(scores), scores, last), return_inverse=True)[1]
    return {
        "average_precision": float(average_precision_score(positive, ordered)),
        "roc_auc": float(roc_auc_score(positive, ordered)),
    }


def _told(ranked: _Ranked, attack: Attack, number: int, k: int) -> dict[str, Any]:
    """What became of one attack."""
    own = np.array([row for row in ranked.touched[number] if ranked.row_days[row] in ranked.days], int)
    own = own[np.argsort(ranked.rows.ends[own], kind="stable")]
    places = [ranked.days[ranked.row_days[row]].place(attack.host, float(ranked.rows.scores[row])) for row in own]
    first = next((row for row, place in zip(own, places, strict=True) if place <= k), None)
    best: dict[Any, int] = {}
    for row, place in zip(own, places, strict=True):
        best[ranked.row_days[row]] = min(place, best.get(ranked.row_days[row], place))
    delay = None if first is None else ranked.rows.ends[first] - np.datetime64(attack.start, "us")
    days = ranked.scored_days[number]
    return {
        "kind": attack.kind, "host_ip": attack.host, "start": iso(attack.start), "end": iso(attack.end),
        "days": len(days), "days_found": sum(best.get(day, k + 1) <= k for day in days),
        "delay_seconds": None if delay is None else float(delay / np.timedelta64(1, "s")),
        "best_place": min(places, default=None),
    }  # fmt: skip


def _of_kind(told: Sequence[dict[str, Any]], k: int) -> dict[str, Any]:
    places = [each["best_place"] for each in told if each["best_place"] is not None]
    return {
        "attacks": len(told),
        "found": sum(each["delay_seconds"] is not None for each in told),
        f"recall_at_{k}": sum(each["days_found"] for each in told) / sum(each["days"] for each in told),
        "delay_seconds": _median([each["delay_seconds"] for each in told]),
        "best_place": min(places, default=None),
    }


def _median(delays: Sequence[float | None]) -> float | None:
    """The median where what was never found took forever; None when that is forever."""
    if not delays:
        return None
    found = median(np.inf if delay is None else delay for delay in delays)
    return float(found) if np.isfinite(found) else None
