"""The exchange on a real server of S3: what one side writes the other reads, and nothing of it stays."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ndr.aws import exchange
from ndr.aws.clients import ServiceError
from ndr.aws.exchange import S3Exchange, hadoop_settings
from ndr.aws.s3 import S3Lake, access
from ndr.engine import Files
from ndr.engines.duckdb import DuckDB
from ndr.errors import UsageError


@pytest.fixture
def mine(root: str) -> Iterator[S3Exchange]:
    with closing(S3Exchange(root)) as made:
        yield made


def keys(raw: Any, root: str) -> list[str]:
    """What lies in the lake, from its root."""
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    found = raw.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
    return [each["Key"].removeprefix(f"{prefix}/") for each in found]


def lay(raw: Any, uri: str, content: bytes = b"x") -> None:
    """Put an object as somebody else would."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    raw.put_object(Bucket=bucket, Key=key, Body=content)


def parquet(*values: int) -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array(values, pa.int64())}), made)
    return made.getvalue()


def test_the_embedded_engine_reads_what_the_other_side_wrote(mine: S3Exchange, raw: Any, tmp_path: Path) -> None:
    folder = mine.folder("result")
    for name in ("part-00001.parquet", "part-00000.parquet"):
        lay(raw, f"{folder}/{name}", parquet(1, 2))
    lay(raw, f"{folder}/_SUCCESS")
    lay(raw, f"{folder}/_temporary/0/part-00002.parquet", parquet(3))  # of a task that did not finish
    lay(raw, f"{folder}-other/part-00003.parquet", parquet(4))
    found = mine.files("result")
    assert [path.rpartition("/")[2] for path in found] == ["part-00000.parquet", "part-00001.parquet"]
    with closing(DuckDB(str(tmp_path), s3=access)) as engine:
        rows = engine.fetch("SELECT sum(a) AS total, count(*) AS n FROM made", {"made": Files({"a": "int64"}, found)})
    assert rows == [{"total": 6, "n": 4}]


def test_a_name_under_which_nothing_was_written_has_no_files(mine: S3Exchange) -> None:
    assert mine.files("result") == []


def test_a_small_table_that_is_put_is_read_again(mine: S3Exchange, tmp_path: Path) -> None:
    path = mine.put("input_x", pa.table({"a": [1, 2, 3]}))
    with closing(DuckDB(str(tmp_path), s3=access)) as engine:
        assert engine.fetch("SELECT max(a) AS most FROM x", {"x": Files({"a": "int64"}, [path])}) == [{"most": 3}]


def test_an_empty_table_is_laid_there_too(mine: S3Exchange) -> None:
    path = mine.put("input_x", pa.table({"a": pa.array([], pa.int64())}))
    assert (mine.size([path]) or 0) > 0


def test_all_of_it_lies_in_the_staging_folder_of_the_lake(mine: S3Exchange, raw: Any, root: str) -> None:
    mine.put("input_x", pa.table({"a": [1]}))
    (found,) = keys(raw, root)
    assert found.startswith("_staging/spark-")
    assert mine.folder("result").startswith(f"{root}/_staging/spark-")


def test_two_exchanges_of_one_lake_share_nothing(mine: S3Exchange, root: str, raw: Any) -> None:
    with closing(S3Exchange(root)) as other:
        other.put("input_x", pa.table({"a": [1]}))
        mine.put("input_x", pa.table({"a": [2]}))
        mine.clear()
        assert len(keys(raw, root)) == 1
    assert keys(raw, root) == []


def test_what_is_cleared_is_gone_also_what_only_marks_a_folder(mine: S3Exchange, raw: Any, root: str) -> None:
    lay(raw, f"{root}/delta/dt=2026-03-04/x.parquet")
    before = mine.folder("result")
    lay(raw, f"{before}/part-0.parquet")
    lay(raw, f"{before}/", b"")
    mine.clear()
    assert keys(raw, root) == ["delta/dt=2026-03-04/x.parquet"]
    assert mine.folder("result") != before, "Spark refuses to write where a store still believes that a folder is"


