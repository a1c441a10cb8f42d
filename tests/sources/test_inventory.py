"""The inventory: one name per address, month by month, whatever the listing looks like and whenever it comes."""

from __future__ import annotations

import csv
import gzip
import json
from contextlib import closing
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ndr.errors import AdapterError, DataError, UsageError
from ndr.lake import LocalLake, checksum
from ndr.local_ledger import SqliteLedger
from ndr.sources.inventory import Inventory, Machine, import_inventory, known_machines, parse_month, understood
from ndr.sources.listing import Entry, Wanted, read_listing
from ndr.sources.simulate import SimulationSpec, simulate
from ndr.tables.machines import MACHINE_FIELDS, machines

MARCH, APRIL, MAY, JUNE = (datetime(2026, month, 1) for month in (3, 4, 5, 6))


@pytest.fixture
def place(tmp_path: Path):
    """A lake and its ledger."""
    with closing(SqliteLedger(tmp_path / "ledger.sqlite")) as ledger:
        yield SimpleNamespace(lake=LocalLake(tmp_path / "lake"), ledger=ledger)


def listed(*rows: str) -> Inventory:
    """Rows like ``10.0.0.1 pc-1 yes``."""
    fields = [[*row.split(" "), "", ""][:3] for row in rows]
    return understood("cmdb", [Entry(line, *row) for line, row in enumerate(fields, 1)])


def take(place, month: datetime, *rows: str) -> tuple[int, int, int]:
    found = import_inventory(place.lake, place.ledger, listed(*rows), month)
    return found.new, found.changed, found.known


def known(place, at: datetime | None = None) -> dict[str, tuple[str, bool | None]]:
    found = known_machines(place.lake, place.ledger, at)
    return {ip: (machine.machine_name, machine.active) for ip, machine in found.items()}


def months(place) -> dict[str, set[str]]:
    """Month -> addresses in its file."""
    parts = place.ledger.parts(machines.name, "")
    return {f"{p.key.start:%Y-%m}": set(column(place, p.path, "ip_address") if p.rows else ()) for p in parts}


def column(place, path: str, name: str) -> list:
    with pq.ParquetFile(place.lake.path(path)) as file:
        return file.read()[name].to_pylist()


def files(place) -> dict[str, bytes]:
    root = place.lake.root
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_an_address_has_the_name_of_its_active_row() -> None:
    found = listed("10.0.0.1 a no", "10.0.0.1 c yes", "10.0.0.1 b").machines["10.0.0.1"]
    assert found == Machine("10.0.0.1", "c", active=True, snapshot_month="")


def test_of_equal_rows_the_name_that_sorts_first_whatever_its_case_is_believed() -> None:
    rows = ["10.0.0.1 beta yes", "10.0.0.1 Alpha yes", "10.0.0.1 alpha yes", "10.0.0.1 ALPHAX yes"]
    for order in (rows, rows[::-1], [*rows[2:], *rows[:2]]):
        assert listed(*order).machines["10.0.0.1"].machine_name == "Alpha"


def test_not_known_to_be_active_lies_between_yes_and_no() -> None:
    assert listed("10.0.0.1 a no", "10.0.0.1 b maybe").machines["10.0.0.1"] == Machine("10.0.0.1", "b", None, "")
    assert listed("10.0.0.1 a maybe").mended == {"unknown_active": 1}
    assert listed("10.0.0.1 a", "10.0.0.2 b -").mended == {}


def test_addresses_are_canonical() -> None:
    found = listed("2001:DB8:0::1 six", "::ffff:10.0.0.1 four", "fe80::1%eth0 link", "10.0.0.1 zz")
    assert set(found.machines) == {"2001:db8::1", "10.0.0.1", "fe80::1"}
    assert found.repeated == 1


def test_nothing_is_lost_in_silence(place) -> None:
    found = listed("10.0.0.1 a", "10.0.0.256 b", "pc-3 10.0.0.3", "10.0.0.4", "10.0.0.5 -", "10.0.0.1 b", " ")
    assert found.read == len(found.machines) + found.repeated + len(found.faults) == 7
    imported = import_inventory(place.lake, place.ledger, found, MARCH)
    lines = [json.loads(line) for line in Path(place.lake.path(imported.quarantine)).read_text().splitlines()]
    assert [(line["line"], line["reason"]) for line in lines] == [
        (2, "bad_ip"), (3, "bad_ip"), (4, "no_name"), (5, "no_name"), (7, "bad_ip")
    ]  # fmt: skip
    assert lines[0]["file"] == "cmdb"
    assert lines[1]["ip_address"] == "pc-3"


def test_an_inventory_without_a_machine_is_refused() -> None:
    with pytest.raises(DataError, match=r"cmdb names no machine: bad_ip 2; the first is line 1, bad_ip: nobody pc."):
        listed("nobody pc", "nowhere pc")
    with pytest.raises(DataError, match="it has no rows"):
        listed()


