"""Records of the Feature Store: one for each row of a table, its values as text, what is unknown left out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ndr.errors import DataError, DeclarationError, shown
from ndr.table import Table

LARGEST = 350 << 10
"""Bytes of the names and values of a record that the service takes."""
MOST_FEATURES = 2_500
RESERVED = frozenset(("write_time", "api_invocation_time", "is_deleted"))
"""Columns that the offline store has beside the features."""
_TOLD = ("host_ip", "window_label", "window_end_ts")
"""The keys that ``record_id`` is made of."""
_RECORD_ID, _RECORD_KEY = "record_id", "record_key"
_AT_ONCE = 512
"""Rows whose values are held as text at a time."""


@dataclass(frozen=True)
class Shape:
    """What the records of a table look like."""

    table: Table
    identifier: str
    """The feature that tells a record from all others."""
    event_time: str
    features: Mapping[str, str]
    """Feature -> Integral, Fractional or String."""
    beyond: tuple[str, ...]
    """The keys of the table that the identifier tells beside ``record_id``."""
    apart: tuple[str, ...]
    """Columns that must hold one value in all rows that are sent: the keys do not tell them apart."""


@dataclass(frozen=True)
class Record:
    """One row as the service takes it."""

    group: str
    identifier: str
    event_time: str
    values: tuple[tuple[str, str], ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """What no two records share."""
        return (self.group, self.identifier, self.event_time)

    @property
    def size(self) -> int:
        """Bytes of names and values."""
        return sum(len(name) + len(value.encode()) for name, value in self.values)

    def wire(self) -> list[dict[str, str]]:
        """The form in which calls have it."""
        return [{"FeatureName": name, "ValueAsString": value} for name, value in self.values]


def shape_of(table: Table) -> Shape:
    """The records of a table, as its declaration has them.

    They are told apart by all of the table's keys: where ``record_id`` does not hold them all, ``record_key`` does.

    Raises:
        DeclarationError: rows of the table cannot be records.
    """
    missing = {_RECORD_ID, *_TOLD} - set(table.columns)
    if missing or not set(_TOLD) <= set(table.keys) or RESERVED & set(table.columns):
        raise DeclarationError(f"table {table.name}: its rows have no {_RECORD_ID} that could be a record's.")
    beyond = tuple(key for key in table.keys if key not in _TOLD)
    identifier = _RECORD_KEY if beyond else _RECORD_ID
    features = {**({_RECORD_KEY: "String"} if beyond else {}), **{c: _type(d) for c, d in table.columns.items()}}
    if len(features) > MOST_FEATURES:
        raise DeclarationError(
            f"table {table.name}: {len(features)} columns, and a record has {MOST_FEATURES} at most."
        )
    apart = tuple(c for c in table.partitions if c in table.columns and c not in table.keys)
    return Shape(table, identifier, table.at, features, beyond, apart)


def _type(dtype: str) -> str:
    if dtype.startswith("int") or dtype == "boolean":
        return "Integral"
    return "Fractional" if dtype.startswith("float") else "String"


def texts(shape: Shape, rows: pa.RecordBatch) -> dict[str, pa.Array]:
    """Every feature of some rows as text; null for what is unknown, no finite number, or empty text.

    Raises:
        DataError: a row says not what it is about, or when.
    """
    found = {name: _text(rows.column(name)) for name in shape.features if name in shape.table.columns}
    if shape.beyond:
        parts = [found[_RECORD_ID], *(found[key] for key in shape.beyond)]
        found = {_RECORD_KEY: pc.binary_join_element_wise(*parts, "|"), **found}
    for name in (shape.identifier, shape.event_time):
        if found[name].null_count:
            raise DataError(
                f"table {shape.table.name}: {found[name].null_count} rows have no {name}, so they can be no records; "
                f"make them again with ndr build {shape.table.name}."
            )
    return found


def _text(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind)).cast(pa.string())
    if pa.types.is_timestamp(kind):
        return _moments(column)
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8()).cast(pa.string())
    if pa.types.is_nested(kind):
        return pa.array([None if v is None else _json(v) for v in column.to_pylist()], pa.string())
    text = column.cast(pa.string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _moments(column: pa.Array) -> pa.Array:
    """ISO 8601 with Z, to the second, or to the millisecond where there is more."""
    seconds = column.cast(pa.timestamp("s"), safe=False)
    whole = pc.all(pc.equal(seconds.cast(column.type), column)).as_py() in {True, None}
    moments = seconds if whole else column.cast(pa.timestamp("ms"), safe=False)
    return pc.strftime(moments, format="%Y-%m-%dT%H:%M:%SZ")


def _json(value: Any) -> str:
    return json.dumps(_finite(value), separators=(",", ":"), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list) else value


def records(shape: Shape, group: str, rows: Iterable[pa.RecordBatch]) -> Iterator[Record]:
    """A record for each row.

    Raises:
        DataError: rows are of several versions or models, or one says not what it is about.
    """
    told: dict[str, str] = {}
    for batch in rows:
        for start in range(0, batch.num_rows, _AT_ONCE):
            piece = batch.slice(start, _AT_ONCE)
            check_one(shape, piece, told)
            yield from _records(shape, group, texts(shape, piece))


def check_one(shape: Shape, rows: pa.RecordBatch, told: dict[str, str]) -> None:
    """See that the rows are of one version and one model: of several, one record would take the place of another.

    Raises:
        DataError: they are not.
    """
    for name in shape.apart:
        known = {told[name]} if name in told else set()
        values = known | {str(each) for each in pc.unique(rows.column(name)).to_pylist()}
        if len(values) > 1:
            raise DataError(
                f"table {shape.table.name}: rows with {name} {' and '.join(shown(v, 40) for v in sorted(values)[:2])} "
                "would be the same records; send those of one at a time, to feature groups of their own."
            )
        told.update((name, value) for value in values)


def _records(shape: Shape, group: str, found: Mapping[str, pa.Array]) -> Iterator[Record]:
    names = tuple(found)
    columns = [column.to_pylist() for column in found.values()]
    identifier, moment = names.index(shape.identifier), names.index(shape.event_time)
    for values in zip(*columns, strict=True):
        kept = tuple((name, value) for name, value in zip(names, values, strict=True) if value is not None)
        yield Record(group, values[identifier], values[moment], kept)
