"""Numbers, times and metrics as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ndr.model.kinds import KINDS, TECHNIQUES
from ndr.report import words
from ndr.report.charts import area, dots, linear, outline
from ndr.report.findings import highest, runs
from ndr.tables.fg_b import COLUMNS


def test_every_metric_with_a_baseline_has_words_of_its_own() -> None:
    told = {column: words.title(column) for column in COLUMNS}
    assert len(set(told.values())) == len(COLUMNS)
    for column, title in told.items():
        assert "_" not in title, f"{column} has no words: give it some in ndr.report.words"


def test_every_technique_has_a_name() -> None:
    assert {each for kind in KINDS.values() for each in kind.techniques} <= TECHNIQUES.keys()


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("admin_port_sessions_cnt", 1172, "1,172 sessions to admin ports in an hour"),
        ("peer_ip_nunique", 1, "1 peer in an hour"),
        ("bytes_src_sum", 5.5e9, "5.5 GB sent in an hour"),
        ("in_bytes_src_sum", 999, "999 bytes sent by those who called in an hour"),
        ("in_failed_ratio", 0.625, "62.5 % of the incoming sessions failed"),
        ("bytes_asymmetry_ratio", 12.345, "12.3 bytes sent for each byte received"),
        ("duration_mean", 7200, "mean length of a session 120 min"),
        ("max_sessions_per_minute", 40, "40 sessions in the busiest minute"),
        ("rare_peer_cnt_lookback30d", 14, "14 peers hardly met in the 30 days before"),
        ("made_up_by_somebody", 3, "3 made up by somebody"),
    ],
)
def test_values_are_told_in_words(column: str, value: float, told: str) -> None:
    assert words.measured(column, value, "w_1h") == told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("scan_suspicion_score", "scan"),
        ("anomaly_strength_core", "anomaly"),
        ("bytes_src_sum_log_ratio", "bytes sent, ratio to usual"),
        ("in_sessions_cnt_z_mad_clipped", "incoming sessions, distance from usual"),
        ("pair_rarity_max", "rarity of the rarest pair"),
        ("anything_else", "anything else"),
    ],
)
def test_features_are_told_in_words(name: str, told: str) -> None:
    assert words.feature(name) == told


@pytest.mark.parametrize(
    ("score", "told", "odds"),
    [
        (0.0, "0.000", "1 in 1"),
        (0.5, "0.500", "1 in 2"),
        (0.9312, "0.931", "1 in 15"),
        (0.9995, "0.9995", "1 in 2,000"),
        (0.99994, "0.99994", "1 in 17,000"),
        (1 - 1e-12, "0.999999999999", "1 in 1,000,000,000,000"),
    ],
)
def test_scores_keep_their_nines(score: float, told: str, odds: str) -> None:
    assert (words.score(score), words.odds(score)) == (told, odds)


def test_odds_are_never_rarer_than_the_windows_of_the_training_tell() -> None:
    assert words.odds(0.9995, 39_950) == "1 in 2,000"
    assert words.odds(0.999999, 39_950) == "beyond all 39,950"


def test_an_endpoint_may_be_certain() -> None:
    assert (words.score(1.0), words.odds(1.0)) == ("1.000000000000", "beyond all")


def test_lengths_are_told_in_their_largest_unit() -> None:
    assert [words.span(timedelta(minutes=n)) for n in (1, 15, 60, 90, 1440)] == [
        "1 minute", "15 minutes", "1 hour", "90 minutes", "1 day"
    ]  # fmt: skip


def test_lines_have_gaps_and_short_stretches_are_points() -> None:
    values = (1.0, 1.0, None, 0.0, 2.0, 2.0, None, 2.0)
    assert [(r.start, r.stop) for r in runs(values)] == [(0, 2), (3, 6), (7, 8)]
    scale = linear(2.0)
    assert (scale(0.0), scale(1.0), scale(2.0), scale(9.0)) == (54, 29, 4, 4)
    assert outline(values, scale) == "M0 29h2M3 54h1v-50h2M7 4h1"
    assert dots(values, scale) == "M0.5 29h0M1.5 29h0M7.5 4h0"
    assert area((0.0, 0.0, None), (1.0, 2.0, 2.0), scale) == "M0 29h1v-25h1V54h-2z"
    assert highest(values, 3) == (1.0, 2.0, 2.0)
    assert highest((None, None, 0.0), 2) == (None, 0.0)
