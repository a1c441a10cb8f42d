"""Several writers of one table, and writers that die: a reader sees each batch as it was, or whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitStateUnknownException

from sinks import writing
from sinks.icebergs import COLUMNS, SPEC, T, catalog, configuration, configured, history, later, put, rows, stored


@pytest.fixture(autouse=True)
def _catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, tmp_path)


@contextmanager
def writer(folder: Path, host: str, part: str, *quarters: int, death: str = "never") -> Iterator[subprocess.Popen[str]]:
    """A process that waits for a line before it writes."""
    command = [sys.executable, writing.__file__, host, part, death, *map(str, quarters)]
    known = {**os.environ, **configuration(folder), "PYICEBERG_HOME": str(folder)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=known, text=True, **pipes) as process:  # noqa: S603 - our own line
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        yield process
        process.kill()


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def seen() -> dict[Any, list[str]]:
    found: dict[Any, list[str]] = {}
    for row in stored().to_pylist():
        found.setdefault(row["window_end_ts"], []).append(row["host_ip"])
    return found


def test_writers_of_different_batches_all_succeed(tmp_path: Path) -> None:
    with writer(tmp_path, "a", "p", 0, 1) as one, writer(tmp_path, "b", "p", 2, 3) as other:
        start(one)
        start(other)
        for process in (one, other):
            _, complaints = process.communicate(timeout=180)
            assert process.returncode == 0, complaints
    assert seen() == {later(quarter): [f"{'aabb'[quarter]}.{n}" for n in range(3)] for quarter in range(4)}


def test_writers_of_the_same_batch_leave_the_rows_of_one() -> None:
    begin = threading.Barrier(4)

    def one(host: str) -> None:
        given = rows(*(f"{host}.{n}" for n in range(3)))
        begin.wait(120)
        put(given, part=host)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, "abcd"))
    (hosts,) = seen().values()
    assert hosts in [[f"{host}.{n}" for n in range(3)] for host in "abcd"]


class _Meddling:
    """Somebody who does something just before the first commit."""

    def __init__(self, deed: Any) -> None:
        self.deed, self.calls = deed, 0

    def commit(self, *args: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            self.deed()
        return writing._commit(*args)


def meddle(monkeypatch: pytest.MonkeyPatch, deed: Any) -> _Meddling:
    meddling = _Meddling(deed)

    def commit(*args: Any) -> Any:
        return meddling.commit(*args)

    monkeypatch.setattr(SqlCatalog, "commit_table", commit)
    return meddling


def test_a_commit_that_comes_second_is_made_again_upon_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    put(rows("10.0.0.1"), part="a")
    meddling = meddle(monkeypatch, lambda: put(rows("10.0.0.2", at=later(1)), at=later(1)))
    put(rows("10.0.0.3"), part="b")
    assert meddling.calls > 2
    assert seen() == {T: ["10.0.0.3"], later(1): ["10.0.0.2"]}


def test_rows_of_the_same_batch_that_came_first_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    put(rows("10.0.0.9", at=later(1)), at=later(1))
    meddle(monkeypatch, lambda: put(rows("10.0.0.2"), part="first"))
    put(rows("10.0.0.3"), part="second")
    assert seen() == {T: ["10.0.0.3"], later(1): ["10.0.0.9"]}


def test_columns_that_another_writer_adds_first_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    put(rows("10.0.0.1"), part="a")
    theirs, ours = {**COLUMNS, "theirs": "int64"}, {**COLUMNS, "ours": "string"}
    meddle(
        monkeypatch, lambda: put(rows("10.0.0.2", at=later(1), columns=theirs, theirs=1), at=later(1), columns=theirs)
    )
    put(rows("10.0.0.3", columns=ours, ours="x"), part="b", columns=ours)
    found = {row["host_ip"]: (row["theirs"], row["ours"]) for row in stored().to_pylist()}
    assert found == {"10.0.0.2": (1, None), "10.0.0.3": (None, "x")}


def test_a_commit_whose_answer_was_lost_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    put(rows("10.0.0.1", at=later(1)), at=later(1))

    def lost(self: Any, *args: Any) -> Any:
        monkeypatch.setattr(SqlCatalog, "commit_table", writing._commit)
        writing._commit(self, *args)
        raise CommitStateUnknownException("504 Gateway Timeout")

    monkeypatch.setattr(SqlCatalog, "commit_table", lost)
    written = put(rows("10.0.0.2"))
    assert not written.fresh
    assert len(history()) == 2
    assert seen() == {T: ["10.0.0.2"], later(1): ["10.0.0.1"]}


@pytest.mark.parametrize(("death", "left"), [("before", "old"), ("after", "young")])
def test_a_writer_that_dies_at_its_commit_leaves_the_old_rows_or_the_young(
    tmp_path: Path, death: str, left: str
) -> None:
    put(rows("old.0", "old.1", "old.2"), part="old")
    with writer(tmp_path, "young", "young", 0, death=death) as process:
        start(process)
        assert process.wait(180) == -signal.SIGKILL
    assert seen() == {T: [f"{left}.{n}" for n in range(3)]}
    assert put(rows("young.0", "young.1", "young.2"), part="young").fresh == (left == "old")
    assert seen() == {T: ["young.0", "young.1", "young.2"]}


def test_a_writer_that_is_killed_at_any_moment_leaves_whole_batches(tmp_path: Path) -> None:
    put(rows("old.0", "old.1", "old.2"), part="old")
    chance = random.Random(5)  # noqa: S311 - moments, no secrets
    for life in range(3):
        with writer(tmp_path, f"h{life}", f"p{life}", *([0, 1] * 20)) as process:
            start(process)
            time.sleep(chance.uniform(0, 0.5))
            process.kill()
        for hosts in seen().values():
            assert len(hosts) == 3
            assert len({host.partition(".")[0] for host in hosts}) == 1, hosts
    with catalog() as opened:
        assert opened.load_table(SPEC.table).scan().count() == sum(len(hosts) for hosts in seen().values())
