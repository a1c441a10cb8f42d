"""Ten million sessions in one batch, read, built and published by a process that must stay below 4 GB."""

from __future__ import annotations

from benchmarks.cold import NDR
from benchmarks.data import Traffic
from benchmarks.measure import Line, child_cost
from benchmarks.settings import NOON, Setting
from ndr.time import SLICE

SESSIONS, HOSTS = 10_000_000, 20_000
ENGINE_LIMIT = "2GB"
GOAL_BYTES = 4 << 30


def measured(setting: Setting) -> list[Line]:
    """One run; the peak is the largest resident size of the process, Python and all."""
    rows = setting.sized(SESSIONS)
    logs = Traffic(rows, setting.sized(HOSTS), NOON, SLICE).json_lines(setting.folder / "logs.json.gz")
    command = (*NDR, "run", str(logs), "--lake", str(setting.folder / "lake"), "--memory-limit", ENGINE_LIMIT)
    spent = child_cost(command, {"XDG_CACHE_HOME": str(setting.folder / "cache")})
    return [
        Line(
            "memory", f"ndr run --memory-limit {ENGINE_LIMIT} of {rows:,} sessions in one quarter hour", spent.seconds,
            spent.cpu_seconds, spent.peak_bytes, goal="peak ≤ 4,096 MiB", met=spent.peak_bytes <= GOAL_BYTES,
        )
    ]  # fmt: skip
