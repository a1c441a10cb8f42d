"""Sessions of Spark: what is there already stays as it is, what is missing is said, and nobody else can listen."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import ndr.engines.spark_session as sessions
from engines.both import beside, file, read, shaped
from ndr.engine import Files, Rows
from ndr.engines.duckdb import DuckDB
from ndr.engines.exchange import LocalExchange
from ndr.engines.spark import Spark
from ndr.engines.spark_session import SETTINGS, Session, Where, opened
from ndr.errors import AdapterError, NdrError, UsageError

NUMBERS = Rows({"n": "int64"}, [(1,), (2,)])
LISTENS = "0A"


@pytest.fixture
def users(spark: Spark, tmp_path: Path) -> Iterator[Any]:
    """A session that a user has in this process, with views and settings of their own."""
    with beside(spark, tmp_path / "first"):
        session = spark._spark.newSession()
    active = session._jvm.org.apache.spark.sql.SparkSession.getActiveSession().get()
    session.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    session.conf.set("spark.sql.shuffle.partitions", "7")
    session.conf.set("spark.sql.ansi.enabled", "false")
    session.range(3).createOrReplaceTempView("rows")
    session._jvm.org.apache.spark.sql.SparkSession.setActiveSession(session._jsparkSession)
    yield session
    session._jvm.org.apache.spark.sql.SparkSession.setActiveSession(active)


def test_a_session_of_a_user_keeps_its_views_and_settings(users: Any, spark: Spark, tmp_path: Path) -> None:
    settings = {name: users.conf.get(name, None) for name in (*SETTINGS, "spark.sql.shuffle.partitions")}
    with beside(spark, tmp_path / "exchange") as engine:
        assert [row["n"] for row in read(engine, NUMBERS)] == [1, 2]
        assert engine._spark.conf.get("spark.sql.session.timeZone") == "UTC"
        assert users.table("rows").count() == 3
    assert {name: users.conf.get(name, None) for name in settings} == settings
    assert settings["spark.sql.session.timeZone"] == "Asia/Tokyo"
    assert [view.name for view in users.catalog.listTables()] == ["rows"]
    assert users.range(5).count() == 5  # it was not stopped
    assert users.sql("SELECT cast('seven' AS int) AS n").collect()[0]["n"] is None


def test_jobs_of_a_user_are_not_counted_as_ours_afterwards(users: Any, spark: Spark, tmp_path: Path) -> None:
    context = users.sparkContext
    context.setJobGroup("theirs", "what the user does")
    with beside(spark, tmp_path / "exchange") as engine:
        read(engine, NUMBERS)
        spent = engine.spent()
    assert spent["jobs"] == 1
    assert context.getLocalProperty("spark.jobGroup.id") == "theirs"
    assert context.getLocalProperty("spark.job.description") == "what the user does"
    context.setLocalProperty("spark.jobGroup.id", None)
    context.setLocalProperty("spark.job.description", None)


def test_constants_are_what_was_said_beside_a_user_with_another_clock(
    users: Any, spark: Spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their session takes times for times of a zone, as Spark does where nobody says otherwise."""
    at = datetime(2026, 3, 8, 2, 30, 0, 1)
    path = file(tmp_path / "rows.parquet", {"n": "int64"}, [(1,)])
    files = Files({"n": "int64", "at": "timestamp(6)"}, [path], [{"at": at}], within=("at", at, datetime(2027, 1, 1)))
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        with beside(spark, tmp_path / "exchange") as engine:
            assert read(engine, files) == [{"n": 1, "at": at}]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_session_that_another_thread_opened_is_not_ours_to_stop(spark: Spark, tmp_path: Path) -> None:
    """Threads have no active session of their own, but there is one in the process."""
    with beside(spark, tmp_path / "first"):
        users = spark._spark
    found: list[Session] = []
    thread = threading.Thread(target=lambda: found.append(opened(Where())))
    thread.start()
    thread.join()
    (session,) = found
    assert not session.own
    session.spark.conf.set("spark.sql.shuffle.partitions", "99")
    assert users.conf.get("spark.sql.shuffle.partitions") != "99"
    session.close()
    assert users.range(2).count() == 2


