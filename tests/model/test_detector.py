"""What a detector says of rows: shares, sums, and who spoke."""

from __future__ import annotations

import math

import ibis
import numpy as np
import pyarrow as pa
import pytest

from model.rows import COLUMNS, SMALL, batch, matrix
from ndr.errors import ModelError
from ndr.model.detector import JUDGED, Detector
from ndr.model.kinds import KINDS
from ndr.model.matrix import KEYS, Feature
from ndr.model.reasons import OTHER, divided
from ndr.model.training import train


@pytest.fixture(scope="module")
def detector() -> Detector:
    return train(matrix(hosts=20, ends=40, attacks=2), COLUMNS, SMALL)[0]


@pytest.fixture(scope="module")
def judged(detector: Detector) -> list[dict]:
    return detector.judge(batch(matrix(hosts=20, ends=40, attacks=2))).to_pylist()


def test_the_judged_columns_are_the_declared_ones(detector: Detector) -> None:
    rows = batch(matrix())
    found = detector.judge(rows)
    assert found.schema.names == [*rows.schema.names, *JUDGED]
    arrow = {"string": pa.string(), "float64": pa.float64(), "timestamp(6)": pa.timestamp("us")}
    reason = {field.name: field.type for field in found.schema.field("explanation").type.value_type}
    declared = {**JUDGED, "explanation": "float64", **ibis.dtype(JUDGED["explanation"]).value_type.fields}
    for name, dtype in declared.items():
        made = reason[name] if name in reason else found.schema.field(name).type
        assert name == "explanation" or made == arrow[str(dtype)], name
    assert set(reason) < set(declared)
    assert found.column("record_id").equals(rows.column("record_id"))
    assert found.column("inference_ts").equals(rows.column("window_end_ts"))


def test_contributions_sum_to_the_evidence(judged: list[dict]) -> None:
    for row in judged:
        parts = [row[f"evidence_{kind}"] for kind in KINDS]
        assert sum(parts) == pytest.approx(row["evidence"], abs=1e-9)
        assert sum(reason["contribution"] for reason in row["explanation"]) == pytest.approx(row["evidence"], abs=1e-9)
        assert row["leading_kind"] == list(KINDS)[int(np.argmax(parts))]


def test_reasons_are_greatest_first_and_the_rest_last(judged: list[dict]) -> None:
    for row in judged:
        names = [reason["feature"] for reason in row["explanation"]]
        assert len(names) == len(set(names))
        assert OTHER not in names[:-1]
        told = [reason["contribution"] for reason in row["explanation"] if reason["feature"] != OTHER]
        assert told == sorted(told, reverse=True)
        assert all(told)


def test_reasons_tell_values_and_baselines(judged: list[dict]) -> None:
    wildest = max(judged, key=lambda row: row["evidence"])
    assert wildest["host_ip"] == "10.0.0.0"
    by_name = {reason["feature"]: reason for reason in wildest["explanation"]}
    failed = by_name["failed_cnt"]
    assert (failed["value"], failed["baseline"], failed["source"]) == (wildest["value_failed_cnt"], 3.0, "host")
    pairs = by_name["new_pair_cnt"]
    assert (pairs["value"], pairs["source"], pairs["technique"]) == (wildest["new_pair_cnt"], "training", None)
    assert pairs["baseline"] == pytest.approx(1.0)
    scan = by_name["scan_suspicion_score"]
    assert (scan["value"], scan["technique"]) == (wildest["scan_suspicion_score"], "T1046,T1018")
    assert 0.1 < scan["baseline"] < 0.4
    assert "T1046" in wildest["techniques"].split(",")


def test_the_score_is_the_share_that_looks_more_normal(judged: list[dict]) -> None:
    score = np.array([row["prediction_score"] for row in judged])
    assert ((score >= 0) & (score < 1)).all()
    for share in (0.5, 0.1, 0.05):
        assert (score >= 1 - share).mean() == pytest.approx(share, abs=0.01)
    order = np.argsort([row["evidence"] for row in judged if row["window_label"] == "w_1h"])
    of_label = score[[row["window_label"] == "w_1h" for row in judged]]
    assert (np.diff(of_label[order]) >= 0).all()


def test_a_budget_changes_the_labels_and_nothing_else(detector: Detector) -> None:
    rows = batch(matrix(hosts=20, ends=40, attacks=2))
    few, many = (detector.for_budget(share).judge(rows) for share in (0.01, 0.2))
    assert few.drop_columns(["prediction_label"]).equals(many.drop_columns(["prediction_label"]))
    for found, share in ((few, 0.01), (many, 0.2)):
        labels = found.column("prediction_label").to_pylist()
        assert labels.count("anomalous") / len(labels) == pytest.approx(share, abs=0.01)


def test_techniques_are_those_of_the_kinds_that_speak_clearly(judged: list[dict]) -> None:
    for row in judged:
        parts = {kind: row[f"evidence_{kind}"] for kind in KINDS}
        loud = [kind for kind, part in parts.items() if part >= max(3, max(parts.values()) / 2)]
        assert row["techniques"] == ",".join(t for kind in loud for t in KINDS[kind].techniques)


def test_a_row_is_judged_alike_alone_and_among_others(detector: Detector) -> None:
    rows = batch(matrix(hosts=20, ends=40, attacks=2))
    whole = detector.judge(rows)
    for place in (0, 777, rows.num_rows - 1):
        assert detector.judge(rows.slice(place, 1)).equals(whole.slice(place, 1))
    assert detector.judge(rows.slice(0, 0)).num_rows == 0


