"""What a piece of work costs: wall seconds, CPU seconds of all threads, and the most memory it held at once."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

_SELF = Path("/proc/self")


class ChildError(Exception):
    """A command that is measured failed."""

    def __init__(self, command: Sequence[str], code: int, said: str) -> None:
        super().__init__(f"{' '.join(command)} ended with exit code {code}:\n{said}")


@dataclass(frozen=True)
class Cost:
    """One run."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Line:
    """One figure: medians of its runs, and how they compare with the floor and the goal."""

    figure: str
    what: str
    seconds: float
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    """Lowest and highest ratio of a run to the floor's run beside it."""
    cpu_ratio: float | None = None
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Chapter:
    """Figures with something to read about them, and all that was measured, to be kept beside the page."""

    lines: list[Line]
    text: str
    found: Mapping[str, Any]


def cost(work: Callable[[], object]) -> Cost:
    """Run something in this process. The peak is that of the process, measured from a tidied start."""
    _tidy()
    cpu, start = time.process_time(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - start, time.process_time() - cpu, _peak())


def child_cost(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end.

    Raises:
        ChildError: it fails.
    """
    launched = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")), *command]
    done = subprocess.run(
        launched, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ChildError(command, done.returncode, done.stderr)
    seconds, cpu_seconds, peak_bytes = json.loads(done.stdout)
    return Cost(seconds, cpu_seconds, peak_bytes)


def alternate(runs: int, *contestants: Callable[[int], Cost]) -> list[list[Cost]]:
    """Let them run in turn, so that a slow minute of the machine slows all; each is told the number of its run.

    One round before the first is not counted: it warms files, caches and compiled queries.
    """
    rounds = [[contestant(number) for contestant in contestants] for number in range(runs + 1)]
    return [list(costs) for costs in zip(*rounds[1:], strict=True)]


def line(
    figure: str, what: str, costs: Sequence[Cost], floor: Sequence[Cost] | None = None, *,
    most: float | None = None, seconds: float | None = None,
) -> Line:  # fmt: skip
    """The figure of some runs; ``most`` is the goal for the ratio to the floor, ``seconds`` for the time."""
    wall = median(each.seconds for each in costs)
    cpu = median(each.cpu_seconds for each in costs)
    ratio = wall / median(each.seconds for each in floor) if floor else None
    cpu_ratio = cpu / max(median(each.cpu_seconds for each in floor), 1e-9) if floor else None
    each = [mine.seconds / its.seconds for mine, its in zip(costs, floor or [], strict=floor is not None)]
    goal, met = "", None
    if most is not None and ratio is not None:
        goal, met = f"≤ {most:g} x", ratio <= most
    elif seconds is not None:
        goal, met = f"≤ {seconds:g} s", wall <= seconds
    return Line(
        figure, what, wall, cpu, max(c.peak_bytes for c in costs),
        ratio, (min(each), max(each)) if each else None, cpu_ratio, goal, met,
    )  # fmt: skip


def _tidy() -> None:
    """Give free memory back to the system, and start the peak afresh where the system can."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        (_SELF / "clear_refs").write_text("5")


def _peak() -> int:
    """The most memory since the last tidying; since the start of the process on systems that cannot tell."""
    with suppress(OSError):
        for entry in (_SELF / "status").read_text().splitlines():
            if entry.startswith("VmHWM:"):
                return int(entry.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
