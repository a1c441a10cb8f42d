"""Verification: the numbers of a window once more, from the stored sessions, held against those that are stored.

Twice: all of them by the ordinary recipes in an empty lake that borrows nothing but the sessions, the baselines and the
model; and what can be counted without slices, windows and merging by one plain query over the host's records. Baselines
are taken as they were published. Every file that any of this is about is held against its checksum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ndr.explaining.case import Case, Row, rows_at
from ndr.explaining.recount import counted_plainly
from ndr.lake import Lake, LocalLake, checksum
from ndr.ledger import Ledger, Part, Unit
from ndr.local_ledger import SqliteLedger
from ndr.model.kinds import ENDPOINT
from ndr.plan import Planner
from ndr.run import Workshop, run
from ndr.table import Table
from ndr.tables import TABLES
from ndr.tables.fg_a import fg_a
from ndr.tables.fg_c import fg_c
from ndr.tables.machines import machines
from ndr.tables.predictions import predictions
from ndr.time import SLICE, Interval, days, iso

_CLOSE = 1e-9
_REACH = days(32)
"""How far before the end of a window sessions can matter to it."""


@dataclass(frozen=True)
class Difference:
    """A number that is not what the sessions say."""

    table: str
    row: str
    column: str
    stored: Any
    recomputed: Any

    def __str__(self) -> str:
        place = f"{self.table} {self.row} {self.column}".rstrip()
        return f"{place}: stored {self.stored!r}, recomputed {self.recomputed!r}"


@dataclass(frozen=True)
class Verification:
    """What was recomputed, and what differs."""

    values: Mapping[str, int]
    """Table -> values that were made again and compared."""
    counted: int
    """Values of FG-A that were also counted in a plain query."""
    records: int
    """The host's records in the window."""
    files: int
    differences: Sequence[Difference]
    notes: Sequence[str]

    @property
    def sound(self) -> bool:
        """Whether every number is what the sessions say."""
        return not self.differences

    def facts(self) -> Row:
        """As data."""
        return {"sound": self.sound, **asdict(self)}

    def __str__(self) -> str:
        made = f"{', '.join(f'{count:,} values of {name}' for name, count in self.values.items())} recomputed"
        plain = f"{self.counted} counted plainly from {self.records:,} records of the host, {self.files} files checked"
        outcome = "all equal" if self.sound else f"{len(self.differences)} differ"
        return f"Verified: {made}, {plain}: {outcome}."


class _Borrowing(LocalLake):
    """An empty lake that finds some files in another one, and never changes those."""

    def __init__(self, root: Path, other: Lake, borrowed: frozenset[str]) -> None:
        super().__init__(root)
        self._other, self._borrowed = other, borrowed

    def path(self, relative: str) -> str:
        """Where engines find a file."""
        return self._other.path(relative) if relative in self._borrowed else super().path(relative)

    def fetch(self, relative: str) -> Path:
        """A file, to be read here."""
        return self._other.fetch(relative) if relative in self._borrowed else super().fetch(relative)

    def has(self, relative: str) -> bool:
        """Whether the file is there."""
        return self._other.has(relative) if relative in self._borrowed else super().has(relative)


def verify(case: Case, shop: Workshop) -> Verification:
    """Recompute the rows of a case and compare them.

    Raises:
        DataError: sessions or baselines that are needed are gone.
    """
    tables = _tables(case)
    notes = ["baselines are taken as published"] if fg_c in tables else []
    if case.prediction and predictions not in tables:
        notes.append("the endpoint that gave the score is not asked again")
    units, borrowed = shop.ledger.units(), _borrowed(shop)
    reach = Interval(case.window.end - _REACH, case.window.end)
    near = [unit for unit in units if any(reach.contains(key.start) for key in unit.slices)]
    own = [part for table in tables for part in _parts_at(table, case, shop)]
    checked: list[Unit | Part] = [*near, *own, *_in_force(case, borrowed)]
    with TemporaryDirectory(prefix="ndr-verify-") as folder, closing(SqliteLedger(Path(folder) / "ledger")) as ledger:
        again = _emptied(shop, Path(folder), ledger, units, borrowed)
        model = shop.model.version if predictions in tables and shop.model else ""
        trusted = [table for table in TABLES.values() if table.published or table is machines]
        quarter = Interval(case.window.end - SLICE, case.window.end)
        run(Planner(again.config, ledger, again.lake, trusted, model).plan(tables, quarter), again)
        made = {table: rows_at(table, again, case.host, case.label, case.window.end) for table in tables}
        notes += _outdated(own, ledger)
    changed = _changed(checked, shop.lake)
    differences = [each for table, rows in made.items() for each in _held_against(table, rows, case, shop)]
    counted, records = counted_plainly(case, shop)
    row, place = case.behaviour, ("fg_a, counted plainly", _label(case))
    plain = [each for name, value in counted.items() for each in _differing(*place, name, row[name], value)]
    values = {table.name: sum(len(row) for row in rows) for table, rows in made.items()}
    found = [*changed, *differences, *plain]
    return Verification(values, len(counted), records, len(checked), found, notes)


