"""SQL of Redshift on a real PostgreSQL: what both know runs there, COPY and UNLOAD of Parquet are done here with S3."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

SETUP = (
    "CREATE DOMAIN public.super AS jsonb",
    (
        "CREATE VIEW public.svv_columns AS SELECT CAST(table_schema AS varchar) AS table_schema, "
        "CAST(table_name AS varchar) AS table_name, CAST(column_name AS varchar) AS column_name, ordinal_position, "
        "CAST(data_type AS varchar) AS data_type, "
        "CAST(character_maximum_length AS integer) AS character_maximum_length FROM information_schema.columns"
    ),
    "CREATE FUNCTION public.serialized(jsonb) RETURNS varchar LANGUAGE sql AS 'SELECT CAST($1 AS varchar)'",
)
"""What Redshift has and PostgreSQL has not."""
_UNKNOWN = re.compile(
    r"\b(on conflict|returning|add column if not exists|distinct on|create (unique )?index|lateral|jsonb|ilike any"
    r"|generate_series|array_agg|string_agg|create temp(orary)? view)\b|[^:]::\w+\[\]",
    re.IGNORECASE,
)
"""What PostgreSQL knows and Redshift does not."""
_NAME = r'"[^"]+"(?:\."[^"]+")?'
_ROLE = r"iam_role\s+'arn:aws:iam::\d{12}:role/[^']+'\s+format\s+as\s+parquet"
_COPY = re.compile(
    rf"copy\s+(?P<table>{_NAME})\s+from\s+'(?P<place>s3://[^']+)'\s+{_ROLE}"
    r"(?P<options>(\s+(manifest|serializetojson|fillrecord|acceptinvchars|statupdate\s+(on|off)))*)",
    re.IGNORECASE,
)
_UNLOAD = re.compile(
    rf"unload\s*\('(?P<query>(?:[^']|'')+)'\)\s+to\s+'(?P<place>s3://[^']+)'\s+{_ROLE}"
    r"(?P<options>(\s+(parallel\s+(on|off)|manifest\s+verbose|manifest|allowoverwrite|cleanpath))*)",
    re.IGNORECASE,
)
_LOADED = {
    "integer": pa.int32(), "bigint": pa.int64(), "double precision": pa.float64(), "boolean": pa.bool_(),
    "timestamp without time zone": pa.timestamp("us"), "date": pa.date32(),
}  # fmt: skip
_WRITTEN = {
    16: pa.bool_(), 20: pa.int64(), 21: pa.int16(), 23: pa.int32(), 25: pa.string(), 701: pa.float64(),
    1043: pa.string(), 1082: pa.date32(), 1114: pa.timestamp("us"),
}  # fmt: skip


class RefusedError(Exception):
    """The database says no, in these words."""


@dataclass(frozen=True)
class Result:
    """What came of a statement."""

    count: int
    columns: Sequence[tuple[str, int]] = ()
    rows: Sequence[Sequence[Any]] = field(default_factory=list)


def execute(connection: Any, s3: Any, sql: str) -> Result:
    """Run one statement.

    Raises:
        RefusedError: the statement is none of Redshift's, or a file is not as COPY or UNLOAD want it.
    """
    start = sql.lstrip().lower()
    if found := _UNKNOWN.search(sql):
        raise RefusedError(f'syntax error at or near "{found[0]}"')
    if start.startswith("copy"):
        return _copied(connection, s3, sql.strip())
    if start.startswith("unload"):
        return _unloaded(connection, s3, sql.strip())
    return _ran(connection, sql)


def _ran(connection: Any, sql: str) -> Result:
    rows = connection.run(sql.replace("JSON_SERIALIZE(", "serialized("))  # PostgreSQL has another one of that name
    columns = [(each["name"], each["type_oid"]) for each in connection.columns or []]
    return Result(connection.row_count if connection.row_count is not None else -1, columns, rows or [])


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _copied(connection: Any, s3: Any, sql: str) -> Result:
    asked = _COPY.fullmatch(sql)
    if not asked:
        raise RefusedError(f"syntax error in {sql[:200]}")
    options = asked["options"].lower().split()
    found = connection.run(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "  # noqa: S608 - the statement is a test's
        f"WHERE attrelid = '{asked['table']}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    count = 0
    for uri, body in _bodies(s3, asked["place"], manifest="manifest" in options):
        rows = _fitting(pq.read_table(io.BytesIO(body)), found, uri, nested="serializetojson" in options)
        text = io.BytesIO()
        pa_csv.write_csv(rows, text, pa_csv.WriteOptions(include_header=False))
        text.seek(0)
        connection.run(f"COPY {asked['table']} FROM STDIN WITH (FORMAT csv)", stream=text)
        count += rows.num_rows
    return Result(count)


def _bodies(s3: Any, place: str, *, manifest: bool) -> list[tuple[str, bytes]]:
    """The files of a COPY: those that a manifest names, else all whose keys begin so."""
    bucket, key = _place(place)
    if not manifest:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        if not keys:
            raise RefusedError(f"The specified S3 prefix '{key}' does not exist")
        return [(f"s3://{bucket}/{key}", s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
    found = []
    for entry in json.loads(_read(s3, bucket, key))["entries"]:
        body = _read(s3, *_place(entry["url"]))
        if entry["meta"]["content_length"] != len(body):
            raise RefusedError(f"Spectrum Scan Error: {entry['url']} is not as long as the manifest says")
        found.append((entry["url"], body))
    return found


def _read(s3: Any, bucket: str, key: str) -> bytes:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow to load

    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise RefusedError(f"S3ServiceException:{code},Status {code},key {key}") from error
    return body


def _fitting(rows: pa.Table, columns: Sequence[Sequence[str]], uri: str, *, nested: bool) -> pa.Table:
    """Rows as they may be written to columns, by place: as many, of the same types, and no text too long."""
    if len(columns) != rows.num_columns:
        raise RefusedError(
            "Unmatched number of columns between table and file. "
            f"Table columns: {len(columns)}, Data columns: {rows.num_columns}, File name: {uri}"
        )
    arrays = []
    for (name, dtype), array in zip(columns, rows.columns, strict=True):
        length = re.fullmatch(r"character varying\((\d+)\)", dtype)
        if length and pa.types.is_string(array.type):
            if (pc.max(pc.binary_length(array)).as_py() or 0) > int(length[1]):
                raise RefusedError(
                    f"The length of the data column {name} is longer than the length defined in the table"
                )
            arrays.append(array)
        elif dtype.endswith("super") and pa.types.is_nested(array.type) and nested:
            arrays.append(pa.array([None if v is None else json.dumps(v) for v in array.to_pylist()], pa.string()))
        elif _LOADED.get(dtype) == array.type:
            arrays.append(array)
        else:
            raise RefusedError(
                f"Spectrum Scan Error: File '{uri}' has an incompatible Parquet schema for column '{name}'. "
                f"Column type: {dtype}, Parquet schema: {array.type}"
            )
    return pa.Table.from_arrays(arrays, [name for name, _ in columns])


def _unloaded(connection: Any, s3: Any, sql: str) -> Result:
    asked = _UNLOAD.fullmatch(sql)
    query = asked["query"].replace("''", "'") if asked else ""
    if not asked or not re.match(r"\s*(select|with)\b", query, re.IGNORECASE):
        raise RefusedError(f"syntax error in {sql[:200]}")
    options = " ".join(asked["options"].lower().split())
    bucket, prefix = _place(asked["place"])
    if "allowoverwrite" not in options and s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("KeyCount"):
        raise RefusedError(
            "Specified unload destination on S3 is not empty. Consider using a different bucket / prefix"
        )
    got = _ran(connection, query)
    schema = pa.schema([(name.lower(), _WRITTEN[oid]) for name, oid in got.columns])
    whole = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in got.rows], schema)
    half = (whole.num_rows + 1) // 2
    parts = {"000": whole} if "parallel off" in options else {
        "0000_part_00": whole.slice(0, half), "0001_part_00": whole.slice(half)
    }  # fmt: skip
    entries = []
    for name, rows in parts.items():
        file = io.BytesIO()
        pq.write_table(rows, file)
        s3.put_object(Bucket=bucket, Key=f"{prefix}{name}.parquet", Body=file.getvalue())
        meta = {"content_length": file.tell(), "record_count": rows.num_rows}
        entries.append({"url": f"s3://{bucket}/{prefix}{name}.parquet", "meta": meta})
    if "manifest" in options:
        s3.put_object(Bucket=bucket, Key=f"{prefix}manifest", Body=_manifest(entries, schema, "verbose" in options))
    return Result(whole.num_rows)


def _manifest(entries: list[dict[str, Any]], schema: pa.Schema, verbose: bool) -> bytes:  # noqa: FBT001 - an option of UNLOAD
    if not verbose:
        return json.dumps(
            {"entries": [entry | {"meta": {"content_length": entry["meta"]["content_length"]}} for entry in entries]}
        ).encode()
    total = {name: sum(entry["meta"][name] for entry in entries) for name in ("content_length", "record_count")}
    elements = [{"name": each.name, "type": {"base": "character varying"}} for each in schema]
    author = {"name": "Amazon Redshift", "version": "1.0.0"}
    return json.dumps({"entries": entries, "schema": {"elements": elements}, "meta": total, "author": author}).encode()
