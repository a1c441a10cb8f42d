"""The stand-in is as strict as Redshift where PostgreSQL is not, so that what passes here has a chance there."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from aws.warehouse import ROLE, Warehouse
from ndr.aws.clients import client

PARQUET = f"IAM_ROLE '{ROLE}' FORMAT AS PARQUET"


@pytest.fixture
def said(warehouse: Warehouse) -> Any:
    """What becomes of statements of one session."""
    from ndr.aws.redshift import Session, StatementError  # noqa: PLC0415 - what is tested is the other side
    from ndr.tables.destinations import RedshiftAccess  # noqa: PLC0415

    def ask(*sqls: str) -> str:
        try:
            with Session(RedshiftAccess(**warehouse.access), "a test", pause=lambda _: None) as session:
                session.together(*sqls)
        except StatementError as error:
            return str(error)
        return ""

    return ask


@pytest.mark.parametrize(
    ("columns", "content", "words"),
    [
        ("a INTEGER", {"a": pa.array([1], pa.int32())}, ""),
        ("a INTEGER, b INTEGER", {"a": pa.array([1], pa.int32())}, "Unmatched number of columns"),
        ("a INTEGER", {"a": pa.array([1], pa.int64())}, "incompatible Parquet schema"),
        ("a VARCHAR(3)", {"a": ["äö"]}, "is longer than"),
        ("a SUPER", {"a": [[1]]}, "incompatible Parquet schema"),
        ("b INTEGER", {"a": pa.array([1], pa.int32())}, ""),
    ],
)
def test_copy_goes_by_place_and_type(
    warehouse: Warehouse, said: Any, columns: str, content: dict[str, Any], words: str
) -> None:
    uri = warehouse.put("x.parquet", pa.table(content))
    told = said(f"CREATE TEMPORARY TABLE t ({columns})", f"COPY \"t\" FROM '{uri}' {PARQUET}")
    assert words in told
    assert bool(words) == bool(told)


def test_copy_without_a_manifest_takes_all_that_begins_so(warehouse: Warehouse, said: Any) -> None:
    uri = warehouse.put("x.parquet", pa.table({"a": ["1"]}))
    warehouse.put("x.parquet.old", pa.table({"a": ["2"]}))
    assert not said("CREATE TABLE detection.t (a VARCHAR(9))", f'COPY "detection"."t" FROM \'{uri}\' {PARQUET}')
    assert warehouse.sql("SELECT a FROM detection.t ORDER BY a") == [("1",), ("2",)]


def test_a_manifest_must_tell_lengths_and_files_must_be_there(warehouse: Warehouse, said: Any) -> None:
    uri = warehouse.put("x.parquet", pa.table({"a": ["1"]}))
    for entry, words in (
        (f'{{"url": "{uri}", "meta": {{"content_length": 1}}}}', "not as long"),
        (f'{{"url": "{uri}9", "meta": {{"content_length": 1}}}}', "NoSuchKey"),
    ):
        manifest = warehouse.put("manifest", f'{{"entries": [{entry}]}}'.encode())
        told = said("CREATE TEMPORARY TABLE t (a VARCHAR(9))", f"COPY \"t\" FROM '{manifest}' {PARQUET} MANIFEST")
        assert words in told


def test_unload_writes_over_nothing(warehouse: Warehouse, said: Any) -> None:
    unload = f"UNLOAD ('SELECT 1 AS a') TO 's3://{warehouse.bucket}/out/' {PARQUET} PARALLEL OFF MANIFEST"
    assert not said(unload)
    assert warehouse.keys("out/") == ["out/000.parquet", "out/manifest"]
    assert "not empty" in said(unload)
    assert not said(f"{unload} ALLOWOVERWRITE")
    assert "syntax error" in said(unload.replace("SELECT 1 AS a", "DELETE FROM a"))


@pytest.mark.parametrize(
    "text",
    ["INSERT INTO cmdb.t VALUES (1) ON CONFLICT DO NOTHING", "INSERT INTO cmdb.t VALUES (1) RETURNING a",
     "CREATE INDEX i ON cmdb.t (a)", "ALTER TABLE cmdb.t ADD COLUMN IF NOT EXISTS b INTEGER",
     "COPY cmdb.t FROM 's3://x/y' CSV"],
)  # fmt: skip
def test_what_only_postgresql_knows_is_refused(warehouse: Warehouse, said: Any, text: str) -> None:
    warehouse.table("cmdb.t", "a INTEGER")
    assert "syntax error" in said(text)


@pytest.mark.parametrize(
    "asked",
    [
        {"Database": "dev"},
        {"Database": "dev", "ClusterIdentifier": "c", "WorkgroupName": "www"},
        {"SessionId": "00000000-0000-0000-0000-000000000000"},
        {"Database": "dev", "ClusterIdentifier": "c", "Sql": "SELECT 1; SELECT 2"},
        {"Database": "dev", "ClusterIdentifier": "c", "Sql": "SELECT '" + "x" * 100_000 + "'"},
    ],
)
def test_calls_that_make_no_sense_are_refused(warehouse: Warehouse, asked: dict[str, str]) -> None:
    api = client("redshift-data")
    with pytest.raises(api.exceptions.ValidationException):
        api.execute_statement(**{"Sql": "SELECT 1", **asked})
    api.close()


def test_a_token_is_for_one_statement(warehouse: Warehouse) -> None:
    api = client("redshift-data")
    where = {"Database": "dev", "ClusterIdentifier": "main", "ClientToken": "t"}
    first = api.execute_statement(Sql="SELECT 1", **where)["Id"]
    assert api.execute_statement(Sql="SELECT 1", **where)["Id"] == first
    with pytest.raises(api.exceptions.ValidationException):
        api.execute_statement(Sql="SELECT 2", **where)
    api.close()
