"""Predictions joined with the features that they are about, for those who want one table."""

from __future__ import annotations

from typing import Literal

import ibis.expr.types as ir
from pydantic import Field, model_validator

from ndr.table import table
from ndr.tables.destinations import IcebergTable, RedshiftTable, S3Place
from ndr.tables.fg_a import fg_a as fg_a_table
from ndr.tables.fg_c import fg_c as fg_c_table
from ndr.tables.predictions import predictions as predictions_table
from ndr.tables.settings import TRANSPORT, Settings, Spec
from ndr.time import SLICE

_KEYS = ("host_ip", "window_label", "window_end_ts")


class Destination(Spec):
    """Where joined predictions go besides the lake."""

    type: Literal["s3", "redshift", "iceberg"] = "s3"
    s3: S3Place | None = None
    redshift: RedshiftTable | None = None
    iceberg: IcebergTable | None = None

    @model_validator(mode="after")
    def _told(self) -> Destination:
        if self.type != "s3" and getattr(self, self.type) is None:
            raise ValueError(f"type is {self.type}, and there is no key {self.type} that says where")
        return self


class Join(Spec):
    """Job ``prediction_feature_join``."""

    destination: Destination = Field(
        default=Destination(), description="the lake itself, as Parquet, is always one", json_schema_extra=TRANSPORT
    )


_OWN = dict(predictions_table.columns)
_BEHAVIOUR = {name: dtype for name, dtype in fg_a_table.columns.items() if name not in _OWN}
_DEVIATIONS = {name: d for name, d in fg_c_table.columns.items() if name not in {*_OWN, *_BEHAVIOUR}}


@table(
    keys=_KEYS,
    columns={**_OWN, **_BEHAVIOUR, **_DEVIATIONS},
    every=SLICE,
    at="window_end_ts",
    at_end=True,
    reads={
        "predictions": predictions_table.now(needed=True),
        "fg_a": fg_a_table.now(needed=True),
        "fg_c": fg_c_table.now(needed=True),
    },
    spec=Join,
    partitions=("feature_spec_version", "dt", "model_version"),
    job="prediction_feature_join",
    by_model=True,
)
def prediction_feature_join(
    predictions: ir.Table, fg_a: ir.Table, fg_c: ir.Table, *, spec: Join, settings: Settings, version: str
) -> ir.Table:
    """One row per prediction, with all of FG-A and of FG-C at the horizon that was scored.

    Joined by host, window, window end and feature spec version; all columns mean what they mean in those tables.
    """
    del spec, settings, version
    rows = predictions
    for told, columns, keys in (
        (fg_a, _BEHAVIOUR, _KEYS),
        (fg_c, _DEVIATIONS, (*_KEYS, "baseline_horizon")),
    ):
        beside = told.select(*columns, **{f"of_{key}": told[key] for key in keys})
        joined = rows.inner_join(beside, [rows[key] == beside[f"of_{key}"] for key in keys])
        rows = joined.drop(*(f"of_{key}" for key in keys))
    return rows
