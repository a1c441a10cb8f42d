"""Batches: simulated logs as a collector delivers them, a folder per quarter hour, after one folder of the past."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from ndr.sources.imports import Batch
from ndr.time import SLICE, Interval, ceil, floor, parse_instant, stamp

PAST = "past"


def delivered(logs: Path, to: Path, last: int) -> list[Batch]:
    """Put simulated logs into folders below ``to``: the last quarter hours each in its own, what was before in one.

    A session is delivered with the quarter hour in which it ended. The batches come in the order of time.
    """
    lines = sorted(_lines(logs))
    end = ceil(lines[-1][0] + timedelta(microseconds=1), SLICE)
    first = end - last * SLICE
    past = Batch(PAST, Interval(floor(lines[0][0], SLICE), first))
    recent = [Batch(stamp(each.start), each) for each in Interval(first, end).split(SLICE)]
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
