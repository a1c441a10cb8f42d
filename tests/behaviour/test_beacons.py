"""What the beacon tables say of habits of people and of programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from handmade import DAY, HOST, HOUR, MINUTE, PEER, SECOND
from laws.keeping_time import Row, at, beacons_of

END = datetime(2026, 3, 4, 10)
MIDNIGHT = datetime(2026, 3, 4)
LONG = 14 * DAY
CHANCE = Random(7)  # noqa: S311 - made-up data, not secrets
NO_ROW: Row = {"beacon_score": 0.0}


@pytest.fixture(autouse=True)
def _same_chance() -> None:
    CHANCE.seed(7)


def every(period: timedelta, end: datetime = END, length: timedelta = DAY, jitter: float = 0.0) -> list[datetime]:
    """The beats of a program that sleeps for a period, more or less, after each."""
    moment, found = end - length + period / 3, []
    while moment < end:
        found.append(moment)
        moment += period * CHANCE.uniform(1 - jitter, 1 + jitter)
    return found


def browsing(end: datetime = END, days: int = 1) -> list[datetime]:
    """Someone at work: visits that begin by chance, pages that are read for a while, a few connections for each."""
    found = []
    for day in range(days):
        moment = end - DAY * (day + 1) + 9 * HOUR
        while moment < end - DAY * day - 7 * HOUR:
            for _ in range(CHANCE.randint(1, 12)):
                found += [moment + CHANCE.random() * SECOND for _ in range(CHANCE.randint(1, 4))]
                moment += timedelta(seconds=CHANCE.lognormvariate(3.5, 1.2))
            moment += timedelta(seconds=CHANCE.expovariate(1 / 2400))
    return found


def sessions(moments: Iterable[datetime], **changes: Any) -> list[Row]:
    return [at(moment, **changes) for moment in moments]


def fast(made: Iterable[Row], host: str = HOST, port: int | None = 443) -> Row:
    """The row of a host and the peer, a score of zero if there is none."""
    rows = beacons_of(1).fast(list(made), [END])
    return next((row for row in rows if (row["src_ip"], row["dst_ip"], row["dst_port"]) == (host, PEER, port)), NO_ROW)


def slow(made: Iterable[Row], host: str = HOST) -> Row:
    rows = beacons_of(1).slow(list(made), [MIDNIGHT])
    return next((row for row in rows if (row["src_ip"], row["dst_ip"]) == (host, PEER)), NO_ROW)


def missing(moments: list[datetime], share: float) -> list[datetime]:
    return [moment for moment in moments if CHANCE.random() >= share]


@pytest.mark.parametrize("period", [10 * SECOND, MINUTE, 10 * MINUTE, HOUR])
def test_a_clockwork_scores_near_one(period: timedelta) -> None:
    row = fast(sessions(every(period)))
    assert row["interval_median_seconds"] == period.total_seconds()
    assert row["interval_regularity"] == row["interval_skew_score"] == row["size_regularity"] == 1.0
    assert row["coverage_score"] == 1.0
    n = row["connections_cnt"] - 1
    assert row["beacon_score"] == pytest.approx(n / (n + 4))


@pytest.mark.parametrize("period", [MINUTE, 10 * MINUTE])
def test_a_beacon_with_a_fifth_of_jitter_scores_high(period: timedelta) -> None:
    row = fast(sessions(every(period, jitter=0.2)))
    assert row["beacon_score"] > 0.7
    assert row["interval_median_seconds"] == pytest.approx(period.total_seconds(), rel=0.1)


def test_human_browsing_scores_low() -> None:
    assert (
        max(fast(sessions(browsing(), source_bytes=CHANCE.randint(300, 9000)))["beacon_score"] for _ in range(10)) < 0.3
    )


def test_a_beacon_with_a_third_of_its_beats_missing_still_scores() -> None:
    whole = every(5 * MINUTE, jitter=0.1)
    row = fast(sessions(missing(whole, 1 / 3)))
    assert row["beacon_score"] > 0.7
    assert row["interval_median_seconds"] == pytest.approx(300, rel=0.05)
    assert row["coverage_score"] == 1.0


def test_a_beacon_that_slept_for_the_night_covers_the_hours_it_was_awake() -> None:
    row = fast(sessions(every(5 * MINUTE, length=6 * HOUR)))
    assert row["interval_regularity"] == 1.0
    assert row["coverage_score"] == pytest.approx(0.5)
    assert row["beacon_score"] > 0.8
    night = [moment for moment in every(5 * MINUTE) if not END - 20 * HOUR < moment < END - 6 * HOUR]
    assert fast(sessions(night))["coverage_score"] == pytest.approx(10 / 12, rel=0.02)


def test_several_connections_at_once_are_one_beat() -> None:
    beats = every(MINUTE, length=8 * HOUR)
    burst = [beat + k * timedelta(milliseconds=400) for beat in beats for k in range(4)]
    row = fast(sessions(burst))
    assert row["connections_cnt"] == len(beats)
    assert row["interval_regularity"] == 1.0
    retried = [beat + k * 2 * SECOND for beat in beats for k in range(3)]
    assert fast(sessions(retried))["connections_cnt"] == len(beats)


def test_a_burst_sends_what_its_connections_send_together() -> None:
    """Two lookups a beat, of different sizes and in any order."""
    rows = [
        at(beat + k * timedelta(milliseconds=CHANCE.randint(1, 400)), source_bytes=size)
        for beat in every(5 * MINUTE) for k, size in ((1, 60), (2, 200))
    ]  # fmt: skip
    assert fast(rows)["size_regularity"] == 1.0


def test_connections_of_a_user_in_between_do_not_hide_a_beacon() -> None:
    moments = every(5 * MINUTE, jitter=0.05)
    moments += [END - DAY * CHANCE.random() for _ in range(len(moments) // 5)]
    assert fast(sessions(moments))["beacon_score"] > 0.4


def test_sizes_that_vary_lower_the_score_and_no_more() -> None:
    beats = every(5 * MINUTE)
    steady = fast(sessions(beats))
    varied = fast([at(beat, source_bytes=int(CHANCE.lognormvariate(8, 1.5))) for beat in beats])
    assert varied["size_regularity"] < 0.6
    assert 0.7 < varied["beacon_score"] < steady["beacon_score"]


@pytest.mark.parametrize("size", [None, 0])
def test_sizes_that_nobody_knows_are_null_and_cost_nothing(size: int | None) -> None:
    row = fast(sessions(every(5 * MINUTE), source_bytes=size))
    assert row["size_regularity"] is None
    assert row["beacon_score"] == pytest.approx(287 / 291)


def test_three_connections_are_too_few() -> None:
    assert fast(sessions(every(8 * HOUR))) == NO_ROW
    assert fast(sessions(every(DAY / 7))) == NO_ROW
    assert fast(sessions(every(DAY / 8)))["connections_cnt"] == 8


def test_few_beats_score_less_than_many() -> None:
    scores = [fast(sessions(every(DAY / n)))["beacon_score"] for n in (8, 12, 24, 96)]
    assert scores == sorted(scores)
    assert scores[0] < 0.7 < scores[-1]


def test_a_service_of_the_whole_house_has_a_prevalence_near_one() -> None:
    """Every host asks for the time; one of them also calls somewhere else."""
    hosts = [f"10.1.1.{k}" for k in range(1, 21)]
    clocks = [at(m, source_ip=host, destination_ip="203.0.113.1", destination_port=123)
              for host in hosts for m in every(17 * MINUTE)]  # fmt: skip
    rows = beacons_of(1).fast(clocks + sessions(every(5 * MINUTE)), [END])
    prevalence = {(row["src_ip"], row["dst_ip"]): row["prevalence_share"] for row in rows}
    assert all(prevalence[host, "203.0.113.1"] == 1.0 for host in hosts)
    assert prevalence[HOST, PEER] == 0.0
    one = clocks + sessions(every(5 * MINUTE)) + sessions(every(HOUR / 2, length=HOUR), source_ip="10.1.1.2")
    rows = beacons_of(1).fast(one, [END])
    assert {row["prevalence_share"] for row in rows if row["dst_ip"] == PEER} == {1 / 19}


def test_the_only_host_has_no_others() -> None:
    assert fast(sessions(every(5 * MINUTE)))["prevalence_share"] == 0.0


def test_only_internal_sources_are_scored() -> None:
    assert beacons_of(1).fast(sessions(every(5 * MINUTE), source_ip="198.51.100.7", destination_ip=HOST), [END]) == []


def test_pings_have_no_port_and_keep_time_all_the_same() -> None:
    row = fast(sessions(every(MINUTE), destination_port=None, network_transport="icmp"), port=None)
    assert row["beacon_score"] > 0.95


def test_threat_records_are_no_connections_and_repeats_are_one() -> None:
    assert fast(sessions(every(5 * MINUTE), event_name="THREAT")) == NO_ROW
    row = fast(sessions(every(5 * MINUTE), repeat_cnt=7))
    assert row["connections_cnt"] == 288


def test_what_had_not_arrived_by_the_hour_is_not_seen() -> None:
    beats = every(5 * MINUTE)
    late = sessions(beats, mini_batch_id="late", batch_end_ts=END + HOUR)
    assert fast(late) == NO_ROW
    (row,) = beacons_of(1).fast(late, [END + HOUR])
    assert row["connections_cnt"] == 288 - 12


Habit = Callable[[], list[datetime]]


def test_a_beacon_of_six_hours_is_slow_and_found_in_the_daily_table() -> None:
    row = slow(sessions(every(6 * HOUR, MIDNIGHT, LONG, jitter=0.02)))
    assert row["interval_median_seconds"] == 6 * 3600
    assert row["beacon_score"] > 0.8
    assert row["size_regularity"] is None
    assert fast(sessions(every(6 * HOUR))) == NO_ROW


@pytest.mark.parametrize("period", [4 * HOUR, 12 * HOUR, DAY])
def test_slow_beacons_may_jitter_and_miss_beats(period: timedelta) -> None:
    beats = every(period, MIDNIGHT, LONG, jitter=0.05)
    row = slow(sessions(beats[:3] + beats[4:7] + beats[8:]))
    assert row["interval_median_seconds"] == pytest.approx(period.total_seconds(), rel=0.1)
    assert row["beacon_score"] > 0.5


HABITS: dict[str, Habit] = {
    "browsing at work": lambda: browsing(MIDNIGHT, 14),
    "a service used every minute": lambda: every(MINUTE, MIDNIGHT, LONG),
    "a fast beacon": lambda: every(20 * MINUTE, MIDNIGHT, LONG),
    "visits at any time": lambda: [MIDNIGHT - LONG * CHANCE.random() for _ in range(60)],
}


@pytest.mark.parametrize("habit", HABITS)
def test_what_is_not_slow_or_no_rhythm_scores_low_in_the_daily_table(habit: str) -> None:
    assert slow(sessions(HABITS[habit]()))["beacon_score"] < 0.3


def test_a_beat_near_the_full_hour_shows_in_two_hours_and_is_one_beat() -> None:
    beats = every(6 * HOUR, MIDNIGHT, LONG)
    row = slow(sessions(beat + k * 40 * MINUTE for beat in beats for k in range(2)))
    assert row["connections_cnt"] == len(beats)
    assert row["interval_regularity"] == 1.0
