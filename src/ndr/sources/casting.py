"""From text to numbers and times, column by column: Arrow casts the plain columns, DuckDB the others."""

from __future__ import annotations

import contextlib
import functools

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ndr.sources.source import SourceSpec

NUMBERS = ("source_port", "destination_port", "source_bytes", "destination_bytes", "source_packets",
            "destination_packets", "repeat_cnt")  # fmt: skip


@functools.cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def query(sql: str, **tables: pa.Table) -> pa.Table:
    """The result of one query over Arrow tables, in their row order where the query keeps it; times are UTC."""
    cursor = _duckdb().cursor()
    try:
        cursor.execute("SET TimeZone = 'UTC'")
        for name, table in tables.items():
            cursor.register(name, table)
        return cursor.execute(sql).to_arrow_table()
    finally:
        cursor.close()


@functools.cache
def time_zones() -> frozenset[str]:
    """The names of all time zones."""
    return frozenset(query("SELECT name FROM pg_timezone_names()")["name"].to_pylist())


def present(draft: pa.Table, name: str) -> pa.Array:
    """The column as one array; all null where the format has none."""
    if name not in draft.column_names:
        return pa.nulls(len(draft), pa.string())
    column = draft[name].combine_chunks()
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _time_sql(name: str, zone: str) -> str:
    """Microseconds since 1970 UTC out of text: ISO with or without a zone, or an epoch in s, ms, us or ns.

    DuckDB's cast to TIMESTAMP ignores an offset, so times with one take the slower cast to TIMESTAMPTZ.
    """
    zoned = f"epoch_us(TRY_CAST({name} AS TIMESTAMPTZ))"
    naive = f"epoch_us(TRY_CAST({name} AS TIMESTAMP))"
    local = naive if zone == "UTC" else f"epoch_us(timezone('{zone}', TRY_CAST({name} AS TIMESTAMP)))"
    seconds = f"TRY_CAST({name} AS DECIMAL(28, 6))"
    wide = f"TRY_CAST({name} AS DECIMAL(38, 9))"
    return f"""CASE
      WHEN {name} IS NULL THEN NULL
      WHEN suffix({name}, 'Z') THEN {naive}
      WHEN substr({name}, 5, 1) IN ('-', '/') AND contains({name}, ':') THEN CASE
        WHEN regexp_matches({name}, ':[0-9.:]+ ?[-+A-Za-z]') THEN {zoned}
        ELSE {local} END
      WHEN abs({seconds}) < 1e11 THEN TRY_CAST({seconds} * 1000000 AS BIGINT)
      WHEN abs({wide}) < 1e14 THEN TRY_CAST({wide} * 1000 AS BIGINT)
      WHEN abs({wide}) < 1e17 THEN TRY_CAST({wide} AS BIGINT)
      WHEN abs({wide}) < 1e20 THEN TRY_CAST({wide} / 1000 AS BIGINT)
      END"""


def cast_columns(draft: pa.Table, spec: SourceSpec) -> pa.Table:
    """Every column of numbers or times as int64 (times and lengths in microseconds), null where the text is none.

    Columns whose every value is plain are cast by Arrow, which knows no other; the rest value by value in DuckDB.
    """
    zone = spec.time_zone
    parts = {
        "event_start": _time_sql("event_start", zone),
        "event_end": _time_sql("event_end", zone),
        "duration": "TRY_CAST(TRY_CAST(duration AS DECIMAL(28, 6)) * 1000000 AS BIGINT)",
        **{name: f"TRY_CAST({name} AS BIGINT)" for name in NUMBERS},
    }
    columns: dict[str, pa.Array] = {}
    for name in parts:
        column = present(draft, name)
        kinds = [pa.int64()] if name in NUMBERS else _PLAIN_TIMES[: 2 if zone == "UTC" else 1]
        columns[name] = _plainly(column, kinds if name != "duration" else [])
    slow = [name for name, column in columns.items() if column is None]
    if slow:
        sql = ", ".join(f"{parts[name]} AS {name}" for name in slow)
        done = query(f"SELECT {sql} FROM draft", draft=draft.select(slow))  # noqa: S608 - our own names
        columns |= {name: done[name].combine_chunks() for name in slow}
    return pa.table(columns)


_PLAIN_TIMES = [pa.timestamp("us", "UTC"), pa.timestamp("us")]


def _plainly(column: pa.Array, kinds: list[pa.DataType]) -> pa.Array | None:
    """The column as int64 if every value is written as one of these kinds (tried in turn), else None."""
    if column.null_count == len(column):
        return pa.nulls(len(column), pa.int64())
    times = kinds and pa.types.is_timestamp(kinds[0])
    if times and pc.min(pc.binary_length(column)).as_py() <= len("2026-03-01"):
        return None  # a date alone is no time
    for kind in kinds:
        with contextlib.suppress(pa.ArrowInvalid):
            return column.cast(kind).cast(pa.int64())
    return None
