"""What the oracle calls new and rare, worked out by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from handmade import DAY, HOST, HOUR, MINUTE, OTHER, PEER, TICK, T, expect, row, session


def test_new_and_rare_look_at_the_thirty_days_before_the_window() -> None:
    start = T - 15 * MINUTE
    now = session()
    for before, is_new in [(start, 1), (start - TICK, 0), (start - 30 * DAY, 0), (start - 30 * DAY - TICK, 1)]:
        expect(row(now, session(before)), new_peer_cnt_lookback30d=is_new, new_pair_cnt_lookback30d=is_new)
    seen = session(T - 5 * DAY, repeat_cnt=3)
    expect(row(now, seen), new_peer_cnt_lookback30d=0, rare_peer_cnt_lookback30d=1, rare_dst_port_cnt_lookback30d=1)
    often = seen | {"repeat_cnt": 4}
    expect(row(now, often), rare_peer_cnt_lookback30d=0, rare_dst_port_cnt_lookback30d=0)
    inside = row(now, session(T - 2 * HOUR), label="w_8h")
    expect(inside, new_peer_cnt_lookback30d=1)
    threat = session(T - 5 * DAY, event_name="THREAT")
    expect(row(now, threat), new_peer_cnt_lookback30d=1)
    received = session(T - 5 * DAY, source_ip=PEER, destination_ip=HOST)
    expect(row(now, received), new_peer_cnt_lookback30d=1, new_dst_port_cnt_lookback30d=1)


def test_pairs_and_ports_are_new_apart_from_peers() -> None:
    other_port = session(T - 5 * DAY, destination_port=80)
    expect(
        row(session(), other_port),
        new_peer_cnt_lookback30d=0,
        new_dst_port_cnt_lookback30d=1,
        new_pair_cnt_lookback30d=1,
    )
    ping: dict[str, Any] = {"destination_port": None, "network_transport": "icmp"}
    expect(row(session(**ping), session(T - 5 * DAY, **ping)), new_pair_cnt_lookback30d=0)


def test_a_port_is_known_when_any_host_of_the_segment_used_it_in_that_role() -> None:
    neighbour = session(T - 5 * DAY, source_ip=OTHER)
    expect(row(session(), neighbour), new_dst_port_cnt_lookback30d=1, new_src_dst_port_cnt_lookback30d=0)
    served = session(T - 5 * DAY, source_ip=PEER, destination_ip=OTHER)
    expect(row(session(), served), new_src_dst_port_cnt_lookback30d=1)
    elsewhere = session(T - 5 * DAY, source_ip="10.9.9.9")
    expect(row(session(), elsewhere), new_src_dst_port_cnt_lookback30d=1)


def test_what_comes_late_for_a_compacted_day_waits_for_the_next_compaction() -> None:
    compacted = datetime(2026, 3, 3)  # midnight of T - 24 h

    def is_new(at: datetime, batch_end: datetime) -> int:
        past = session(at, mini_batch_id="import-7", batch_end_ts=batch_end)
        count: int = row(session(), past)["new_peer_cnt_lookback30d"]
        return count

    yesterday = compacted - HOUR
    assert is_new(yesterday, compacted) == 0
    assert is_new(yesterday, compacted + 15 * MINUTE) == 1
    assert is_new(compacted, compacted + DAY) == 0
    assert is_new(compacted, T) == 0
    assert is_new(compacted, T + 15 * MINUTE) == 1
    assert is_new(compacted - 28 * DAY, T) == 1
    assert is_new(compacted - 28 * DAY - TICK, T) == 0
    assert is_new(compacted - 28 * DAY - TICK, T + 15 * MINUTE) == 1
