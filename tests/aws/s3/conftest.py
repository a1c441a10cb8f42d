"""A lake on a real server of S3, and a server that is out of order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from standins.s3 import client, make_bucket

from aws.s3.places import Answer, serving
from ndr.aws.s3 import S3Lake


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


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, aws: str, impatient: None) -> Iterator[list[str]]:
    """A server of S3 that is out of order, and what it was asked."""
    with serving(Answer) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        yield asked
