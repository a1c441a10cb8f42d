"""The local ledger: one SQLite file, where a transaction is all or nothing, also when the process is killed in it."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from ndr.errors import AdapterError, DataError, shown
from ndr.ledger import Part, Unit
from ndr.ledger_schema import SCHEMA
from ndr.table import PartKey
from ndr.time import Interval, parse_instant

_AT_PLACE = "table_name = ? AND version = ? AND start = ? AND known_at = ? AND horizon = ?"


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


class SqliteLedger:
    """A ledger in one local file; where it may not be written, it can still be read.

    Raises:
        AdapterError: the file cannot be opened, or is no ledger.
    """

    def __init__(self, path: Path) -> None:
        writable = os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
        try:
            if not writable:
                self._db = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True, isolation_level=None)
                return
            self._db = sqlite3.connect(path, isolation_level=None, timeout=60)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise AdapterError(f"the ledger {shown(str(path))} cannot be opened: {error}.") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def parts(self, table: str, version: str, within: Interval | None = None) -> list[Part]:
        """The table's parts whose intervals start within the interval, in order."""
        lower, upper = _bounds(within)
        rows = self._db.execute(
            "SELECT start, known_at, horizon, id, row_count, path, checksum FROM parts"
            " WHERE table_name = ? AND version = ? AND start >= ? AND start < ? ORDER BY start, known_at, horizon",
            (table, version, lower, upper),
        )
        return [Part(table, version, _key(start, known, horizon), *rest) for start, known, horizon, *rest in rows]

    def announce(self, parts: Sequence[Part], paths: Iterable[str]) -> None:
        """Before files are put in place: the parts are not what they were, and the files belong to nobody yet.

        A run that is killed before it commits leaves parts that are missing and files that the next run removes.
        """
        with self._transaction() as db:
            db.executemany(
                f"UPDATE parts SET id = '' WHERE {_AT_PLACE}",  # noqa: S608 - a constant
                [_place(part) for part in parts],
            )
            db.executemany(
                "INSERT OR IGNORE INTO unwanted_files SELECT ?1 WHERE NOT EXISTS"
                " (SELECT 1 FROM parts WHERE path = ?1 AND id != '')",
                [(path,) for path in paths],
            )

    def commit(self, made: Sequence[Part], gone: Sequence[Part], record: Mapping[str, Any]) -> None:
        """Replace parts in one transaction, and note how they came about and which files nobody wants any more."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO unwanted_files SELECT path FROM parts WHERE table_name = ? AND version = ?"
                " AND start = ? AND known_at = ? AND horizon = ? AND path NOT IN ('', ?)",
                [(*_place(p), p.path) for p in made] + [(*_place(p), "") for p in gone],
            )
            db.executemany("DELETE FROM unwanted_files WHERE path = ?", [(p.path,) for p in made])
            db.executemany(
                f"DELETE FROM parts WHERE {_AT_PLACE}",  # noqa: S608 - a constant
                [_place(p) for p in gone],
            )
            db.executemany(
                "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(*_place(p), p.id, p.rows, p.path, p.checksum) for p in made],
            )
            db.executemany(
                "INSERT OR REPLACE INTO publications VALUES (?, ?, ?)",
                [
                    (each["version"], _text(parse_instant(each["reference"])), json.dumps(each, sort_keys=True))
                    for each in record.get("publications", ())
                ],
            )
            db.execute("INSERT INTO builds (record) VALUES (?)", (json.dumps(dict(record), sort_keys=True),))

    def units(self, within: Interval | None = None) -> list[Unit]:
        """The imports that brought sessions of the interval, with the slices of theirs that lie in it."""
        lower, upper = _bounds(within)
        slices: dict[str, dict[PartKey, int]] = {}
        for start, known, unit, rows in self._db.execute(
            "SELECT start, known_at, unit, row_count FROM unit_slices WHERE start >= ? AND start < ?", (lower, upper)
        ):
            slices.setdefault(unit, {})[_key(start, known)] = rows
        everything = "SELECT * FROM units ORDER BY id"
        found = self._db.execute(everything).fetchall() if within is None else self._units_named(slices)
        return [_unit(row, slices.get(row[0], {})) for row in found]

    def units_of(self, contents: Iterable[str]) -> list[Unit]:
        """The imports of these contents, without their slices."""
        query = "SELECT * FROM units WHERE content_sha256 = ?"
        return [_unit(row, {}) for content in contents for row in self._db.execute(query, (content,)).fetchall()]

    def units_of_batch(self, end: datetime) -> list[Unit]:
        """The imports of a named batch, without their slices."""
        rows = self._db.execute("SELECT * FROM units WHERE batch_end = ? ORDER BY id", (_text(end),)).fetchall()
        return [_unit(row, {}) for row in rows]

    def _units_named(self, ids: Iterable[str]) -> list[tuple[Any, ...]]:
        return [self._db.execute("SELECT * FROM units WHERE id = ?", (one,)).fetchone() for one in sorted(ids)]

    def import_units(self, made: Sequence[Unit], gone: Sequence[Unit]) -> None:
        """Add what was imported and take back what it replaces, in one transaction."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO unsettled_slices SELECT start FROM unit_slices WHERE unit = ?",
                [(u.id,) for u in gone],
            )
            for table, column in (("units", "id"), ("unit_slices", "unit")):
                db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(u.id,) for u in (*gone, *made)])  # noqa: S608 - two constants
            db.executemany(
                "INSERT OR IGNORE INTO unwanted_files VALUES (?)", [(path,) for u in gone for path in u.files]
            )
            db.executemany("DELETE FROM unwanted_files WHERE path = ?", [(path,) for u in made for path in u.files])
            for u in made:
                end = _text(u.batch_end) if u.batch_end else None
                db.execute(
                    "INSERT INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        u.id, u.origin, u.source, u.content_bytes, u.content_sha256, u.head_sha256, end, u.path,
                        u.checksum, json.dumps(dict(u.report), sort_keys=True),
                    ),
                )  # fmt: skip
                db.executemany(
                    "INSERT INTO unit_slices VALUES (?, ?, ?, ?)",
                    [(_text(k.start), _text(k.known_at), u.id, rows) for k, rows in u.slices.items()],
                )
                db.executemany(
                    "INSERT OR IGNORE INTO unsettled_slices VALUES (?)", [(_text(k.start),) for k in u.slices]
                )

    def unwanted(self) -> list[str]:
        """Files of parts and imports that were replaced; they may be removed."""
        return [path for (path,) in self._db.execute("SELECT path FROM unwanted_files")]

    def removed(self, paths: Iterable[str]) -> None:
        """Note that these unwanted files are gone."""
        with self._transaction() as db:
            db.executemany("DELETE FROM unwanted_files WHERE path = ?", [(path,) for path in paths])

    def contents(self, head: bytes) -> dict[int, set[str]]:
        """Length -> hashes of the contents imported so far that begin with the same bytes, or are shorter and equal."""
        short = self._db.execute("SELECT DISTINCT content_bytes FROM units WHERE content_bytes < ?", (len(head),))
        found: dict[int, set[str]] = {}
        for (length,) in [*short, (len(head),)]:
            rows = self._db.execute(
                "SELECT content_bytes, content_sha256 FROM units WHERE head_sha256 = ?",
                (hashlib.sha256(head[:length]).hexdigest(),),
            )
            for size, content in rows:
                found.setdefault(size, set()).add(content)
        return found

    def clock(self) -> str | None:
        """The clock by which the imports so far were put into slices."""
        row = self._db.execute("SELECT json_extract(report, '$.clock') FROM units LIMIT 1").fetchone()
        return row[0] if row else None

    def batches(self) -> dict[datetime, str]:
        """The named batches by their ends."""
        return {datetime.fromisoformat(end): name for end, name in self._db.execute("SELECT end, name FROM batches")}

    def row_count(self, table: str, version: str) -> int:
        """How many rows a table has; records, for the sessions."""
        query = "SELECT coalesce(sum(row_count), 0) FROM parts WHERE table_name = ? AND version = ?"
        if table == "sessions":
            (rows,) = self._db.execute("SELECT coalesce(sum(row_count), 0) FROM unit_slices").fetchone()
        else:
            (rows,) = self._db.execute(query, (table, version)).fetchone()
        return int(rows)

    def slice_starts(self, within: Interval | None = None) -> list[datetime]:
        """The slices for which any record was imported, in order."""
        rows = self._db.execute(
            "SELECT DISTINCT start FROM unit_slices WHERE start >= ? AND start < ? ORDER BY start", _bounds(within)
        )
        return [datetime.fromisoformat(start) for (start,) in rows]

    def days(self) -> dict[datetime, datetime]:
        """The days for which any record was imported, and when the first of its records was known."""
        query = "SELECT substr(start, 1, 10), min(known_at) FROM unit_slices GROUP BY 1 ORDER BY 1"
        return {datetime.fromisoformat(d): datetime.fromisoformat(known) for d, known in self._db.execute(query)}

    def asked_publications(self, version: str) -> dict[datetime, bool]:
        """The reference times for which baselines were asked for, and whether provisional ones will do."""
        query = "SELECT reference, provisional FROM asked_publications WHERE version = ? ORDER BY reference"
        return {datetime.fromisoformat(moment): bool(warm) for moment, warm in self._db.execute(query, (version,))}

    def ask_publication(self, version: str, reference: datetime, *, provisional: bool) -> None:
        """Remember that baselines of a reference time are wanted."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO asked_publications VALUES (?, ?, ?)", (version, _text(reference), provisional)
            )

    def publication_records(self, version: str) -> dict[datetime, dict[str, Any]]:
        """How the publications came about that were made, by reference time."""
        query = "SELECT reference, record FROM publications WHERE version = ? ORDER BY reference"
        return {datetime.fromisoformat(at): json.loads(record) for at, record in self._db.execute(query, (version,))}

    def settled_under(self, fingerprint: str) -> bool:
        """Whether the last finished run had this fingerprint."""
        return bool(self._db.execute("SELECT fingerprint FROM settled").fetchone() == (fingerprint,))

    def unsettled(self) -> list[datetime]:
        """The slices whose imports, or their withdrawal, no finished run has built on."""
        return [datetime.fromisoformat(start) for (start,) in self._db.execute("SELECT start FROM unsettled_slices")]

    def settle(self, fingerprint: str) -> None:
        """Note that a run has built everything there is to build."""
        with self._transaction() as db:
            db.execute("DELETE FROM unsettled_slices")
            db.execute("DELETE FROM settled")
            db.execute("INSERT INTO settled VALUES (?)", (fingerprint,))

    def last_arrival(self) -> datetime | None:
        """The end of the last batch of which anything was imported."""
        (last,) = self._db.execute("SELECT max(known_at) FROM unit_slices").fetchone()
        return datetime.fromisoformat(last) if last else None

    def settled_arrival(self) -> datetime | None:
        """The end of the last batch, among those whose slices hold nothing unsettled."""
        query = "SELECT max(known_at) FROM unit_slices WHERE start NOT IN (SELECT start FROM unsettled_slices)"
        (last,) = self._db.execute(query).fetchone()
        return datetime.fromisoformat(last) if last else None

    def name_batch(self, name: str, batch: Interval) -> None:
        """Remember a named batch.

        Raises:
            DataError: the name stands for another interval, or the interval's end has another name.
        """
        wanted = (name, _text(batch.start), _text(batch.end))
        known = self._db.execute("SELECT * FROM batches WHERE name = ? OR end = ?", (name, wanted[2])).fetchall()
        if known and known != [wanted]:
            raise DataError(
                f"batch {shown(name)!r} {batch} contradicts batch {known[0][0]!r} [{known[0][1]}, {known[0][2]}) "
                "of this lake; a batch name stands for one interval, and one interval's end for one batch."
            )
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO batches VALUES (?, ?, ?)", wanted)


def _place(part: Part) -> tuple[str, str, str, str, str]:
    return part.table, part.version, _text(part.key.start), _text(part.key.known_at), part.key.horizon


def _bounds(within: Interval | None) -> tuple[str, str]:
    return (_text(within.start), _text(within.end)) if within else ("", "~")


def _key(start: str, known_at: str, horizon: str = "") -> PartKey:
    return PartKey(datetime.fromisoformat(start), datetime.fromisoformat(known_at), horizon)


def _unit(row: tuple[Any, ...], slices: Mapping[PartKey, int]) -> Unit:
    unit, origin, source, size, content, head, end, path, checksum, report = row
    batch_end = datetime.fromisoformat(end) if end else None
    return Unit(unit, origin, source, size, content, head, batch_end, path, checksum, slices, json.loads(report))
