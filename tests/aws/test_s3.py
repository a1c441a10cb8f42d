"""What a lake on S3 does beside what every lake does: it asks seldom, says why it cannot, and gives nothing away."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from standins.s3 import client, make_bucket

from ndr.aws import s3
from ndr.aws.clients import ServiceBusyError, ServiceError
from ndr.aws.objects import bring, download
from ndr.aws.s3 import S3Lake, access
from ndr.engine import Files, Output
from ndr.engines import httpfs
from ndr.engines.duckdb import DuckDB
from ndr.engines.httpfs import RemoteReadError
from ndr.errors import AdapterError, NdrError, UsageError

PLACE = "delta/dt=2026-03-04/hh=10/mm=15/B1.v1.parquet"
SECRETS = ("open-sesame", "token-of-nobody")


@pytest.fixture(scope="module")
def bucket(s3_server: str) -> str:
    return make_bucket(s3_server, f"s3-{uuid4().hex}")


@pytest.fixture
def root(bucket: str, s3_server: str, aws: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of its own on a real server of S3, where the environment leads."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    return f"s3://{bucket}/{uuid4().hex}"


@pytest.fixture
def lake(root: str, tmp_path: Path) -> Iterator[S3Lake]:
    with closing(S3Lake(root, tmp_path / "scratch")) as made:
        yield made


@pytest.fixture
def raw(s3_server: str) -> Iterator[Any]:
    """A client that puts anything anywhere."""
    with closing(client(s3_server)) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waits between the tries of a call."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))


class Answer(BaseHTTPRequestHandler):
    """Says that it is out of order."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815 - the server's own names

    def log_message(self, *_: Any) -> None: ...


class CutShort(Answer):
    """Says half of what it means to say; at the fourth time everything."""

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"0123456789"[: 10 if len(self.asked) == 4 else 5])
        self.close_connection = True


@contextmanager
def serving(kind: type[Answer]) -> Iterator[tuple[str, list[str]]]:
    """The address of a strange server of S3, and what it was asked."""
    kind.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", kind.asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, aws: str, impatient: None) -> Iterator[list[str]]:
    """A server of S3 that is out of order, and what it was asked."""
    with serving(Answer) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        yield asked


def put(lake: S3Lake, place: str, content: bytes) -> str:
    Path(lake.stage(place)).write_bytes(content)
    return lake.publish(place)


def calls(lake: S3Lake, does: Callable[[], object]) -> list[str]:
    """The operations that something asks of S3."""
    asked: list[str] = []
    lake._s3.meta.events.register("before-call", lambda model, **_: asked.append(model.name), unique_id="asked")
    does()
    lake._s3.meta.events.unregister("before-call", unique_id="asked")
    return asked


def test_the_files_of_a_day_are_asked_for_at_once(lake: S3Lake, root: str, tmp_path: Path) -> None:
    places = [f"delta/dt=2026-03-04/hh={hour:02}/mm=00/B.v1.parquet" for hour in range(24)]
    for place in places:
        put(lake, place, b"x")
    put(lake, "delta/dt=2026-03-05/hh=00/mm=00/B.v1.parquet", b"x")
    with closing(S3Lake(root, tmp_path / "other")) as other:
        assert calls(other, lambda: [other.has(place) for place in places * 2]) == ["ListObjectsV2"]
        assert all(other.has(place) for place in places)
        assert calls(lake, lambda: lake.has(places[0])) == ["ListObjectsV2"]


def test_what_it_published_itself_need_not_be_asked_for(lake: S3Lake) -> None:
    put(lake, "sessions/abc.parquet", b"x")
    assert calls(lake, lambda: lake.has("sessions/abc.parquet")) == []


def test_folders_lie_where_the_configuration_mounts_them(root: str, tmp_path: Path, raw: Any) -> None:
    mounts = {"delta": f"{root}/elsewhere/deltas", "fg_b": f"{root}/b", "fg_b/host": f"{root}/hosts"}
    with closing(S3Lake(f"{root}/lake", tmp_path, mounts)) as lake:
        assert lake.path("delta/dt=1/x") == f"{root}/elsewhere/deltas/dt=1/x"
        assert lake.path("delta_more/x") == f"{root}/lake/delta_more/x"
        assert lake.path("fg_b/host/x") == f"{root}/hosts/x"
        assert lake.path("fg_b/pair/x") == f"{root}/b/pair/x"
        put(lake, PLACE, b"one")
        bucket, key = s3.split(f"{root}/elsewhere/deltas/{PLACE.removeprefix('delta/')}")
        assert raw.get_object(Bucket=bucket, Key=key)["Body"].read() == b"one"
    with closing(S3Lake(f"{root}/lake", tmp_path, mounts)) as again:
        assert again.has(PLACE)
        assert again.fetch(PLACE).read_bytes() == b"one"
        again.remove(PLACE)
        assert not again.has(PLACE)


