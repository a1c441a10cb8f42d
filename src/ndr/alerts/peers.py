"""Peers: the pairs of peer and port that explain an alert, from the pair counts of its peak window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from ndr.alerts.episodes import Episode
from ndr.engine import Rows
from ndr.run import Workshop, files_of
from ndr.tables.pair_counts import pair_counts
from ndr.time import Interval

SHARE = 80
"""The largest pairs that together make this many percent of what counts explain an alert."""
MOST = 256
"""An alert that more pairs explain is not about its peers: no entry of the safelist that names peers covers it."""
TOLD = 5
_PEAKS = {
    "number": "int64", "host_ip": "string", "leading_kind": "string", "start": "timestamp(6)", "end": "timestamp(6)",
}  # fmt: skip


@dataclass(frozen=True)
class Peer:
    """One pair that a host talked to in the peak window of an alert; nulls where the window does not tell."""

    peer_ip: str
    port: int | None
    sessions: int | None
    bytes_sent: int | None
    bytes_received: int | None


def main_peers(shop: Workshop, episodes: Sequence[Episode]) -> dict[Episode, tuple[Peer, ...]]:
    """The pairs that explain each episode, what counts most first: for a beacon the pair that beats, else as weighed.

    What counts is bytes sent for exfiltration, sessions without a reply for a scan, sessions with other hosts for
    lateral movement, else sessions; where there is none of it, sessions.
    """
    found: dict[Episode, list[Peer]] = {episode: [] for episode in episodes}
    if episodes:
        for row in _fetch(shop, episodes):
            sums = (None if row[name] is None else int(row[name]) for name in ("sessions", "sent", "received"))
            peer = Peer(row["dst_ip"], row["dst_port"], *sums)
            found[episodes[row["number"]]].append(peer)
    return {episode: _explaining(episode, peers) for episode, peers in found.items()}


def _explaining(episode: Episode, peers: Sequence[Peer]) -> tuple[Peer, ...]:
    if episode.beacon is None:
        return tuple(peers)
    beating = [peer for peer in peers if (peer.peer_ip, peer.port) == episode.beacon]
    return tuple(beating) or (Peer(*episode.beacon, None, None, None),)


def _fetch(shop: Workshop, episodes: Sequence[Episode]) -> list[dict[str, Any]]:
    beating = [e.beacon or (None, None) for e in episodes]
    peaks = Rows(
        {**_PEAKS, "beacon_ip": "string", "beacon_port": "int32"},
        [
            (number, e.host_ip, e.leading_kind, e.peak_start, e.peak_end, *beating[number])
            for number, e in enumerate(episodes)
        ],
    )
    wanted = _slices(episodes)
    hull = Interval(min(e.peak_start for e in episodes), max(e.peak_end for e in episodes))
    parts = shop.ledger.parts(pair_counts.name, shop.config.feature_spec_version, hull)
    read = [part for part in parts if part.path and any(a <= part.key.start < b for a, b in wanted)]
    query = shop.engine.compile(_weighed(pair_counts.unbound("pairs"), ibis.table(dict(peaks.columns), name="peaks")))
    return shop.engine.fetch(query, {"pairs": files_of(pair_counts, read, shop), "peaks": peaks})


def _slices(episodes: Sequence[Episode]) -> list[tuple[datetime, datetime]]:
    """The times of all peak windows, put together."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted((e.peak_start, e.peak_end) for e in episodes):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _weights(rows: ir.Table) -> Mapping[str, ir.Value]:
    """What counts, by the leading kind of an alert."""
    return {
        "exfiltration": rows.sent.fill_null(0),
        "scan": ibis.ifelse(rows.received == 0, rows.sessions, 0),
        "lateral_movement": ibis.ifelse(rows.inside, rows.sessions, 0),
    }


def _weighed(pairs: ir.Table, peaks: ir.Table) -> ir.Table:
    """One row per peak and outbound pair that explains it, at most one more than are looked at, in order."""
    inside = (
        (pairs.src_ip == peaks.host_ip)
        & (pairs.slice_start_ts >= peaks.start)
        & (pairs.slice_start_ts < peaks.end)
        & (pairs.batch_end_ts <= peaks.end)
    )
    keys = ["number", "leading_kind", "beacon_ip", "beacon_port", "dst_ip", "dst_port"]
    met = pairs.inner_join(peaks, inside)
    told = met.group_by(keys).agg(
        sessions=met.sessions_cnt.sum(),
        sent=met.source_bytes.sum(),
        received=met.destination_bytes.sum(),
        inside=met.dst_is_host.any(),
    )
    beating = ibis.ifelse(
        (told.dst_ip == told.beacon_ip) & told.dst_port.identical_to(told.beacon_port), told.sessions, 0
    )
    weight = ibis.cases(
        (told.beacon_ip.notnull(), beating),
        *((told.leading_kind == kind, value) for kind, value in _weights(told).items()),
        else_=told.sessions,
    )
    silent = ibis.ifelse(told.received == 0, 1, 0)  # of equal pairs those that did not answer come first
    first = told.mutate(weight=weight.fill_null(0), silent=silent)
    whole = first.weight.sum().over(ibis.window(group_by="number"))
    either = first.mutate(counts=ibis.ifelse(whole > 0, first.weight, first.sessions))
    order = [ibis.desc("counts"), ibis.desc("silent"), ibis.desc("sessions"), "dst_ip", "dst_port"]
    ranked = either.mutate(
        total=either.counts.sum().over(ibis.window(group_by="number")),
        before=either.counts.sum().over(ibis.window(group_by="number", order_by=order, preceding=(None, 1))),
        place=ibis.row_number().over(ibis.window(group_by="number", order_by=order)),
    )
    near = (ranked.place == 0) | (ranked.before.fill_null(0) * 100 < ranked.total * SHARE)
    return ranked.filter(near & (ranked.place <= MOST)).order_by("number", "place")
