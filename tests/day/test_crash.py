"""``kill -9`` at every step towards the disk: readers see whole parts, and a rerun ends in the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SHARE = os.environ.get("NDR_CRASH_SHARE", "0.05")
"""1 walks every step, which takes minutes."""


@pytest.mark.parametrize("scenario", ["first", "grown", "replaced", "history"])
def test_killed_anywhere_and_run_again_is_as_if_nothing_happened(tmp_path: Path, scenario: str) -> None:
    command = [sys.executable, str(TESTS / "day/crash_walk.py"), scenario, str(tmp_path), SHARE]
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(  # noqa: S603 - our own program
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    walked = json.loads(done.stdout)
    assert len(walked["steps"]) >= 15, walked["steps"]
    assert {walked["steps"][step] for step in walked["walked"]} == set(walked["steps"])
    assert not walked["wrong"], json.dumps(walked["wrong"], indent=1)[:6000]
