"""The oracle of baselines and deviations itself, on numbers that can be checked by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from oracle_baselines import BaselineConfig, Measure, Published, bounds, in_bounds, own_scale, published, spread
from oracle_deviations import Publication, fg_c, in_force, mean_of_largest, rise, transforms

APRIL, DAY = datetime(2026, 4, 1), timedelta(days=1)
CONFIG = BaselineConfig({"m": Measure(themes=frozenset({"core", "exfiltration"}))}, ("m",), ("m",), {"m": 2})


def fractions(*values: float) -> list[Fraction]:
    return [Fraction(value) for value in values]


def test_quantiles_lie_on_straight_lines_between_values() -> None:
    found = spread(fractions(4, 1, 3, 2))
    assert found == {
        "median": 2.5, "p25": 1.75, "p75": 3.25, "p95": pytest.approx(3.85), "p99": pytest.approx(3.97),
        "mad": 1.0, "iqr": 1.5,
    }  # fmt: skip
    assert spread(fractions(7))["p99"] == 7.0
    assert set(spread([]).values()) == {None}


def test_the_mad_is_a_median_of_distances_and_no_rescaled_quartiles() -> None:
    found = spread(fractions(0, 0, 0, 0, 8, 8))
    assert (found["mad"], found["iqr"]) == (0.0, 6.0)
    assert own_scale(found["mad"], found["iqr"]) == 6 / 1.349
    assert own_scale(2.0, 0.0) == 2 * 1.4826
    assert (own_scale(0.0, 0.0), own_scale(None, None)) == (None, None)


def test_horizons_are_as_long_as_their_names_say() -> None:
    assert bounds(APRIL, "7d", CONFIG) == (APRIL - 9 * DAY, APRIL - 2 * DAY)
    assert bounds(APRIL, "30d", CONFIG) == (APRIL - 37 * DAY, APRIL - 7 * DAY)
    assert bounds(APRIL, "30d", CONFIG, provisional=True) == (APRIL - 37 * DAY, APRIL)
    ends = [APRIL - 9 * DAY, APRIL - 9 * DAY + timedelta(minutes=15), APRIL - 2 * DAY]
    rows = [{"window_end_ts": end} for end in (*ends, APRIL - 2 * DAY + timedelta(minutes=15))]
    assert in_bounds(rows, *bounds(APRIL, "7d", CONFIG)) == rows[1:3]


def test_transforms_of_one_deviation() -> None:
    found = transforms(20.0, {"median": 4.0, "p95": 9.0, "iqr": 0.0}, 2.0, 1.0, 5.0)
    assert found == {
        "diff": 16.0, "scale": 2.0, "z_mad": 8.0, "abs_dev_over_mad": 8.0, "z_mad_clipped": 5.0,
        "z_mad_signed_pow3": 125.0, "ratio": 21 / 5, "log_ratio": pytest.approx(1.4350845), "excess_over_p95": 11.0,
        "excess_ratio_p95": 2.1, "iqr_dev": None,
    }  # fmt: skip
    assert set(transforms(None, {"median": 4.0, "p95": 9.0, "iqr": 0.0}, 2.0, 1.0, 5.0).values()) == {None}
    assert set(transforms(1.0, {}, 2.0, 1.0, 5.0).values()) == {None}


def test_missing_scores_count_as_nothing_and_none_at_all_as_unknown() -> None:
    assert mean_of_largest([3.0, None, 1.0, 2.0], 2) == 2.5
    assert mean_of_largest([3.0, None], 3) == 1.0
    assert mean_of_largest([None, None], 3) is None
    assert (rise(-5.0, 2.0), rise(5.0, 2.0), rise(None, None)) == (0.0, 2.0, None)


def test_which_publication_is_in_force() -> None:
    early, late = Publication(APRIL - 5 * DAY, {}), Publication(APRIL, {})
    makeshift = Publication(APRIL + DAY, {}, provisional=True)
    everything = [makeshift, late, early]
    assert in_force(everything, APRIL) is late
    assert in_force(everything, APRIL - DAY) is early
    assert in_force(everything, APRIL + 2 * DAY) is late
    assert in_force([makeshift], APRIL) is makeshift
    assert in_force([late], APRIL - DAY) is None


def test_a_row_end_to_end() -> None:
    """Four slices of 1 2 3 4, then 12: median 2.5, MAD 1, p99 3.97; ln(13 / 4.97) / 2 = 0.48; a pair never seen."""
    slices = [_row(APRIL - 4 * DAY + k * timedelta(minutes=15), value) for k, value in enumerate((1, 2, 3, 4))]
    base = published(slices, [], {}, CONFIG)
    assert isinstance(base, Published)
    end = APRIL + timedelta(hours=10)
    pair = {"src_ip": "h", "dst_ip": "p", "dst_port": None, "slice_start_ts": end - DAY / 96, "batch_end_ts": end}
    (row,) = fg_c([_row(end, 12)], [Publication(APRIL, {"7d": base})], CONFIG, pair_counts=[pair]).values()
    wanted: dict[str, Any] = {
        "is_cold_start": 0, "baseline_source": "host", "m_z_mad": 9.5 / 1.4826, "band_active_share": 1.0,
        "pair_rarity_max": 1.0, "new_pair_cnt": 1, "beacon_suspicion_score": 0.0, "baseline_min_support_count": 4,
        "exfiltration_suspicion_score": pytest.approx(0.4807648, rel=1e-6),
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted


def _row(end: datetime, value: int) -> dict[str, Any]:
    return {
        "host_ip": "h", "segment_id": "s", "time_band": "WD_WORKING", "window_label": "w_15m", "window_end_ts": end,
        "m": value,
    }  # fmt: skip
