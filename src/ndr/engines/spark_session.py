"""Sessions of Spark: one of our own on this machine, one that is there already, or one on a server."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from urllib.parse import urlsplit

from ndr.errors import AdapterError, NdrError, UsageError, shown

JAVAS = range(17, 24)
"""Versions of Java on which Spark runs: it asks for 17, and Hadoop below it for what Java 24 took away."""
_CONNECT_PORT = 15002
"""Where a server of Spark Connect listens if nobody says otherwise."""
_INSTALLED = Path("/usr/lib/jvm")
MASTER = re.compile(r"local(\[(\d+|\*)\])?|yarn|spark://\S+|k8s://\S+|sc://\S+")
SETTINGS: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",  # our times are UTC without a zone
    "spark.sql.ansi.enabled": "true",  # what does not fit is an error, and never null
    "spark.sql.caseSensitive": "true",
    "spark.sql.constraintPropagation.enabled": "false",  # exponential in columns that are aliases of others
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.parquet.compression.codec": "snappy",  # what is written is read once, and soon
    "spark.sql.maxPlanStringLength": "4096",  # nobody reads the plans of wide tables
    "spark.sql.debug.maxToStringFields": "8",
}
"""What our queries need of any session; all can be said while it runs."""
_LOCAL: Mapping[str, str] = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "1000000",  # no job only to look at files
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
}
"""What we say besides where the session is ours and on this machine."""


@dataclass(frozen=True)
class Where:
    """Which session is wanted: none is named, and it is the one that is there, else one on this machine."""

    master: str = ""
    threads: int | None = None
    memory_bytes: int = 3 << 30
    scratch: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What else a session that we start is told, such as how S3 is reached."""

    @property
    def remote(self) -> bool:
        """Whether it is a server of Spark Connect."""
        return self.master.startswith("sc://")


@dataclass(frozen=True)
class Session:
    """A session of our own, with its own views and settings; ``own`` says whether Spark itself was started for it."""

    spark: Any
    own: bool
    remote: bool

    def close(self) -> None:
        """Stop what was started."""
        if self.own or self.remote:
            self.spark.stop()


def opened(where: Where) -> Session:
    """A session with our settings. One that is there already keeps its own: ours lives beside it.

    Raises:
        UsageError: the master is none.
        AdapterError: Spark or Java is missing, or does not start.
    """
    if where.master and not MASTER.fullmatch(where.master):  # what follows ; may be secret
        raise UsageError(
            f"--master {shown(where.master.partition(';')[0])!r} is none of local[N], yarn, spark://…, k8s://… and sc://…."
        )
    try:
        from pyspark.errors import PySparkException  # noqa: PLC0415 - an extra
        from pyspark.sql import SparkSession  # noqa: PLC0415
    except ImportError as error:
        raise AdapterError("--engine spark needs pyspark, which is not here; install ndr[spark].") from error
    try:
        found = _found(SparkSession, where)
        for name, value in SETTINGS.items():
            found.spark.conf.set(name, value)
    except NdrError:
        raise
    except (PySparkException, RuntimeError, OSError, ImportError) as error:  # ImportError: what Connect needs
        raise AdapterError(f"Spark does not start: {shown(str(error), 400)}") from error
    return found


def _found(spark: Any, where: Where) -> Session:
    if where.remote:
        _call(where.master)
        return Session(spark.builder.remote(where.master).create(), own=False, remote=True)
    from pyspark import SparkContext  # noqa: PLC0415 - an extra

    there = spark.getActiveSession()
    if there is None and SparkContext._active_spark_context is not None:  # noqa: SLF001 - of another thread
        there = spark.builder.getOrCreate()
    if there is not None:
        return Session(there.newSession(), own=False, remote=False)
    submitted = "SPARK_ENV_LOADED" in os.environ or "PYSPARK_GATEWAY_PORT" in os.environ
    if submitted and not where.master:  # spark-submit started us, and knows where the cluster is
        return Session(spark.builder.appName("ndr").getOrCreate(), own=True, remote=False)
    return Session(_started(spark, where), own=True, remote=False)


def _started(spark: Any, where: Where) -> Any:
    """A Spark that ends with us: all of it on this machine, or its driver."""
    _lead_to_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {"spark.driver.memory": f"{max(512, where.memory_bytes >> 20)}m"}
    if where.scratch:
        settings["spark.local.dir"] = where.scratch
    if not where.master or where.master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        quiet = f"-Dlog4j2.configurationFile={(Path(__file__).parent / 'log4j2.properties').as_uri()}"
        settings |= {**_LOCAL, "spark.driver.extraJavaOptions": quiet}
        settings["spark.sql.warehouse.dir"] = gettempdir()  # nobody's, and else Spark makes one where we were started
    builder = spark.builder.appName("ndr").master(where.master or f"local[{where.threads or '*'}]")
    for name, value in {**settings, **where.settings}.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _call(master: str) -> None:
    """See whether anybody is there: Spark's client goes on trying for ten minutes.

    Raises:
        UsageError: the address of the server is none.
        AdapterError: nobody answers.
    """
    try:
        place = urlsplit(master)
        host, port = place.hostname, place.port or _CONNECT_PORT
    except ValueError:
        host = None
    if not host or not re.fullmatch("/?(;.*)?", place.path):
        raise UsageError("--master sc://… is written sc://host:port, then /;name=value for what else the server needs.")
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError as error:
        raise AdapterError(f"no server of Spark Connect answers at {host}:{port}: {error}.") from error


def java_version(home: Path) -> int | None:
    """The version of the Java at ``home``, as its file ``release`` says; None where there is no Java."""
    try:
        told = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', told, flags=re.MULTILINE)
    return int(found[1]) if found and (home / "bin" / "java").exists() else None


def _javas() -> Iterator[Path]:
    """Where Javas are, first the one that Spark takes by itself: JAVA_HOME, that of PATH, then the others."""
    if named := os.environ.get("JAVA_HOME"):
        yield Path(named)
    if started := shutil.which("java"):
        yield Path(started).resolve().parents[1]
    if _INSTALLED.is_dir():
        yield from sorted(_INSTALLED.iterdir())


@cache
def java_home() -> Path | None:
    """The first Java that Spark can run on; None where there is none."""
    return next((home for home in _javas() if java_version(home) in JAVAS), None)


def _lead_to_java() -> None:
    """Tell Spark's start which Java to take.

    Raises:
        AdapterError: there is none that it runs on.
    """
    home = java_home()
    if home is None:
        raise AdapterError(
            f"--engine spark needs a Java from {JAVAS.start} to {JAVAS.stop - 1}, which is not here; install one, such "
            "as Debian's openjdk-17-jre-headless, or name it in JAVA_HOME."
        )
    os.environ["JAVA_HOME"] = str(home)
