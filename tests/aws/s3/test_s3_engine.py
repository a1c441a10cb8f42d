"""How the embedded engine reads S3: the bytes that it needs, as whoever it is at the time, in clear words."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aws.s3.places import PLACE, SECRETS
from ndr.aws import s3
from ndr.aws.clients import ServiceError
from ndr.aws.s3 import S3Lake, access
from ndr.engine import Files, Output
from ndr.engines import httpfs
from ndr.engines.duckdb import DuckDB
from ndr.engines.httpfs import RemoteReadError
from ndr.errors import AdapterError


@pytest.fixture
def numbers(lake: S3Lake) -> Files:
    """A table of 2 million numbers in ten columns."""
    columns = {f"c{n}": np.random.default_rng(n).integers(0, 1 << 60, 200_000) for n in range(10)}
    pq.write_table(pa.table(columns), lake.stage(PLACE), row_group_size=20_000, use_dictionary=False)
    lake.publish(PLACE)
    return Files(dict.fromkeys(columns, "int64"), [lake.path(PLACE)])


def test_an_engine_fetches_the_columns_that_it_needs_alone(numbers: Files, raw: Any, tmp_path: Path) -> None:
    with closing(DuckDB(str(tmp_path), s3=access)) as engine:
        (row,) = engine.fetch("SELECT count(c3) AS n FROM t WHERE c3 >= 0", {"t": numbers})
        assert row == {"n": 200_000}
        with engine._offered({"t": numbers}):
            told = str(engine._con.execute("EXPLAIN ANALYZE SELECT sum(c3) FROM t").fetchall())
    bucket, key = s3.split(numbers.paths[0])
    size = raw.head_object(Bucket=bucket, Key=key)["ContentLength"]
    assert size > 15 << 20
    received = float(told.split("in: ")[1].split(maxsplit=1)[0])
    assert "MiB" in told.split("in: ")[1][:20]
    assert 1 < received < 3


def test_an_engine_asks_again_who_it_is_when_what_it_knows_is_old(
    numbers: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [{**access(), "secret": SECRETS[0]}, access(), access()]
    asked: list[int] = []

    def who() -> dict[str, str]:
        asked.append(1)
        return answers[len(asked) - 1]

    query = "SELECT count(*) AS n FROM t"
    with closing(DuckDB(str(tmp_path), s3=who)) as engine:
        for _ in range(2):  # it is not asked at every query
            with pytest.raises(AdapterError, match="403") as raised:
                engine.fetch(query, {"t": numbers})
            assert not raised.value.retryable
            assert SECRETS[0] not in str(raised.value)
        assert len(asked) == 1
        monkeypatch.setattr(httpfs, "_LASTS", 0.0)
        assert engine.fetch(query, {"t": numbers}) == [{"n": 200_000}]
        assert engine.fetch(query, {"t": numbers}) == [{"n": 200_000}]
        assert len(asked) == 3


def test_what_opens_doors_stands_in_no_message_of_the_engine(tmp_path: Path) -> None:
    told = {"key_id": "AKIDNOBODY", "secret": SECRETS[0], "session_token": SECRETS[1], "region": "eu-central-1"}
    told |= {"endpoint": "127.0.0.1:9", "url_style": "path", "use_ssl": "false"}
    query = f"SELECT error('{SECRETS[0]} and {SECRETS[1]} of AKIDNOBODY')"
    with closing(DuckDB(str(tmp_path), s3=lambda: told)) as engine:
        engine._remote.reach(["s3://bucket/x"])
        with pytest.raises(AdapterError, match="… and … of …"):
            engine.fetch(query, {})
        assert not any(secret in str(engine._con.execute("FROM duckdb_secrets()").fetchall()) for secret in SECRETS)
    with closing(DuckDB(str(tmp_path), s3=lambda: {**told, "use_ssl": SECRETS[0]})) as engine:
        with pytest.raises(AdapterError, match="as they are") as raised:
            engine._remote.reach(["s3://bucket/x"])
        assert SECRETS[0] not in str(raised.value)
        assert raised.value.__cause__ is None


def test_an_engine_that_finds_s3_out_of_order_says_that_another_try_may_do(broken: list[str], tmp_path: Path) -> None:
    files = Files({"a": "int64"}, ["s3://bucket/x.parquet"])
    with closing(DuckDB(str(tmp_path), s3=access)) as engine:
        engine._remote.reach(files.paths)
        engine._con.execute("SET http_retry_wait_ms = 1")
        for does in (
            lambda: engine.fetch("SELECT * FROM t", {"t": files}),
            lambda: list(engine.batches("SELECT * FROM t", {"t": files})),
            lambda: engine.write("SELECT * FROM t", {"t": files}, files.columns, [], [Output({}, str(tmp_path / "x"))]),
        ):
            with pytest.raises(RemoteReadError, match="503") as raised:
                does()
            assert raised.value.retryable
    assert len(broken) > 5


def test_a_file_that_is_gone_is_no_reason_for_another_try(root: str, tmp_path: Path) -> None:
    with closing(DuckDB(str(tmp_path), s3=access)) as engine, pytest.raises(AdapterError, match="404") as raised:
        engine.fetch("SELECT * FROM t", {"t": Files({"a": "int64"}, [f"{root}/none.parquet"])})
    assert not raised.value.retryable


def test_an_engine_that_was_not_told_how_reads_no_s3(tmp_path: Path) -> None:
    with closing(DuckDB(str(tmp_path))) as engine, pytest.raises(AdapterError, match="not told how"):
        engine.fetch("SELECT * FROM t", {"t": Files({"a": "int64"}, ["s3://bucket/x.parquet"])})


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpfs, "_PACKAGE", "no_such_package")
    with closing(DuckDB(str(tmp_path), s3=dict)) as engine, pytest.raises(AdapterError, match=r"ndr\[aws\]"):
        engine.fetch("SELECT * FROM t", {"t": Files({"a": "int64"}, ["s3://bucket/x.parquet"])})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, ("s3.eu-central-1.amazonaws.com", "vhost", "true")),
        ("http://127.0.0.1:8333", ("127.0.0.1:8333", "path", "false")),
        ("https://store.example.org/", ("store.example.org", "path", "true")),
    ],
)
def test_the_engine_is_told_what_the_standard_chain_says(
    aws: str, monkeypatch: pytest.MonkeyPatch, url: str | None, expected: tuple[str, str, str]
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    if url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    told = access()
    assert (told["endpoint"], told["url_style"], told["use_ssl"]) == expected
    assert (told["key_id"], told["secret"]) == (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    assert (told["session_token"], told["region"]) == ("token", "eu-central-1")


def test_without_credentials_there_is_no_access(nowhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3.session.Session, "get_credentials", lambda _: None)
    with pytest.raises(ServiceError, match="no credentials"):
        access()
