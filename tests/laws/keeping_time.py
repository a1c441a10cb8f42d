"""Sessions with and without a rhythm, and the beacon tables made of them in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any

import pyarrow as pa

from handmade import session
from laws.pipeline import Pipeline, batches_of
from ndr.table import PartKey, Table
from ndr.tables.beacons import beacons
from ndr.tables.pair_counts import pair_counts
from ndr.tables.pair_days import pair_days
from ndr.tables.sessions import sessions as session_table
from ndr.tables.slow_beacons import slow_beacons
from ndr.time import SLICE, floor
from oracle import OracleConfig
from strategies import CONFIGS
from strategies import session_table as as_arrow
from worlds import config_of

Row = dict[str, Any]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LENIENT = {"min_connections": 4, "min_score": 0.0}


class Beacons(Pipeline):
    """The way from sessions to the two beacon tables alone."""

    def __init__(self, oracle: OracleConfig, rules: Mapping[str, Any]) -> None:
        jobs = {"beacons": dict(rules), "slow_beacons": dict(rules)}
        self.config = config_of(oracle).model_copy(update={"jobs": jobs})
        self._databases = {made.name: self._prepared(made) for made in (pair_counts, pair_days, beacons, slow_beacons)}

    def days(self, rows: Sequence[Row]) -> list[Row]:
        """The pair days of all sessions."""
        return self._days(rows).to_pylist()

    def fast(self, rows: Sequence[Row], ends: Iterable[datetime]) -> list[Row]:
        """The beacons of full hours, all made in one query."""
        inputs = {"sessions": as_arrow(rows), "pair_counts": self._counts(rows)}
        return self._run(beacons, inputs, _parts(beacons, ends), {}).to_pylist()

    def slow(self, rows: Sequence[Row], ends: Iterable[datetime]) -> list[Row]:
        """The slow beacons of midnights, all made in one query."""
        return self._run(slow_beacons, {"pair_days": self._days(rows)}, _parts(slow_beacons, ends), {}).to_pylist()

    def _counts(self, rows: Sequence[Row]) -> pa.Table:
        clock = self.config.project_parameters.clock
        starts = {(floor(row[clock], SLICE), row["batch_end_ts"]) for row in rows}
        parts = [PartKey(start, end or start + SLICE) for start, end in starts]
        return self._run(pair_counts, {"sessions": as_arrow(rows)}, parts, batches_of(rows))

    def _days(self, rows: Sequence[Row]) -> pa.Table:
        return self._run(pair_days, {"pair_counts": self._counts(rows)}, [], {})


@cache
def beacons_of(index: int, *, lenient: bool = False) -> Beacons:
    """The tables of a configuration; the lenient ones keep every pair that has four beats."""
    return Beacons(CONFIGS[index], LENIENT if lenient else {})


def _parts(made: Table, ends: Iterable[datetime]) -> list[PartKey]:
    return [PartKey(end - made.every, end) for end in ends]


def at(moment: datetime, **changes: Any) -> Row:
    """One whole session that begins at a moment."""
    return {**dict.fromkeys([*session_table.columns, "mini_batch_id"]), **session(moment), **changes}


def moments_of(rng: Random, end: datetime, length: timedelta) -> list[datetime]:
    """When a pair meets: in some rhythm, with jitter, missed beats and bursts, or without any."""
    period = length / rng.choice((5, 9, 17, 40, 90)) * rng.choice((1, 1.01, 0.7))
    jitter, missed = rng.choice((0, 0, 0.05, 0.2, 0.5, 2)), rng.choice((0, 0, 0.1, 0.4, 0.6))
    burst = rng.choice((1, 1, 1, 2, 4))
    near = rng.choice((timedelta(0), timedelta(milliseconds=300), timedelta(seconds=1), period / 20))
    moment, found = end - length * rng.choice((1.02, 1, 0.6, 0.3)), []
    while moment < end + period:
        if rng.random() >= missed:
            found += [moment + near * k for k in range(burst)]
        moment += period * max(0.001, 1 + rng.uniform(-jitter, jitter))
    return found


def _batched(rng: Random, row: Row, end: datetime) -> Row:
    """Mostly the session's own slice, now and then a batch that ends just before, at or after the end, or far later."""
    given = rng.choice([None] * 12 + [end - SLICE, end, end + SLICE, end + DAY])
    if given is None or given <= floor(row["event_end"], SLICE):
        return row
    return {**row, "mini_batch_id": f"{given:%d%H%M}", "batch_end_ts": given}


def pairs_of(rng: Random, end: datetime, length: timedelta) -> list[Row]:
    """The sessions of a few pairs, some of which share a service, around an end."""
    rows = []
    for _ in range(rng.randint(1, 7)):
        pair = {
            "source_ip": rng.choice(("10.1.1.1", "10.1.1.2", "fd00:1::1", "203.0.113.5")),
            "destination_ip": rng.choice(("203.0.113.5", "10.1.2.1", "8.8.8.8")),
            "destination_port": rng.choice((443, 443, 53, None)),
            "repeat_cnt": rng.choice((None, 1, 3)),
        }
        sizes = rng.choice(((100,), (100, 100, 120), (None,), (0,), (None, 50, 60, 70, 10**12), (7, 900, 40_000)))
        names = rng.choice((("TRAFFIC",),) * 4 + (("TRAFFIC", "THREAT"),))
        lasting = rng.choice((timedelta(0), timedelta(seconds=30), timedelta(minutes=20)))
        for moment in moments_of(rng, end, length):
            row = at(
                moment, **pair, event_end=moment + lasting, source_bytes=rng.choice(sizes), event_name=rng.choice(names)
            )
            rows.append(_batched(rng, row, end))
    return rows
