"""What counts as what, on sessions made by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from behaviour.hosts import cells, row, rows_of
from handmade import HOST, MINUTE, OTHER, PEER, SECOND, TICK, T, session


@pytest.mark.parametrize(
    "action", ["deny", "drop", "drop-icmp", "reset-client", "reset-both", "block", "block-url", "reject"]
)
def test_a_deny_is_a_failed_session(action: str) -> None:
    found = row(session(event_action=action, established=None))
    assert cells(found, "sessions_cnt", "deny_cnt", "failed_cnt", "deny_ratio", "failed_ratio") == (1, 1, 1, 1.0, 1.0)
    assert found["allow_cnt"] == 0


@pytest.mark.parametrize("action", ["allow", "accept", "pass", "permit", "allowed"])
def test_what_the_device_let_pass_is_allowed(action: str) -> None:
    assert cells(row(session(event_action=action)), "allow_cnt", "deny_cnt", "failed_cnt") == (1, 0, 0)


def test_an_alert_is_neither_allowed_nor_denied() -> None:
    found = row(session(event_action="alert"))
    assert cells(found, "sessions_cnt", "alert_cnt", "allow_cnt", "deny_cnt") == (1, 1, 0, 0)


@pytest.mark.parametrize(("established", "failed"), [(True, 0), (False, 1), (None, 0)])
def test_an_unanswered_session_failed_and_one_we_know_nothing_of_did_not(
    *, established: bool | None, failed: int
) -> None:
    assert row(session(established=established))["failed_cnt"] == failed


def test_a_threat_line_beside_its_traffic_line_adds_no_session() -> None:
    plain, beside = session(), session(event_name="THREAT", event_action="alert", source_bytes=10**6, repeat_cnt=3)
    alone, both = row(plain), row(plain, beside)
    changed = {name for name in alone if alone[name] != both[name]}
    assert changed == {"threat_cnt", "alert_cnt"}
    assert cells(both, "threat_cnt", "alert_cnt", "traffic_cnt") == (3, 3, 1)


def test_a_host_of_threats_alone_has_a_row_of_zeros_and_nulls() -> None:
    found = row(session(event_name="THREAT", event_action="drop"))
    assert cells(found, "threat_cnt", "sessions_cnt", "deny_cnt", "bytes_src_sum", "peer_ip_nunique") == (1, 0, 0, 0, 0)
    assert cells(found, "deny_ratio", "duration_mean", "peer_ip_entropy", "bytes_asymmetry_ratio") == (None,) * 4


def test_a_repeat_count_counts_sessions_and_never_bytes_or_seconds() -> None:
    found = row(session(lasting=4 * SECOND, repeat_cnt=5, event_action="deny"), session(destination_ip="8.8.8.8"))
    assert cells(found, "sessions_cnt", "deny_cnt", "tcp_cnt", "max_sessions_per_minute") == (6, 5, 6, 5)
    assert cells(found, "bytes_src_sum", "bytes_dst_sum", "duration_sum") == (200, 100, 4.0)
    assert found["peer_ip_top1_sessions_share"] == pytest.approx(5 / 6, rel=1e-14)


def test_unknown_bytes_stay_null() -> None:
    unknown = session(source_bytes=None, destination_bytes=None)
    found = row(unknown)
    assert cells(found, "bytes_src_sum", "bytes_dst_sum", "bytes_asymmetry_ratio") == (None, None, None)
    assert cells(found, "zero_reply_cnt", "peer_ip_top1_bytes_share") == (0, None)
    assert row(unknown, session())["bytes_src_sum"] == 100
    assert cells(found, "in_bytes_src_sum", "in_bytes_dst_sum") == (0, 0)  # no session in that role: nothing unknown


def test_a_reply_of_no_bytes_is_no_reply() -> None:
    found = row(session(destination_bytes=0), session(destination_bytes=None), session())
    assert cells(found, "zero_reply_cnt", "bytes_dst_sum") == (1, 50)


def test_bytes_too_many_for_a_float_are_exact() -> None:
    huge = 2**53 + 1
    assert row(session(source_bytes=huge), session(source_bytes=2))["bytes_src_sum"] == huge + 2


@pytest.mark.parametrize(("lasting", "short"), [(SECOND, 1), (SECOND + TICK, 0), (timedelta(0), 1)])
def test_a_session_of_at_most_a_second_is_short(lasting: timedelta, short: int) -> None:
    found = row(session(lasting=lasting))
    assert cells(found, "short_session_cnt", "duration_sum") == (
        short,
        pytest.approx(lasting.total_seconds(), rel=1e-14),
    )


@pytest.mark.parametrize(
    ("reason", "reset", "aged"),
    [("tcp-rst-from-client", 1, 0), ("tcp-rst-from-server", 1, 0), ("aged-out", 0, 1), ("tcp-fin", 0, 0), (None, 0, 0)],
)
def test_how_a_session_ended(reason: str | None, reset: int, aged: int) -> None:
    assert cells(row(session(event_reason=reason)), "rst_cnt", "aged_out_cnt") == (reset, aged)


def test_ports_belong_to_port_sets_and_icmp_has_none() -> None:
    ping = session(destination_port=None, network_transport="icmp")
    found = row(session(destination_port=445), session(destination_port=22), ping)
    sets = ("high_risk", "fileshare", "admin", "directory", "db")
    assert cells(found, *(f"{name}_port_sessions_cnt" for name in sets)) == (1, 1, 1, 0, 0)
    assert cells(found, "has_high_risk_port_activity", "peer_port_nunique", "peer_ip_nunique") == (1, 2, 1)
    assert cells(found, "icmp_cnt", "transport_icmp_ratio", "transport_tcp_ratio") == (
        1,
        *map(pytest.approx, (1 / 3, 2 / 3)),
    )


def test_a_host_that_talks_to_itself_is_seen_in_both_roles() -> None:
    found = row(session(destination_ip=HOST))
    assert cells(found, "sessions_cnt", "in_sessions_cnt", "peer_ip_nunique", "in_peer_ip_nunique") == (1, 1, 1, 1)


def test_an_internet_address_is_never_a_host() -> None:
    assert {host for host, _ in rows_of(session(), session(source_ip=PEER, destination_ip=OTHER))} == {HOST, OTHER}
    assert rows_of(session(source_ip=PEER, destination_ip="8.8.8.8")) == {}


def test_both_ends_of_a_session_between_hosts_have_rows() -> None:
    made = rows_of(session(destination_ip=OTHER))
    assert cells(made[HOST, "w_15m"], "sessions_cnt", "in_sessions_cnt") == (1, 0)
    assert cells(made[OTHER, "w_15m"], "sessions_cnt", "in_sessions_cnt", "in_bytes_src_sum") == (0, 1, 100)


def test_the_busiest_minute_is_a_minute_of_starts() -> None:
    minute = T - 10 * MINUTE
    starts = [minute, minute + TICK, minute + 59 * SECOND, minute + 60 * SECOND, minute - TICK]
    made = [session(end=T - MINUTE, lasting=T - MINUTE - start) for start in starts]
    assert row(*made)["max_sessions_per_minute"] == 3


def test_the_busiest_minute_of_a_day_is_no_sum_of_busy_minutes() -> None:
    made = [session(T - k * 15 * MINUTE - MINUTE, repeat_cnt=k + 1) for k in range(8)]
    assert row(*made, label="w_24h")["max_sessions_per_minute"] == 8