def test_the_same_inventory_again_adds_nothing(place) -> None:
    rows = "10.0.0.1 a yes", "10.0.0.2 b no", "bad row"
    assert take(place, MARCH, *rows) == (2, 0, 0)
    before = files(place)
    assert take(place, MARCH, *rows) == (0, 0, 2)
    assert take(place, APRIL, *rows[:2]) == (0, 0, 2)
    assert take(place, JUNE, *rows[:2]) == (0, 0, 2)
    assert files(place) == before


def test_a_month_holds_what_is_new_or_changed(place) -> None:
    take(place, MARCH, "10.0.0.1 a yes", "10.0.0.2 b yes", "10.0.0.3 c yes")
    assert take(place, APRIL, "10.0.0.1 a yes", "10.0.0.2 x yes", "10.0.0.3 c no", "10.0.0.4 d yes") == (1, 2, 1)
    assert months(place) == {
        "2026-03": {"10.0.0.1", "10.0.0.2", "10.0.0.3"},
        "2026-04": {"10.0.0.2", "10.0.0.3", "10.0.0.4"},
    }
    assert known(place, MARCH) == {"10.0.0.1": ("a", True), "10.0.0.2": ("b", True), "10.0.0.3": ("c", True)}
    assert known(place, datetime(2026, 3, 31, 23, 59)) == known(place, MARCH)
    assert known(place, APRIL)["10.0.0.2"] == ("x", True)
    assert known(place) == known(place, JUNE) == known(place, APRIL)
    assert known(place, datetime(2026, 2, 28)) == {}


def test_an_inventory_that_does_not_say_what_is_active_changes_nothing_about_it(place) -> None:
    take(place, MARCH, "10.0.0.1 a no")
    assert take(place, APRIL, "10.0.0.1 a") == (0, 0, 1)
    assert take(place, APRIL, "10.0.0.1 b") == (0, 1, 0)
    assert known(place) == {"10.0.0.1": ("b", None)}


def test_a_second_inventory_of_a_month_has_the_last_word_on_its_own_addresses(place) -> None:
    take(place, MARCH, "10.0.0.1 a yes", "10.0.0.2 b yes")
    assert take(place, MARCH, "10.0.0.2 z yes", "10.0.0.3 c yes") == (1, 1, 0)
    assert known(place) == {"10.0.0.1": ("a", True), "10.0.0.2": ("z", True), "10.0.0.3": ("c", True)}
    assert len(place.ledger.parts(machines.name, "")) == 1


def test_a_change_that_is_taken_back_leaves_no_trace(place) -> None:
    take(place, MARCH, "10.0.0.1 a yes")
    before = files(place)
    take(place, APRIL, "10.0.0.1 b yes")
    take(place, APRIL, "10.0.0.1 a yes")
    assert months(place) == {"2026-03": {"10.0.0.1"}, "2026-04": set()}
    assert files(place) == before


def test_a_month_that_comes_late_changes_nothing_that_later_months_knew(place) -> None:
    take(place, MARCH, "10.0.0.1 a yes", "10.0.0.2 b yes")
    take(place, MAY, "10.0.0.1 a yes", "10.0.0.3 c yes")
    assert take(place, APRIL, "10.0.0.1 x yes", "10.0.0.4 d yes") == (1, 1, 0)
    assert known(place, APRIL) == {"10.0.0.1": ("x", True), "10.0.0.2": ("b", True), "10.0.0.4": ("d", True)}
    assert known(place, MAY) == known(place, APRIL) | {"10.0.0.1": ("a", True), "10.0.0.3": ("c", True)}


def test_a_month_that_only_confirmed_what_was_known_keeps_it(place) -> None:
    take(place, MARCH, "10.0.0.1 a yes")
    take(place, MAY, "10.0.0.1 a yes")
    take(place, APRIL, "10.0.0.1 x yes")
    assert [known(place, month)["10.0.0.1"] for month in (MARCH, APRIL, MAY)] == [("a", True), ("x", True), ("a", True)]


def test_a_part_says_what_it_holds(place) -> None:
    take(place, MARCH, "10.0.0.2 b no", "10.0.0.1 a")
    (part,) = place.ledger.parts(machines.name, "")
    assert (part.key.start, part.key.known_at, part.rows) == (MARCH, MARCH, 2)
    assert part.path == f"machine_inventory/snapshot_month=2026-03/{part.id[:32]}.parquet"
    assert part.checksum == checksum(place.lake.path(part.path))
    with pq.ParquetFile(place.lake.path(part.path)) as file:
        assert file.schema_arrow.equals(MACHINE_FIELDS)
        assert file.read().to_pylist() == [
            {"ip_address": "10.0.0.1", "machine_name": "a", "active": None},
            {"ip_address": "10.0.0.2", "machine_name": "b", "active": False},
        ]
    assert list(machines.stored_columns) == MACHINE_FIELDS.names


