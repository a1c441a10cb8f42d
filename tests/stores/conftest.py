"""Every kind of lake: in a folder, on a real server of S3, and on moto."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Lock
from uuid import uuid4

import pytest
from standins.s3 import make_bucket

from ndr.aws.s3 import S3Lake, access
from ndr.engines.duckdb import DuckDB
from ndr.errors import LakeBusyError
from ndr.lake import Lake, LocalLake


class Stores:
    """One lake, and whoever opens it."""

    def __init__(self, kind: str, root: str, folder: Path) -> None:
        self.kind, self.root = kind, root
        self._folder, self._lock, self._stack = folder, Lock(), ExitStack()

    def open(self) -> Lake:
        """The lake as another process would have it."""
        if self.kind == "local":
            return LocalLake(self.root)
        scratch = self._folder / uuid4().hex
        return self._stack.enter_context(closing(S3Lake(self.root, scratch, None, self._writing)))

    def engine(self) -> DuckDB:
        """An engine that reads such a lake."""
        return self._stack.enter_context(closing(DuckDB(str(self._folder), threads=1, s3=access)))

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def _writing(self, wait: float) -> Iterator[None]:
        if not self._lock.acquire(blocking=wait > 0, timeout=wait or -1):
            raise LakeBusyError(self.root, wait)
        try:
            yield
        finally:
            self._lock.release()


@pytest.fixture(scope="session")
def lakes_bucket(s3_server: str) -> str:
    """One for all lakes; a bucket of its own for each would take most of the time."""
    return make_bucket(s3_server, "lakes")


@pytest.fixture(params=["local", "seaweedfs", "moto"])
def stores(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    root = str(tmp_path / "lake")
    if request.param == "moto":
        root = f"s3://{make_bucket(request.getfixturevalue('aws'), 'lakes')}/{uuid4().hex}/lake"
    if request.param == "seaweedfs":
        request.getfixturevalue("aws")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", request.getfixturevalue("s3_server"))
        root = f"s3://{request.getfixturevalue('lakes_bucket')}/{uuid4().hex}/lake"
    made = Stores(request.param, root, tmp_path / "here")
    (tmp_path / "here").mkdir()
    yield made
    made.close()


@pytest.fixture
def store(stores: Stores) -> Lake:
    return stores.open()
