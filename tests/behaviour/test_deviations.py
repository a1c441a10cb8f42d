"""How far from normal: the numbers of a row of FG-C, its pairs, and which baselines it is held against."""

from __future__ import annotations

import math

import pytest

from behaviour.baselines import (
    HOST,
    NOW,
    OFFICE,
    OTHER,
    PUBLISHED,
    THIRD,
    judged,
    judgements,
    now,
    pair_day,
    pair_now,
    seen,
)  # fmt: skip
from ndr.errors import DataError
from ndr.features.deviations import check_parity
from oracle_baselines import DAY, QUARTER
from strategies_baselines import APRIL

WARM = seen(4, 4, 5, 6, 6)  # median 5, MAD 1
KIND = seen(40, 50, 60, host=OTHER) + seen(50, 50, 50, host=THIRD)


# --- the numbers


def test_a_deviation_in_numbers() -> None:
    """Sessions 4 4 5 6 6: median 5, MAD 1, quartiles 4 and 6; p95 at place 3.8 is 6."""
    row = judged(WARM, now(11))
    z = 6 / 1.4826
    wanted = {
        "diff": 6.0, "z_mad": z, "abs_dev_over_mad": z, "z_mad_clipped": z, "z_mad_signed_pow3": z**3,
        "ratio": 12 / 6, "log_ratio": round(math.log(2) * 2**26) / 2**26,
        "excess_over_p95": 5.0, "excess_ratio_p95": 12 / 7,
        "iqr_dev": 6 / (2 / 1.349),
    }  # fmt: skip
    assert {name: row[f"sessions_cnt_{name}"] for name in wanted} == pytest.approx(wanted, rel=1e-14)
    below = judged(WARM, now(0))
    assert below["sessions_cnt_z_mad"] == pytest.approx(-5 / 1.4826)
    assert below["sessions_cnt_z_mad_signed_pow3"] == pytest.approx(-((5 / 1.4826) ** 3))
    assert below["sessions_cnt_excess_over_p95"] == 0.0
    assert judged(WARM, now(10**6))["sessions_cnt_z_mad_clipped"] == 10.0
    assert judged(WARM, now(10**6))["sessions_cnt_z_mad_signed_pow3"] == pytest.approx(1000.0)


@pytest.mark.parametrize(
    ("past", "scale"),
    [
        (WARM, 1.4826),
        (seen(5, 5, 5, 5, 9, 9), 4 * 0.75 / 1.349),  # the MAD is 0, the quartiles are 5 and 8
        ([*seen(5, 5, 5), *seen(0, 10, 20, 30, host=OTHER)], 1.4826 * 5),  # never anything else: as its segment does
        (seen(5, 5, 5), 1.0),  # nobody ever did: one session
    ],
)
def test_the_scale_of_a_constant_is_the_next_one_that_is_not_0(past: list[dict[str, object]], scale: float) -> None:
    assert judged(past, now(500))["sessions_cnt_z_mad"] == pytest.approx(495 / scale)


def test_a_host_that_never_failed_and_now_does_stands_out_by_the_floor() -> None:
    quiet = [row | {"failed_cnt": 0} for row in seen(5, 5, 5, 5)]
    row = judged(quiet, now(5) | {"failed_cnt": 500})
    assert row["failed_cnt_z_mad"] == 500.0
    assert row["top_deviations"] == [
        {"metric": "failed_cnt", "z": 500.0, "value": 500.0, "baseline": 0.0, "source": "host"}
    ]


# --- pairs


def test_choice_of_the_pair_rarity_tier() -> None:
    """The warm host met the peer once, its segment ten times more; a stranger is compared with the segment."""
    more = {
        "days": [pair_day(sessions=1), pair_day(OTHER, sessions=10)],
        "pair_counts": [pair_now(), pair_now("10.1.1.99")],
    }
    warm, cold = (judged([*WARM, *KIND], now(5, host=host), **more) for host in (HOST, "10.1.1.99"))
    assert (warm["pair_rarity_source"], warm["pair_rarity_max"]) == ("host", 1 / 2)
    assert (cold["pair_rarity_source"], cold["pair_rarity_max"]) == ("segment", 1 / 12)
    assert (warm["rare_pair_cnt"], cold["rare_pair_cnt"]) == (1, 0)
    assert (warm["new_pair_cnt"], cold["new_pair_cnt"]) == (0, 0)


def test_a_pair_not_in_the_baseline_is_new_with_rarity_1() -> None:
    known = [pair_day(sessions=3)]
    pairs = [pair_now(), pair_now(port=22), pair_now(peer="198.51.100.7")]
    row = judged(WARM, now(11), days=known, pair_counts=pairs)
    assert (row["pair_rarity_max"], row["pair_rarity_mean"]) == (1.0, pytest.approx((1 / 4 + 1 + 1) / 3))
    assert (row["new_pair_cnt"], row["rare_pair_cnt"], row["rare_pair_flag"]) == (2, 3, 1)
    assert row["rare_pair_weighted_z_sessions_cnt"] == pytest.approx(6 / 1.4826 * 0.75)


