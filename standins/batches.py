"""Batches: simulated logs as a collector delivers them, a folder per quarter hour, after one folder of the past."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ndr.sources.imports import Batch
from ndr.time import DAY, SLICE, Interval, floor, parse_instant, stamp

PAST = "past"


def delivered(logs: Path, to: Path, count: int) -> list[Batch]:
    """Put simulated logs into folders below ``to``: some quarter hours each in its own, what was before them in one.

    They begin with the second of the last day, and what comes after them is left out. A session is delivered with the
    quarter hour in which it ended. The batches come in the order of time.
    """
    lines = sorted(_lines(logs))
    first = floor(lines[-1][0], DAY) + SLICE
    past = Batch(PAST, Interval(floor(lines[0][0], SLICE), first))
    recent = [Batch(stamp(each.start), each) for each in Interval(first, first + count * SLICE).split(SLICE)]
    for batch in (past, *recent):
        folder = to / batch.name
        folder.mkdir(parents=True)
        own = (line for at, line in lines if batch.interval.contains(at))
        (folder / "traffic.json").write_text("".join(f"{line}\n" for line in own))
    return [past, *recent]


def _lines(logs: Path) -> Iterator[tuple[datetime, str]]:
    for file in sorted(logs.glob("*.json.gz")):
        with gzip.open(file, "rt") as text:
            for line in text:
                yield parse_instant(json.loads(line)["event_end"]), line.rstrip("\n")
