"""A process that writes batches to a table of Iceberg when it is told to, and may die at a chosen moment.

Usage: writing.py HOST PART DEATH QUARTER...; DEATH is never, before or after (the commit).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from pyiceberg.catalog.sql import SqlCatalog

from sinks.icebergs import later, put, rows

_commit = SqlCatalog.commit_table


def _dying(moment: str) -> Any:
    def commit(self: Any, table: Any, *rest: Any) -> Any:
        told = _commit(self, table, *rest) if moment == "after" else None
        if told is None or table.current_snapshot():
            os.kill(os.getpid(), signal.SIGKILL)
        return told

    return commit


def main(host: str, part: str, death: str, *quarters: str) -> None:
    if death != "never":
        SqlCatalog.commit_table = _dying(death)
    print("ready", flush=True)  # noqa: T201 - told to who started it
    sys.stdin.readline()
    for quarter in quarters:
        at = later(int(quarter))
        put(rows(*(f"{host}.{n}" for n in range(3)), at=at), at=at, part=part)


if __name__ == "__main__":
    main(*sys.argv[1:])