def test_a_pair_without_a_port_is_known_by_having_none() -> None:
    more = {"days": [pair_day(port=None, sessions=9)], "pair_counts": [pair_now(port=None)]}
    row = judged(WARM, now(5), **more)
    assert (row["new_pair_cnt"], row["pair_rarity_max"]) == (0, 0.1)


def test_a_host_that_calls_nobody_has_no_pair_rarity() -> None:
    row = judged(WARM, now(5), pair_counts=[pair_now(OTHER)])
    assert (row["pair_rarity_max"], row["pair_rarity_mean"], row["rare_pair_weighted_z_sessions_cnt"]) == (None,) * 3
    assert (row["new_pair_cnt"], row["rare_pair_cnt"], row["rare_pair_flag"]) == (0, 0, 0)


# --- which baselines


def test_the_latest_regular_baselines_not_after_the_window_end_judge() -> None:
    before, after = seen(5, 5, 5, days_ago=9), seen(50, 50, 50, days_ago=3)
    both = ((APRIL - 5 * DAY, False, ("7d",)), (APRIL, False, ("7d",)))
    just_before = judged([*before, *after], now(5, end=APRIL - QUARTER), publications=both)
    at_last = judged([*before, *after], now(5, end=APRIL), publications=both)
    assert (just_before["sessions_cnt_diff"], at_last["sessions_cnt_diff"]) == (0.0, 5 - 27.5)


def test_provisional_baselines_judge_only_where_no_regular_ones_do_and_say_so() -> None:
    past = [*seen(5, 5, 5, days_ago=9), *seen(50, 50, 50, days_ago=3)]
    mixed = ((APRIL - 5 * DAY, True, ("7d",)), (APRIL, False, ("7d",)))
    early = judged(past, now(5, end=APRIL - QUARTER), publications=mixed)
    late = judged(past, now(5), publications=mixed)
    assert (early["is_provisional"], late["is_provisional"]) == (1, 0)
    looking_back = judged(past, now(5), publications=((APRIL + 2 * DAY, True, ("7d",)),))
    assert looking_back["is_provisional"] == 1


def test_horizons_are_judged_side_by_side_and_the_drift_between_them_is_told() -> None:
    past = [*seen(5, 5, 5, days_ago=9), *seen(1, 1, 1, 1, 1, days_ago=20)]
    rows = judgements(past, [now(5)], publications=((APRIL, False, ("7d", "30d")),))
    assert {row["baseline_horizon"]: row["sessions_cnt_diff"] for row in rows} == {"7d": 0.0, "30d": 4.0}
    scale = 4 / 1.349  # of 1 1 1 1 1 5 5 5
    for row in rows:
        assert row["baseline_drift_z_sessions_cnt"] == pytest.approx((5 - 1) / scale)
        assert row["baseline_drift_ratio_sessions_cnt"] == pytest.approx((5 + 1) / (1 + 1))
    (alone,) = judgements(past, [now(5)], publications=PUBLISHED)
    assert (alone["baseline_drift_z_sessions_cnt"], alone["baseline_drift_ratio_sessions_cnt"]) == (None, None)


def test_a_burst_shows_as_disagreement_between_the_windows() -> None:
    past = [*seen(4, 4, 5, 6, 6), *seen(18, 19, 20, 21, 22, window="w_1h")]
    rows = judgements(past, [now(11), now(20, window="w_1h")])
    assert [row["window_disagreement_sessions_cnt"] for row in rows] == pytest.approx([6 / 1.4826] * 2)
    (alone,) = judgements(past, [now(11)])
    assert alone["window_disagreement_sessions_cnt"] is None


def test_a_host_seldom_active_at_such_hours_violates_its_band() -> None:
    """One of thirty working quarter hours against a threshold of one in twenty."""
    past = [*seen(5, 5, 5, band="WD_OFF"), *seen(5), *seen(*[5] * 30, host=OTHER)]
    row = judged(past, now(5))
    assert (row["is_cold_start"], row["band_active_share"]) == (0, pytest.approx(1 / 30))
    assert row["time_band_violation_flag"] == 1
    assert judged(past, now(5, host=OTHER))["time_band_violation_flag"] == 0
    assert judged(past, now(5, host="10.1.1.99"))["time_band_violation_flag"] is None


def test_a_row_is_that_of_the_behaviour_it_compares() -> None:
    row = judged(WARM, now(5))
    assert (row["host_ip"], row["window_label"], row["window_end_ts"]) == (HOST, "w_15m", NOW)
    assert (row["segment_id"], row["baseline_horizon"]) == (OFFICE, "7d")


# --- the door


SHAPE = {"window_label": "string", "sessions_cnt_median": "float64", "sessions_cnt_mad": "float64"}


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("column", ["sessions_cnt_median", "sessions_cnt_mad"])
def test_the_parity_check_names_the_table_and_the_missing_column(place: int, column: str) -> None:
    shapes = [dict(SHAPE) for _ in range(3)]
    check_parity(*shapes)
    del shapes[place][column]
    table = ("host", "segment", "global")[place]
    with pytest.raises(DataError, match=rf"(?s){table}.*{column}|{column}.*{table}"):
        check_parity(*shapes)
