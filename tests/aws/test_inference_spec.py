"""The configuration of job inference_predictions: promised names, closed, and wrong values named."""

from __future__ import annotations

from typing import Any

import pytest

from ndr.errors import SpecError
from ndr.model.detector import ALERT_SHARE
from ndr.specs import checked, inert_keys
from ndr.tables.inference import Inference

WHERE = "jobs.inference_predictions"
PROMISED: dict[str, Any] = {
    "feature_inputs": {"fg_c": {"s3_prefix": "s3://lake/fg_c", "dataset": "fg_c", "required": True}},
    "join_keys": ["host_ip", "window_label", "window_end_ts"],
    "model": {
        "endpoint_name": "detector-1", "timeout_seconds": 60, "max_payload_mb": 5, "max_records_per_payload": 200,
        "max_retries": 3, "backoff_seconds": 1, "content_type": "application/json", "accept": "application/json",
        "model_version": "7", "model_name": "detector", "max_workers": 1, "region": "eu-central-1",
    },
    "payload": {
        "feature_columns": ["sessions_cnt"],
        "scaler_params": {"sessions_cnt": {"center": 3, "scale": 2.5}},
        "outlier_params": {"sessions_cnt": {"low": 0, "high": 1e6}},
    },
    "prediction_schema": {"score_column": "prediction_score", "label_column": "prediction_label"},
    "join_output": {"s3_prefix": "s3://lake/joined"},
    "output": {"s3_prefix": "s3://lake/out", "format": "parquet", "partition_keys": ["dt"], "write_mode": "overwrite"},
}  # fmt: skip


def test_every_promised_key_is_accepted_and_those_without_meaning_are_told() -> None:
    spec = checked(Inference, PROMISED, WHERE)
    assert spec.payload.scaler_params["sessions_cnt"].center == 3
    told = inert_keys(spec)
    assert set(told) == {"feature_inputs", "join_keys", "join_output", "output"}
    assert all(len(sentence.split()) > 3 for sentence in told.values())


def test_defaults_are_the_promised_ones() -> None:
    model = Inference().model
    assert (model.timeout_seconds, model.max_payload_mb, model.max_records_per_payload) == (60, 5, 200)
    assert (model.max_retries, model.backoff_seconds, model.max_workers) == (3, 1, 1)
    assert model.endpoint_name is model.model_uri is None
    assert Inference().alert_share == ALERT_SHARE


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "two models": ({"model": {"endpoint_name": "a", "model_uri": "b"}}, "model: .* drop one"),
    "all models of a bucket": ({"model": {"model_uri": "s3://models/*"}}, "model.model_uri: .* no prefix"),
    "all buckets": ({"model": {"model_uri": "s3://*"}}, "model.model_uri: .* no prefix"),
    "a variable": ({"model": {"model_uri": "s3://models/${AWS::AccountId}"}}, "model.model_uri: .* no prefix"),
    "a model on the web": ({"model": {"model_uri": "http://models/x"}}, "model.model_uri: .* nor a folder"),
    "two lines": ({"model": {"model_uri": "/models/\nx"}}, "model.model_uri: .* nor a folder"),
    "a key": ({"model": {"endpoint": "a"}}, "model.endpoint: unknown key. Did you mean 'endpoint_name'"),
    "a name": ({"model": {"endpoint_name": "a/b"}}, "model.endpoint_name"),
    "a version as a number": ({"model": {"model_version": 1.1}}, "model.model_version: .* string"),
    "a version as a path": ({"model": {"model_version": "../1"}}, "model.model_version"),
    "a format": ({"model": {"content_type": "text/xml"}}, "model.content_type"),
    "no time": ({"model": {"timeout_seconds": 0}}, "model.timeout_seconds"),
    "no records": ({"model": {"max_records_per_payload": 0}}, "model.max_records_per_payload"),
    "no threads": ({"model": {"max_workers": 0}}, "model.max_workers"),
    "CSV without an order": ({"model": {"endpoint_name": "a", "content_type": "text/csv"}}, "payload.feature_columns"),
    "an unknown feature": ({"payload": {"feature_columns": ["sesions_cnt"]}}, "Did you mean 'sessions_cnt'"),
    "a text as feature": ({"payload": {"feature_columns": ["host_ip"]}}, "'host_ip' is of type string"),
    "a time as feature": ({"payload": {"feature_columns": ["window_end_ts"]}}, "is of type timestamp"),
    "a feature twice": ({"payload": {"feature_columns": ["sessions_cnt"] * 2}}, "stands there twice"),
    "a scaler of nothing": ({"payload": {"scaler_params": {"sessions_cnt": {}}}}, "not among feature_columns"),
    "a scale of 0": ({"payload": {"scaler_params": {"sessions_cnt": {"scale": 0}}}}, "sessions_cnt.scale"),
    "bounds": ({"payload": {"outlier_params": {"sessions_cnt": {"low": 1, "high": 0}}}}, "is above high"),
    "equal ends": ({"prediction_schema": {"score_range": [1, 1]}}, "score_range: .* both ends are 1"),
    "a share": ({"alert_share": 2}, "alert_share"),
}


@pytest.mark.parametrize(("values", "fact"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_named(values: dict[str, Any], fact: str) -> None:
    with pytest.raises(SpecError, match=fact):
        checked(Inference, values, WHERE)