def _label(case: Case) -> str:
    return f"{case.host} {case.label} {iso(case.window.end)}"


def _tables(case: Case) -> list[Table]:
    """The tables whose rows a case consists of."""
    tables = [fg_a]
    if case.deviations:
        tables.append(fg_c)
    if case.prediction and case.prediction["leading_kind"] != ENDPOINT:
        tables.append(predictions)
    return tables


def _borrowed(shop: Workshop) -> list[Part]:
    """The baselines, and the inventory that they were made with."""
    version = shop.config.feature_spec_version
    chosen = [table for table in TABLES.values() if table.published or table is machines]
    return [part for table in chosen for part in shop.ledger.parts(table.name, table.version(version))]


def _in_force(case: Case, borrowed: Iterable[Part]) -> list[Part]:
    keys = case.publication.keys() if case.publication else []
    return [part for part in borrowed if part.key in keys]


def _parts_at(table: Table, case: Case, shop: Workshop) -> list[Part]:
    """The stored parts of a table that end with the window."""
    end = case.window.end
    found = shop.ledger.parts(table.name, shop.config.feature_spec_version, Interval(end - SLICE, end))
    return [part for part in found if not table.by_model or (shop.model and part.key.horizon == shop.model.version)]


def _emptied(shop: Workshop, folder: Path, ledger: SqliteLedger, units: Sequence[Unit], parts: list[Part]) -> Workshop:
    """The same workshop around an empty lake, whose ledger knows the sessions and the baselines alone."""
    version = shop.config.feature_spec_version
    ledger.import_units(units, [])
    ledger.commit(parts, [], {})
    for end, name in shop.ledger.batches().items():
        ledger.name_batch(name, Interval(end - SLICE, end))
    for reference, provisional in shop.ledger.asked_publications(version).items():
        ledger.ask_publication(version, reference, provisional=provisional)
    lake = _Borrowing(folder, shop.lake, frozenset([*(unit.path for unit in units), *(part.path for part in parts)]))
    return replace(shop, ledger=ledger, lake=lake, drafts={})


def _changed(owned: Iterable[Unit | Part], lake: Lake) -> Iterator[Difference]:
    """The files that are not what was written."""
    for each in owned:
        if each.path and lake.has(each.path) and (digest := checksum(lake.fetch(each.path))) != each.checksum:
            yield Difference("file", each.path, "sha256", each.checksum, digest)


def _outdated(stored_parts: Iterable[Part], ledger: Ledger) -> list[str]:
    """Which stored parts were made by another recipe, configuration or of other sessions than there are now."""
    found = []
    for part in stored_parts:
        within = Interval(part.key.start, part.key.start + SLICE)
        now = {each.key: each.id for each in ledger.parts(part.table, part.version, within)}
        if now.get(part.key, part.id) != part.id:
            found.append(
                f"{part.table} of {iso(part.key.known_at)} was made of other sessions, or by another configuration or "
                "version; ndr run brings it up to date"
            )
    return found


def _held_against(table: Table, made: Sequence[Row], case: Case, shop: Workshop) -> Iterator[Difference]:
    """Stored rows against those that were made again; a row more or less is a difference too."""
    label, keys = _label(case), table.keys
    have = rows_at(table, shop, case.host, case.label, case.window.end)
    by_key = {tuple(row[key] for key in keys): row for row in made}
    if len(have) != len(made):
        yield Difference(table.name, label, "rows", len(have), len(made))
    for row in have:
        other = by_key.get(tuple(row[key] for key in keys))
        if other is None:
            yield Difference(table.name, label, "row", "there", "not there")
            continue
        name = f"{label} {row['baseline_horizon']}" if table is fg_c else label
        for column in table.columns:
            yield from _differing(table.name, name, column, row[column], other[column])


def _differing(table: str, row: str, column: str, have: Any, made: Any) -> Iterator[Difference]:
    """The values that are not equal, those within lists and structs by their places."""
    if isinstance(have, list) and isinstance(made, list) and len(have) == len(made):
        for place, (one, other) in enumerate(zip(have, made, strict=True)):
            yield from _differing(table, row, f"{column}[{place}]", one, other)
    elif isinstance(have, dict) and isinstance(made, dict) and have.keys() == made.keys():
        for name in have:
            yield from _differing(table, row, f"{column}.{name}", have[name], made[name])
    elif not _equal(have, made):
        yield Difference(table, row, column, have, made)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)
