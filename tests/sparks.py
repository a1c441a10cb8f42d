"""Whether Spark can run here, and the surroundings in which tests start it: this machine alone, this interpreter."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

JAVAS = range(17, 24)  # Spark asks for 17; Hadoop, which it stands on, asks for what Java 24 took away
INSTALLED = Path("/usr/lib/jvm")  # where the packages of Debian and Red Hat put every Java


def java_version(home: Path) -> int | None:
    """The version of the Java at ``home``, as its file ``release`` says; None where there is no Java."""
    try:
        told = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', told, flags=re.MULTILINE)
    return int(found[1]) if found and (home / "bin" / "java").exists() else None


def javas() -> Iterator[Path]:
    """Where Javas are, first the one that Spark takes by itself: JAVA_HOME, that of PATH, then the others."""
    if named := os.environ.get("JAVA_HOME"):
        yield Path(named)
    if started := shutil.which("java"):
        yield Path(started).resolve().parents[1]
    if INSTALLED.is_dir():
        yield from sorted(INSTALLED.iterdir())


@cache
def java_home() -> Path | None:
    """The first Java that Spark can run on; None where there is none."""
    return next((home for home in javas() if java_version(home) in JAVAS), None)


def why_not() -> str | None:
    """Why Spark cannot run here, for a test that skips; None where it can."""
    if find_spec("pyspark") is None:
        return "pyspark is not installed: make spark"
    if java_home() is None:
        return f"no Java from {JAVAS.start} to {JAVAS.stop - 1} here: apt-get install openjdk-17-jre-headless"
    return None


@contextmanager
def spark_environment() -> Iterator[None]:
    """Lead Spark to this interpreter, the Java found and the loopback address; put the environment back at the end."""
    before = {name: value for name, value in os.environ.items() if name.startswith(("SPARK_", "PYSPARK_", "JAVA_"))}
    ours = {"JAVA_HOME": str(java_home()), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    for name in before:
        del os.environ[name]
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        os.environ.update(before)
