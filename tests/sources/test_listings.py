"""Listings of machines: CSV, Parquet and SQL databases, whatever they look like and whatever stands in them."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ndr.errors import AdapterError, DataError, NdrError, UnknownNameError, UsageError
from ndr.sources.database import check_select, place_of, read_database, table_name
from ndr.sources.inventory import understood
from ndr.sources.listing import Entry, Wanted, read_listing

HOSTILE = [
    ("10.0.0.1", "=cmd|' /C calc'!A0"),
    ("10.0.0.2", "x'); DROP TABLE machines; --"),
    ("10.0.0.3", 'say "hi"'),
    ("10.0.0.4", "a,b;c\td|e"),
    ("10.0.0.5", "../../etc/passwd"),
    ("10.0.0.6", "пк-1 水"),
    ("10.0.0.7", "{0.__class__} %s $(id) `id`"),
]


def read(path: Path, **columns: str) -> list[tuple[str, str, str]]:
    return [entry[1:4] for entry in read_listing(path, Wanted(**columns))]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def cmdb(tmp_path: Path) -> SimpleNamespace:
    """An SQLite database with a table, a view and a table of an odd name."""
    path = tmp_path / "c m#d?b%41.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE assets (ip TEXT, hostname TEXT, active INTEGER, secret BLOB)")
        db.executemany("INSERT INTO assets VALUES (?, ?, 1, x'ff')", HOSTILE)
        db.execute("INSERT INTO assets VALUES ('10.0.0.8', NULL, 0, NULL)")
        db.execute("CREATE VIEW current AS SELECT ip, hostname AS name FROM assets WHERE active")
        db.execute('CREATE TABLE "odd name; --" (ip TEXT, name TEXT)')
    return SimpleNamespace(path=path, uri=f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}")


def ask(uri: str, table: str | None = None, query: str | None = None, **columns: str) -> list[Entry]:
    return list(read_database(uri, Wanted(**columns), table=table, query=query))


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_csv_by_any_separator(tmp_path: Path, mark: str) -> None:
    text = f"ip_address{mark}machine_name{mark}active\r\n10.0.0.1{mark}pc-1{mark}true\r\n\r\n"
    assert read(write(tmp_path / "a.csv", text)) == [("10.0.0.1", "pc-1", "true")]


def test_csv_by_any_encoding_and_compression(tmp_path: Path) -> None:
    text = "IP Address,Host-Name\n10.0.0.1,пк-1\n"
    wanted = [("10.0.0.1", "пк-1", "")]
    for name, content in {
        "plain": text.encode(), "mark": text.encode("utf-8-sig"), "wide": text.encode("utf-16"),
        "gzip": gzip.compress(text.encode()),
        "two": gzip.compress(text[:9].encode()) + gzip.compress(text[9:].encode()),
    }.items():  # fmt: skip
        assert read(write(tmp_path / name, content)) == wanted, name
    assert read(write(tmp_path / "latin", "ip,name\n10.0.0.1,M\xfcller".encode("latin-1"))) == [
        ("10.0.0.1", "M\\xfcller", "")
    ]


def test_hostile_values_are_text_like_any_other(tmp_path: Path, cmdb: SimpleNamespace) -> None:
    quoted = "".join(f'{ip},"{name.replace(chr(34), chr(34) * 2)}"\n' for ip, name in HOSTILE)
    write(tmp_path / "a.csv", "ip,name\n" + quoted)
    pq.write_table(pa.table({"ip": [ip for ip, _ in HOSTILE], "name": [n for _, n in HOSTILE]}), tmp_path / "a.parquet")
    for rows in (read(tmp_path / "a.csv"), read(tmp_path / "a.parquet"), [e[1:4] for e in ask(cmdb.uri, "assets")][:7]):
        assert [row[:2] for row in rows] == HOSTILE
    found = understood("cmdb", ask(cmdb.uri, "assets"))
    assert {ip: machine.machine_name for ip, machine in found.machines.items()} == {
        ip: name.replace("\t", "\\x09") for ip, name in HOSTILE
    }
    assert [reason for _, reason in found.faults] == ["no_name"]


def test_a_line_with_another_number_of_fields_is_quarantined_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "ip,name\n10.0.0.1,a\n10.0.0.2\n\n10.0.0.3,b,c\n10.0.0.4,d\n")
    found = understood("a", read_listing(path, Wanted()))
    assert set(found.machines) == {"10.0.0.1", "10.0.0.4"}
    assert [(entry.line, reason) for entry, reason in found.faults] == [(3, "odd_field_count"), (5, "odd_field_count")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('ip,name\n10.0.0.1,"a\n10.0.0.2,b\n', "line 3 cannot be read as CSV"),
        ('ip,name\n10.0.0.1,"a"b\n', "line 2 cannot be read as CSV"),
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("10.0.0.1,pc-1\n10.0.0.2,pc-2\n", "no column of addresses was found.*10.0.0.1, pc-1.*--ip-column"),
        ("ip,owner\n10.0.0.1,me\n", "no column of machine names.*--name-column"),
        ("ip,IP,name\n10.0.0.1,10.0.0.2,me\n", "there are 2 columns 'ip'"),
        (gzip.compress(b"ip,name\n10.0.0.1,a\n" * 99, mtime=0)[:-9], "cut short or damaged"),
        (b"PK\x03\x04 a spreadsheet", "compressed with zip"),
        (b"PAR1 nonsense", "cannot be read as Parquet"),
        (gzip.compress(b"a" * (64 << 20), mtime=0), "expands more than"),
    ],
)
def test_a_broken_file_is_refused_as_a_whole(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(write(tmp_path / "a.csv", content))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read(tmp_path / "none.csv")
    with pytest.raises(AdapterError, match="it is a folder"):
        read(tmp_path)


def test_columns_are_named_or_guessed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "name,ip,hostname,Addr,In Use\nowner,10.0.0.9,pc-1,10.0.0.1,yes\n")
    assert read(path) == [("10.0.0.9", "pc-1", "")]
    assert read(path, ip="addr", name="name", active="in use") == [("10.0.0.1", "owner", "yes")]
    with pytest.raises(UnknownNameError, match=r"unknown column 'Adr'. Did you mean 'Addr'"):
        read(path, ip="Adr")


def test_parquet_of_any_types(tmp_path: Path) -> None:
    columns = {
        "ip_address": pa.array(["10.0.0.1", "10.0.0.2", None]).dictionary_encode(),
        "hostname": pa.array([b"a", b"\xff", b"c"]),
        "active": pa.array([True, None, False]),
        "other": pa.array([[1], [2], [3]]),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [("10.0.0.1", "a", "True"), ("10.0.0.2", "\\xff", ""), ("", "c", "False")]
    numbered = {"ip": ["10.0.0.1"], "name": [7], "active": [1.0]}
    pq.write_table(pa.table(numbered), tmp_path / "b.parquet")
    found = understood("b", read_listing(tmp_path / "b.parquet", Wanted())).machines["10.0.0.1"]
    assert (found.machine_name, found.active) == ("7", True)


def test_a_table_a_view_and_a_select(cmdb: SimpleNamespace) -> None:
    assert ask(cmdb.uri, "assets")[0] == Entry(1, HOSTILE[0][0], HOSTILE[0][1], "1")
    assert [entry[1:3] for entry in ask(cmdb.uri, "main.current")] == HOSTILE
    one = "SELECT hostname AS name, ip FROM assets WHERE ip = '10.0.0.1' AND '%s :x' <> ''; -- a word; and another"
    assert ask(cmdb.uri, query=one) == [Entry(1, *HOSTILE[0], "")]
    assert ask(cmdb.uri, query='WITH o AS (SELECT * FROM "odd name; --") SELECT * FROM o') == []


@pytest.mark.parametrize(
    "table",
    ["assets; DROP TABLE assets", "assets --", '"assets"', "a.b.c", "", ".assets", "main.", "odd name", "a" * 200, "ä"],
)
def test_a_table_name_that_is_no_identifier_is_refused(cmdb: SimpleNamespace, table: str) -> None:
    with pytest.raises(UsageError, match="is no table name"):
        table_name(table)
    with pytest.raises(UsageError):
        ask(cmdb.uri, table)


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE assets",
        "SELECT 1; DROP TABLE assets",
        "SELECT 1; SELECT 2",
        "DELETE FROM assets",
        "INSERT INTO assets VALUES (1, 2, 3, 4) RETURNING *",
        "WITH gone AS (DELETE FROM assets RETURNING *) SELECT * FROM gone",
        "SELECT * INTO other FROM assets",
        "SELECT * FROM assets FOR UPDATE",
        "ATTACH 'other.sqlite' AS other",
        "PRAGMA writable_schema = 1",
        "VACUUM",
        "EXPLAIN SELECT 1",
        "/* SELECT */ UPDATE assets SET ip = ''",
        "SELECT 'unclosed",
        "SELECT FROM WHERE",
        "(" * 5000,
        "-- nothing",
        "",
    ],
)
@pytest.mark.parametrize("backend", ["sqlite", "postgresql", "mysql", "mssql", "somedb"])
def test_a_query_that_is_not_one_select_is_refused(query: str, backend: str) -> None:
    with pytest.raises(UsageError, match="--query"):
        check_select(query, backend)


def test_a_database_is_never_written(cmdb: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cmdb.path.read_bytes()
    monkeypatch.setattr("ndr.sources.database.check_select", lambda *_: None)
    for query in ("DELETE FROM assets", "CREATE TABLE x (y)", "DELETE FROM assets RETURNING ip, hostname"):
        with pytest.raises(AdapterError, match="readonly"):
            ask(cmdb.uri, query=query)
    assert cmdb.path.read_bytes() == before


def test_what_a_database_does_not_hold_is_named(cmdb: SimpleNamespace) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown table 'asets'. Did you mean 'assets'"):
        ask(cmdb.uri, "asets")
    with pytest.raises(UnknownNameError, match="unknown column 'adress'"):
        ask(cmdb.uri, "assets", ip="adress")
    with pytest.raises(AdapterError, match="no such table: nowhere"):
        ask(cmdb.uri, query="SELECT * FROM nowhere")
    with pytest.raises(UsageError, match="needs --table NAME or --query"):
        ask(cmdb.uri)
    with pytest.raises(UsageError, match="and not both"):
        ask(cmdb.uri, "assets", "SELECT 1")


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no SQLite database"):
        ask(f"sqlite:///{tmp_path}/none.sqlite", "assets")
    assert not (tmp_path / "none.sqlite").exists()
    with pytest.raises(UsageError, match="there is no SQLite database"):
        ask("sqlite://", "assets")
    write(tmp_path / "text.sqlite", "this is no database at all, but a text that is long enough to be one")
    with pytest.raises(AdapterError, match="not a database"):
        ask(f"sqlite:///{tmp_path}/text.sqlite", "assets")


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:hunter2@127.0.0.1:1/cmdb",
        "postgresql+nodriver://me:hunter2@127.0.0.1/cmdb",
        "postgresql+psycopg://me@127.0.0.1:1/cmdb?password=hunter2",
        "postgresql://me:hunter2/x@y@127.0.0.1/cmdb",
        "mysql+pymysql://me:hunter2@127.0.0.1:1/cmdb",
        "mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dhunter2",
        "nosuchdb://me:hunter2@127.0.0.1/cmdb",
        "://me:hunter2@127.0.0.1/cmdb",
        "http://me:hunter2@127.0.0.1:port/cmdb",
    ],
)
def test_a_password_is_never_shown(uri: str) -> None:
    """None of these can be reached; with or without their drivers, an error is all that comes."""
    said = []
    for doing in (lambda: place_of(uri), lambda: ask(uri, "assets")):
        try:
            said.append(str(doing()))
        except NdrError as error:
            said += [str(error), str(error.__cause__ or "")]
    assert said
    assert "hunter2" not in " ".join(said)
