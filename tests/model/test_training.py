"""A training gives the same detector from the same rows, and tells what it did."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from model.rows import COLUMNS, LABELS, SMALL, matrix
from ndr.errors import ModelError
from ndr.model.kinds import KINDS
from ndr.model.training import Facts, TrainingOptions, in_order, train, wild


def test_the_order_of_rows_and_batches_does_not_matter() -> None:
    rows = matrix()
    shuffled = rows.take(pa.array(np.random.default_rng(1).permutation(rows.num_rows)))
    pieces = pa.concat_tables([shuffled.slice(0, 100), shuffled.slice(100)])
    a, facts = train(rows, COLUMNS, SMALL)
    b, again = train(pieces, COLUMNS, SMALL)
    assert a.version == b.version
    assert facts == again


def test_other_rows_or_another_seed_give_another_version() -> None:
    versions = {
        train(matrix(seed=seed), COLUMNS, SMALL.model_copy(update={"seed": draw}))[0].version
        for seed in (0, 1)
        for draw in (0, 1)
    }
    assert len(versions) == 4


def test_facts_are_plain_and_whole() -> None:
    rows = matrix(attacks=2)
    _, facts = train(rows, COLUMNS, SMALL)
    assert Facts.model_validate_json(json.dumps(facts)).rows == rows.num_rows == facts["rows_given"]
    assert facts["hosts"] == 12
    assert facts["first_window_end"] == "2026-03-02T00:00:00Z"
    assert facts["last_window_end"] == "2026-03-02T03:45:00Z"
    assert set(facts["libraries"]) == {"numpy", "pyarrow", "scikit-learn"}


def test_of_too_many_rows_the_same_even_sample_is_taken() -> None:
    rows = matrix(hosts=20, ends=40)
    shuffled = rows.take(pa.array(np.random.default_rng(2).permutation(rows.num_rows)))
    sample = in_order(rows, 300)
    assert sample.num_rows == 300
    assert sample.equals(in_order(shuffled, 300))
    assert sample.equals(in_order(in_order(rows, 900), 300))
    of_label = sample.column("window_label").to_pylist().count(LABELS[0])
    assert 110 < of_label < 190
    assert train(rows, COLUMNS, SMALL.model_copy(update={"max_rows": 300}))[1]["rows"] == 300


def test_wild_rows_are_left_out_of_the_forest_and_of_what_scores_are_shares_of() -> None:
    rows = matrix(attacks=3)
    out = wild(in_order(rows, 10**6), SMALL)
    bad = np.array(in_order(rows, 10**6).column("new_pair_cnt")) >= 50
    assert bad.sum() == 6
    assert (out & bad).sum() == 6
    assert out.sum() <= 8
    detector, facts = train(rows, COLUMNS, SMALL)
    assert facts["wild_rows"] == out.sum()
    assert detector.tails["anomaly"]["*"].at_least[0] == rows.num_rows
    assert detector.totals["*"].at_least[0] == rows.num_rows - facts["wild_rows"]


def test_no_more_than_a_fifth_is_called_wild() -> None:
    rows = in_order(matrix(hosts=12, ends=20), 10**6)
    many = TrainingOptions(wild_scales=0.01)
    assert wild(rows, many).sum() == rows.num_rows // 5
    assert wild(rows, many.model_copy(update={"wild_share_max": 0.0})).sum() == 0


def test_the_validation_is_of_later_rows() -> None:
    _, facts = train(matrix(hosts=20, ends=60), COLUMNS, SMALL)
    told = facts["validation"]
    assert told["first_window_end"] == "2026-03-02T11:15:00Z"
    assert told["rows"] == 20 * 15 * 2
    assert told["fitted_rows"] <= 20 * 45 * 2
    assert 0 <= told["share_above_999"] <= told["share_above_99"] < 0.05
    assert told["rank_correlation"] > 0.5


@pytest.mark.parametrize(("ends", "why"), [(1, "the same window end"), (3, "fewer than 50 rows")])
def test_without_later_rows_there_is_no_validation_and_it_says_so(ends: int, why: str) -> None:
    _, facts = train(matrix(hosts=40 // ends, ends=ends), COLUMNS, SMALL)
    assert facts["validation"] is None
    assert why in facts["validation_lacks"]


def test_features_that_tell_nothing_are_left_out_and_named() -> None:
    rows = matrix().append_column("band_active_share", pa.nulls(matrix().num_rows, pa.float64()))
    rows = rows.append_column("rare_pair_cnt", pa.array(np.ones(rows.num_rows, np.int64)))
    detector, facts = train(rows, (*COLUMNS, "band_active_share", "rare_pair_cnt"), SMALL)
    assert facts["constant_features"] == ["band_active_share", "rare_pair_cnt"]
    assert "rare_pair_cnt" not in detector.features


def test_kinds_that_the_rows_do_not_know_are_not_spoken_of() -> None:
    rows = matrix().drop_columns(["scan_suspicion_score"])
    nothing = pa.nulls(rows.num_rows, pa.float64())
    rows = rows.set_column(rows.column_names.index("novelty_suspicion_score"), "novelty_suspicion_score", nothing)
    assert set(train(rows, COLUMNS, SMALL)[0].tails) == set(KINDS) - {"scan", "novelty"}


def test_what_cannot_be_trained_on_is_refused() -> None:
    with pytest.raises(ModelError, match=r"at least 50 rows .* there are 48"):
        train(matrix(hosts=4, ends=6), COLUMNS, SMALL)
    with pytest.raises(ModelError, match=r"no column 'new_pair_cn'.* Did you mean 'new_pair_cnt'"):
        train(matrix(), ("new_pair_cn",), SMALL)
    with pytest.raises(ModelError, match="'host_ip' is of type string"):
        train(matrix(), ("host_ip",), SMALL)
    rows = matrix().append_column("rare_pair_cnt", pa.array(np.ones(matrix().num_rows, np.int64)))
    with pytest.raises(ModelError, match=r"none of the 1 features .rare_pair_cnt"):
        train(rows, ("rare_pair_cnt",), SMALL)
