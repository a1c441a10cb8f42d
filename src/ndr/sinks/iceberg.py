"""Iceberg: the rows of a batch become one commit to a table of other people, however often they are written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from random import SystemRandom
from types import MappingProxyType

import pyarrow as pa

from ndr.arrow import arrow_schema
from ndr.errors import AdapterError, DataError, DeclarationError, shown
from ndr.log import log
from ndr.sinks.iceberg_batches import Batch, IcebergBusyError, Written
from ndr.table import Columns
from ndr.tables.destinations import IcebergTable
from ndr.time import Interval

VERSIONS = ("feature_spec_version", "model_version")
"""Columns whose values say, beside the time, which rows a batch replaces."""
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Patience:
    """How often a commit is tried while others write to the same table."""

    attempts: int = 8
    pause: float = 0.2
    """Seconds that the first wait takes at most; each further one up to twice as long."""
    longest: float = 5.0
    sleep: Callable[[float], None] = time.sleep


def write(  # noqa: PLR0913 - the facts of one batch
    spec: IcebergTable, columns: Columns, rows: pa.Table, *, batch: str, parts: Mapping[str, str],
    within: Interval, at: str, properties: Mapping[str, str] = _NOTHING, patience: Patience | None = None,
) -> Written:  # fmt: skip
    """Let a table hold these rows, and no others, of the interval and of the versions that the rows have.

    ``within`` holds the values of column ``at``, half-open. A batch without rows replaces those of the versions in
    ``properties``, else those of its last snapshot. The table is made, partitioned by day and version, and gets new or
    wider columns, as needed; columns that it alone has become null. All of it is one commit of the catalog, tried
    again while others commit first; a batch whose last snapshot names the same parts is left as it is.

    Raises:
        AdapterError: PyIceberg is not installed.
        DataError: the rows are not those of the batch, or of other types than the columns.
        IcebergBusyError: another try may do better.
        IcebergError: it will not: no catalog of that name, no permission, columns that the table cannot take.
    """
    try:
        from ndr.sinks import iceberg_tables  # noqa: PLC0415 - needs an extra, and is slow to load
    except ImportError as error:
        raise AdapterError("Iceberg needs pyiceberg, which is not here; install ndr[iceberg].") from error
    given = _batch(columns, rows, batch, parts, within, at, properties)
    written = _patiently(lambda: iceberg_tables.replace(spec, given), spec.table, patience or Patience())
    log("Iceberg batch", batch=batch, **asdict(written))
    return written


def _batch(
    columns: Columns, rows: pa.Table, name: str, parts: Mapping[str, str], within: Interval, at: str,
    properties: Mapping[str, str],
) -> Batch:  # fmt: skip
    """The rows in declared order and types, after a look at whose they are."""
    needed = [at, *(version for version in VERSIONS if version in columns)]
    if at not in columns:
        raise DeclarationError(f"a table for Iceberg has no column {at!r}, which says when its rows are.")
    if set(columns) != set(rows.column_names) or rows.num_columns != len(columns):
        odd = sorted(set(columns) ^ set(rows.column_names)) or ["a column twice"]
        raise DataError(f"batch {shown(name)}: its rows have other columns than declared: {shown(', '.join(odd))}.")
    try:
        typed = rows.select(list(columns)).cast(arrow_schema(columns))
    except pa.ArrowException as error:
        raise DataError(f"batch {shown(name)}: its rows are not of the declared types: {shown(str(error))}.") from error
    for column in needed:
        if typed[column].null_count:
            raise DataError(
                f"batch {shown(name)}: {column} is null in {typed[column].null_count} rows, and may not be."
            )
    times = typed[at].unique().to_pylist()
    strays = [moment for moment in times if not within.contains(moment)]
    if strays:
        raise DataError(
            f"batch {shown(name)}: {at} is {strays[0].isoformat()} in some rows, outside {within}; "
            "the next write of the batch would not find them."
        )
    versions = {
        column: tuple(sorted({*typed[column].unique().to_pylist(), *filter(None, [properties.get(column)])}))
        for column in needed[1:]
    }
    return Batch(name, typed, at, within, versions, parts, properties)


def _patiently(attempt: Callable[[], Written], table: str, patience: Patience) -> Written:
    chance = SystemRandom()
    for tried in range(1, patience.attempts + 1):
        try:
            return attempt()
        except IcebergBusyError as error:
            if tried == patience.attempts:
                raise IcebergBusyError(
                    f"{error} Tried {tried} times; table {table} holds the batch as it was before, or whole. "
                    "Run the same command again later."
                ) from error.__cause__
            reason = str(error)
        wait = chance.uniform(0, min(patience.pause * 2 ** (tried - 1), patience.longest))
        log("Iceberg asked again", table=table, reason=reason, wait=wait)
        patience.sleep(wait)
    raise IcebergBusyError(f"table {table} of Iceberg was not tried: attempts is {patience.attempts}.")
