"""A Redshift that runs here on a real PostgreSQL, and what tests keep in it."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from standins import s3 as s3_server
from standins.postgres import Postgres
from standins.redshift import Redshift, redshift

ROLE = "arn:aws:iam::123456789012:role/redshift-s3"
SCHEMAS = ("cmdb", "detection")


@dataclass(frozen=True)
class Warehouse:
    """The service, a connection beside it, and a bucket."""

    service: Redshift
    connection: Any
    s3: Any
    bucket: str

    @property
    def access(self) -> dict[str, Any]:
        return {"cluster_identifier": "main", "database": "dev", "db_user": "loader", "iam_role": ROLE}

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.connection.run(text) or []]

    def table(self, name: str, columns: str, *rows: tuple[Any, ...]) -> None:
        self.sql(f"CREATE TABLE {name} ({columns})")
        for row in rows:
            values = {f"v{place}": value for place, value in enumerate(row)}
            places = ", ".join(f":{key}" for key in values)
            self.connection.run(f"INSERT INTO {name} VALUES ({places})", **values)  # noqa: S608 - a test's own

    def put(self, key: str, rows: pa.Table | bytes) -> str:
        body = rows
        if isinstance(rows, pa.Table):
            file = io.BytesIO()
            pq.write_table(rows, file, compression="zstd")
            body = file.getvalue()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def keys(self, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [each["Key"] for each in found.get("Contents", []) if not each["Key"].endswith("/")]

    def read(self, key: str) -> list[Mapping[str, Any]]:
        body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return pq.read_table(io.BytesIO(body)).to_pylist()


@cache
def _bucket(s3_url: str) -> str:
    return s3_server.make_bucket(s3_url, f"warehouse-{uuid.uuid4().hex}")


@contextmanager
def warehouse_of(postgres: Postgres, s3_url: str) -> Iterator[Warehouse]:
    """A warehouse with empty schemas, and an empty bucket."""
    bucket = _bucket(s3_url)
    connection, s3 = postgres.connect(), s3_server.client(s3_url)
    try:
        for each in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=each["Key"])
        for schema in SCHEMAS:
            connection.run(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            connection.run(f"CREATE SCHEMA {schema}")
        with redshift(postgres, s3_url, page=3) as service:
            yield Warehouse(service, connection, s3, bucket)
    finally:
        connection.close()
        s3.close()
