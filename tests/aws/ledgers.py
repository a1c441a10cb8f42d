"""Ledgers in DynamoDB for tests: a table of their own, what can be seen of one, and every call counted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from standins.dynamodb import faithful, make_ledger_table

from ndr.aws.ledger import DynamoLedger
from ndr.ledger import Part, Unit
from ndr.table import PartKey
from ndr.time import DAY, SLICE, Interval

TABLE, LAKE = "ledgers", "s3://lakes/one"
T = datetime(2026, 3, 4)


@pytest.fixture
def table(aws: str) -> Iterator[str]:
    """The address of a DynamoDB with a table for ledgers."""
    with faithful():
        make_ledger_table(TABLE)
        yield aws


@pytest.fixture
def ledger(table: str) -> Iterator[DynamoLedger]:
    with opened() as found:
        yield found


@contextmanager
def opened(lake: str = LAKE, lease_seconds: float = 60) -> Iterator[DynamoLedger]:
    found = DynamoLedger(TABLE, lake, lease_seconds)
    try:
        yield found
    finally:
        found.close()


def part(n: int, table: str = "delta", **changes: Any) -> Part:
    key = PartKey(T + n * SLICE, T + (n + 1) * SLICE)
    return replace(Part(table, "1", key, f"id{n}", 10, f"{table}/{n}.parquet", f"sum{n}"), **changes)


def unit(name: str, *slices: int, late: int = 0, **changes: Any) -> Unit:
    """An import that brought a record of each of the slices, known at their ends, or so many slices later."""
    sha = hashlib.sha256(name.encode()).hexdigest()
    found = {PartKey(T + n * SLICE, T + (n + 1 + late) * SLICE): 1 for n in slices}
    made = Unit(
        sha[:32], f"{name}.json", "zeek", 5000, sha, sha[::-1], None, f"sessions/{sha[:32]}.parquet", sha, found,
        {"clock": "event_end", "read": 7},
    )  # fmt: skip
    return replace(made, **changes)


class Calls:
    """The calls of a ledger, counted by kind, and how many items and bytes of them were read."""

    def __init__(self, ledger: DynamoLedger) -> None:
        self.kinds: Counter[str] = Counter()
        self.items = 0
        self.read = 0
        ledger._table.client.meta.events.register("after-call.dynamodb", self._count)

    def _count(self, model: Any, parsed: dict[str, Any], http_response: Any, **_: Any) -> None:
        self.kinds[model.name] += 1
        found = [
            *parsed.get("Items", ()),
            *(item for some in parsed.get("Responses", ()) for item in _items(parsed, some)),
        ]
        self.items += len(found)
        self.read += sum(len(repr(item)) for item in found)


def _items(parsed: dict[str, Any], some: Any) -> list[Any]:
    held = parsed["Responses"]
    if isinstance(held, dict):
        return list(held[some])
    return [some["Item"]] if "Item" in some else []


class Killed(BaseException):
    """What a kill of the process looks like from within."""


def kill_at(ledger: DynamoLedger, wanted: int, *, after: bool) -> Callable[[], int]:
    """Die before or after a transaction, by its number; returns a count of the transactions so far."""
    seen = 0

    def reached(**_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen - 1 == wanted:
            raise Killed

    event = "after-call" if after else "before-call"
    ledger._table.client.meta.events.register(f"{event}.dynamodb.TransactWriteItems", reached)
    return lambda: seen


def seen(ledger: Any, *tables: str) -> dict[str, Any]:
    """All that a ledger tells."""
    near = Interval(T + DAY, T + DAY + timedelta(hours=7))
    units = ledger.units()
    return {
        "parts": [ledger.parts(name, "1") for name in tables],
        "near": [ledger.parts(name, "1", near) for name in tables],
        "rows": [ledger.row_count(name, "1") for name in (*tables, "sessions")],
        "units": units,
        "units near": ledger.units(near),
        "units of": [ledger.units_of([unit.content_sha256]) for unit in units],
        "starts": ledger.slice_starts(),
        "starts near": ledger.slice_starts(near),
        "days": ledger.days(),
        "arrivals": (ledger.last_arrival(), ledger.settled_arrival(), ledger.clock()),
        "unsettled": sorted(ledger.unsettled()),
        "unwanted": sorted(ledger.unwanted()),
        "publications": ledger.publication_records("1"),
        "batches": ledger.batches(),
        "settled": ledger.settled_under("print"),
    }
