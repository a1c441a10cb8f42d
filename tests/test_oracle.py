"""The oracle against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from handmade import DAY, HOST, HOUR, MINUTE, OTHER, PEER, PLAIN, SECOND, TICK, T, expect, row, session
from oracle import (
    OracleCalendar,
    OracleConfig,
    delta,
    fg_a,
    is_host,
    pair_counts,
    segment_of,
    time_context,
)


def test_one_plain_session_fills_the_outbound_columns() -> None:
    expect(
        row(session(lasting=2 * SECOND + TICK)),
        record_id="10.1.1.1|w_15m|2026-03-04T10:15:00Z",
        segment_id="10.1.1.0/24",
        mini_batch_id="20260304T1000Z",
        sessions_cnt=1,
        traffic_cnt=1,
        allow_cnt=1,
        deny_cnt=0,
        failed_cnt=0,
        short_session_cnt=0,
        zero_reply_cnt=0,
        tcp_cnt=1,
        udp_cnt=0,
        bytes_src_sum=100,
        bytes_dst_sum=50,
        duration_sum=2.000001,
        duration_mean=2.000001,
        bytes_asymmetry_ratio=101 / 51,
        transport_tcp_ratio=1.0,
        deny_ratio=0.0,
        max_sessions_per_minute=1,
        peer_ip_nunique=1,
        peer_ip_entropy=0.0,
        peer_ip_top1_sessions_share=1.0,
        peer_port_top1_bytes_share=1.0,
        new_peer_cnt_lookback30d=1,
        rare_peer_cnt_lookback30d=1,
        new_peer_ratio_lookback30d=1.0,
        new_dst_port_cnt_lookback30d=1,
        new_pair_cnt_lookback30d=1,
        new_src_dst_port_cnt_lookback30d=1,
    )


def test_a_role_without_sessions_counts_zero_and_measures_nothing() -> None:
    expect(
        row(session()),
        in_sessions_cnt=0,
        in_bytes_src_sum=0,
        in_duration_sum=0.0,
        in_max_sessions_per_minute=0,
        in_peer_ip_nunique=0,
        in_peer_ip_entropy=None,
        in_peer_ip_top1_sessions_share=None,
        in_peer_ip_top1_bytes_share=None,
        in_duration_mean=None,
        in_bytes_asymmetry_ratio=None,
        in_new_peer_cnt_lookback30d=0,
        in_new_peer_ratio_lookback30d=None,
        in_has_high_risk_port_activity=0,
    )


def test_only_internal_ends_have_rows_and_each_its_own_role() -> None:
    assert {host for host, _, _ in fg_a([session()], [T], PLAIN)} == {HOST}
    talk = session(destination_ip=OTHER)
    expect(row(talk, host=OTHER), sessions_cnt=0, in_sessions_cnt=1, in_bytes_src_sum=100, in_peer_port_nunique=1)
    itself = row(session(destination_ip=HOST))
    expect(itself, sessions_cnt=1, in_sessions_cnt=1, peer_ip_nunique=1, in_peer_ip_nunique=1)
    assert fg_a([session(source_ip=PEER)], [T], PLAIN) == {}


def test_repeats_multiply_counts_but_neither_bytes_nor_seconds() -> None:
    expect(
        row(session(lasting=4 * SECOND, repeat_cnt=3), session(event_action="deny")),
        sessions_cnt=4,
        deny_cnt=1,
        deny_ratio=0.25,
        bytes_src_sum=200,
        duration_sum=4.0,
        duration_mean=1.0,
        max_sessions_per_minute=3,  # the two start four seconds apart, across a minute
    )


def test_a_threat_is_no_session() -> None:
    threat = session(event_name="THREAT", event_action="alert", repeat_cnt=2, destination_port=445)
    expect(
        row(threat, session(event_action="alert")),
        sessions_cnt=1,
        threat_cnt=2,
        alert_cnt=3,
        bytes_src_sum=100,
        peer_port_nunique=1,
        high_risk_port_sessions_cnt=0,
        max_sessions_per_minute=1,
    )
    expect(
        row(threat),
        sessions_cnt=0,
        threat_cnt=2,
        bytes_src_sum=0,
        peer_ip_nunique=0,
        new_peer_cnt_lookback30d=0,
        bytes_asymmetry_ratio=None,
    )


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"event_action": "reset-both"}, {"deny_cnt": 1, "failed_cnt": 1, "allow_cnt": 0}),
        ({"event_action": "rejected", "established": False}, {"deny_cnt": 1, "failed_cnt": 1}),
        ({"event_action": "permitted"}, {"allow_cnt": 1, "failed_cnt": 0}),
        ({"event_action": "start"}, {"allow_cnt": 0, "deny_cnt": 0}),
        ({"established": False}, {"deny_cnt": 0, "failed_cnt": 1, "allow_cnt": 1}),
        ({"established": None}, {"failed_cnt": 0}),
        ({"event_reason": "tcp-rst-from-server"}, {"rst_cnt": 1, "aged_out_cnt": 0}),
        ({"event_reason": "aged-out"}, {"rst_cnt": 0, "aged_out_cnt": 1}),
        ({"destination_bytes": 0}, {"zero_reply_cnt": 1, "bytes_dst_sum": 0}),
        ({"destination_bytes": None}, {"zero_reply_cnt": 0, "bytes_dst_sum": None, "bytes_asymmetry_ratio": None}),
        ({"lasting": SECOND}, {"short_session_cnt": 1}),
        ({"lasting": SECOND + TICK}, {"short_session_cnt": 0}),
        (
            {"destination_port": 445},
            {"high_risk_port_sessions_cnt": 1, "fileshare_port_sessions_cnt": 1, "has_high_risk_port_activity": 1},
        ),
        ({"destination_port": 22}, {"admin_port_sessions_cnt": 1, "has_high_risk_port_activity": 0}),
        (
            {"destination_port": None, "network_transport": "icmp"},
            {"icmp_cnt": 1, "peer_port_nunique": 0, "peer_port_entropy": None, "new_dst_port_cnt_lookback30d": 0}
            | {"new_pair_cnt_lookback30d": 1, "new_src_dst_port_cnt_lookback30d": 0, "transport_icmp_ratio": 1.0},
        ),
    ],
)
def test_what_a_session_counts_as(changes: dict[str, Any], counts: dict[str, Any]) -> None:
    expect(row(session(**changes)), **counts)


def test_unknown_bytes_are_left_out_of_a_sum_with_known_ones() -> None:
    expect(
        row(session(source_bytes=None), session(source_bytes=7, destination_bytes=None)),
        bytes_src_sum=7,
        bytes_dst_sum=50,
        bytes_asymmetry_ratio=8 / 51,
    )
    nothing = row(session(source_bytes=0, destination_bytes=None))
    expect(nothing, peer_ip_top1_bytes_share=None, peer_ip_top1_sessions_share=1.0)


def test_entropies_and_shares_come_from_window_totals() -> None:
    actual = row(
        session(repeat_cnt=2, source_bytes=10, destination_bytes=0),
        session(T - 14 * MINUTE, destination_ip="198.51.100.7", source_bytes=20, destination_bytes=None),
        session(destination_ip=OTHER, destination_port=None, source_bytes=65, destination_bytes=5),
    )
    expect(
        actual,
        peer_ip_nunique=3,
        peer_ip_entropy=round((0.5 * math.log(2) + 2 * 0.25 * math.log(4)) * 2**26) / 2**26,
        peer_ip_top1_sessions_share=0.5,
        peer_ip_top1_bytes_share=0.7,
        peer_port_nunique=1,
        peer_port_entropy=0.0,
        peer_port_top1_bytes_share=1.0,
        peer_segment_nunique=3,
    )


def test_windows_are_half_open_and_span_their_length() -> None:
    at = {"w_15m": T - 15 * MINUTE, "w_30m": T - 30 * MINUTE, "w_1h": T - HOUR, "w_8h": T - 8 * HOUR, "w_24h": T - DAY}
    sessions = [session(T), session(T - TICK), *map(session, at.values()), session(T - DAY - TICK)]
    for label, expected in zip(at, (2, 3, 4, 5, 6), strict=True):
        expect(row(*sessions, label=label), sessions_cnt=expected)


def test_the_clock_is_the_end_unless_configured() -> None:
    long = session(T - MINUTE, lasting=2 * HOUR)
    assert (HOST, "w_15m", T) in fg_a([long], [T], PLAIN)
    by_start = fg_a([long], [T], replace(PLAIN, clock="event_start"))
    assert {label for _, label, _ in by_start} == {"w_8h", "w_24h"}


def test_a_late_session_is_invisible_until_its_batch_ends() -> None:
    late = session(T - MINUTE, mini_batch_id="import-7", batch_end_ts=T + HOUR)
    assert fg_a([late], [T, T + 30 * MINUTE], PLAIN) == {}
    rows = fg_a([late], [T + HOUR], PLAIN)
    assert {label for _, label, _ in rows} == {"w_8h", "w_24h"}
    assert {r["mini_batch_id"] for r in rows.values()} == {"import-7"}


def test_the_busiest_minute_is_sought_within_one_slice_and_batch() -> None:
    minute = T - 15 * MINUTE  # all start in it; two end in the slice before T, one in the slice after
    first = session(minute + 5 * SECOND, lasting=5 * SECOND)
    second = session(minute + 9 * MINUTE, lasting=9 * MINUTE - 59 * SECOND)
    third = session(minute + 16 * MINUTE, lasting=16 * MINUTE)
    expect(row(first, second, third, end=T + 15 * MINUTE, label="w_30m"), max_sessions_per_minute=2, sessions_cnt=3)
    late = second | {"mini_batch_id": "import-7", "batch_end_ts": T + 15 * MINUTE}
    expect(row(first, late, end=T + 15 * MINUTE, label="w_30m"), max_sessions_per_minute=1, sessions_cnt=2)
    brought = {"mini_batch_id": "import-7", "batch_end_ts": T + 15 * MINUTE}
    together = [s | brought for s in (second, third)]  # one batch, two slices
    expect(row(*together, end=T + 15 * MINUTE, label="w_30m"), max_sessions_per_minute=1, sessions_cnt=2)


def test_risky_segments_are_those_of_the_peers() -> None:
    config = replace(PLAIN, segments={"203.0.113.0/24": "partners"}, high_risk_segments=frozenset({"partners"}))
    sessions = [session(repeat_cnt=2), session(), session(destination_ip="203.0.113.6"), session(destination_ip=OTHER)]
    expect(
        row(*sessions, config=config),
        high_risk_segment_sessions_cnt=4,
        high_risk_segment_unique_dsts=2,
        has_high_risk_segment_interaction=1,
        in_has_high_risk_segment_interaction=0,
    )


@pytest.mark.parametrize(
    ("ip", "segment", "internal"),
    [
        ("10.1.2.3", "servers", True),
        ("10.1.3.3", "office", True),
        ("10.2.3.4", "10.2.3.0/24", True),
        ("172.32.0.1", "172.32.0.0/24", False),
        ("172.31.255.255", "172.31.255.0/24", True),
        ("2001:db8::1:0:0:1", "2001:db8::/64", False),
        ("fd00:0:0:7::1", "fd00:0:0:7::/64", True),
        ("fe80::1", "fe80::/64", True),
        ("169.254.3.4", "169.254.3.0/24", True),
    ],
)
def test_the_longest_prefix_names_the_segment(ip: str, segment: str, internal: bool) -> None:  # noqa: FBT001 - a column of the table
    config = OracleConfig(segments={"10.1.0.0/16": "office", "10.1.2.0/24": "servers"})
    assert segment_of(ip, config) == segment
    assert is_host(ip, config) is internal


@pytest.mark.parametrize(
    ("end", "zone", "expected"),
    [
        (T, "UTC", {"hour_of_day": 10, "day_of_week": 2, "is_working_hours": 1, "time_band": "WD_WORKING"}),
        (datetime(2026, 3, 6, 17), "UTC", {"hour_of_day": 16, "time_band": "WD_WORKING", "is_weekend": 0}),
        (datetime(2026, 3, 6, 17, 15), "UTC", {"hour_of_day": 17, "time_band": "WD_OFF", "is_off_hours": 1}),
        (datetime(2026, 3, 7), "UTC", {"hour_of_day": 23, "day_of_week": 4, "time_band": "WD_NIGHT"}),
        (datetime(2026, 3, 7, 0, 15), "UTC", {"day_of_week": 5, "time_band": "WE_NIGHT", "is_weekend": 1}),
        (datetime(2026, 3, 3, 12), "UTC", {"is_holiday": 1, "is_weekend": 0, "time_band": "WE_WORKING"}),
        (datetime(2026, 3, 29, 1), "Europe/Berlin", {"hour_of_day": 1, "day_of_week": 6}),
        (datetime(2026, 3, 29, 1, 15), "Europe/Berlin", {"hour_of_day": 3}),
        (datetime(2026, 10, 25, 1), "Europe/Berlin", {"hour_of_day": 2}),
        (datetime(2026, 10, 25, 1, 15), "Europe/Berlin", {"hour_of_day": 2, "is_night_hours": 1}),
        (datetime(2026, 3, 4, 1, 30), "Asia/Kathmandu", {"hour_of_day": 7, "is_working_hours": 1}),
    ],
)
def test_time_context_is_local_and_of_the_last_slice(end: datetime, zone: str, expected: dict[str, Any]) -> None:
    context = time_context(end, OracleCalendar(zone, holidays=frozenset({date(2026, 3, 3)})))
    expect(context, **expected)
    assert context["is_working_hours"] + context["is_off_hours"] + context["is_night_hours"] == 1


def test_delta_keeps_batches_of_a_slice_apart() -> None:
    late = session(mini_batch_id="import-7", batch_end_ts=T + HOUR, destination_ip=OTHER)
    rows = delta([session(repeat_cnt=2), session(event_name="THREAT"), late], PLAIN)
    slice_start = T - 15 * MINUTE
    own = rows[HOST, "outbound", slice_start, "20260304T1000Z"]
    expect(own, sessions_cnt=2, threat_cnt=1, bytes_src_sum=100, max_sessions_per_minute=2)
    expect(rows[HOST, "outbound", slice_start, "import-7"], sessions_cnt=1)
    expect(rows[OTHER, "inbound", slice_start, "import-7"], sessions_cnt=1)
    assert len(rows) == 3


def test_pair_counts_hold_every_pair_of_traffic() -> None:
    early = session(T - 2 * MINUTE, lasting=HOUR, source_bytes=None, repeat_cnt=3)
    rows = pair_counts([session(), early, session(event_name="THREAT"), session(source_ip="8.8.8.8")], PLAIN)
    assert len(rows) == 2
    expect(
        rows[HOST, PEER, 443, T - 15 * MINUTE, "20260304T1000Z"],
        sessions_cnt=4,
        source_bytes_sum=100,
        destination_bytes_sum=100,
        first_event_start=T - 62 * MINUTE,
        last_event_start=T - MINUTE,
        src_segment_id="10.1.1.0/24",
        dst_segment_id="203.0.113.0/24",
    )