@pytest.mark.parametrize(
    "master",
    ["local[0.5]", "local[2];rm", "localhost:7077", "http://host", "sc://", "spark://a b", "yarn --x", "mesos://x"],
)
def test_a_master_that_is_none_is_an_error_of_usage(master: str) -> None:
    with pytest.raises(UsageError, match="--master"):
        opened(Where(master=master))


@pytest.mark.parametrize("url", ["sc://host:port", "sc://host/folder;token=secret", "sc:///;token=secret", "sc://[::1"])
def test_an_address_of_a_server_that_is_none_is_an_error_of_usage_which_tells_no_secret(url: str) -> None:
    with pytest.raises(UsageError, match="sc://host:port") as caught:
        opened(Where(master=url))
    assert "secret" not in str(caught.value)


def unopened(tmp_path: Path, where: Where) -> Spark:
    return Spark(lambda: opened(where), LocalExchange(str(tmp_path)), DuckDB(str(tmp_path)))


def said(tmp_path: Path, where: Where) -> str:
    """How it fails where Spark cannot be had."""
    with closing(unopened(tmp_path, where)) as engine, pytest.raises(NdrError) as caught:
        engine.fetch(engine.compile(shaped(NUMBERS)), {"rows": NUMBERS})
    assert isinstance(caught.value, AdapterError)
    return str(caught.value)


@pytest.mark.parametrize("gone", ["pyspark", "py4j"])
def test_without_pyspark_what_to_install_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in {"pyspark", "py4j"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, gone, None)
    assert "install ndr[spark]." in said(tmp_path, Where())


def test_without_java_what_to_install_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark")
    from pyspark.sql import SparkSession  # noqa: PLC0415 - may be missing

    monkeypatch.setattr(SparkSession, "getActiveSession", classmethod(lambda _: None))
    monkeypatch.setattr(sessions, "java_home", lambda: None)
    monkeypatch.setattr("pyspark.SparkContext._active_spark_context", None)
    for name in ("SPARK_ENV_LOADED", "PYSPARK_GATEWAY_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert said(tmp_path, Where()).startswith("--engine spark needs a Java from 17 to 23")


@pytest.mark.parametrize(
    ("release", "version"),
    [('JAVA_VERSION="17.0.12"', 17), ('X="1"\nJAVA_VERSION="1.8.0_292"', 8), ('JAVA_VERSION="21"', 21), ("", None)],
)
def test_the_version_of_a_java_is_read_from_its_folder(tmp_path: Path, release: str, version: int | None) -> None:
    assert sessions.java_version(tmp_path) is None
    (tmp_path / "release").write_text(release, encoding="utf-8")
    assert sessions.java_version(tmp_path) is None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/java").touch()
    assert sessions.java_version(tmp_path) == version


def test_a_java_that_spark_cannot_run_on_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in (11, 17, 25):
        (tmp_path / f"java-{version}/bin").mkdir(parents=True)
        (tmp_path / f"java-{version}/bin/java").touch()
        (tmp_path / f"java-{version}/release").write_text(f'JAVA_VERSION="{version}.0.1"', encoding="utf-8")
    monkeypatch.setattr(sessions, "_INSTALLED", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for named in (11, 25, 99):
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / f"java-{named}"))
        assert sessions.java_home.__wrapped__() == tmp_path / "java-17"


def sockets_of(process: int) -> set[str]:
    """The inodes of the sockets that a process holds."""
    links = []
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            links.append(str(link.readlink()))
        except OSError:  # closed meanwhile
            continue
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def listening(process: int) -> dict[str, str]:
    """Inode -> the address, in hexadecimal, of the sockets at which a process listens."""
    own, found = sockets_of(process), {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[3] == LISTENS and words[9] in own:
                found[words[9]] = words[1].partition(":")[0]
    return found


def test_nothing_listens_but_on_this_machine(spark: Spark, tmp_path: Path) -> None:
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    with beside(spark, tmp_path):
        java = spark._spark.sparkContext._gateway.proc.pid
    found = listening(java)
    assert len(found) >= 2  # the driver, its blocks, the gateway of Python
    assert set(found.values()) <= loopback
