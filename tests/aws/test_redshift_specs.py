"""What specs may say of Redshift: names, places, roles and SQL, and nothing that could do more than it says."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError
from pydantic import ValidationError

from aws.warehouse import ROLE, Warehouse
from ndr import sql
from ndr.aws.copy_statements import columns_of, deleted, key_named
from ndr.tables.destinations import RedshiftTable
from ndr.tables.inventory_unload import InventoryOutput, InventoryUnload


@pytest.mark.parametrize(
    "query",
    [
        {"sql": "DELETE FROM cmdb.assets"},
        {"sql": "SELECT 1; SELECT 2"},
        {"sql": "SELECT ip FROM a) TO 's3://x/' --"},
        {"sql": "SELECT '\\' FROM a"},
        {"sql": "SELECT $$x$$ FROM a"},
        {"sql": "SELECT pg_terminate_backend(1)"},
        {"sql": "SELECT nextval('s')"},
        {"sql": "SELECT a FROM b WHERE pg_catalog.SETVAL('s', 1) > 0"},
        {"sql": 'SELECT "loread"(1, 9)'},
        {"sql": "SELECT lowrite(1, a) FROM b"},
        {"sql": "SELECT lo_export(1, 'x')"},
        {"schema": "a", "table": "b", "active_filter": "nextval('s') > 0"},
        {"sql": "SELECT * FROM a WHERE b = :c"},
        {"sql": "SELECT * INTO b FROM a"},
        {"sql": "UNLOAD ('SELECT 1') TO 's3://x/'"},
        {"sql": "SELECT " + "(" * 4_000},
        {"sql": "SELECT 1", "schema": "a", "table": "b"},
        {"schema": "a"},
        {"table": "a"},
        {"schema": 'a"', "table": "b"},
        {"schema": "a", "table": "b; DROP TABLE c"},
        {"schema": "a", "table": "b", "active_filter": "1 = 1) OR (1 = 1"},
        {"schema": "a", "table": "b", "active_filter": "1 = 1; DROP TABLE b"},
        {"schema": "a", "table": "b", "active_filter": "DROP TABLE b"},
        {"schema": "a", "table": "b", "active_filter": "'x'"},
        {"schema": "a", "table": "b", "additional_filters": ["a = 1", "SELECT 1"]},
        {"schema": "a", "table": "b", "ip_column": "a b"},
        {"schema": "a", "table": "b", "ip_column": "a", "name_column": "A"},
        {},
    ],
)
def test_a_query_that_does_more_than_it_should_is_refused(query: dict[str, Any]) -> None:
    access = {"cluster_identifier": "main", "database": "d", "iam_role": "arn:aws:iam::123456789012:role/x"}
    with pytest.raises(ValidationError):
        InventoryUnload.model_validate({"redshift": access, "query": query, "output": {"s3_prefix": "s3://bucket/x"}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("iam_role", "arn:aws:iam::123456789012:role/x' FORMAT CSV"),
        ("iam_role", "default"),
        ("database", "dev'; DROP"),
        ("cluster_identifier", "Main/../x"),
        ("secret_arn", "password"),
        ("db_user", "a b"),
        ("region", "eu central"),
    ],
)
def test_an_access_that_is_none_is_refused(key: str, value: str) -> None:
    access = {"cluster_identifier": "main", "database": "d", "iam_role": "arn:aws:iam::123456789012:role/x", key: value}
    query = {"schema": "a", "table": "b"}
    with pytest.raises(ValidationError, match=key):
        InventoryUnload.model_validate({"redshift": access, "query": query, "output": {"s3_prefix": "s3://bucket/x"}})


@pytest.mark.parametrize("value", ["a\\", "a\\'b", "a\nb", "a\x00b"])
def test_values_that_may_be_read_in_two_ways_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="two ways"):
        key_named("k", {"a": "VARCHAR(9)"}, {"a": value})


@pytest.mark.parametrize("bad", ['a"b', "a b", "", "a;b", "a.b", "ä", "a" * 128, "1a"])
def test_names_that_are_none_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="no name of letters"):
        deleted("s", bad, "k", ["a"])
    assert columns_of("s", "it's").endswith("'it''s'")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "a; b"), ("table", 'a"b'), ("pre_sql", "TRUNCATE a"), ("pre_sql", "DROP TABLE a"),
        ("post_sql", "COMMIT"), ("post_sql", "GRANT ALL ON a TO b"), ("post_sql", "UNLOAD ('SELECT 1') TO 's3://x'"),
        ("post_sql", "COPY a FROM 's3://x'"), ("pre_sql", "DELETE FROM a WHERE b = '\\'"),
        ("pre_sql", "INSERT INTO a SELECT pg_cancel_backend(1)"), ("pre_sql", "BEGIN; DELETE FROM a; END"),
        ("pre_sql", "CREATE USER a PASSWORD 'b'"), ("pre_sql", "; ".join(["DELETE FROM a"] * 11)),
        ("post_sql", "CALL a(); DROP TABLE b"), ("post_sql", "CALL a('x')"), ("pre_sql", "SELECT 1 INTO a"),
        ("pre_sql", "CREATE TABLE a (b INT) LOCATION 's3://x/'"), ("pre_sql", "CREATE EXTERNAL TABLE s.a (b INT)"),
        ("post_sql", "CREATE TABLE a (b INT) STORED AS PARQUET LOCATION 's3://x/'"),
        ("post_sql", "CREATE TABLE a USING parquet AS SELECT 1"), ("post_sql", "CREATE TABLE a (b INT) WITH (c = 1)"),
        ("copy_options", "IAM_ROLE 'x'"), ("copy_options", "FORMAT AS CSV"), ("copy_options", "STATUPDATE ON; DROP"),
        ("copy_options", "MANIFEST"), ("copy_options", "ACCEPTINVCHARS AS '''"), ("copy_options", "REGION 'a' b"),
    ],
)  # fmt: skip
def test_a_destination_that_does_more_than_it_should_is_refused(key: str, value: str) -> None:
    given = {"cluster_identifier": "c", "database": "d", "iam_role": ROLE, "schema": "s", "table": "t", key: value}
    with pytest.raises(ValidationError):
        RedshiftTable.model_validate(given)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a, b FROM s.t WHERE x = 'it''s' AND y IN (SELECT z FROM w) -- why",
        "WITH o AS (SELECT ip, NVL(name, '-') AS n FROM t) SELECT * FROM o",
        "SELECT TOP 10 ip::varchar, DECODE(a, 1, 'x') AS n FROM t WHERE seen > DATEADD(day, -30, GETDATE())",
        "(SELECT 1 UNION SELECT 2);",
    ],
)
def test_what_is_written_anew_stays_what_it_was(text: str) -> None:
    written = sql.redshift_select(text)
    assert sql.redshift_select(written) == written
    assert "--" not in written
    assert "\\" not in written
    assert not written.endswith(";")


def test_quotes_in_quotes_stay_quotes() -> None:
    assert sql.redshift_condition("a = 'it''s -- \"b\"'") == "a = 'it''s -- \"b\"'"
    assert sql.redshift_statements("DELETE FROM a WHERE b = ';'; CALL s.c()") == (
        "DELETE FROM a WHERE b = ';'", "CALL s.c()",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TEMPORARY TABLE a (b INTEGER ENCODE zstd NOT NULL) DISTSTYLE key DISTKEY(b) COMPOUND SORTKEY(b)",
        "CREATE TABLE IF NOT EXISTS a BACKUP no AS SELECT 1 AS b",
        "CREATE TABLE a (LIKE s.b INCLUDING DEFAULTS)",
    ],
)
def test_tables_of_redshift_itself_are_made(text: str) -> None:
    assert sql.redshift_statements(text) == (text,)


@pytest.mark.parametrize("said", ["parquet", "Parquet", "PARQUET"])
@pytest.mark.parametrize("by", ["snapshot_month", "region, snapshot_month", ["snapshot_month"]])
def test_the_form_of_snapshots_is_understood_however_it_is_written(said: str, by: object) -> None:
    given = {"s3_prefix": "s3://bucket/x", "output_format": said, "partitioning": by}
    output = InventoryOutput.model_validate(given)
    assert (output.output_format, output.partitioning[-1]) == ("PARQUET", "snapshot_month")
    for key, wrong in (("output_format", "csv"), ("partitioning", "month"), ("partitioning", 7)):
        with pytest.raises(ValidationError, match=key):
            InventoryOutput.model_validate(given | {key: wrong})


@pytest.mark.parametrize("text", ["active", "NOT gone", "a = 1 OR b IS NULL", "ip IN (SELECT ip FROM t)", "TRUE"])
def test_conditions_of_all_kinds_are_conditions(text: str) -> None:
    assert sql.redshift_condition(text)


# What quoting goes wrong with.
PIECES = (
    "'", '"', "''", "--", "/*", "*/", ";", "$", "%s", ":a", "\u2019", "\u00df", "\U0001f600", " ", "x", "{", ")",
    "\u0000", "\\", "\n",
)  # fmt: skip


def test_a_database_reads_what_was_quoted_as_it_was(warehouse: Warehouse) -> None:
    chance = random.Random(5)  # noqa: S311 - no secret
    read = refused = 0
    for _ in range(400):
        value = "".join(chance.choices(PIECES, k=chance.randint(0, 6)))
        try:
            quoted = sql.text(value)
        except ValueError:
            refused += 1
            assert {"\x00", "\\", "\n"} & set(value)
            continue
        read += 1
        ((found, again),) = warehouse.sql(f"SELECT {quoted}, {sql.text(quoted)}")
        assert (found, again) == (value, quoted)
    assert read > 100
    assert refused > 100


def test_a_condition_that_is_written_anew_stays_in_its_brackets(warehouse: Warehouse) -> None:
    chance = random.Random(6)  # noqa: S311 - no secret
    parts = ("a = 1", "OR", "AND", "(", ")", "'", "''", "--", "/*", "*/", ";", "NOT", "b IS NULL", "DROP TABLE t", "x")
    taken = asked = 0
    for _ in range(1_500):
        text = " ".join(chance.choices(parts, k=chance.randint(1, 5)))
        try:
            written = sql.redshift_condition(text)
        except ValueError:
            continue
        taken += 1
        with suppress(DatabaseError):  # its types may not fit
            kept = warehouse.sql(f"SELECT 1 FROM (SELECT 1 AS a, 2 AS b, TRUE AS x) AS t WHERE FALSE AND ({written})")  # noqa: S608 - what is tested
            assert kept == [], text
            asked += 1
    assert taken > 50
    assert asked > taken / 2
