"""The ledger in DynamoDB says what the local one says, whatever was done to both, and whatever killed it in between."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aws.ledgers import LAKE, ledger, opened, part, seen, table, unit
from ndr.aws.ledger import DynamoLedger
from ndr.local_ledger import SqliteLedger
from ndr.time import SLICE, Interval

__all__ = ["ledger", "table"]
TABLES = ("delta", "fg_a", "fg_b_host")
Act = Callable[[Any], object]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(tmp_path / "ledger.sqlite")) as found:
        yield found


def _told(n: int) -> dict[str, Any]:
    return {"version": "1", "reference": (part(n).key.start).isoformat() + "Z", "n": n}


def _acts(chance: random.Random) -> Iterator[Act]:
    """What a life with a ledger may hold, in odd orders."""
    brought: list[Any] = []
    for n in range(45):
        kind, slices = chance.randrange(8), [chance.randrange(300) for _ in range(chance.randrange(6))]
        parts = [part(s, chance.choice(TABLES[:2]), id=f"{n}.{s}", rows=s) for s in slices]
        if kind == 0:
            yield lambda it, parts=parts: it.announce(parts[1:], [p.path for p in parts])
        elif kind == 1:
            named = [replace(p, path=p.path and f"{p.path}.{n}") for p in parts]
            yield lambda it, parts=named: it.commit(parts[1:], parts[:1], {})
        elif kind == 2:
            yield lambda it, parts=parts: it.commit(parts, [], {})
        elif kind == 3:
            made = [part(s, "fg_b_host", id=f"{n}", path=f"fg_b/{s}.{n}") for s in slices]
            record = {"publications": [_told(s) for s in sorted(set(slices))]}
            yield lambda it, made=made, record=record: it.commit(made, [], record)
        elif kind in (4, 5):
            made = unit(f"{n}", *slices, late=chance.randrange(50), content_bytes=chance.choice([3, 200, 9000]))
            gone = [brought.pop(chance.randrange(len(brought)))] if brought and chance.random() < 0.5 else []
            again = [replace(made, report={"clock": "event_end", "read": n})] if chance.random() < 0.2 else []
            brought.append(made)
            yield lambda it, made=made, gone=gone: it.import_units([made], gone)
            for each in again:
                yield lambda it, each=each: it.import_units([each], [])
        elif kind == 6:
            yield lambda it: it.settle("print")
        else:
            yield lambda it: it.removed(sorted(it.unwanted())[:2])
            yield lambda it, n=n: it.name_batch(f"B{n}", Interval(part(n).key.start, part(n).key.start + SLICE))


@pytest.mark.parametrize("seed", range(3))
def test_both_ledgers_tell_the_same_after_every_act(ledger: DynamoLedger, local: SqliteLedger, seed: int) -> None:
    with ledger.writing(0):
        for number, act in enumerate(_acts(random.Random(seed))):  # noqa: S311 - chance that repeats
            act(ledger)
            act(local)
            if number % 5 == 0:
                assert seen(ledger, *TABLES) == seen(local, *TABLES), f"after act {number}, remembered by the writer"
    assert seen(ledger, *TABLES) == seen(local, *TABLES), "as others see it"
    with opened("s3://lakes/one#units") as beside:
        assert beside.units() == [], "another lake of the same table knows nothing of it"
    assert ledger.units(), f"nothing of {LAKE} was looked at"
