"""The beacon tables say what the definitions say, whatever else is made with them and in whatever order rows come."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle_beacons as oracle
from laws.comparing import EFFORT, expect, keyed, looks
from laws.keeping_time import DAY, HOUR, LENIENT, Row, at, beacons_of, pairs_of
from ndr.tables.beacons import beacons
from ndr.tables.slow_beacons import slow_beacons
from strategies import ANCHORS, CONFIGS, random_sessions

END, MIDNIGHT = datetime(2026, 3, 4, 10), datetime(2026, 3, 1)
STRICT = {True: {name: LENIENT[name] for name in LENIENT}, False: {}}
KEYS = beacons.keys
SCORES = ("interval_regularity", "interval_skew_score", "size_regularity", "coverage_score", "prevalence_share")
seeds = st.integers(0, 2**32)


def random(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - made-up data, not secrets


def fast_holds(rows: list[Row], ends: list[datetime], config: int, *, lenient: bool) -> int:
    got = keyed(beacons_of(config, lenient=lenient).fast(rows, ends), KEYS)
    expect(got, oracle.beacons(rows, ends, CONFIGS[config], replace(oracle.FAST, **STRICT[lenient])))
    return len(got)


def slow_holds(rows: list[Row], ends: list[datetime], config: int, *, lenient: bool) -> int:
    got = keyed(beacons_of(config, lenient=lenient).slow(rows, ends), KEYS)
    expect(got, oracle.slow_beacons(rows, ends, CONFIGS[config], replace(oracle.SLOW, **STRICT[lenient])))
    return len(got)


@pytest.mark.parametrize("lenient", [True, False])
@pytest.mark.parametrize("config", [0, 2, 3])
@given(seed=seeds)
@looks(20)
def test_beacons_are_those_of_the_definitions(config: int, lenient: bool, seed: int) -> None:  # noqa: FBT001
    rng = random(seed)
    fast_holds(pairs_of(rng, END, DAY), [END, END + rng.choice((1, 2, 5, 24)) * HOUR], config, lenient=lenient)


@pytest.mark.parametrize("lenient", [True, False])
@pytest.mark.parametrize("config", [0, 2, 3])
@given(seed=seeds)
@looks(20)
def test_slow_beacons_are_those_of_the_definitions(config: int, lenient: bool, seed: int) -> None:  # noqa: FBT001
    rng = random(seed)
    slow_holds(pairs_of(rng, MIDNIGHT, 14 * DAY), [MIDNIGHT, MIDNIGHT + DAY], config, lenient=lenient)


@given(seed=seeds, config=st.sampled_from(range(len(CONFIGS))))
@looks(20)
def test_pairs_of_awkward_sessions(seed: int, config: int) -> None:
    """Few pairs of these meet often enough; all of them count for the prevalence."""
    rng = random(seed)
    anchor = rng.choice(ANCHORS)
    rows = random_sessions(rng, 300, anchor=anchor, clock=CONFIGS[config].clock)
    rows = [{**row, "destination_ip": rng.choice((row["destination_ip"], "8.8.8.8"))} for row in rows]
    hour = anchor.replace(minute=0)
    fast_holds(rows, [hour, hour + HOUR], config, lenient=True)
    slow_holds(rows, [anchor.replace(hour=0, minute=0), anchor.replace(hour=0, minute=0) + DAY], config, lenient=True)


@given(seed=seeds, config=st.sampled_from(range(len(CONFIGS))))
@looks(20)
def test_pair_days_know_the_hours_with_sessions(seed: int, config: int) -> None:
    rows = random_sessions(random(seed), 200, anchor=random(seed).choice(ANCHORS), clock=CONFIGS[config].clock)
    wanted = oracle.active_hours(rows, CONFIGS[config])
    days = keyed(beacons_of(config).days(rows), ("src_ip", "dst_ip", "dst_port", "day_start_ts", "known_ts"))
    assert {key: row["active_hours"] for key, row in days.items()} == {key: wanted[key] for key in days}


def test_the_examples_hold_rows() -> None:
    """The laws above would hold of empty tables as well."""
    rows = [fast_holds(pairs_of(random(seed), END, DAY), [END], 0, lenient=False) for seed in range(20)]
    slow = [slow_holds(pairs_of(random(seed), MIDNIGHT, 14 * DAY), [MIDNIGHT], 0, lenient=False) for seed in range(20)]
    assert sum(map(bool, rows)) > 10
    assert sum(map(bool, slow)) > 3


@given(seed=seeds)
@looks(10)
def test_a_day_of_hours_at_once_is_each_hour_alone(seed: int) -> None:
    rows, ends = pairs_of(random(seed), END, DAY), [END + k * HOUR for k in range(-11, 13)]
    made = beacons_of(0, lenient=True)
    together = keyed(made.fast(rows, ends), KEYS)
    alone = keyed([row for end in ends[::5] for row in made.fast(rows, [end])], KEYS)
    assert {key: row for key, row in together.items() if key[3] in ends[::5]} == alone


@given(seed=seeds)
@looks(10)
def test_the_order_of_sessions_changes_no_bit(seed: int) -> None:
    rows, made = pairs_of(random(seed), END, DAY), beacons_of(0, lenient=True)
    mixed = random(seed + 1).sample(rows, len(rows))
    assert keyed(made.fast(rows, [END]), KEYS) == keyed(made.fast(mixed, [END]), KEYS)


@given(seed=seeds)
@looks(10)
def test_what_comes_after_the_end_changes_no_bit(seed: int) -> None:
    rows, made = pairs_of(random(seed), END, DAY), beacons_of(0, lenient=True)
    known = [row for row in rows if row["event_end"] < END and (row["batch_end_ts"] or END) <= END]
    assert keyed(made.fast(rows, [END]), KEYS) == keyed(made.fast(known or [at(END)], [END]), KEYS)


@given(seed=seeds)
@looks(10)
def test_scores_lie_between_nothing_and_one(seed: int) -> None:
    rng, made = random(seed), beacons_of(0, lenient=True)
    fast = made.fast(pairs_of(rng, END, DAY), [END])
    slow = made.slow(pairs_of(rng, MIDNIGHT, 14 * DAY), [MIDNIGHT])
    for row in fast + slow:
        assert all(row[name] is None or 0 <= row[name] <= 1 for name in (*SCORES, "beacon_score"))
        assert row["interval_median_seconds"] > 0
    assert all(row["size_regularity"] is None for row in slow)


def test_both_tables_have_the_same_columns() -> None:
    assert beacons.columns == slow_beacons.columns
    assert beacons.keys == slow_beacons.keys


def test_the_default_run_looks_at_more_than_two_hundred_examples() -> None:
    assert (12 * 20 + 2 * 20 + 4 * 10) * EFFORT > 200
