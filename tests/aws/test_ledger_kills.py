"""A writer of the ledger may be killed between any two calls: nothing is half or lost, the next one goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from aws.ledgers import Killed, kill_at, opened, part, seen, table, unit
from ndr.aws import ledger_change, ledger_items, ledger_wire
from ndr.aws.ledger import DynamoLedger
from ndr.ledger import Part, Unit
from ndr.time import SLICE

__all__ = ["table"]
DAYS, LARGE, TRANSACTION = 9, 6, 20
"""Smaller than in earnest, so that little is more than a transaction takes."""
LONG = unit("long", *range(0, 96 * DAYS, 96))
"""An import of more days than a transaction takes beside it."""
OLD = [unit(f"old{n}", n, n + 96) for n in range(2)]
BEFORE, AFTER = ([part(n, id=name, path=f"delta/{n}.{name}") for n in range(22)] for name in ("a", "b"))
REFERENCES = range(0, 96 * 2, 96)


def published(name: str) -> list[Part]:
    """Two publications of nine parts each."""
    return [
        part(at, "fg_b", key=replace(part(at).key, horizon=f"{n}d"), id=name, path=f"fg_b/{at}.{n}.{name}")
        for at in REFERENCES
        for n in range(9)
    ]  # fmt: skip


def _files(parts: Sequence[Part]) -> list[str]:
    return [each.path for each in parts]


def _records(name: str) -> dict[str, Any]:
    at = (part(n).key.start for n in REFERENCES)
    return {"publications": [{"version": "1", "reference": f"{each.isoformat()}Z", "by": name} for each in at]}


def _parts_again(ledger: DynamoLedger) -> None:
    ledger.announce(AFTER, _files(AFTER))
    ledger.commit(AFTER[:18], BEFORE[18:], {})


def _publications_again(ledger: DynamoLedger) -> None:
    ledger.announce([], _files(published("b")))
    ledger.commit(published("b"), [], _records("b"))


def _long_import(ledger: DynamoLedger) -> None:
    ledger.announce([], LONG.files)
    ledger.import_units([LONG], OLD)


def _long_import_undone(ledger: DynamoLedger) -> None:
    ledger.import_units([OLD[0]], [LONG])


def _settled(ledger: DynamoLedger) -> None:
    ledger.settle("print")


def _swept(ledger: DynamoLedger) -> None:
    ledger.removed(ledger.unwanted())


STORIES: dict[str, tuple[Callable[[DynamoLedger], None], ...]] = {
    "parts of a whole day and more": (lambda ledger: ledger.commit(BEFORE, [], {}), _parts_again),
    "publications": (lambda ledger: ledger.commit(published("a"), [], _records("a")), _publications_again),
    "an import of many days": (lambda ledger: ledger.import_units(OLD, []), _long_import),
    "an import of many days, undone": (_long_import, _long_import_undone),
    "settling": (lambda ledger: [ledger.import_units([unit(f"u{n}", n)], []) for n in range(22)], _settled),
    "sweeping": (lambda ledger: ledger.announce([], _files(AFTER)), _swept),
}  # fmt: skip


@pytest.fixture
def lives(table: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], Any]:
    """Opens ledgers by any names."""
    monkeypatch.setattr(ledger_wire, "TRANSACTION", TRANSACTION)
    for module in (ledger_items, ledger_change):
        monkeypatch.setattr(module, "LARGE", LARGE)
    return lambda name: opened(f"s3://lakes/{name}")


def _killed(ledger: DynamoLedger, number: int, act: Callable[[DynamoLedger], object], *, after: bool = False) -> None:
    kill_at(ledger, number, after=after)
    with pytest.raises(Killed):
        act(ledger)


def _whole(ledger: DynamoLedger, tables: Sequence[str]) -> None:
    """What must be so at any moment, after whatever kill."""
    told, units, parts = seen(ledger, *tables), ledger.units(), []
    for name in tables:
        found = ledger.parts(name, "1")
        parts += found
        assert ledger.row_count(name, "1") == sum(each.rows for each in found)
    live = {each.path for each in parts if each.id} | {path for each in units for path in each.files}
    assert live.isdisjoint(told["unwanted"]), "a file that somebody owns would be removed"
    slices = [(key, rows) for each in units for key, rows in each.slices.items()]
    assert ledger.row_count("sessions", "1") == sum(rows for _, rows in slices)
    assert told["starts"] == sorted({key.start for key, _ in slices})
    firsts: dict[Any, Any] = {}
    for key, _ in slices:
        day = key.start.replace(hour=0, minute=0)
        firsts[day] = min(key.known_at, firsts.get(day, key.known_at))
    assert told["days"] == firsts
    assert told["arrivals"][0] == max((key.known_at for key, _ in slices), default=None)
    for each in units:
        assert [found.id for found in ledger.units_of([each.content_sha256])] == [each.id]
    records = told["publications"]
    for at, record in records.items():
        ids = {each.id for each in parts if each.key.start == at and each.table == "fg_b"}
        assert ids == {record["by"]}, "the parts of a publication are all of it"


@pytest.mark.parametrize("story", STORIES)
def test_a_kill_at_any_transaction_leaves_what_the_next_writer_completes(
    lives: Callable[[object], Any], story: str
) -> None:
    begin, act = STORIES[story]
    tables = ["delta", "fg_b"]
    with lives("whole") as ledger:
        begin(ledger)
        with ledger.writing(0):
            count = kill_at(ledger, -1, after=False)
            act(ledger)
        expected, transactions = seen(ledger, *tables), count()
    assert transactions > 1, "there is nothing between two calls to be killed at"
    for number in range(transactions + 1):
        with lives(number) as ledger, ledger.writing(0):
            begin(ledger)
            _killed(ledger, min(number, transactions - 1), act, after=number == transactions)
        with lives(number) as ledger:
            _whole(ledger, tables)
            with ledger.writing(0):
                act(ledger)
                _whole(ledger, tables)
            assert seen(ledger, *tables) == expected, f"killed at transaction {number} of {transactions}"


def test_what_a_kill_leaves_of_an_import_is_removed_by_the_next_writer(lives: Callable[[object], Any]) -> None:
    with lives("one") as ledger, ledger.writing(0):
        _killed(ledger, 1, lambda it: it.import_units([LONG], []))
    with lives("one") as ledger:
        assert len(ledger._table.query("slices")) == DAYS
        assert ledger.slice_starts() == []
        with ledger.writing(0):
            assert ledger.slice_starts() == []
        assert ledger._table.query("slices") == []


def test_files_announced_and_never_committed_are_unwanted(table: str) -> None:
    with opened() as ledger:
        ledger.commit([part(0)], [], {})
        with ledger.writing(0):
            ledger.announce([part(0)], ["delta/0.parquet", "delta/other.parquet"])
    with opened() as ledger:
        assert ledger.parts("delta", "1") == [part(0, id="")], "the part is missing: its file may be another one now"
        assert sorted(ledger.unwanted()) == ["delta/0.parquet", "delta/other.parquet"]
        assert ledger.parts("delta", "1")[0].key.start + SLICE == part(1).key.start


def test_an_import_never_stands_beside_what_it_replaces(lives: Callable[[object], Any]) -> None:
    """Not even where more is replaced than one transaction holds: it is gone first."""
    many: list[Unit] = [unit(f"m{n}", *range(0, 96 * 5, 96)) for n in range(6)]
    grown = unit("grown", 1)
    with lives("one") as ledger:
        ledger.import_units(many, [])
    with lives("one") as ledger, ledger.writing(0):
        _killed(ledger, 3, lambda it: it.import_units([grown], many))
    with lives("one") as ledger:
        left = ledger.units()
        assert 0 < len(left) < 6
        assert grown not in left
        ledger.import_units([grown], many)
        assert ledger.units() == [grown]
        _whole(ledger, ["delta"])
