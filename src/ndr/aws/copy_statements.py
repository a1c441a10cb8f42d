"""The statements by which rows of Parquet files replace those of a table of Redshift.

Names come from declarations and are checked once more where they are quoted; values stand in quotes of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from ndr.errors import DataError
from ndr.sql import name, text
from ndr.table import Columns

SUPER, TEXT = "SUPER", "VARCHAR(65535)"
KEPT = 4_096
"""Bytes of a text in tables that are made here; a warehouse plans by what is declared, not by what is held."""
_TYPES = {
    "boolean": "BOOLEAN", "int32": "INTEGER", "int64": "BIGINT", "float64": "DOUBLE PRECISION",
    "timestamp(6)": "TIMESTAMP", "date": "DATE",
}  # fmt: skip
_FILED = {
    pa.bool_(): "BOOLEAN", pa.int16(): "SMALLINT", pa.int32(): "INTEGER", pa.int64(): "BIGINT",
    pa.float32(): "REAL", pa.float64(): "DOUBLE PRECISION", pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("ms"): "TIMESTAMP", pa.date32(): "DATE", pa.string(): TEXT, pa.large_string(): TEXT,
}  # fmt: skip


class Held(NamedTuple):
    """A column as the table of the destination has it: its type, and how long its texts may be."""

    type: str
    length: int | None


def declared(dtype: str, length: int = 65_535) -> str:
    """A declared type as Redshift's; lists and structs are SUPER, which holds JSON.

    >>> declared("int64"), declared("string", 10), declared("array<struct<a: string>>")
    ('BIGINT', 'VARCHAR(10)', 'SUPER')
    """
    if dtype.startswith(("array", "struct", "map")):
        return SUPER
    return _TYPES.get(dtype, f"VARCHAR({length})")


def filed(field: pa.Field, uri: str) -> str:
    """The type of a column that takes what a file holds.

    Raises:
        DataError: none does.
    """
    if pa.types.is_nested(field.type):
        return SUPER
    if field.type not in _FILED:
        raise DataError(f"{uri}: column {field.name} is of type {field.type}, which is not loaded into Redshift.")
    return _FILED[field.type]


def created(table: str, types: Mapping[str, str], *, temporary: bool = False) -> str:
    """CREATE TABLE with columns of these types."""
    kind = "CREATE TEMPORARY TABLE" if temporary else "CREATE TABLE IF NOT EXISTS"
    return f"{kind} {table} ({', '.join(f'{name(column)} {dtype}' for column, dtype in types.items())})"


def target_types(columns: Columns, partitions: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """The columns of a table that is made for rows: those that are declared, then those of paths."""
    every = dict(columns) | {each: "string" for each in partitions if each not in columns}
    return {column: declared(dtype, 256 if column in keys else KEPT) for column, dtype in every.items()}


def columns_of(schema: str, table: str) -> str:
    """The SELECT of what columns a table has; none where there is no such table."""
    return (
        "SELECT column_name, data_type, character_maximum_length FROM svv_columns "  # noqa: S608 - texts in quotes
        f"WHERE table_schema = {text(schema.lower())} AND table_name = {text(table.lower())}"
    )


def copied(table: str, manifest: str, role: str, options: str, *, nested: bool) -> str:
    """COPY of the Parquet files that a manifest lists; nested columns become JSON."""
    more = f"{' SERIALIZETOJSON' if nested else ''}{f' {options}' if options else ''}"
    return f"COPY {table} FROM {text(manifest)} IAM_ROLE {text(role)} FORMAT AS PARQUET MANIFEST{more}"


def gathered(stage: str, raw: str, columns: Sequence[str], values: Mapping[str, str]) -> str:
    """INSERT of the rows of files of one partition, with the values that only their path tells."""
    names = ", ".join(name(each) for each in (*columns, *values))
    told = ", ".join((*map(name, columns), *(f"CAST({text(value)} AS {TEXT})" for value in values.values())))
    return f"INSERT INTO {stage} ({names}) SELECT {told} FROM {raw}"  # noqa: S608 - names and texts in quotes


def keyed(table: str, stage: str, keys: Sequence[str]) -> str:
    """CREATE TABLE of the keys of the rows that replace others."""
    names = ", ".join(map(name, keys))
    return f"CREATE TEMPORARY TABLE {table} AS SELECT DISTINCT {names} FROM {stage}"  # noqa: S608 - names in quotes


def key_named(table: str, types: Mapping[str, str], values: Mapping[str, str]) -> str:
    """INSERT of one key, of rows that are to go and have none in their place."""
    told = ", ".join(f"CAST({text(values[key])} AS {dtype})" for key, dtype in types.items())
    return f"INSERT INTO {table} ({', '.join(map(name, types))}) VALUES ({told})"  # noqa: S608 - names and texts in quotes


def counted(stage: str, keys: Sequence[str]) -> str:
    """The SELECT of how many rows there are, and of how many some part of the key is unknown."""
    unknown = " OR ".join(f"{name(key)} IS NULL" for key in keys)
    return f"SELECT COUNT(*), COUNT(CASE WHEN {unknown} THEN 1 END) FROM {stage}"  # noqa: S608 - names in quotes


def deleted(schema: str, table: str, keyed_by: str, keys: Sequence[str]) -> str:
    """DELETE of the rows that have one of the keys."""
    same = " AND ".join(f"{name(table, key)} = {keyed_by}.{name(key)}" for key in keys)
    return f"DELETE FROM {name(schema, table)} USING {keyed_by} WHERE {same}"  # noqa: S608 - names in quotes


def inserted(target: str, stage: str, types: Mapping[str, str], held: Mapping[str, Held], keys: Sequence[str]) -> str:
    """INSERT of all rows, each value as the column of the destination takes it."""
    told = ", ".join(
        _as_held(column, dtype, held.get(column.lower()), column in keys) for column, dtype in types.items()
    )
    return f"INSERT INTO {target} ({', '.join(map(name, types))}) SELECT {told} FROM {stage}"  # noqa: S608 - names in quotes


def _as_held(column: str, dtype: str, held: Held | None, key: bool) -> str:  # noqa: FBT001 - one fact of a column
    """A column as an expression: JSON as text where texts are held, and a text no longer than may be, but for keys."""
    quoted = name(column)
    theirs = held.type.lower() if held else dtype.lower()
    textual = theirs.startswith(("character", "varchar", "char", "text"))
    if dtype == SUPER and textual:
        quoted = f"JSON_SERIALIZE({quoted})"
    elif dtype == TEXT and theirs == "date":
        return f"CAST({quoted} AS DATE)"
    elif dtype != TEXT:
        return quoted
    short = textual and held and held.length and held.length < 65_535 and not key  # noqa: PLR2004 - the longest
    return f"CAST({quoted} AS VARCHAR({held.length}))" if short and held else quoted