def test_a_large_file_is_uploaded_in_parts_and_stays_the_same(
    lake: S3Lake, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_LARGE", 1 << 20)
    content = np.random.default_rng(0).bytes(17 << 20)
    digest = ""

    def publish() -> None:
        nonlocal digest
        digest = put(lake, PLACE, content)

    assert sorted(set(calls(lake, publish))) == ["CompleteMultipartUpload", "CreateMultipartUpload", "UploadPart"]
    assert digest == hashlib.sha256(content).hexdigest() == hashlib.sha256(lake.fetch(PLACE).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "place", ["a/../b", "a//b", "/a", "a/", "./a", "a/b?s3_endpoint=evil", "a*", "a[1]", "a\\b", "a\nb", ""]
)
def test_names_that_mean_more_than_a_name_are_refused(lake: S3Lake, place: str) -> None:
    for does in (lake.path, lake.fetch, lake.has, lake.remove, lake.publish):
        with pytest.raises(AdapterError, match="cannot be the name"):
            does(place)


@pytest.mark.parametrize(
    "root", ["s3://", "s3://B", "s3://bucket/a//b", "s3://bucket/../x", "gs://bucket/x", "/folder/x", "s3://bucket/x?y"]
)
def test_what_is_no_prefix_is_no_lake(aws: str, root: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no prefix"):
        S3Lake(root, tmp_path)
    with pytest.raises(UsageError, match="no prefix"):
        S3Lake("s3://bucket/lake", tmp_path, {"delta": root})


def test_a_lake_that_was_given_no_lock_cannot_be_written(lake: S3Lake) -> None:
    with pytest.raises(UsageError, match="reading only"), lake.writing(0):
        pass


def test_many_copies_do_not_fill_the_disk(lake: S3Lake) -> None:
    places = [f"sessions/{number}.parquet" for number in range(40)]
    for place in places:
        put(lake, place, place.encode())
    copies = [lake.fetch(place) for place in places]
    assert copies[-1].read_bytes() == places[-1].encode()
    assert sum(copy.exists() for copy in copies) == s3._COPIES


def test_a_bucket_that_is_not_there_is_named(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[0])
    with closing(S3Lake("s3://no-such-bucket/lake", tmp_path)) as lake:
        for does in (
            lambda: lake.has(PLACE),
            lambda: lake.fetch(PLACE),
            lambda: put(lake, PLACE, b"x"),
            lambda: lake.amend("x", lambda _: b"x"),
        ):
            with pytest.raises(ServiceError, match=r"s3://no-such-bucket/lake.*NoSuchBucket") as raised:
                does()
            assert not raised.value.retryable
            assert SECRETS[0] not in str(raised.value)
        assert Path(lake.stage(PLACE)).read_bytes() == b"x"


def test_credentials_that_open_nothing_are_told_without_being_shown(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[0])
    with closing(S3Lake(root, tmp_path)) as lake:
        for does in (lambda: lake.has(PLACE), lambda: put(lake, PLACE, b"x"), lambda: lake.fetch(PLACE)):
            with pytest.raises(ServiceError, match=r"403|SignatureDoesNotMatch") as raised:
                does()
            assert SECRETS[0] not in str(raised.value)
            assert not raised.value.retryable


def test_a_service_that_is_out_of_order_is_worth_another_try(broken: list[str], tmp_path: Path) -> None:
    with closing(S3Lake("s3://bucket/lake", tmp_path)) as lake:
        changes = (lambda: put(lake, PLACE, b"x"), lambda: lake.remove(PLACE), lambda: lake.amend("x", lambda _: b"x"))
        for does in (lambda: lake.has(PLACE), lambda: lake.fetch(PLACE), *changes):
            with pytest.raises(ServiceBusyError):
                does()
    assert {each.split()[0] for each in broken} >= {"GET", "PUT", "DELETE"}


def test_a_line_that_breaks_is_tried_again_and_never_leaves_half_a_file(
    aws: str, impatient: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(CutShort) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with closing(S3Lake("s3://bucket/lake", tmp_path)) as lake:
            assert lake.fetch("a").read_bytes() == b"0123456789"
            assert len(asked) == 4
            with pytest.raises(ServiceBusyError, match="broke off"):
                lake.fetch("b")
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"]


def test_a_copy_takes_one_call(lake: S3Lake) -> None:
    put(lake, PLACE, b"one")
    assert calls(lake, lambda: lake.fetch(PLACE)) == ["GetObject"]


def test_a_service_that_cannot_be_reached_is_worth_another_try(
    aws: str, impatient: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with closing(S3Lake("s3://bucket/lake", tmp_path)) as lake, pytest.raises(ServiceBusyError, match="reached"):
        lake.has(PLACE)


def test_logs_are_copied_byte_by_byte_and_keep_the_names_of_their_place(root: str, raw: Any, tmp_path: Path) -> None:
    bucket, key = s3.split(f"{root}/logs/mm=15")
    names = ["conn.log.gz", "sub/conn.log.gz", "b c'ü%20.json", "n" * 200 + ".csv", "empty.log", "q?x*[1]"]
    for number, name in enumerate(names):
        raw.put_object(Bucket=bucket, Key=f"{key}/{name}", Body=b"" if name == "empty.log" else bytes([number]) * 10)
    raw.put_object(Bucket=bucket, Key=f"{key}/folder/", Body=b"")
    raw.put_object(Bucket=bucket, Key=f"{key}0/other.log", Body=b"of another place")
    found = download(f"{root}/logs/mm=15", tmp_path / "logs")
    assert sorted(found.values()) == sorted(f"{root}/logs/mm=15/{name}" for name in names)
    for path, uri in found.items():
        number = names.index(uri.removeprefix(f"{root}/logs/mm=15/"))
        assert path.read_bytes() == (b"" if uri.endswith("empty.log") else bytes([number]) * 10)
        assert path.resolve().is_relative_to((tmp_path / "logs").resolve())
    assert [path.name.partition("-")[2] for path in found if "conn" in path.name] == ["conn.log.gz", "conn.log.gz"]
    assert download(f"{root}/logs/none", tmp_path / "logs") == {}


def test_a_disk_that_cannot_be_written_is_an_error_of_ours(root: str, raw: Any, tmp_path: Path) -> None:
    bucket, key = s3.split(root)
    raw.put_object(Bucket=bucket, Key=f"{key}/logs/a.log", Body=b"x")
    (tmp_path / "file").write_text("in the way")
    for does in (lambda: download(f"{root}/logs", tmp_path / "file"), lambda: bring(root, ["x"], tmp_path / "file")):
        with pytest.raises(NdrError, match="cannot be written"):
            does()


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