@pytest.mark.parametrize("last_word", ["announce", "publish", "commit"])
def test_a_killed_import_leaves_the_month_as_it_was(place, monkeypatch, last_word: str) -> None:
    take(place, MARCH, "10.0.0.1 a yes")
    before, parts = files(place), place.ledger.parts(machines.name, "")
    owner = place.lake if last_word == "publish" else place.ledger

    def killed(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, last_word, killed)
        with pytest.raises(KeyboardInterrupt):
            take(place, MARCH, "10.0.0.1 b yes", "10.0.0.2 c yes")
    assert place.ledger.parts(machines.name, "") == parts
    assert known(place) == {"10.0.0.1": ("a", True)}
    with place.lake.writing(0):
        assert take(place, MARCH, "10.0.0.1 a yes") == (0, 0, 1)
    assert {path for path in files(place) if path != ".lock"} == set(before)
    assert take(place, MARCH, "10.0.0.1 b yes", "10.0.0.2 c yes") == (1, 1, 0)
    assert known(place) == {"10.0.0.1": ("b", True), "10.0.0.2": ("c", True)}


def test_a_lost_month_is_named_and_can_be_given_again(place) -> None:
    take(place, MARCH, "10.0.0.1 a yes")
    (part,) = place.ledger.parts(machines.name, "")
    before = files(place)
    place.lake.remove(part.path)
    for ask in (lambda: known(place), lambda: take(place, APRIL, "10.0.0.1 b yes")):
        with pytest.raises(DataError, match=r"the machines of 2026-03 are gone .* machines import --month 2026-03"):
            ask()
    take(place, MARCH, "10.0.0.1 a yes")
    assert files(place) == before


def test_a_spoilt_file_of_a_month_is_named(place) -> None:
    take(place, MARCH, "10.0.0.1 a yes")
    (part,) = place.ledger.parts(machines.name, "")
    Path(place.lake.path(part.path)).write_bytes(b"PAR1 and nothing else")
    with pytest.raises(AdapterError, match=part.path):
        known(place)


@pytest.mark.parametrize("text", ["2026-13", "2026-3", "202603", "2026-03-01", "0001-01", "\uff12026-03", "../x", ""])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_month(text)


def test_the_inventory_of_the_simulator_is_understood(tmp_path: Path, place) -> None:
    made = simulate(tmp_path / "sim", SimulationSpec(hosts=24, days=2, formats=("palo_alto",)))
    found = understood("sim", read_listing(made.inventory, Wanted()))
    with made.inventory.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(found.machines) == 24
    assert found.repeated == len(rows) - 24 > 0
    assert {(m.ip_address, m.machine_name) for m in found.machines.values()} == {
        (row["ip_address"], row["machine_name"]) for row in rows if row["active"] == "true"
    }
    packed = tmp_path / "inventory.csv.gz"
    packed.write_bytes(gzip.compress(made.inventory.read_bytes()))
    assert understood("sim", read_listing(packed, Wanted())) == found


SAID = st.dictionaries(
    st.sampled_from([f"10.0.0.{n}" for n in range(4)]),
    st.tuples(st.sampled_from("ab"), st.booleans()), min_size=1,
)  # fmt: skip


@settings(max_examples=25)  # each writes a lake or three
@given(imports=st.lists(st.tuples(st.sampled_from([MARCH, APRIL, MAY]), SAID), max_size=6))
def test_what_is_known_is_what_was_said_last_up_to_a_month(tmp_path_factory, imports) -> None:
    """In order of months by a naive model; whatever the order, later months keep what they knew."""
    folder = tmp_path_factory.mktemp("inventory")
    with closing(SqliteLedger(folder / "ledger.sqlite")) as ledger:
        place = SimpleNamespace(lake=LocalLake(folder / "lake"), ledger=ledger)
        model: dict[str, tuple[str, bool | None]] = {}
        for month, said in sorted(imports, key=lambda one: one[0]):
            import_inventory(place.lake, ledger, _of(said), month)
            model |= said
            assert known(place, month) == known(place) == model
        for month, said in imports:
            later = [moment for moment in (MARCH, APRIL, MAY) if moment > month and f"{moment:%Y-%m}" in months(place)]
            before = [known(place, moment) for moment in later]
            import_inventory(place.lake, ledger, _of(said), month)
            assert said.items() <= known(place, month).items()
            for moment, knew in zip(later, before, strict=True):
                assert knew.items() <= known(place, moment).items()


def _of(said: dict[str, tuple[str, bool]]) -> Inventory:
    return listed(*(f"{ip} {name} {'yes' if active else 'no'}" for ip, (name, active) in said.items()))
