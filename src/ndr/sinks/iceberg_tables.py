"""Tables of Iceberg: how they are made and grow, and how the rows of a batch replace those before."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import reduce
from typing import Any

import pyarrow as pa
from pyiceberg import expressions
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationError,
)
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import ancestors_of
from pyiceberg.transforms import DayTransform, IdentityTransform

from ndr.errors import shown
from ndr.sinks.iceberg_batches import Batch, IcebergError, Written
from ndr.sinks.iceberg_catalog import opened
from ndr.sinks.iceberg_lists import keep_null_lists
from ndr.tables.destinations import IcebergTable

_TERMS: Any = expressions  # whose constructors take more than their annotations say
_TOLD = "ndr."
"""How the names of our properties of a snapshot begin."""
_MEASURED = ("host_ip", "window_label", "baseline_horizon", "mini_batch_id", "prediction_score")
"""Columns whose bounds are kept with each file, beside those of the time and the versions: what readers look for."""
_KEPT = {
    "write.metadata.metrics.default": "none",  # the bounds of 700 columns outweigh what they save
    "commit.manifest-merge.enabled": "true",  # or each batch is one more manifest to read for ever
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}
"""Properties of a table that is made here; whoever made a table otherwise keeps what it has."""


def replace(spec: IcebergTable, batch: Batch) -> Written:
    """One try to let a table hold a batch.

    Raises:
        IcebergBusyError: another try may do better.
        IcebergError: it will not.
    """
    keep_null_lists()
    with opened(spec.catalog, spec.table) as catalog:
        table = _loaded(catalog, spec.table)
        last = _last(table, batch) if table else None
        if table and last and _same(table, last, batch):
            return Written(spec.table, int(last["snapshot"]), batch.rows.num_rows, fresh=False)
        versions = _versions(batch, last)
        if not batch.rows.num_rows and (table is None or not _count(table, batch, versions)):
            return Written(spec.table, None, 0, fresh=False)
        if table is None:
            table = _made(catalog, spec.table, batch)
        with table.transaction() as change:
            _grow(change, spec.table, batch.rows.schema)
            _overwrite(change, batch, versions)
        snapshot = table.current_snapshot()
        return Written(spec.table, snapshot.snapshot_id if snapshot else None, batch.rows.num_rows, fresh=True)


def _loaded(catalog: Catalog, name: str) -> Table | None:
    try:
        return catalog.load_table(name)
    except (NoSuchTableError, NoSuchNamespaceError):
        return None


def _made(catalog: Catalog, name: str, batch: Batch) -> Table:
    """The table, empty and partitioned, also where another run makes it at the same time."""
    measured = {batch.at, *batch.versions, *_MEASURED} & set(batch.rows.column_names)
    kept = _KEPT | {f"write.metadata.metrics.column.{column}": "full" for column in sorted(measured)}

    def make() -> Table:
        change = catalog.create_table_transaction(name, batch.rows.schema, properties=kept)
        with change.update_spec() as partitions:
            partitions.add_field(batch.at, DayTransform(), f"{batch.at}_day")
            for column in batch.versions:
                partitions.add_field(column, IdentityTransform(), column)
        return change.commit_transaction()

    try:
        try:
            return make()
        except NoSuchNamespaceError:
            with suppress(NamespaceAlreadyExistsError):
                catalog.create_namespace(name.rpartition(".")[0])
            return make()
    except TableAlreadyExistsError:
        return catalog.load_table(name)


def _grow(change: Transaction, name: str, schema: pa.Schema) -> None:
    """Add the columns that a table lacks, and widen those that are too narrow."""
    there = {field.name: _kind(field) for field in change.table_metadata.schema().as_arrow()}
    if all(there.get(field.name) == _kind(field) for field in schema):
        return  # the usual case; to look closer takes longer than to write the files
    try:
        with change.update_schema() as update:
            update.union_by_name(schema)
    except (ValidationError, ValueError) as error:
        raise IcebergError(
            f"table {name} of Iceberg cannot take these columns: {shown(str(error), 300)}. Iceberg adds columns and "
            "widens types, and no more; name another table in destination.iceberg.table."
        ) from error


def _kind(field: pa.Field) -> str:
    """The type of a column, however Arrow lays it out in memory."""
    return str(field.type).replace("large_", "").replace("<item:", "<element:")


def _overwrite(change: Transaction, batch: Batch, versions: Mapping[str, tuple[str, ...]]) -> None:
    # A batch that is written for the first time replaces nothing: no reason to warn.
    warnings.filterwarnings("ignore", "Delete operation did not match any records", UserWarning)
    change.overwrite(batch.rows, _filter(batch, versions), snapshot_properties=_told(batch, versions))


def _filter(batch: Batch, versions: Mapping[str, tuple[str, ...]]) -> expressions.BooleanExpression:
    """Which rows a batch replaces: those of its interval and its versions."""
    parts: list[expressions.BooleanExpression] = [
        _TERMS.GreaterThanOrEqual(batch.at, batch.within.start),
        _TERMS.LessThan(batch.at, batch.within.end),
        *(_TERMS.In(column, values) for column, values in versions.items() if values),
    ]
    return reduce(_TERMS.And, parts)


def _versions(batch: Batch, last: Mapping[str, str] | None) -> Mapping[str, tuple[str, ...]]:
    """The versions whose rows are replaced; a batch without rows names them no longer, so what it was says it."""
    if last is None or batch.rows.num_rows:
        return batch.versions
    before = {column: tuple(json.loads(last[_TOLD + column])) for column in batch.versions}
    return {column: values or before[column] for column, values in batch.versions.items()}


def _count(table: Table, batch: Batch, versions: Mapping[str, tuple[str, ...]]) -> int:
    """How many rows of the batch a table holds; none where nobody knows what to look for."""
    known = table.schema().column_names
    if not all(versions.values()) or not {batch.at, *versions} <= set(known):
        return 0
    return int(table.scan(_filter(batch, versions), selected_fields=(batch.at, *versions)).count())


def _told(batch: Batch, versions: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """What a snapshot says of itself."""
    return {
        **{_TOLD + name: value for name, value in batch.properties.items()},
        _TOLD + "batch": batch.name,
        _TOLD + "parts": json.dumps(dict(sorted(batch.parts.items()))),
        _TOLD + "columns": _digest(batch.rows.schema),
        _TOLD + "from": _moment(batch.within.start),
        _TOLD + "to": _moment(batch.within.end),
        **{_TOLD + column: json.dumps(values) for column, values in versions.items()},
    }


def _last(table: Table, batch: Batch) -> dict[str, Any] | None:
    """What the last snapshot says of itself that wrote rows which the batch replaces."""
    start, end = _moment(batch.within.start), _moment(batch.within.end)
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        told = dict(snapshot.summary.additional_properties) if snapshot.summary else {}
        if told.get(_TOLD + "from", end) < end and start < told.get(_TOLD + "to", start):
            before = {column: json.loads(told.get(_TOLD + column, "[]")) for column in batch.versions}
            if all(not now or set(now) & set(before[column]) for column, now in batch.versions.items()):
                return {**told, "snapshot": snapshot.snapshot_id}
    return None


def _same(table: Table, last: Mapping[str, str], batch: Batch) -> bool:
    """Whether a table still holds what a snapshot wrote, and that is the batch."""
    now = _told(batch, _versions(batch, last))
    return all(last.get(key) == value for key, value in now.items()) and (
        _count(table, batch, _versions(batch, last)) == batch.rows.num_rows
    )


def _digest(schema: pa.Schema) -> str:
    text = json.dumps(sorted((field.name, str(field.type)) for field in schema))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _moment(moment: datetime) -> str:
    """A time as text that sorts as the time does."""
    return moment.isoformat(timespec="microseconds")
