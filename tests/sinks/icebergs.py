"""A catalog of Iceberg in a file, or with its files on S3, and small batches for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog, load_catalog

from ndr.arrow import arrow_schema
from ndr.features.suspicion import DEVIATION
from ndr.sinks import iceberg
from ndr.sinks.iceberg_batches import Written
from ndr.tables.destinations import IcebergTable
from ndr.time import SLICE, Interval

SPEC = IcebergTable(catalog="here", table="soc.joined")
T = datetime(2026, 3, 2, 10, 15)
COLUMNS = {
    "host_ip": "string",
    "window_end_ts": "timestamp(6)",
    "sessions_cnt": "int32",
    "prediction_score": "float64",
    "is_cold_start": "boolean",
    "top_deviations": DEVIATION,
    "feature_spec_version": "string",
    "model_version": "string",
}


def configuration(folder: Path, **more: str) -> dict[str, str]:
    """Variables for a catalog whose table of tables is a file in the folder."""
    told = {"TYPE": "sql", "URI": f"sqlite:///{folder}/catalog.db", "WAREHOUSE": f"file://{folder}/warehouse", **more}
    return {f"PYICEBERG_CATALOG__HERE__{key}": value for key, value in told.items()}


def configured(patch: pytest.MonkeyPatch, folder: Path, **more: str) -> None:
    patch.setenv("PYICEBERG_HOME", str(folder))
    for key, value in configuration(folder, **more).items():
        patch.setenv(key, value)


@contextmanager
def catalog() -> Iterator[Catalog]:
    from ndr.sinks.iceberg_catalog import properties  # noqa: PLC0415 - loads PyIceberg

    with closing(load_catalog("here", **properties("here"))) as opened:
        yield opened


def stored(
    order: tuple[str, ...] = ("window_end_ts", "host_ip", "model_version"), spec: IcebergTable = SPEC
) -> pa.Table:
    """All rows of the table, in order."""
    with catalog() as opened:
        return opened.load_table(spec.table).scan().to_arrow().sort_by([(name, "ascending") for name in order])


def history(spec: IcebergTable = SPEC) -> list[Mapping[str, str]]:
    """What the snapshots say of themselves, first to last."""
    with catalog() as opened:
        return [dict(each.summary.additional_properties) for each in opened.load_table(spec.table).snapshots()]


def rows(*hosts: str, at: datetime = T, columns: Mapping[str, str] = COLUMNS, **same: Any) -> pa.Table:
    """One row per host, which differ in all columns."""
    told = [
        {
            "host_ip": host,
            "window_end_ts": at,
            "sessions_cnt": 7 * number,
            "prediction_score": number / 3,
            "is_cold_start": bool(number % 2),
            "top_deviations": [{"metric": "deny_cnt", "z": 1.5, "value": 3.0, "baseline": None, "source": "host"}],
            "feature_spec_version": "1.10",
            "model_version": "forest-1",
            **same,
        }
        for number, host in enumerate(hosts)
    ]
    return pa.Table.from_pylist(told, schema=arrow_schema(columns))


def put(
    given: pa.Table, *, at: datetime = T, part: str = "p1", columns: Mapping[str, str] = COLUMNS, **more: Any
) -> Written:
    """Write a batch, whose one part has this id."""
    told: dict[str, Any] = {
        "batch": f"mb-{at:%H%M}", "parts": {"joined": part}, "within": Interval(at, at + SLICE), "at": "window_end_ts",
    }  # fmt: skip
    return iceberg.write(more.pop("spec", SPEC), columns, given, **{**told, **more})


def later(quarters: int) -> datetime:
    return T + quarters * timedelta(minutes=15)