def test_more_than_one_call_removes_what_one_call_cannot(
    mine: S3Exchange, raw: Any, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_AT_ONCE", 2)
    for n in range(5):
        mine.put(f"input_{n}", pa.table({"a": [n]}))
    mine.clear()
    assert keys(raw, root) == []


def test_an_exchange_that_was_not_used_asks_nothing_and_removes_nothing(
    root: str, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(raw, f"{root}/_staging/spark-old/x.parquet")
    monkeypatch.setattr(exchange, "_LASTS", timedelta(0))
    made = S3Exchange(root)
    asked: list[str] = []
    made._s3.meta.events.register("before-call", lambda model, **_: asked.append(model.name))
    made.close()
    assert not asked
    assert keys(raw, root) == ["_staging/spark-old/x.parquet"]


def test_what_a_killed_process_left_is_removed_after_a_day_and_nothing_else(
    root: str, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("_staging/spark-old/0/result/x.parquet", "_staging/other/x", "delta/x.parquet"):
        lay(raw, f"{root}/{place}")
    with closing(S3Exchange(root)) as early:
        early.folder("result")
        assert len(keys(raw, root)) == 3, "it may be in use"

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz or UTC) + timedelta(days=1, minutes=1)

    monkeypatch.setattr(exchange, "datetime", Later)
    with closing(S3Exchange(root)) as late:
        late.folder("result")
        assert keys(raw, root) == ["_staging/other/x", "delta/x.parquet"]


def test_an_exchange_closes_also_when_s3_has_gone(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = S3Exchange(root)
    made.put("input_x", pa.table({"a": [1]}))

    def refused(**_: Any) -> None:
        raise ServiceError("no")

    monkeypatch.setattr(made._s3, "get_paginator", lambda _: refused())
    with pytest.raises(ServiceError):
        made.clear()
    made.close()


def test_an_object_that_may_not_be_removed_is_told(mine: S3Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.put("input_x", pa.table({"a": [1]}))
    refusal = {"Errors": [{"Key": "k", "Code": "AccessDenied", "Message": "no"}]}
    monkeypatch.setattr(mine._s3, "delete_objects", lambda **_: refusal)
    with pytest.raises(ServiceError, match=r"AccessDenied.*See that this role may remove it"):
        mine.clear()
    monkeypatch.undo()


def test_sizes_are_asked_for_day_by_day(mine: S3Exchange, root: str, raw: Any) -> None:
    places = [f"delta/dt=2026-03-0{day}/hh=10/mm={mm}/B.parquet" for day in (4, 5) for mm in ("00", "15", "30")]
    for length, place in enumerate([*places, "machines/m.parquet"], 1):
        lay(raw, f"{root}/{place}", b"x" * length)
    asked: list[str] = []
    mine._s3.meta.events.register("before-call", lambda model, **_: asked.append(model.name))
    paths = [f"{root}/{place}" for place in [*places[1:], "machines/m.parquet", "machines/gone.parquet"]]
    assert mine.size(paths) == 2 + 3 + 4 + 5 + 6 + 7
    assert asked == ["ListObjectsV2"] * 3


@pytest.mark.parametrize(
    ("path", "url"), [("s3://b/l/x=1/a b.parquet", "s3a://b/l/x=1/a b.parquet"), ("s3a://b/l", "s3a://b/l")]
)
def test_spark_reads_through_the_client_that_every_hadoop_has(mine: S3Exchange, path: str, url: str) -> None:
    assert mine.url(path) == url


@pytest.mark.parametrize("place", ["s3://", "lake", "s3://bucket/*/x"])
def test_an_exchange_needs_a_lake_on_s3(place: str, aws: str) -> None:
    with pytest.raises(UsageError):
        S3Exchange(place)


def test_spark_is_told_where_s3_is_and_never_who_we_are(root: str, s3_server: str) -> None:
    told = hadoop_settings(access())
    assert all(name.startswith("spark.hadoop.fs.s3a.") for name in told)
    values = {name.removeprefix("spark.hadoop.fs.s3a."): value for name, value in told.items()}
    assert values["endpoint"] == s3_server
    assert (values["path.style.access"], values["connection.ssl.enabled"]) == ("true", "false")
    assert values["endpoint.region"] == "eu-central-1"
    secrets = {access()[name] for name in ("key_id", "secret")}
    assert not secrets & set(values.values())
    assert not any("key" in name or "secret" in name or "token" in name for name in values)


def test_on_aws_itself_s3_has_its_own_names_and_is_spoken_to_in_secret(
    aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    told = {name.rpartition("s3a.")[2]: value for name, value in hadoop_settings(access()).items()}
    assert told["endpoint"] == "https://s3.eu-central-1.amazonaws.com"
    assert (told["path.style.access"], told["connection.ssl.enabled"]) == ("false", "true")


def test_a_lake_that_is_read_in_place_copies_nothing_and_asks_nothing(root: str, tmp_path: Path) -> None:
    with closing(S3Lake(root, tmp_path, {"machines": f"{root}-of-others/m"}, in_place=True)) as lake:
        Path(lake.stage("delta/x.parquet")).write_bytes(parquet(1))
        lake.publish("delta/x.parquet")
        asked: list[str] = []
        lake._s3.meta.events.register("before-call", lambda model, **_: asked.append(model.name))
        assert lake.ready(["delta/x.parquet", "machines/y.parquet"]) == [
            f"{root}/delta/x.parquet", f"{root}-of-others/m/y.parquet",
        ]  # fmt: skip
        assert not asked
    assert not [path for path in tmp_path.rglob("*.parquet") if path.is_file()]
