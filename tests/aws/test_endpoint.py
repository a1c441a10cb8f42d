"""An endpoint's scores become predictions like any others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aws.service import Service, rows, said, spec
from ndr.arrow import arrow_schema
from ndr.aws.endpoint import Endpoint
from ndr.engine import Output
from ndr.engines.parquet import write_parts
from ndr.errors import DataError, SpecError
from ndr.model.detector import JUDGED, Scorer
from ndr.model.kinds import KINDS
from ndr.tables.fg_a import fg_a
from ndr.tables.fg_c import fg_c
from ndr.tables.inference import Inference
from ndr.tables.predictions import FEATURES, PASSED, predictions


def judged(service: Service, answer: Any, count: int, **options: Any) -> list[dict[str, Any]]:
    """What becomes of rows that are answered so."""
    service.replies(said(answer))
    found = Endpoint(spec(**options)).judge(rows(count))
    return [dict(row) for row in found.to_pylist()]


def test_an_endpoint_is_a_scorer() -> None:
    scorer: Scorer = Endpoint(spec())
    assert (scorer.name, scorer.version) == ("detector-1", "detector-1")
    named: Scorer = Endpoint(spec(model_name="night-watch", model_version="2026-03"))
    assert (named.name, named.version) == ("night-watch", "2026-03")


def test_rows_keep_what_they_have_and_get_what_is_declared(service: Service) -> None:
    given = rows(3)
    made = Endpoint(spec()).judge(given)
    assert made.schema.names == [*given.schema.names, *JUDGED]
    assert all(made.column(name).equals(given.column(name)) for name in given.schema.names)
    types = {"string": pa.string(), "float64": pa.float64(), "timestamp(6)": pa.timestamp("us")}
    for name, dtype in JUDGED.items():
        assert dtype not in types or made.schema.field(name).type == types[dtype]


def test_a_score_becomes_a_prediction(service: Service) -> None:
    (row,) = judged(service, [0.75], 1, model_name="n", model_version="v")
    assert (row["model_name"], row["model_version"], row["leading_kind"]) == ("n", "v", "endpoint")
    assert row["inference_ts"] == row["window_end_ts"]
    assert row["prediction_score"] == 0.75
    assert row["evidence"] == pytest.approx(-math.log(0.25), abs=1e-15)
    assert row["prediction_label"] == "normal"
    assert row["techniques"] == ""
    assert all(row[f"evidence_{kind}"] is None for kind in KINDS)
    (reason,) = row["explanation"]
    assert reason == {
        "feature": "bytes_src_sum", "contribution": None, "value": 7.0, "baseline": 1.0, "source": "host",
        "technique": None,
    }  # fmt: skip


def test_a_score_of_zero_is_a_score(service: Service) -> None:
    (row,) = judged(service, [0], 1)
    assert (row["prediction_score"], row["evidence"], row["prediction_label"]) == (0.0, 0.0, "normal")
    assert math.copysign(1, row["evidence"]) == 1


def test_evidence_of_the_highest_score_is_finite(service: Service) -> None:
    first, second = judged(service, [1, 0.999999], 2)
    assert first["prediction_score"] == 1.0
    assert second["evidence"] < first["evidence"] < 40


@pytest.mark.parametrize(
    ("alert_share", "labels"),
    [(0.001, "nnyy"), (0.25, "nyyy"), (0, "nnny"), (1, "yyyy")],
)
def test_labels_follow_the_share_of_alerts(service: Service, alert_share: float, labels: str) -> None:
    found = judged(service, [0, 0.75, 0.999, 1], 4, alert_share=alert_share)
    assert [row["prediction_label"][0] for row in found] == ["n" if label == "n" else "a" for label in labels]


def test_an_endpoint_may_give_labels_itself(service: Service) -> None:
    found = judged(service, [[0.1, 1], [1, 0], [1]], 3)
    assert [row["prediction_label"] for row in found] == ["anomalous", "normal", "anomalous"]


def test_rows_without_deviations_have_no_reasons(service: Service) -> None:
    service.replies(said([0.5, 0.5]))
    given = rows(2)
    nothing = pa.array([None, []], given.schema.field("top_deviations").type)
    made = Endpoint(spec()).judge(rows(2, top_deviations=nothing))
    assert made.column("explanation").to_pylist() == [[], []]


def test_what_is_declared_is_what_is_written(service: Service, tmp_path: Path) -> None:
    types = {name: {**fg_a.columns, **fg_c.columns}[name] for name in FEATURES}
    schema = arrow_schema({**types, **PASSED})
    known = {"window_end_ts": rows(3).column("window_end_ts")}
    matrix = pa.RecordBatch.from_pydict(
        {field.name: known.get(field.name, pa.nulls(3, field.type)) for field in schema}, schema
    )
    service.replies(said([0, 0.5, 1]))
    made = Endpoint(Inference.model_validate({"model": {"endpoint_name": "e"}})).judge(matrix)
    sent = service.calls[0].instances
    assert sent == [dict.fromkeys(FEATURES)] * 3

    end = known["window_end_ts"][0].as_py()
    output = Output({predictions.at: end}, str(tmp_path / "part.parquet"))
    assert write_parts([made], arrow_schema(predictions.stored_columns), [output]) == [3]
    stored = pq.read_table(output.path)
    assert stored.schema.names == [*predictions.stored_columns]
    assert stored.column("prediction_score").to_pylist() == [0.0, 0.5, 1.0]


def test_the_same_rows_give_the_same_predictions(service: Service) -> None:
    scorer = Endpoint(spec(max_records_per_payload=3, max_workers=2))
    assert scorer.judge(rows(20)).equals(scorer.judge(rows(20)))
    assert sorted(call.body for call in service.calls[:7]) == sorted(call.body for call in service.calls[7:])


def test_without_configured_features_an_endpoint_gets_those_of_training(service: Service) -> None:
    scorer = Endpoint(Inference.model_validate({"model": {"endpoint_name": "e"}}))
    assert scorer.features == FEATURES
    types = {**fg_a.columns, **fg_c.columns}
    assert all(types[name] in {"float64", "int64", "int32"} for name in FEATURES)
    with pytest.raises(DataError, match="no column"):
        scorer.judge(rows(1))
    assert not service.calls


def test_a_spec_without_an_endpoint_makes_none() -> None:
    with pytest.raises(SpecError, match="endpoint_name is not set"):
        Endpoint(Inference())
