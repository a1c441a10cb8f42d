"""How a run of the benchmarks is meant: where, how often, how large."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

NOON = datetime(2026, 3, 3, 12)
"""Where the histories end and the measured quarter hours begin."""


@dataclass(frozen=True)
class Setting:
    """What every figure is told."""

    folder: Path
    """Scratch folder of this figure alone."""
    runs: int = 3
    scale: float = 1.0
    """Fraction of the sizes that the goals are about."""

    def sized(self, rows: int) -> int:
        """A number of sessions or hosts at the scale of the run."""
        return max(20, int(rows * self.scale))


def floor_query(sql: str, memory_limit: str) -> None:
    """Let DuckDB make a table in memory, with its defaults but for the memory."""
    with duckdb.connect(config={"memory_limit": memory_limit}) as con:
        con.execute(f"CREATE TEMP TABLE floor AS {sql}")


def listed(paths: list[str]) -> str:
    """Files as an SQL list."""
    return "[" + ", ".join(f"'{path}'" for path in paths) + "]"
