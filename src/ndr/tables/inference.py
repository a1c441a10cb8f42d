"""What scores the hosts, and how it is asked: the spec of job ``inference_predictions``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from ndr.errors import near_miss
from ndr.tables.fg_a import fg_a as fg_a_table
from ndr.tables.fg_c import fg_c as fg_c_table
from ndr.tables.previous import Place
from ndr.tables.settings import PLACE, TRANSPORT, Inert, Spec, inert, s3_folder

_TYPES = {**fg_a_table.columns, **fg_c_table.columns}
_NUMBERS = ("int", "float", "boolean")


def _numeric(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in _TYPES:
            raise ValueError(f"{name!r} is no column of fg_a or fg_c.{near_miss(name, _TYPES)}")
        if not _TYPES[name].startswith(_NUMBERS):
            raise ValueError(f"{name!r} is of type {_TYPES[name]}, and a model takes numbers")
    if len(set(names)) < len(names):
        raise ValueError("a column stands there twice")
    return names


def _folder(uri: str) -> str:
    """A prefix on S3, or a folder here; wildcards and variables would mean more than one place in a policy."""
    if uri.startswith("s3://"):
        return s3_folder(uri)
    if re.search(r"[\x00-\x1f\x7f]", uri) or "://" in uri.removeprefix("file://"):
        raise ValueError(f"{uri!r} is neither s3://bucket/folder nor a folder")
    return uri


FeatureNames = Annotated[tuple[str, ...], AfterValidator(_numeric)]
ContentType = Literal["application/json", "text/csv"]
Number = Annotated[float, Field(allow_inf_nan=False)]


class ModelChoice(Spec):
    """Which model gives the scores; where neither ``endpoint_name`` nor ``model_uri`` stands, the lake's latest."""

    endpoint_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$")
    model_uri: Annotated[str, AfterValidator(_folder)] | None = Field(
        default=None, min_length=1, max_length=1_024, description="folder of a trained model, here or on S3"
    )
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,32}$", description="else as AWS is configured here")
    model_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="else the endpoint's")
    model_version: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="kept with each prediction; else the endpoint's name",
    )
    content_type: ContentType = Field(default="application/json", description="of what the endpoint is sent")
    accept: ContentType = Field(default="application/json", description="of what the endpoint is to answer")
    timeout_seconds: float = Field(default=60.0, gt=0, le=3600, json_schema_extra=TRANSPORT)
    max_payload_mb: float = Field(default=5.0, gt=0, le=25, description="in MiB", json_schema_extra=TRANSPORT)
    max_records_per_payload: int = Field(default=200, ge=1, le=100_000, json_schema_extra=TRANSPORT)
    max_retries: int = Field(default=3, ge=0, le=20, description="after the first try", json_schema_extra=TRANSPORT)
    backoff_seconds: float = Field(
        default=1.0, ge=0, le=300, description="the longest first wait; doubled each time", json_schema_extra=TRANSPORT
    )
    max_workers: int = Field(default=1, ge=1, le=64, description="payloads under way", json_schema_extra=TRANSPORT)

    @model_validator(mode="after")
    def _one_model(self) -> ModelChoice:
        if self.endpoint_name and self.model_uri:
            raise ValueError("endpoint_name and model_uri both stand there, and one model gives the scores; drop one")
        return self


class Scale(Spec):
    """A feature is sent as (value - center) / scale."""

    center: Number = 0.0
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Bounds(Spec):
    """Where a feature is cut off, before it is scaled."""

    low: Number | None = None
    high: Number | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Bounds:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self


class Payload(Spec):
    """What a model is given."""

    feature_columns: FeatureNames = Field(
        default=(), description="columns of fg_a and fg_c, in the order in which they are sent; else those of ndr train"
    )
    scaler_params: dict[str, Scale] = Field(default_factory=dict, description="of the endpoint's features")
    outlier_params: dict[str, Bounds] = Field(default_factory=dict, description="of the endpoint's features")

    @model_validator(mode="after")
    def _of_features(self) -> Payload:
        for key in ("scaler_params", "outlier_params"):
            for name in getattr(self, key):
                if name not in self.feature_columns:
                    near = near_miss(name, self.feature_columns)
                    raise ValueError(f"{key}: {name!r} is not among feature_columns.{near}")
        return self


class PredictionSchema(Spec):
    """How an endpoint's answers are read."""

    score_column: str | None = Field(
        default=None, min_length=1,
        description="key of the score where an answer is an object; else prediction_score, score, anomaly_score, "
        "probability or prediction, whichever comes first",
    )  # fmt: skip
    label_column: str | None = Field(
        default=None, min_length=1, description="key of the label; else prediction_label, label or predicted_label"
    )
    score_range: tuple[Number, Number] = Field(
        default=(0.0, 1.0), description="the scores that mean wholly normal and wholly anomalous, made 0 and 1"
    )

    @field_validator("score_range")
    @classmethod
    def _apart(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if ends[0] == ends[1]:
            raise ValueError(f"both ends are {ends[0]}, and so are all scores between them")
        return ends


class Inference(Spec):
    """Job ``inference_predictions``."""

    model: ModelChoice = ModelChoice()
    payload: Payload = Payload()
    prediction_schema: PredictionSchema = PredictionSchema()
    alert_share: float = Field(
        default=0.0005, ge=0, le=1, allow_inf_nan=False, description="share of usual rows that are labelled anomalous"
    )
    feature_inputs: dict[str, Place] | None = inert("what is scored are the rows of fg_a and fg_c; " + PLACE)
    join_keys: tuple[str, ...] | None = inert("rows are joined by the keys of the tables")
    join_output: Inert = inert("the table prediction_feature_join holds predictions with their features")
    output: Place | None = inert(PLACE)

    @model_validator(mode="after")
    def _ordered(self) -> Inference:
        if self.model.endpoint_name and self.model.content_type == "text/csv" and not self.payload.feature_columns:
            raise ValueError("CSV knows columns by their order alone; list them in payload.feature_columns")
        return self
