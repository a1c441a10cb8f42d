"""What a batch costs at DynamoDB does not depend on how much happened before."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from aws.ledgers import Calls, T, opened, part, table, unit
from ndr.aws.ledger import DynamoLedger
from ndr.time import DAY, SLICE, Interval

__all__ = ["table"]
TABLES = ("delta", "pair_counts", "fg_a")


def _live(ledger: DynamoLedger, days: int) -> datetime:
    """A history that ends at the same moment, however long it is: an import and its parts every twelve hours."""
    end = 60 * 2
    with ledger.writing(0):
        for n in range(end - 2 * days, end):
            at = 48 * n
            ledger.import_units([unit(f"u{n}", at - 2, at - 1, at)], [])
            ledger.commit([part(at, name) for name in TABLES], [], {})
            if n % 40 == 0:
                ledger.settle("print")
        ledger.settle("print")
    return T + 48 * end * SLICE


def _batch(ledger: DynamoLedger, at: datetime) -> None:
    """What a run asks of its ledger for one batch."""
    n, day = (at - T) // SLICE, Interval(at - DAY, at + SLICE)
    with ledger.writing(0):
        assert ledger.last_arrival() == at - 47 * SLICE
        assert ledger.clock() == "event_end"
        ledger.contents(b"x" * 256)
        new = unit("batch", n - 1, n)
        assert ledger.units_of([new.content_sha256]) == []
        ledger.announce([], [new.path])
        ledger.import_units([new], [])
        assert ledger.unwanted() == []
        assert ledger.settled_under("print")
        assert len(ledger.unsettled()) == 2
        assert ledger.settled_arrival() == at - 47 * SLICE
        for name in TABLES:
            assert len(ledger.parts(name, "1", day)) == 2
            assert len(ledger.units(day)) == 3
            made = part(n, name)
            ledger.announce([made], [made.path])
            ledger.commit([made], [], {"table": name})
            assert ledger.unwanted() == []
            assert ledger.row_count(name, "1") > 0
        ledger.settle("print")


def test_a_batch_costs_the_same_after_three_days_and_after_sixty(table: str) -> None:
    costs = {}
    for days in (3, 60):
        with opened(f"s3://lakes/{days}") as ledger:
            end = _live(ledger, days)
        with opened(f"s3://lakes/{days}") as ledger:
            calls = Calls(ledger)
            _batch(ledger, end)
            costs[days] = calls.kinds, calls.items
    assert costs[3] == costs[60]
    kinds, items = costs[60]
    assert kinds.total() <= 45, kinds
    assert items <= 80


def test_days_and_named_batches_grow_by_a_few_bytes_a_day(table: str) -> None:
    with opened() as ledger:
        with ledger.writing(0):
            for n in range(60):
                ledger.import_units([unit(f"u{n}", 96 * n)], [])
                ledger.name_batch(f"B{n}", Interval(T + n * DAY, T + n * DAY + SLICE))
        calls = Calls(ledger)
        assert (len(ledger.days()), len(ledger.batches())) == (60, 60)
    assert calls.kinds == Counter(Query=2)
    assert calls.items == 61, "one for ten years, and one for each day with named batches"
    assert calls.read < 60 * 250


def test_who_only_reads_looks_at_the_interval_alone(table: str) -> None:
    with opened() as ledger:
        end = _live(ledger, 20)
        calls = Calls(ledger)
        near = Interval(end - DAY, end)
        assert (len(ledger.parts("delta", "1", near)), len(ledger.slice_starts(near))) == (2, 4)
    assert calls.kinds == Counter(Query=2, TransactGetItems=4), "and at the count of transactions before and after"
    assert calls.items <= 2 + 4 + 4
    assert timedelta(days=20) > near.end - near.start
