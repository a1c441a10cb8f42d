"""Traffic: what a host's sessions add up to. Each counts sessions times the device's repeat count."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import ibis
import ibis.expr.types as ir

from ndr.metric import Metric
from ndr.metrics.measures import ratio

Rows: TypeAlias = ir.Table


def counted(name: str, doc: str, formula: str, where: Callable[[Rows], ir.Value], *themes: str) -> Metric:
    """A metric that counts sessions (TRAFFIC records, with repeats) where a condition holds."""

    def measure(s: Rows) -> ir.Value:
        return ibis.ifelse(where(s), s.sessions, 0)  # a condition that is null does not hold

    return Metric(name, "sessions", doc, formula, "sessions", measure, merge="sum", themes=themes)


def port_set(name: str, *themes: str) -> Metric:
    """Sessions whose destination port is in a configured set."""
    return counted(
        f"{name}_port_sessions_cnt",
        f"Sessions to a port of the configured set {name}.",
        f"count of sessions with destination_port in port_sets.{name}",
        lambda s: s[f"to_{name}_port"],
        *themes,
    )


def bytes_sent(name: str, end: str, theme: str) -> Metric:
    """Bytes that one end of the sessions sent."""
    return Metric(
        name,
        "bytes",
        f"Bytes sent by the {end}; null when the host had sessions but none told the number.",
        f"sum of {end}_bytes over sessions, unknown ones left out",
        "sessions",
        lambda s: ibis.ifelse(s.is_traffic, s[f"{end}_bytes"], ibis.null("int64")),
        merge="sum",
        floor=1024.0,
        themes=("core", theme),
        unknown=True,
    )


def share_of(name: str, part: str, doc: str, *themes: str) -> Metric:
    """A count's share in all sessions of the role."""
    return Metric(
        name, "ratio", doc, f"{part} / sessions_cnt", "host", lambda h: ratio(h[part], h.sessions_cnt), "share",
        floor=0.01, themes=themes,
    )  # fmt: skip


TRAFFIC: tuple[Metric, ...] = (
    counted("sessions_cnt", "Sessions.", "count of sessions", lambda s: s.is_traffic, "core", "volume"),
    counted("allow_cnt", "Sessions that the device let pass.", "count of sessions with event_action allow, accept, pass or permit", lambda s: s.is_allowed),
    counted("deny_cnt", "Sessions that the device blocked.", "count of sessions with event_action deny, drop, reset, block or reject", lambda s: s.is_blocked, "scan"),
    Metric("alert_cnt", "records", "Records, of sessions or of threats, whose action is alert.", "count of records with event_action = alert", "sessions", lambda s: ibis.ifelse(s.event_action == "alert", s.weight, 0), merge="sum"),
    counted("rst_cnt", "Sessions ended by a TCP reset.", "count of sessions whose event_reason starts with tcp-rst", lambda s: s.event_reason.startswith("tcp-rst"), "scan"),
    counted("aged_out_cnt", "Sessions that ended because nothing came any more.", "count of sessions with event_reason = aged-out", lambda s: s.event_reason == "aged-out"),
    counted("zero_reply_cnt", "Sessions in which the destination sent nothing.", "count of sessions with destination_bytes = 0", lambda s: s.destination_bytes == 0, "scan"),
    counted("failed_cnt", "Sessions that came to nothing: blocked, or never answered.", "count of sessions blocked or with established = false", lambda s: s.is_failed, "core", "scan", "lateral"),
    counted("short_session_cnt", "Sessions of at most one second.", "count of sessions with event_end - event_start <= 1 s", lambda s: s.duration_us <= 1_000_000, "scan"),
    bytes_sent("bytes_src_sum", "source", "exfiltration"),
    bytes_sent("bytes_dst_sum", "destination", "volume"),
    Metric("duration_sum", "seconds", "Total length of the sessions.", "sum of event_end - event_start over sessions", "sessions", lambda s: ibis.ifelse(s.is_traffic, s.duration_us, 0), "number", merge="sum", stored="duration_us_sum", finish=lambda v: v.cast("float64") / 1e6),
    counted("tcp_cnt", "TCP sessions.", "count of sessions with network_transport = tcp", lambda s: s.network_transport == "tcp"),
    counted("udp_cnt", "UDP sessions.", "count of sessions with network_transport = udp", lambda s: s.network_transport == "udp"),
    counted("icmp_cnt", "ICMP and ICMPv6 sessions.", "count of sessions with network_transport = icmp", lambda s: s.network_transport == "icmp"),
    Metric("threat_cnt", "records", "Threat records; they describe sessions again and count nowhere else but in alert_cnt.", "count of records with event_name = THREAT", "sessions", lambda s: ibis.ifelse(s.is_traffic, 0, s.weight), merge="sum"),
    counted("traffic_cnt", "Traffic records: the sessions.", "count of records with event_name = TRAFFIC", lambda s: s.is_traffic),
    port_set("high_risk", "lateral"),
    port_set("admin", "lateral"),
    port_set("fileshare", "lateral"),
    port_set("directory", "lateral"),
    port_set("db", "lateral"),
    Metric("max_sessions_per_minute", "sessions", "Sessions begun in the busiest minute of a slice.", "max over slices of the max over minutes of event_start of the count of sessions", "minutes", lambda m: m.sessions.max(), merge="max", themes=("scan",)),
    Metric("duration_mean", "seconds", "Mean length of a session.", "duration_sum / sessions_cnt", "host", lambda h: ratio(h.duration_sum, h.sessions_cnt), "number", themes=("beacon",)),
    share_of("deny_ratio", "deny_cnt", "Share of sessions that were blocked.", "scan"),
    share_of("failed_ratio", "failed_cnt", "Share of sessions that came to nothing.", "scan"),
    Metric("bytes_asymmetry_ratio", "ratio", "Bytes sent by the source for each byte sent by the destination; null without sessions or when either is unknown.", "(bytes_src_sum + 1) / (bytes_dst_sum + 1)", "host", lambda h: ibis.ifelse(h.sessions_cnt > 0, ratio(h.bytes_src_sum + 1, h.bytes_dst_sum + 1), ibis.null("float64")), "share", floor=0.01, themes=("exfiltration",)),
    share_of("transport_tcp_ratio", "tcp_cnt", "Share of sessions over TCP."),
    share_of("transport_udp_ratio", "udp_cnt", "Share of sessions over UDP."),
    share_of("transport_icmp_ratio", "icmp_cnt", "Share of sessions over ICMP."),
    Metric("has_high_risk_port_activity", "flag", "Whether any session went to a high-risk port.", "1 if high_risk_port_sessions_cnt > 0 else 0", "host", lambda h: (h.high_risk_port_sessions_cnt > 0).cast("int32"), "flag"),
)  # fmt: skip