def test_a_baseline_of_another_tier_is_told_as_such(detector: Detector) -> None:
    rows = batch(matrix(hosts=20, ends=40, attacks=2)).slice(3)
    told = [{"metric": "peer_port_nunique", "source": "host"}, {"metric": "failed_cnt", "source": "segment"}]
    kind = pa.list_(pa.struct({"metric": pa.string(), "source": pa.string()}))
    tiers = [told if n % 3 == 0 else None if n % 3 == 1 else [] for n in range(rows.num_rows)]
    found = detector.judge(rows.append_column("top_deviations", pa.array(tiers, kind))).to_pylist()
    seen = set()
    for n, row in enumerate(found):
        for reason in row["explanation"]:
            if reason["feature"] in {"failed_cnt", "peer_ip_nunique"}:
                seen.add((reason["feature"], n % 3 == 0, reason["source"]))
    assert seen == {
        ("failed_cnt", True, "segment"), ("failed_cnt", False, "host"),
        ("peer_ip_nunique", True, "host"), ("peer_ip_nunique", False, "host"),
    }  # fmt: skip


def test_portions_do_not_show(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = batch(matrix(hosts=20, ends=40, attacks=2))
    whole = detector.judge(rows)
    monkeypatch.setattr("ndr.model.detector.AT_ONCE", 333)
    assert detector.judge(rows).equals(whole)


def test_features_and_keys_are_all_that_is_needed(detector: Detector) -> None:
    rows = batch(matrix(hosts=20, ends=40, attacks=2))
    needed = rows.select(list(dict.fromkeys([*KEYS, *detector.features])))
    scores = detector.judge(needed).column("prediction_score")
    assert scores.equals(detector.judge(rows).column("prediction_score"))


def test_more_suspicion_never_lowers_the_score(detector: Detector) -> None:
    rows = batch(matrix().slice(0, 60))
    for kind in KINDS.values():
        if not kind.column:
            continue
        place = rows.schema.names.index(kind.column)
        last = np.full(60, -1.0)
        for level in np.linspace(0, 20, 30):
            found = detector.weigh(rows.set_column(place, kind.column, pa.array(np.full(60, level))))
            assert (found.score >= last).all()
            last = found.score


def test_unknown_numbers_say_nothing(detector: Detector) -> None:
    rows = batch(matrix().slice(0, 4))
    for name in detector.features:
        kind = rows.schema.field(name).type
        rows = rows.set_column(rows.schema.names.index(name), name, pa.nulls(4, kind))
    rows = rows.drop_columns(["baseline_source"])
    for row in detector.judge(rows).to_pylist():
        assert [row[f"evidence_{kind}"] for kind in KINDS if kind != "forest"] == [0.0] * 6
        assert all(reason["value"] is None and reason["source"] in {None, "training"} for reason in row["explanation"])


def test_a_window_label_that_the_training_did_not_see_is_judged_among_all(detector: Detector) -> None:
    rows = matrix().slice(0, 10)
    rows = rows.set_column(rows.column_names.index("window_label"), "window_label", pa.array(["w_8h"] * 10))
    assert np.isfinite(detector.weigh(rows).score).all()


def test_a_kind_that_the_training_did_not_know_is_null() -> None:
    rows = matrix().drop_columns(["scan_suspicion_score"])
    found = train(rows, COLUMNS, SMALL)[0].judge(batch(rows)).to_pylist()
    assert {row["evidence_scan"] for row in found} == {None}
    assert all(math.isfinite(row["evidence"]) for row in found)


def test_rows_that_lack_a_column_are_refused(detector: Detector) -> None:
    rows = batch(matrix().drop_columns(["failed_cnt_log_ratio"]))
    with pytest.raises(ModelError, match="no column 'failed_cnt_log_ratio'"):
        detector.judge(rows)


def test_what_speaks_against_a_row_never_outweighs() -> None:
    shortened = np.array([[2.0, -0.5, 0.0], [1.0, -5.0, -5.0], [-1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
    found = divided(np.array([3.0, 3.0, 3.0, 3.0]), shortened)
    assert found[0] == pytest.approx([4.0, -1.0, 0.0])
    assert found[1] == pytest.approx([6.0, -1.5, -1.5])
    assert (found[2:] == 0).all()


def test_a_feature_is_scaled_robustly_and_cut_off() -> None:
    rows = pa.table({"a": [0.0, 1.0, 2.0, 3.0, 4.0], "b": pa.array([0, 9, 99, 999, None]), "c": [1.0, 1, 1, 1, 9]})
    a = Feature(column="a").fitted(rows)
    assert (a.center, a.scale) == (2.0, pytest.approx(2 / 1.349))
    asked = pa.table({"a": [2.0, None, 1e9, -1e9]})
    assert a.scaled(asked).tolist() == [0.0, 0.0, 10.0, -10.0]
    b = Feature(column="b", transform="log1p").fitted(rows)
    assert b.usual == pytest.approx(math.sqrt(10 * 100) - 1)
    assert Feature(column="c").fitted(rows).scale == 1.0
    assert Feature(column="a", transform="log1p").transformed(pa.table({"a": [-3.0]}))[0] == pytest.approx(-math.log(4))
