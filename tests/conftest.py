"""What every test gets: a query cache of its own, and a folder for a scratch lake; who asks, stand-ins for AWS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from standins.credentials import environment
from standins.moto import SERVICES, forget, moto
from standins.s3 import seaweedfs

import sparks
from ndr.engines.duckdb import DuckDB
from ndr.engines.exchange import LocalExchange
from ndr.engines.spark import Spark
from ndr.engines.spark_session import Session, Where, opened


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity", choices=("small", "full"), default="small", help="how much both engines compute")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spark's client leaves the socket of every answer to the collector of garbage: no error in tests that ask it."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"))


@pytest.fixture(scope="session", autouse=True)
def _own_query_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keep compiled queries of the tests apart from the user's; all workers of a session share them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Where a lake may be made."""
    return tmp_path / "lake"


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The address of moto; what it knows is that of every test before, if none forgot it."""
    with moto() as url:
        yield url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a real server of S3; every test makes a bucket of its own."""
    with seaweedfs() as url:
        yield url


@pytest.fixture
def aws(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An account of AWS in which nothing exists yet: the address of moto, where the environment leads."""
    forget(moto_server)
    for name in [*os.environ]:
        if name.startswith("AWS_") or name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
            monkeypatch.delenv(name)
    for name, value in environment(**dict.fromkeys(SERVICES, moto_server)).items():
        monkeypatch.setenv(name, value)
    return moto_server


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    """Spark on this machine, started by the first query; Java believes to be where clocks change, and are not UTC."""
    if reason := sparks.why_not():
        pytest.skip(reason)
    scratch = str(tmp_path_factory.mktemp("spark"))

    def opening() -> Session:
        with sparks.spark_environment(TZ="America/New_York"):
            return opened(Where(threads=2, memory_bytes=1536 << 20, scratch=scratch))

    with closing(Spark(opening, LocalExchange(scratch), DuckDB(scratch, memory_limit="1GB"))) as engine:
        yield engine
