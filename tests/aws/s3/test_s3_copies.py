"""Copies of files of S3: small ones are copied once while they stay as they are, and borrowed ones go back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ndr.aws import copies
from ndr.aws.copies import Copies
from ndr.aws.objects import borrowed, split
from ndr.aws.s3 import S3Lake
from ndr.errors import DataError

ONE, TWO, THREE = (f"delta/dt=2026-03-04/hh=10/mm={minute}/B.v1.parquet" for minute in ("00", "15", "30"))


def put(lake: S3Lake, place: str, content: bytes) -> None:
    Path(lake.stage(place)).write_bytes(content)
    lake.publish(place)


def read(paths: list[str]) -> list[bytes]:
    return [Path(path).read_bytes() for path in paths]


def test_small_files_are_read_from_copies_in_the_order_that_is_asked_for(lake: S3Lake) -> None:
    for place in (ONE, TWO):
        put(lake, place, place.encode())
    assert read(lake.ready([TWO, ONE])) == [TWO.encode(), ONE.encode()]


def test_a_file_that_was_replaced_is_copied_anew(lake: S3Lake) -> None:
    put(lake, ONE, b"old")
    assert read(lake.ready([ONE])) == [b"old"]
    put(lake, ONE, b"new")
    assert read(lake.ready([ONE])) == [b"new"]


def test_large_files_and_those_that_are_gone_are_left_in_place(lake: S3Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "SMALL", 4)
    put(lake, ONE, b"12345")
    put(lake, TWO, b"1234")
    large, small, gone = lake.ready([ONE, TWO, THREE])
    assert (large, gone) == (lake.path(ONE), lake.path(THREE))
    assert read([small]) == [b"1234"]


def test_a_copy_is_made_once(lake: S3Lake, raw: Any) -> None:
    put(lake, ONE, b"old")
    lake.ready([ONE])
    bucket, key = split(lake.path(ONE))
    raw.delete_object(Bucket=bucket, Key=key)
    assert read(lake.ready([ONE])) == [b"old"], "it is not asked for again"


def test_the_copies_together_are_no_larger_than_they_may_be(tmp_path: Path) -> None:
    kept = Copies(tmp_path, held=10)

    def copy(name: str, here: Path) -> bool:
        here.write_bytes(b"1234")
        return True

    assert list(kept.bring(dict.fromkeys("abc", 4), copy)) == ["a", "b"], "what does not fit is read in place"
    assert list(kept.bring(dict.fromkeys("cd", 4), copy)) == [], "what was handed out may be being read"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    kept.bring({"a": 4}, copy)
    kept.make_room()
    assert [path.name for path in tmp_path.iterdir()] == ["a"], "the one that was asked for last stays"


def test_a_borrowed_file_goes_back_as_it_is_then(root: str, raw: Any) -> None:
    bucket, key = split(f"{root}/failed.jsonl")
    raw.put_object(Bucket=bucket, Key=key, Body=b"one\ntwo\n")
    with borrowed(f"{root}/failed.jsonl") as here:
        assert here.read_bytes() == b"one\ntwo\n"
        here.write_bytes(b"two\n")
    assert raw.get_object(Bucket=bucket, Key=key)["Body"].read() == b"two\n"
    with borrowed(f"{root}/failed.jsonl") as here:
        here.unlink()
    with pytest.raises(DataError, match="there is no file"), borrowed(f"{root}/failed.jsonl"):
        pass
