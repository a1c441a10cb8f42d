"""Ports: which services a host uses (outbound) or is asked for (inbound); sessions without a port are left out."""

from __future__ import annotations

from ndr.metric import Metric
from ndr.metrics.measures import entropy, top_share

PORTS: tuple[Metric, ...] = (
    Metric("peer_port_nunique", "ports", "Distinct destination ports.", "count of distinct destination ports", "ports", lambda p: p.count().cast("int64"), themes=("core", "scan")),
    Metric("peer_port_entropy", "nats", "How evenly the sessions spread over the ports; null without sessions that have one.", "sum over ports of (c/N) ln(N/c), c = sessions to the port, N = all sessions with a port", "ports", lambda p: entropy(p.sessions, p.host_sessions), "number", floor=0.1, themes=("scan",)),
    Metric("peer_port_top1_sessions_share", "ratio", "Share of the busiest port in the sessions that have one.", "max over ports of c / N", "ports", lambda p: top_share(p.sessions, p.host_sessions), "share", floor=0.01),
    Metric("peer_port_top1_bytes_share", "ratio", "Share of the largest port in the bytes of both directions.", "max over ports of bytes / all bytes of sessions with a port", "ports", lambda p: top_share(p.bytes, p.host_bytes), "share", floor=0.01),
)  # fmt: skip
