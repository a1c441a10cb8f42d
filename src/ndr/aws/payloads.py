"""Payloads: rows of the matrix as the bodies that an endpoint is sent, each record written once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ndr.errors import DataError, SpecError
from ndr.tables.inference import Bounds, ModelChoice, Payload, Scale

_ENVELOPES = {"application/json": (b'{"instances":[', b",", b"]}"), "text/csv": (b"", b"\n", b"")}
"""Content type -> what stands before, between and after the records."""

_AT_ONCE = 1 << 12
"""Rows whose numbers are held as such at a time: they take thirty times what columns of them take."""


@dataclass(frozen=True)
class Parcel:
    """The body of one call, and how many records it holds."""

    body: bytes
    count: int


def parcels(records: Iterable[bytes], model: ModelChoice) -> Iterator[Parcel]:
    """The records in their order, as many to a body as its bytes and their number allow; no records give no body.

    Raises:
        SpecError: a record is larger than a body may be.
    """
    head, between, tail = _ENVELOPES[model.content_type]
    limit, frame = int(model.max_payload_mb * (1 << 20)), len(head) + len(tail)
    kept: list[bytes] = []
    size = frame
    for record in records:
        if frame + len(record) > limit:
            raise SpecError(
                f"a row makes a payload of {frame + len(record):,} bytes alone, and model.max_payload_mb "
                f"({model.max_payload_mb:g}) allows {limit:,}; raise it, or list fewer payload.feature_columns."
            )
        added = len(record) + (len(between) if kept else 0)
        if kept and (len(kept) == model.max_records_per_payload or size + added > limit):
            yield Parcel(head + between.join(kept) + tail, len(kept))
            kept, size, added = [], frame, len(record)
        kept.append(record)
        size += added
    if kept:
        yield Parcel(head + between.join(kept) + tail, len(kept))


def records(rows: pa.RecordBatch, features: Sequence[str], payload: Payload, content_type: str) -> Iterator[bytes]:
    """Each row as an endpoint reads it: an object of its features in JSON, a line of them in CSV.

    What is unknown, not a number or infinite is null, in CSV an empty field.

    Raises:
        DataError: a feature is no column of the rows, or holds no numbers.
    """
    for start in range(0, rows.num_rows, _AT_ONCE):
        yield from _written(rows.slice(start, _AT_ONCE), features, payload, content_type)


def _written(rows: pa.RecordBatch, features: Sequence[str], payload: Payload, content_type: str) -> Iterator[bytes]:
    columns = [
        _numbers(_column(rows, name), payload.scaler_params.get(name), payload.outlier_params.get(name))
        for name in features
    ]
    for values in zip(*columns, strict=True):
        if content_type == "text/csv":
            # A line that is wholly empty would be skipped; quoted it is a record.
            line = ",".join("" if value is None else repr(value) for value in values) or '""'
        else:
            named = dict(zip(features, values, strict=True))
            line = json.dumps(named, allow_nan=False, separators=(",", ":"))
        yield line.encode()


def _column(rows: pa.RecordBatch, name: str) -> pa.Array:
    if name not in rows.schema.names:
        raise DataError(f"the rows to score have no column {name!r}, which payload.feature_columns lists.")
    column = rows.column(name)
    kind = column.type
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8())
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f"the column {name!r} is of type {kind}, and an endpoint is sent numbers.")
    return column


def _numbers(column: pa.Array, scale: Scale | None, bounds: Bounds | None) -> list[Any]:
    """The values cut off, then scaled; None for what is no finite number."""
    if pa.types.is_integer(column.type) and not scale and not bounds:
        known: list[Any] = column.to_pylist()
        return known
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", invalid="ignore"):
        if bounds:
            low = -np.inf if bounds.low is None else bounds.low
            high = np.inf if bounds.high is None else bounds.high
            values = np.clip(values, low, high)
        if scale:
            values = (values - scale.center) / scale.scale
    finite: list[Any] = pa.array(values, mask=~np.isfinite(values)).to_pylist()
    return finite
