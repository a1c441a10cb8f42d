"""Peers: whom a host talks to, measured from the pairs of the whole window, never from sums of slices."""

from __future__ import annotations

import ibis

from ndr.metric import Metric
from ndr.metrics.measures import count_where, entropy, top_share

PEERS: tuple[Metric, ...] = (
    Metric("peer_ip_nunique", "peers", "Distinct peers.", "count of distinct peer addresses", "peers", lambda p: p.count().cast("int64"), themes=("core", "scan")),
    Metric("peer_segment_nunique", "segments", "Distinct segments of the peers.", "count of distinct segments of the peers", "peers", lambda p: p.peer_segment.nunique().cast("int64"), themes=("scan", "lateral")),
    Metric("peer_ip_entropy", "nats", "How evenly the sessions spread over the peers; null without sessions.", "sum over peers of (c/N) ln(N/c), c = sessions with the peer, N = all sessions", "peers", lambda p: entropy(p.sessions, p.host_sessions), "number", floor=0.1, themes=("scan",)),
    Metric("peer_ip_top1_sessions_share", "ratio", "Share of the busiest peer in the sessions; null without sessions.", "max over peers of c / N", "peers", lambda p: top_share(p.sessions, p.host_sessions), "share", floor=0.01, themes=("beacon",)),
    Metric("peer_ip_top1_bytes_share", "ratio", "Share of the largest peer in the bytes of both directions; null without known bytes.", "max over peers of bytes / all bytes", "peers", lambda p: top_share(p.bytes, p.host_bytes), "share", floor=0.01, themes=("exfiltration",)),
    Metric("high_risk_segment_sessions_cnt", "sessions", "Sessions with peers in the configured high-risk segments.", "count of sessions whose peer's segment is in high_risk_segments", "peers", lambda p: ibis.ifelse(p.in_high_risk_segment, p.sessions, 0).sum().cast("int64"), themes=("lateral",)),
    Metric("high_risk_segment_unique_dsts", "peers", "Distinct peers in the configured high-risk segments.", "count of distinct peers whose segment is in high_risk_segments", "peers", lambda p: count_where(p.in_high_risk_segment), themes=("lateral",)),
    Metric("has_high_risk_segment_interaction", "flag", "Whether any session touched a high-risk segment.", "1 if high_risk_segment_sessions_cnt > 0 else 0", "host", lambda h: (h.high_risk_segment_sessions_cnt > 0).cast("int32"), "flag"),
)  # fmt: skip
