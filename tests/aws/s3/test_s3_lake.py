"""What a lake on S3 does beside what every lake does: it asks seldom, says why it cannot, and gives nothing away."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aws.s3.places import PLACE, SECRETS, CutShort, calls, put, serving
from ndr.aws import s3
from ndr.aws.clients import ServiceBusyError, ServiceError
from ndr.aws.objects import bring, download
from ndr.aws.s3 import S3Lake
from ndr.errors import AdapterError, NdrError, UsageError


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
