"""Alerts: a short, ranked list of what the predictions of a lake come to, at most so many hosts a day."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import ibis

from ndr.alerts.episodes import Episode, episodes
from ndr.alerts.peers import MOST, TOLD, Peer, main_peers
from ndr.engine import Rows
from ndr.model.kinds import KINDS
from ndr.model.reasons import SPOKEN
from ndr.run import Workshop
from ndr.safelist import Entry, active_entries
from ndr.standing import reasons
from ndr.summary import stored
from ndr.tables.predictions import predictions
from ndr.time import Interval, iso

BUDGET = 10
"""Hosts a day that somebody has the time to look at."""
SEVERITIES = {"low": 0.0, "medium": 20.0, "high": 40.0, "critical": 80.0}
"""From how much evidence on, in nats."""
_RISING = 40.0
"""Evidence at which a risk of 100 is 63 % reached."""
_PLAIN = (
    "machine_name", "segment_id", "prediction_score", "baseline_horizon", "baseline_source", "is_cold_start",
    "is_provisional", "model_name", "model_version",
)  # fmt: skip
"""What an alert tells of its window of most evidence as it is."""
_DETAILS = (
    *_PLAIN, "techniques", "explanation", "top_deviations", "new_pair_cnt", "beacon_dst_ip", "beacon_dst_port",
    "beacon_interval_seconds", "beacon_score", "evidence_beacon",
)  # fmt: skip


@dataclass(frozen=True)
class Alert:
    """One episode of a host: what was seen when, and what its most remarkable window says."""

    id: str
    """Follows from host, detected and model: an episode that goes on keeps it, whatever windows join it."""
    rank: int
    host_ip: str
    machine_name: str | None
    segment_id: str | None
    first_seen: datetime
    """When the window began that was over first, the shortest of them: a day-long one tells little of when."""
    last_seen: datetime
    """When the last of its windows was over."""
    detected: datetime
    """When the first of its windows was over: the earliest moment at which it could be told."""
    windows: int
    severity: str
    risk: float
    """The evidence on a scale that ends at 100: 100 (1 - exp(-evidence / 40))."""
    prediction_score: float
    evidence: float
    window_label: str
    """Of the window with the most evidence, as everything that follows."""
    window_end_ts: datetime
    leading_kind: str
    title: str
    techniques: tuple[str, ...]
    reasons: tuple[str, ...]
    peers: tuple[Peer, ...]
    """The pairs of peer and port that explain it, at most five of them."""
    explanation: tuple[Mapping[str, Any], ...]
    top_deviations: tuple[Mapping[str, Any], ...]
    baseline_horizon: str | None
    baseline_source: str | None
    is_cold_start: int
    is_provisional: int
    model_name: str
    model_version: str
    suppressed_by: tuple[str, ...] = ()
    """The entries of the safelist that cover it; empty unless these alerts were asked for."""

    def facts(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {name: iso(value) if isinstance(value, datetime) else value for name, value in asdict(self).items()}


def alerts(
    shop: Workshop, within: Interval | None = None, budget: int = BUDGET, safelist: Sequence[Entry] | None = None,
    threshold: float | None = None, *, covered: bool = False,
) -> list[Alert]:  # fmt: skip
    """The alerts of the window ends in ``(start, end]``, those with the most evidence first.

    Of each UTC day the hosts with the greatest evidence count, at most ``budget`` of them; what the safelist covers
    takes no place. The windows of a host that overlap or are at most an hour apart are one alert, however many days it
    lasts. Only windows labelled anomalous count, or with a threshold those of at least this score. Without a safelist
    it is the one of the lake. ``covered`` adds the alerts that were left out for it.
    """
    entries = active_entries(shop.lake) if safelist is None else safelist
    chosen = _Chosen(shop, episodes(shop, within, threshold), entries)
    considered = chosen.within(budget)
    listed = [episode for episode in considered if covered or not chosen.covering[episode]]
    listed.sort(key=lambda e: (-e.evidence, e.host_ip, e.first_seen))
    chosen.look_at_peers(listed)
    details = _details(shop, listed)
    return [
        _alert(rank, e, details[e.host_ip, e.window_label, e.peak_end], chosen.peers[e], chosen.covering[e])
        for rank, e in enumerate(listed, 1)
    ]


class _Chosen:
    """Which episodes are within the budget, looking at no more peers than the safelist makes necessary."""

    def __init__(self, shop: Workshop, found: Iterable[Episode], entries: Sequence[Entry]) -> None:
        self._shop = shop
        self._days: dict[datetime, list[tuple[float, Episode]]] = {}
        self._asking: dict[Episode, list[Entry]] = {}
        self.peers: dict[Episode, tuple[Peer, ...]] = {}
        self.covering: dict[Episode, tuple[str, ...]] = {}
        for episode in found:
            for day, evidence in episode.days.items():
                self._days.setdefault(day, []).append((evidence, episode))
            touching = [entry for entry in entries if entry.about(episode.host_ip, episode.leading_kind)]
            if any(entry.by_peers for entry in touching):
                self._asking[episode] = touching
            else:
                self.covering[episode] = tuple(entry.id for entry in touching)
        for ranking in self._days.values():
            ranking.sort(key=lambda ranked: (-ranked[0], ranked[1].host_ip, ranked[1].first_seen))

    def within(self, budget: int) -> list[Episode]:
        """The episodes that are ranked before the budget of a day is used up, covered ones included."""
        ahead = budget
        while True:
            open_ones = [episode for episode in self._first(ahead) if episode not in self.covering]
            if not open_ones:
                return self._first(budget)
            self.look_at_peers(open_ones)
            for episode in open_ones:
                pairs = [(peer.peer_ip, peer.port) for peer in self.peers[episode]]
                told = pairs if len(pairs) <= MOST else []
                self.covering[episode] = tuple(
                    entry.id for entry in self._asking[episode] if not entry.by_peers or entry.covers(told)
                )
            ahead *= 2

    def _first(self, budget: int) -> list[Episode]:
        found: dict[Episode, None] = {}
        for ranked in self._days.values():
            hosts: set[str] = set()
            for _, episode in ranked:
                if self.covering.get(episode):
                    if len(hosts) < budget:
                        found[episode] = None
                elif episode.host_ip in hosts or len(hosts) < budget:
                    hosts.add(episode.host_ip)
                    found[episode] = None
        return list(found)

    def look_at_peers(self, wanted: Iterable[Episode]) -> None:
        """Read the pairs that explain these episodes, where they are not known."""
        self.peers |= main_peers(self._shop, [episode for episode in wanted if episode not in self.peers])


def _details(shop: Workshop, listed: Sequence[Episode]) -> dict[tuple[str, str, datetime], dict[str, Any]]:
    """The rows of the peak windows, read from the parts that hold them alone."""
    keys = ("host_ip", "window_label", "window_end_ts")
    peaks = Rows(
        {name: predictions.columns[name] for name in keys}, [(e.host_ip, e.window_label, e.peak_end) for e in listed]
    )
    ends = {e.peak_end for e in listed}
    parts = shop.ledger.parts(predictions.name, shop.config.feature_spec_version)
    files = stored(predictions, shop, None, {part.key for part in parts if part.key.known_at in ends})
    if not files.paths:
        return {}
    rows = predictions.unbound("rows").select(*keys, *_DETAILS)
    query = rows.semi_join(ibis.table(dict(peaks.columns), name="peaks"), keys)
    found = shop.engine.fetch(shop.engine.compile(query), {"rows": files, "peaks": peaks})
    return {(row["host_ip"], row["window_label"], row["window_end_ts"]): row for row in found}


def _alert(
    rank: int, episode: Episode, row: Mapping[str, Any], peers: Sequence[Peer], covering: tuple[str, ...]
) -> Alert:
    told = f"{episode.host_ip}|{iso(episode.detected)}|{row['model_version']}"
    kind = KINDS.get(episode.leading_kind)
    return Alert(
        id=hashlib.sha256(told.encode()).hexdigest()[:16],
        rank=rank,
        host_ip=episode.host_ip,
        first_seen=episode.first_seen,
        last_seen=episode.last_seen,
        detected=episode.detected,
        windows=episode.windows,
        severity=[name for name, least in SEVERITIES.items() if episode.evidence >= least][-1],
        risk=round(100 * (1 - math.exp(-episode.evidence / _RISING)), 1),
        evidence=episode.evidence,
        window_label=episode.window_label,
        window_end_ts=episode.peak_end,
        leading_kind=episode.leading_kind,
        title=kind.title if kind else episode.leading_kind,
        techniques=tuple(filter(None, (row["techniques"] or "").split(","))),
        reasons=tuple(_reasons(episode, row)),
        peers=tuple(peers[:TOLD]),
        explanation=_finite(row["explanation"]),
        top_deviations=_finite(row["top_deviations"]),
        suppressed_by=covering,
        **{name: row[name] for name in _PLAIN},
    )


def _finite(told: Iterable[Mapping[str, Any]] | None) -> tuple[Mapping[str, Any], ...]:
    """Facts as JSON can hold them: a number without bounds is none."""

    def known(value: object) -> bool:
        return not isinstance(value, float) or math.isfinite(value)

    return tuple({name: value if known(value) else None for name, value in each.items()} for each in told or ())


def _reasons(episode: Episode, row: Mapping[str, Any]) -> list[str]:
    """In words; a beacon is told where it has a say, and first where it leads."""
    leads = episode.leading_kind == "beacon"
    spoke = row["beacon_dst_ip"] is not None and (leads or (row["evidence_beacon"] or 0.0) >= SPOKEN)
    return reasons({**row, "beacon_suspicion_score": float(spoke), "score": 0.0 if leads else math.inf})
