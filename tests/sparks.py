"""Whether Spark can run here, and the surroundings in which tests start it: this machine alone, this interpreter."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from ndr.engines.spark_session import JAVAS, java_home

START = 90.0  # seconds until a server answers: Java, Spark, and a machine that does other things


def why_not() -> str | None:
    """Why Spark cannot run here, for a test that skips; None where it can."""
    if find_spec("pyspark") is None:
        return "pyspark is not installed: make spark"
    if java_home() is None:
        return f"no Java from {JAVAS.start} to {JAVAS.stop - 1} here: apt-get install openjdk-17-jre-headless"
    return None


@contextmanager
def spark_environment(**more: str) -> Iterator[None]:
    """Lead Spark to this interpreter, the Java found and the loopback address; put the environment back at the end."""
    named = ("SPARK_", "PYSPARK_", "JAVA_", *more)
    before = {name: value for name, value in os.environ.items() if name.startswith(named)}
    ours = {"JAVA_HOME": str(java_home()), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", **more}
    for name in before:
        del os.environ[name]
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        os.environ.update(before)


def spark_home() -> Path:
    """The folder of the Spark that pyspark brings."""
    found = find_spec("pyspark")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def connect_jar() -> Path | None:
    """What makes a server of Spark Connect; None where pyspark brings none, as 3.5 does."""
    return next((spark_home() / "jars").glob("spark-connect_*.jar"), None)


def answers(port: int) -> bool:
    """Whether anything listens at a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def spark_connect(folder: Path) -> Iterator[str]:
    """The address of a server of Spark Connect, which works in ``folder`` and ends with the context."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": 2,
    }
    command = [str(spark_home() / "bin" / "spark-submit"), "--master", "local[2]"]
    command += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    log = folder / "spark-connect.log"
    with spark_environment(), log.open("wb") as said:
        environment = {**os.environ, "SPARK_HOME": str(spark_home())}
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=said, stderr=subprocess.STDOUT)  # noqa: S603 - ours
    try:
        end = time.monotonic() + START
        while not answers(port):
            assert server.poll() is None, log.read_text(encoding="utf-8", errors="replace")[-2000:]
            assert time.monotonic() < end, "the server of Spark Connect does not answer"
            time.sleep(0.2)
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
