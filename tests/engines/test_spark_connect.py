"""Spark Connect: the tables that a server makes which knows nothing of us are those of the engine in this process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

import sparks
from ndr.cli.lakes import LEDGER
from ndr.engines.spark_session import Where, opened
from ndr.errors import AdapterError
from ndr.lake import LocalLake
from ndr.local_ledger import SqliteLedger
from ndr.parity import compare
from ndr.parity.imports import copy_imports
from ndr.specs import Config
from ndr.time import SLICE
from strategies import ANCHORS, random_sessions
from worlds import World

MADE = ("delta", "pair_counts", "fg_a")
END = ANCHORS[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := sparks.why_not():
        pytest.skip(reason)
    if sparks.connect_jar() is None:
        pytest.skip("this pyspark brings no server of Spark Connect")
    with sparks.spark_connect(tmp_path_factory.mktemp("connect")) as url:
        yield url


def ndr(*arguments: object) -> subprocess.CompletedProcess[str]:
    """What the command says in a process of its own: a client of Connect is nothing else besides."""
    command = [sys.executable, "-m", "ndr.cli", *map(str, arguments)]
    environment = {**os.environ, "TZ": "America/New_York"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)  # noqa: S603 - ours


def test_the_tables_of_a_server_are_those_of_this_process(server: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    world = World(here)
    rows = random_sessions(Random(6), 400, anchor=END)  # noqa: S311 - made-up data, not secrets
    world.put([row for row in rows if END - timedelta(hours=2) <= row["event_end"]])
    with closing(LocalLake(there)) as twin, closing(SqliteLedger(there / LEDGER)) as ledger:
        copy_imports(world.lake, world.ledger, twin, ledger, "1")
    hours = ("--from", f"{END - SLICE:%Y-%m-%dT%H:%M:%SZ}", "--to", f"{END:%Y-%m-%dT%H:%M:%SZ}")
    for lake, engine in ((here, ()), (there, ("--engine", "spark", "--master", server))):
        done = ndr("build", "fg_a", *hours, "--lake", lake, *engine)
        assert done.returncode == 0, done.stderr
    with closing(LocalLake(there)) as twin, closing(SqliteLedger(there / LEDGER)) as ledger:
        found = compare(world.lake, world.ledger, twin, ledger, Config())
    world.close()
    assert set(MADE) <= set(found)
    assert all(told.equal for told in found.values()), {name: told.examples for name, told in found.items()}
    assert min(found[name].rows for name in MADE) > 5


def test_a_server_that_is_not_there_is_told_at_once_and_no_secret_with_it() -> None:
    """Spark's own client would go on for ten minutes."""
    pytest.importorskip("pyspark")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(AdapterError, match=f"answers at 127.0.0.1:{port}") as caught:
        opened(Where(master=f"sc://127.0.0.1:{port}/;token=secret"))
    assert "secret" not in str(caught.value)
    assert time.monotonic() - started < 30
