"""What every ledger does, wherever it is kept."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standins.dynamodb import faithful, make_ledger_table

from ndr.aws.ledger import DynamoLedger
from ndr.errors import AdapterError, DataError
from ndr.ledger import Part, Unit
from ndr.local_ledger import SqliteLedger
from ndr.table import PartKey
from ndr.time import SLICE, Interval

TABLE = "ledgers"
LEDGERS: dict[str, Callable[[Path], Any]] = {
    "sqlite": lambda folder: SqliteLedger(folder / "ledger.sqlite"),
    "dynamodb": lambda folder: DynamoLedger(TABLE, f"s3://lakes{folder}"),
}
T = datetime(2026, 3, 4, 10)


@pytest.fixture(params=LEDGERS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    with ExitStack() as stack:
        if request.param == "dynamodb":
            request.getfixturevalue("aws")
            stack.enter_context(faithful())
            make_ledger_table(TABLE)
        yield lambda: LEDGERS[request.param](tmp_path)


@pytest.fixture
def ledger(opened: Callable[[], Any]) -> Iterator[Any]:
    with closing(opened()) as found:
        yield found


def key(n: int, late: int = 0) -> PartKey:
    return PartKey(T + n * SLICE, T + (n + 1 + late) * SLICE)


def part(n: int, **changes: Any) -> Part:
    made = Part("delta", "1", key(n), f"id{n}", 10 + n, f"delta/{n}.parquet", f"sum{n}")
    return replace(made, **changes)


def unit(content: bytes, *slices: int, name: str = "", end: datetime | None = None) -> Unit:
    sha, head = hashlib.sha256(content).hexdigest(), hashlib.sha256(content[:256]).hexdigest()
    found = {PartKey(T + n * SLICE, end or T + (n + 1) * SLICE): 5 for n in slices}
    name = name or sha[:8]
    return Unit(
        name, "a.json", "zeek", len(content), sha, head, end, f"sessions/{name}.parquet", "sum", found, {"x": 1}
    )


def test_parts_come_back_as_they_were_also_in_another_process(ledger: Any, opened: Callable[[], Any]) -> None:
    made = [part(n) for n in range(3)] + [part(1, key=key(1, 4)), part(3, path="", rows=0, checksum="")]
    ledger.commit(made, [], {})
    expected = sorted(made, key=lambda p: p.key)
    assert ledger.parts("delta", "1") == expected
    with closing(opened()) as again:
        assert again.parts("delta", "1") == expected


def test_parts_are_asked_for_by_table_version_and_half_open_interval(ledger: Any) -> None:
    ledger.commit([part(n) for n in range(4)] + [part(0, table="fg_a"), part(0, version="2")], [], {})
    inner = ledger.parts("delta", "1", Interval(T + SLICE, T + 3 * SLICE))
    assert [p.key for p in inner] == [key(1), key(2)]
    assert ledger.parts("delta", "1", Interval(T - SLICE, T)) == []
    assert ledger.parts("delta", "1", Interval(T, T + timedelta(microseconds=1))) == [part(0)]
    assert len(ledger.parts("delta", "2")) == len(ledger.parts("fg_a", "1")) == 1
    assert ledger.row_count("delta", "1") == 10 + 11 + 12 + 13
    assert ledger.row_count("delta", "9") == 0


def test_a_part_that_is_made_again_replaces_the_old_one(ledger: Any) -> None:
    ledger.commit([part(0), part(1)], [], {})
    ledger.commit([part(0, id="new", path="delta/named.parquet")], [part(1)], {})
    assert ledger.parts("delta", "1") == [part(0, id="new", path="delta/named.parquet")]
    assert sorted(ledger.unwanted()) == ["delta/0.parquet", "delta/1.parquet"]
    ledger.commit([part(1)], [], {})
    assert ledger.unwanted() == ["delta/0.parquet"], "a file that is made again is wanted again"
    ledger.removed(["delta/0.parquet"])
    assert ledger.unwanted() == []


def test_a_part_made_again_in_its_place_leaves_nothing_unwanted(ledger: Any) -> None:
    ledger.commit([part(0)], [], {})
    ledger.commit([part(0, id="new")], [], {})
    assert ledger.unwanted() == []


def test_a_commit_is_all_or_nothing(ledger: Any) -> None:
    ledger.commit([part(0)], [], {})
    with pytest.raises(TypeError):
        ledger.commit([part(1)], [part(0)], {"no json": object()})
    assert ledger.parts("delta", "1") == [part(0)]
    broken = replace(unit(b"x", 0), report={"no json": object()})
    with pytest.raises(TypeError):
        ledger.import_units([unit(b"y", 1), broken], [])
    assert ledger.units() == []
    assert ledger.slice_starts() == []


def test_units_come_back_with_the_slices_asked_for(ledger: Any) -> None:
    first, second = unit(b"first", 0, 1), unit(b"second", 1, 5, end=T + 9 * SLICE)
    ledger.import_units([first, second], [])
    assert sorted(ledger.units(), key=lambda u: u.content_bytes) == [first, second]
    (seen,) = ledger.units(Interval(T, T + SLICE))
    assert seen == replace(first, slices={key(0): 5})
    assert ledger.units(Interval(T + 2 * SLICE, T + 5 * SLICE)) == []
    assert ledger.slice_starts() == [T, T + SLICE, T + 5 * SLICE]
    assert ledger.slice_starts(Interval(T + SLICE, T + 5 * SLICE)) == [T + SLICE]
    assert ledger.last_arrival() == T + 9 * SLICE
    assert ledger.row_count("sessions", "1") == 20
    assert [u.id for u in ledger.units_of([first.content_sha256, "none"])] == [first.id]


def test_an_import_replaces_what_it_takes_back(ledger: Any) -> None:
    old = unit(b"cut", 0)
    ledger.import_units([old], [])
    new = unit(b"cut and whole", 0, 1)
    ledger.import_units([new], [old])
    assert ledger.units() == [new]
    assert set(ledger.unwanted()) == set(old.files)
    ledger.import_units([new], [])
    assert ledger.units() == [new]


def test_an_empty_ledger_knows_nothing(ledger: Any) -> None:
    assert (ledger.units(), ledger.batches(), ledger.last_arrival(), ledger.slice_starts()) == ([], {}, None, [])
    assert ledger.contents(b"head") == {}
    assert ledger.unwanted() == []


@pytest.mark.parametrize("size", [1, 255, 256, 257, 5000])
def test_contents_are_found_by_their_first_bytes(ledger: Any, size: int) -> None:
    content = bytes(n % 251 for n in range(size))
    ledger.import_units([unit(content, 0), unit(b"another", 1)], [])
    grown = content + b"more" * 100
    assert ledger.contents(grown[:256]) == {size: {hashlib.sha256(content).hexdigest()}}
    assert ledger.contents(b"else" + grown[:252]) == {}
    assert ledger.contents(content[:256]) == {size: {hashlib.sha256(content).hexdigest()}}


def test_all_lengths_of_a_grown_file_are_known(ledger: Any) -> None:
    lengths = (10, 100, 300, 900)
    whole = bytes(n % 251 for n in range(1000))
    ledger.import_units([unit(whole[:n], 0) for n in lengths], [])
    assert set(ledger.contents(whole[:256])) == set(lengths)
    assert set(ledger.contents(whole[:50])) == {10}, "contents that are longer than a whole file are not its beginning"


def test_a_batch_name_stands_for_one_interval(ledger: Any) -> None:
    batch = Interval(T, T + SLICE)
    ledger.name_batch("B1", batch)
    ledger.name_batch("B1", batch)
    assert ledger.batches() == {T + SLICE: "B1"}
    with pytest.raises(DataError, match="contradicts batch 'B1'"):
        ledger.name_batch("B1", Interval(T, T + 2 * SLICE))
    with pytest.raises(DataError, match="contradicts batch 'B1'"):
        ledger.name_batch("B2", batch)
    assert ledger.batches() == {T + SLICE: "B1"}


def test_what_was_imported_is_unsettled_until_a_run_has_finished(ledger: Any) -> None:
    assert not ledger.settled_under("print"), "nothing is known of earlier runs"
    first = unit(b"first", 0, 1)
    ledger.import_units([first], [])
    ledger.settle("print")
    assert ledger.unsettled() == []
    assert ledger.settled_under("print")
    assert not ledger.settled_under("another print")
    ledger.import_units([unit(b"second", 3)], [first])
    assert sorted(ledger.unsettled()) == [T, T + SLICE, T + 3 * SLICE]
    ledger.settle("another print")
    assert ledger.unsettled() == []


def test_the_last_settled_arrival_is_that_of_imports_built_on(ledger: Any) -> None:
    assert ledger.settled_arrival() is None
    ledger.import_units([unit(b"first", 0, 1)], [])
    assert ledger.settled_arrival() is None
    ledger.settle("print")
    ledger.import_units([unit(b"second", 1, 3)], [])
    assert ledger.settled_arrival() == T + SLICE, "slice 1 got something new"
    assert ledger.last_arrival() == T + 4 * SLICE
    ledger.settle("print")
    assert ledger.settled_arrival() == T + 4 * SLICE


def test_days_are_known_since_the_first_of_their_records(ledger: Any) -> None:
    assert ledger.days() == {}
    day, noon = datetime(2026, 3, 4), datetime(2026, 3, 6, 12)
    ledger.import_units([unit(b"late", -40, 0, end=noon)], [])
    assert ledger.days() == {day: noon}, "both slices are of the same day"
    ledger.import_units([unit(b"on time", 3, 60)], [])
    assert ledger.days() == {day: T + 4 * SLICE, day + timedelta(days=1): T + 61 * SLICE}


def test_asked_publications_are_kept_by_version(ledger: Any, opened: Callable[[], Any]) -> None:
    assert ledger.asked_publications("1") == {}
    for reference, provisional in ((T + SLICE, True), (T, True), (T, False)):
        ledger.ask_publication("1", reference, provisional=provisional)
    ledger.ask_publication("2", T, provisional=True)
    with closing(opened()) as again:
        assert list(again.asked_publications("1").items()) == [(T, False), (T + SLICE, True)]
    assert ledger.asked_publications("2") == {T: True}


def told(reference: str, version: str = "1", **more: Any) -> dict[str, Any]:
    return {"version": version, "reference": reference, **more}


def test_publications_are_remembered_with_their_parts_or_not_at_all(ledger: Any) -> None:
    first, second = told("2026-03-05T00:00:00Z", rows=1), told("2026-03-04T00:00:00Z")
    ledger.commit([part(0)], [], {"publications": [first, second, told("2026-03-04T00:00:00Z", "2", rows=7)]})
    found = ledger.publication_records("1")
    assert list(found.items()) == [(datetime(2026, 3, 4), second), (datetime(2026, 3, 5), first)]
    ledger.commit([part(0, id="again")], [], {"publications": [told("2026-03-05T00:00:00Z", rows=2)]})
    assert ledger.publication_records("1")[datetime(2026, 3, 5)]["rows"] == 2
    with pytest.raises(TypeError):
        ledger.commit([part(1)], [], {"publications": [told("2026-03-06T00:00:00Z", rows=object())]})
    assert len(ledger.publication_records("1")) == 2
    assert [p.id for p in ledger.parts("delta", "1")] == ["again"]
    assert list(ledger.publication_records("2")) == [datetime(2026, 3, 4)]


def test_parts_of_several_horizons_lie_side_by_side(ledger: Any) -> None:
    week, month = (part(0, key=replace(key(0), horizon=name), path=f"{name}.parquet") for name in ("7d", "30d"))
    ledger.commit([week, month], [], {})
    assert ledger.parts("delta", "1") == [month, week], "in the order of their keys"
    ledger.announce([week], [])
    assert {p.key.horizon: p.id for p in ledger.parts("delta", "1")} == {"7d": "", "30d": "id0"}
    ledger.commit([replace(week, id="again", path="other.parquet")], [month], {})
    assert ledger.parts("delta", "1") == [replace(week, id="again", path="other.parquet")]
    assert sorted(ledger.unwanted()) == ["30d.parquet", "7d.parquet"]


def _open_and_name(folder: Path, n: int) -> None:
    with closing(SqliteLedger(folder / "ledger.sqlite")) as ledger:
        ledger.name_batch(f"B{n}", Interval(T, T + (n + 1) * SLICE))


def test_a_ledger_may_be_made_by_several_processes_at_once(tmp_path: Path) -> None:
    several = multiprocessing.get_context("spawn")
    processes = [several.Process(target=_open_and_name, args=(tmp_path, n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    with closing(SqliteLedger(tmp_path / "ledger.sqlite")) as ledger:
        assert len(ledger.batches()) == 4


def test_what_is_no_ledger_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database, but long enough to look at" * 10)
    with pytest.raises(AdapterError, match="cannot be opened"):
        SqliteLedger(tmp_path / "ledger.sqlite")
