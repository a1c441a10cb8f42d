"""Windows, lookbacks and calendars, on sessions made by hand."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from math import log

import pytest

from behaviour.hosts import cells, row, rows_of
from handmade import DAY, HOST, HOUR, MINUTE, OTHER, PEER, TICK, T, session
from ndr.tables.settings import Calendar, moment

LENGTHS = {"w_15m": 15 * MINUTE, "w_30m": 30 * MINUTE, "w_1h": HOUR, "w_8h": 8 * HOUR, "w_24h": DAY}
MIDNIGHT = datetime(2026, 3, 1)


@pytest.mark.parametrize("end", [T, MIDNIGHT, datetime(2026, 3, 29, 1, 15)])
@pytest.mark.parametrize("label", LENGTHS)
def test_a_window_spans_its_whole_length_and_no_more(label: str, end: datetime) -> None:
    start = end - LENGTHS[label]
    at = {start - TICK: 1, start: 2, end - TICK: 4, end: 8}
    made = [session(moment, repeat_cnt=weight) for moment, weight in at.items()]
    assert row(*made, label=label, end=end)["sessions_cnt"] == 2 + 4
    assert row(*made, label=label, end=end)["window_start_ts"] == start


def test_a_host_without_records_in_a_window_has_no_row_for_it() -> None:
    made = rows_of(session(T - 2 * HOUR))
    assert {label for _, label in made} == {"w_8h", "w_24h"}


def test_the_clock_is_the_end_of_a_session_unless_told_otherwise() -> None:
    long = session(T - MINUTE, lasting=2 * HOUR)
    assert {label for _, label in rows_of(long)} == set(LENGTHS)
    assert {label for _, label in rows_of(long, config="by start")} == {"w_8h", "w_24h"}


def test_distinct_peers_of_a_window_are_no_sum_of_slices() -> None:
    made = [session(T - k * 15 * MINUTE - MINUTE, destination_ip=f"203.0.113.{k % 3}") for k in range(12)]
    found = row(*made, label="w_8h")
    assert cells(found, "peer_ip_nunique", "peer_port_nunique", "sessions_cnt") == (3, 1, 12)
    assert found["peer_ip_entropy"] == round(log(3) * 2**26) / 2**26
    assert found["peer_port_entropy"] == 0.0
    assert found["peer_ip_top1_sessions_share"] == pytest.approx(1 / 3, rel=1e-14)


def test_novelty_looks_at_the_thirty_days_before_the_window_not_before_now() -> None:
    """A peer first met three hours ago is new in the last eight hours and known in the last one."""
    made = (session(T - MINUTE), session(T - 3 * HOUR))
    found = {label: row(*made, label=label)["new_peer_cnt_lookback30d"] for label in LENGTHS}
    assert found == {"w_15m": 0, "w_30m": 0, "w_1h": 0, "w_8h": 1, "w_24h": 1}


@pytest.mark.parametrize("label", LENGTHS)
def test_the_lookback_is_thirty_days_long_to_the_slice(label: str) -> None:
    start = T - LENGTHS[label]
    now = session()
    for before, is_new in [(start - TICK, 0), (start - 30 * DAY, 0), (start - 30 * DAY - TICK, 1)]:
        found = row(now, session(before), label=label)
        assert cells(found, "new_peer_cnt_lookback30d", "new_pair_cnt_lookback30d") == (is_new, is_new)


def test_rare_is_at_most_k_sessions_before_and_new_is_rare() -> None:
    seen = session(T - 5 * DAY, repeat_cnt=1)
    assert cells(row(session()), "rare_peer_cnt_lookback30d", "new_peer_ratio_lookback30d") == (1, 1.0)
    assert cells(row(session(), seen), "rare_peer_cnt_lookback30d", "new_peer_ratio_lookback30d") == (1, 0.0)
    strict = row(session(), seen, config="strict")
    assert cells(strict, "rare_peer_cnt_lookback30d", "rare_dst_port_cnt_lookback30d") == (0, 1)


def test_a_known_peer_on_an_unknown_port_is_a_new_pair_and_no_new_peer() -> None:
    found = row(session(), session(T - 5 * DAY, destination_port=80))
    names = ("new_peer_cnt_lookback30d", "new_pair_cnt_lookback30d", "new_dst_port_cnt_lookback30d")
    assert cells(found, *names) == (0, 1, 1)


def test_a_port_the_segment_knows_is_no_news_for_the_segment() -> None:
    found = row(session(), session(T - 5 * DAY, source_ip=OTHER))
    assert cells(found, "new_dst_port_cnt_lookback30d", "new_src_dst_port_cnt_lookback30d") == (1, 0)


def test_being_called_by_a_peer_is_not_calling_it() -> None:
    found = row(session(), session(T - 5 * DAY, source_ip=PEER, destination_ip=HOST))
    assert found["new_peer_cnt_lookback30d"] == 1


def test_what_arrives_after_the_window_end_is_not_in_it() -> None:
    late = session(T - MINUTE, mini_batch_id="late", batch_end_ts=T + 15 * MINUTE, destination_ip="8.8.8.8")
    assert row(session(), late)["sessions_cnt"] == 1
    assert row(session(), late, end=T + 15 * MINUTE, label="w_30m")["sessions_cnt"] == 2
    on_time = late | {"batch_end_ts": T}
    assert row(session(), on_time)["sessions_cnt"] == 2


def test_a_row_carries_the_name_of_its_batch() -> None:
    named = session(mini_batch_id="nightly", batch_end_ts=T)
    assert row(named)["mini_batch_id"] == "nightly"
    found = row(session())
    assert cells(found, "mini_batch_id", "record_id") == ("20260304T1000Z", f"{HOST}|w_15m|2026-03-04T10:15:00Z")


@pytest.mark.parametrize(
    ("end", "band"),
    [
        (datetime(2026, 3, 4, 17), "WD_WORKING"),  # the last quarter hour of the working day
        (datetime(2026, 3, 4, 17, 15), "WD_OFF"),
        (datetime(2026, 3, 4, 22, 15), "WD_NIGHT"),
        (datetime(2026, 3, 4, 7), "WD_NIGHT"),
        (datetime(2026, 3, 4, 7, 15), "WD_WORKING"),
        (datetime(2026, 3, 7), "WD_NIGHT"),  # Friday night until midnight
        (datetime(2026, 3, 7, 0, 15), "WE_NIGHT"),
        (datetime(2026, 3, 7, 12), "WE_WORKING"),
        (datetime(2026, 3, 8, 18), "WE_OFF"),
    ],
)
def test_the_time_of_a_window_is_that_of_its_last_slice(end: datetime, band: str) -> None:
    assert row(session(end - MINUTE), end=end)["time_band"] == band


@pytest.mark.parametrize(
    ("end", "hour"),
    [
        (datetime(2026, 3, 29, 1), 1),  # 01:45 in Berlin, the clocks go from 02:00 to 03:00
        (datetime(2026, 3, 29, 1, 15), 3),
        (datetime(2026, 10, 25, 0, 45), 2),
        (datetime(2026, 10, 25, 1), 2),
        (datetime(2026, 10, 25, 1, 15), 2),  # the same hour again
        (datetime(2026, 10, 25, 2, 15), 3),
    ],
)
def test_local_hours_follow_the_clocks_when_they_change(end: datetime, hour: int) -> None:
    found = row(session(end - MINUTE), end=end, config="berlin")
    assert cells(found, "hour_of_day", "is_weekend", "day_of_week") == (hour, 1, 6)


def test_a_holiday_is_a_day_of_rest_in_its_band_and_no_weekend() -> None:
    found = row(session(), config="berlin")
    assert cells(found, "is_holiday", "is_weekend", "time_band") == (1, 0, "WE_WORKING")


def test_every_moment_is_working_or_off_or_night() -> None:
    calendar = Calendar(
        time_zone="Asia/Kathmandu", working_hours=(22, 6), night_hours=(5, 9), holidays=(date(2026, 1, 2),)
    )
    for hour in range(24 * 9):
        when = moment(calendar, datetime(2026, 1, 1) + timedelta(hours=hour))
        assert when.is_working_hours + when.is_off_hours + when.is_night_hours == 1
        parts = {"WORKING": when.is_working_hours, "OFF": when.is_off_hours, "NIGHT": when.is_night_hours}
        assert parts[when.time_band[3:]] == 1
        assert when.time_band.startswith("WE") == bool(when.is_weekend or when.is_holiday)
