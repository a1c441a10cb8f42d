"""The parts of a ledger on DynamoDB: which exist, how they came about, and which files nobody wants any more.

A file is unwanted when an item says so and no part that has an id stands where the file's owner would. That way the
order in which the items of a large commit are written does not matter: parts come into force one by one, or those of a
publication together, and a writer that is killed in between leaves parts that are missing and files that are removed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ndr.aws.ledger_items import moment, pack, part, part_item, parts_of, place, text, unpack
from ndr.aws.ledger_table import LedgerTable
from ndr.aws.ledger_wire import Changes, Item, Key, escaped, fits, packed
from ndr.ledger import Part
from ndr.time import Interval, parse_instant


def count_key(table: str, version: str) -> Key:
    """Where the number of rows of a table stands; records, for the sessions."""
    return "counts", f"{escaped(table)}#{escaped(version)}" if table != "sessions" else table


class Parts:
    """The half of a ledger that knows the parts of tables."""

    _table: LedgerTable

    def parts(self, table: str, version: str, within: Interval | None = None) -> list[Part]:
        """The table's parts whose intervals start within the interval, in order."""
        what = parts_of(table, version)
        bounds = (text(within.start), text(within.end)) if within else ()
        found = self._table.steady(lambda: self._table.query(what, *bounds))
        return sorted((part(table, version, item) for item in found), key=lambda each: each.key)

    def row_count(self, table: str, version: str) -> int:
        """How many rows a table has; records, for the sessions."""
        item = self._table.one(count_key(table, version))
        return item["rows"] if item else 0

    def announce(self, parts: Sequence[Part], paths: Iterable[str]) -> None:
        """Before files are put in place: the parts are not what they were, and the files belong to nobody yet.

        A run that is killed before it commits leaves parts that are missing and files that the next run removes.
        """
        with self._table.alone():
            paths, had = list(paths), self._table.get(map(place, parts))
            changes: Changes = {key: {**item, "id": ""} for key, item in had.items()}
            owned = self._owned(set(paths), dict(changes))
            self._table.write_each(changes | {("unwanted", path): {} for path in paths if path not in owned})

    def commit(self, made: Sequence[Part], gone: Sequence[Part], record: Mapping[str, Any]) -> None:
        """Replace parts, and note how they came about and which files nobody wants any more.

        All at once where a transaction holds it. More than that goes in order, each part whole; the parts of one
        publication come into force together in any case.
        """
        with self._table.alone():
            known = {place(each): each for each in made}
            lost = {key for each in gone if (key := place(each)) not in known}
            had = self._table.get([*known, *lost])
            atoms = _atoms(known, lost, record)
            wanted = {each.path for each in made if each.path}
            old = {path for item in had.values() if (path := item["path"]) and path not in wanted}
            before: Changes = {("files", p.path): {"what": at[0], "at": at[1]} for at, p in known.items() if p.path}
            before |= {("unwanted", path): {} for path in old}
            after: Changes = {("unwanted", path): None for path in wanted}
            whole = {key: item for some in (before, *atoms, after) for key, item in some.items()}
            tables = len({key[0] for key in (*known, *lost)})
            if fits(whole, tables):
                self._table.write(whole | self._counts(had, whole))
                return
            self._table.write_each(before)
            for some in packed(atoms, tables):
                self._table.write(some | self._counts(had, some))
            self._table.write_each(after)

    def _counts(self, had: Mapping[Key, Item], changes: Changes) -> Changes:
        """How many rows the tables have after the changes, given the parts they had."""
        rows: dict[Key, int] = {}
        for key, item in changes.items():
            if key[0].startswith("parts#"):
                count = ("counts", key[0].removeprefix("parts#"))
                before = had[key]["rows"] if key in had else 0
                rows[count] = rows.get(count, 0) + (item["rows"] if item else 0) - before
        known = self._table.get(rows)
        return {key: {"rows": (known[key]["rows"] if key in known else 0) + more} for key, more in rows.items()}

    def unwanted(self) -> list[str]:
        """Files of parts and imports that were replaced; they may be removed."""
        told = [item["sk"] for item in self._table.query("unwanted")]
        owned = self._owned(told, {})
        if owned and self._table.lease.writer:
            self._table.write_each({("unwanted", path): None for path in owned})
        return [path for path in told if path not in owned]

    def removed(self, paths: Iterable[str]) -> None:
        """Note that these unwanted files are gone."""
        with self._table.alone():
            paths = list(paths)
            self._table.write_each({(what, path): None for path in paths for what in ("files", "unwanted")})

    def _owned(self, paths: Iterable[str], changed: Changes) -> set[str]:
        """The files that some part owns, once the changes are made."""
        told = self._table.get(("files", path) for path in paths)
        places = {path: (item["what"], item["at"]) for (_, path), item in told.items()}
        now: Changes = {**self._table.get(places.values()), **changed}
        parts = {path: item for path, at in places.items() if (item := now.get(at))}
        return {path for path, item in parts.items() if item["id"] and item["path"] == path}

    def asked_publications(self, version: str) -> dict[datetime, bool]:
        """The reference times for which baselines were asked for, and whether provisional ones will do."""
        found = self._table.query(f"asked#{escaped(version)}")
        return {moment(item["sk"]): bool(item["provisional"]) for item in found}

    def ask_publication(self, version: str, reference: datetime, *, provisional: bool) -> None:
        """Remember that baselines of a reference time are wanted."""
        with self._table.alone():
            self._table.write({(f"asked#{escaped(version)}", text(reference)): {"provisional": int(provisional)}})

    def publication_records(self, version: str) -> dict[datetime, dict[str, Any]]:
        """How the publications came about that were made, by reference time."""
        found = self._table.query(f"publications#{escaped(version)}")
        return {moment(item["sk"]): unpack(item["record"]) for item in found}


def _atoms(made: Mapping[Key, Part], gone: Iterable[Key], record: Mapping[str, Any]) -> list[Changes]:
    """What comes into force together: the parts of a publication and its record, else each part for itself."""
    atoms: dict[object, Changes] = {}
    for told in record.get("publications", ()):
        reference = text(parse_instant(told["reference"]))
        what = f"publications#{escaped(told['version'])}"
        atoms.setdefault(reference, {})[what, reference] = {"record": pack(told)}
    published = bool(atoms)
    for key, each in made.items():
        atoms.setdefault(text(each.key.start) if published else key, {})[key] = part_item(each)
    for key in gone:
        atoms.setdefault(key, {})[key] = None
    now = datetime.now(UTC).replace(tzinfo=None)
    build: Changes = {("builds", f"{text(now)}#{uuid.uuid4().hex}"): {"record": pack(dict(record))}}
    return [*atoms.values(), build]
