"""Two processes on one lake: one waits or is told to, and the lake is that of one run after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from day.lakes import files, hour, ndr, parts, plan, run, sessions, write
from ndr.lake import LocalLake


def start(lake: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "ndr.cli",
        "run",
        *map(str, arguments),
        "--lake",
        str(lake),
        "--no-warmup",
        "--format",
        "json",
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)  # noqa: S603


def test_two_runs_that_start_together_end_as_one_after_the_other(tmp_path: Path, lake: Path) -> None:
    rows = hour(16)
    logs = [write(tmp_path / f"{n}.json", rows[n::2]) for n in range(2)]
    both = write(tmp_path / "both.json", rows)
    running = [start(lake, log) for log in (logs[0], logs[1], logs[0])]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
    for log in logs:
        run(tmp_path / "alone", log)
    assert files(lake) == files(tmp_path / "alone")
    assert parts(lake) == parts(tmp_path / "alone")
    run(tmp_path / "once", both)
    assert sessions(lake) == sessions(tmp_path / "once")
    assert plan(lake) == {}


def test_who_does_not_wait_is_told_and_changes_nothing(tmp_path: Path, lake: Path) -> None:
    log = write(tmp_path / "log.json", hour(8))
    run(lake, log)
    before = files(lake)
    more = write(tmp_path / "more.json", hour(9))
    with LocalLake(lake).writing(0):
        for command in (("run", more), ("build", "fg_a")):
            answer = ndr(*command, "--lake", lake, "--wait", 0)
            assert answer.code == 3
            assert "another run has been writing" in answer.err
            assert answer.out == ""
        assert files(lake) == before
        assert ndr("status", "--lake", lake).code == 0, "readers need not wait"
        assert ndr("show", "fg_a", "--lake", lake).code == 0
    run(lake, more)
