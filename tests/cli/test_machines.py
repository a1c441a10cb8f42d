"""``ndr machines``: an inventory through the command line, and what is known as of a month."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from day.lakes import Answer, hour, ndr, run, write
from ndr.sources.simulate import SimulationSpec, simulate

ROWS = "ip_address,machine_name,active\n10.0.0.10,pc-b,true\n10.0.0.10,pc-a,true\n10.0.0.9,VDI-1,no\nnobody,x,yes\n"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def take(lake: Path, place: object, *options: object) -> dict:
    answer = ndr("machines", "import", place, "--lake", lake, "--format", "json", *options)
    assert (answer.code, answer.err) == (0, "")
    return answer.data


def listed(lake: Path, *options: object) -> list[dict]:
    answer = ndr("machines", "list", "--lake", lake, "--format", "json", *options)
    assert answer.code == 0
    return answer.data


def refused(answer: Answer, code: int, *words: str) -> None:
    assert (answer.code, answer.out) == (code, ""), answer.err
    assert answer.err.startswith("ndr: ")
    assert "Traceback" not in answer.err
    for word in words:
        assert word in answer.err, answer.err


def test_an_inventory_is_imported_and_listed(lake: Path, inventory: Path) -> None:
    first = take(lake, inventory, "--month", "2026-03")
    assert first["read"] == first["machines"] + first["repeated"] + first["quarantined"] == 4
    assert (first["month"], first["new"], first["changed"], first["known"]) == ("2026-03", 2, 0, 0)
    assert first["quarantined_by_reason"] == {"bad_ip": 1}
    (line,) = (lake / first["quarantine"]).read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["line"] == 5
    again = take(lake, inventory, "--month", "2026-03")
    assert again == first | {"new": 0, "known": 2}
    assert listed(lake) == [
        {"ip_address": "10.0.0.9", "machine_name": "VDI-1", "active": False, "snapshot_month": "2026-03"},
        {"ip_address": "10.0.0.10", "machine_name": "pc-a", "active": True, "snapshot_month": "2026-03"},
    ]
    assert listed(lake, "--month", "2026-02") == []


def test_people_are_told_what_became_of_every_row(lake: Path, inventory: Path) -> None:
    answer = ndr("machines", "import", inventory, "--lake", lake, "--month", "2026-03")
    assert answer.out.splitlines()[:2] == [
        "4 rows read = 2 machines + 1 repeated + 1 quarantined",
        "  quarantined bad_ip: 1",
    ]
    assert answer.out.splitlines()[-1] == "2026-03: 2 machines are new, 0 changed, 0 were known"
    table = ndr("machines", "list", "--lake", lake)
    assert [line.split()[1] for line in table.out.splitlines()] == ["machine_name", "VDI-1", "pc-a"]
    none = ndr("machines", "list", "--lake", lake, "--month", "2026-01")
    assert (none.code, none.out, none.err) == (0, "", "ndr: no machines are known as of 2026-01.\n")


def test_the_month_is_that_of_the_last_data(tmp_path: Path, lake: Path, inventory: Path) -> None:
    refused(ndr("machines", "import", inventory, "--lake", lake), 2, "there is no lake")
    run(lake, write(tmp_path / "log.json", hour(4)))
    assert take(lake, inventory)["month"] == "2026-03"


def test_a_lake_without_sessions_needs_a_month(lake: Path, inventory: Path) -> None:
    take(lake, inventory, "--month", "2026-03")
    refused(ndr("machines", "import", inventory, "--lake", lake), 2, "holds no sessions yet", "--month")


def test_months_are_told_apart(lake: Path, inventory: Path, tmp_path: Path) -> None:
    take(lake, inventory, "--month", "2026-03")
    later = tmp_path / "later.csv"
    later.write_text("Name;IP\nPC-C;10.0.0.10\nPC-D;10.0.0.11\n", encoding="utf-8")
    found = take(lake, later, "--month", "2026-04")
    assert (found["new"], found["changed"], found["known"]) == (1, 1, 0)
    assert {row["ip_address"]: row["machine_name"] for row in listed(lake)} == {
        "10.0.0.9": "VDI-1", "10.0.0.10": "PC-C", "10.0.0.11": "PC-D"
    }  # fmt: skip
    assert [row["machine_name"] for row in listed(lake, "--month", "2026-03")] == ["VDI-1", "pc-a"]
    folders = {path.parent.name for path in (lake / "machine_inventory").rglob("*.parquet")}
    assert folders == {"snapshot_month=2026-03", "snapshot_month=2026-04"}


def test_a_database_is_read_by_its_uri(tmp_path: Path, lake: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "cmdb.sqlite")) as db, db:
        db.execute("CREATE TABLE hosts (addr TEXT, hostname TEXT, live INTEGER)")
        db.execute("INSERT INTO hosts VALUES ('10.0.0.1', '=1+1', 1), ('10.0.0.2', 'it''s \"x\"; --', 0)")
    uri = f"sqlite:///{tmp_path}/cmdb.sqlite"
    columns = ("--ip-column", "addr", "--active-column", "live", "--month", "2026-03")
    assert take(lake, uri, "--table", "hosts", *columns)["new"] == 2
    assert take(lake, uri, "--query", "SELECT addr AS ip, hostname FROM hosts", "--month", "2026-03")["known"] == 2
    rows = ndr("machines", "list", "--lake", lake, "--format", "csv").out
    assert [row["machine_name"] for row in csv.DictReader(io.StringIO(rows))] == ["=1+1", 'it\'s "x"; --']
    for wrong, words in {
        ("--table", "hosts; DROP TABLE hosts"): "is no table name",
        ("--query", "SELECT 1; DROP TABLE hosts"): "must be one SELECT",
        ("--query", "DROP TABLE hosts"): "must be one SELECT",
        ("--table", "hots"): "Did you mean 'hosts'",
        (): "needs --table NAME or --query",
    }.items():
        answer = ndr("machines", "import", uri, "--lake", lake, "--month", "2026-03", *wrong)
        refused(answer, 3 if wrong == ("--table", "hots") else 2, words)
    assert take(lake, uri, "--table", "hosts", *columns)["known"] == 2


def test_the_inventory_of_the_simulator_is_imported(tmp_path: Path, lake: Path) -> None:
    made = simulate(tmp_path / "sim", SimulationSpec(hosts=24, days=1, formats=("palo_alto",)))
    assert take(lake, made.inventory, "--month", "2026-03")["new"] == 24
    assert sum(row["machine_name"].startswith("VDI-") for row in listed(lake)) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("machines", ["ACTION"]),
        ("machines import --lake L", ["FILE_OR_URI"]),
        ("machines import none.csv --lake L --month 2026-03", ["there is no file 'none.csv'"]),
        ("machines import none.csv --lake L --month march", ["'march' is no month", "2026-03"]),
        ("machines import none.csv --lake L --month 2026-13", ["'2026-13' is no month"]),
        ("machines import none.csv --lake L --month 2026-03 --table x", ["--table and --query are for databases"]),
        ("machines import x://me:hunter2@db/x --lake L --table x --month 2026-03", ["x://… is no database"]),
        ("machines import a postgresql://me:hunter2@db/x --lake L", ["unrecognized arguments: postgresql://***@db/x"]),
        ("machines list --lake L", ["there is no lake in 'L'"]),
        ("machines list --lake L --month 2026", ["'2026' is no month"]),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(tmp_path: Path, monkeypatch, arguments: str, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    answer = ndr(*arguments.split())
    refused(answer, 2, *words)
    assert "hunter2" not in answer.err
    assert not (tmp_path / "L").exists()


def test_a_broken_inventory_changes_nothing(tmp_path: Path, lake: Path, inventory: Path) -> None:
    take(lake, inventory, "--month", "2026-03")
    before = listed(lake)
    bad = tmp_path / "bad.csv"
    for text, words in {
        'ip,name\n10.0.0.10,"other\n': "line 2 cannot be read as CSV",
        "ip,owner\n10.0.0.10,me\n": "no column of machine names",
        "ip,name\nnobody,other\n": "names no machine: bad_ip 1; the first is line 2",
    }.items():
        bad.write_text(text, encoding="utf-8")
        refused(ndr("machines", "import", bad, "--lake", lake, "--month", "2026-04"), 3, words)
    assert listed(lake) == before
