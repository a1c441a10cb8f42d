"""Parity: whether two lakes hold the same numbers, part by part and cell by cell, whichever engine made them."""

from __future__ import annotations

import filecmp
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ndr.errors import DataError, shown
from ndr.lake import Lake
from ndr.ledger import Ledger, Part
from ndr.parity.cells import Mask, unequal
from ndr.parity.pairing import Indices, paired
from ndr.specs import Config
from ndr.table import Table
from ndr.tables import TABLES
from ndr.time import iso

Files: TypeAlias = tuple[pq.ParquetFile | None, pq.ParquetFile | None]

EXAMPLES = 5
_CELLS = 1 << 22
"""Cells of one file that are looked at together; of a long part no more than a few columns are in memory."""
_ROW = "(row)"


@dataclass(frozen=True)
class Difference:
    """A cell that is not the same in both lakes; the column is ``(row)`` where one has no such row."""

    part: str
    keys: Mapping[str, Any]
    column: str
    values: tuple[Any, Any]


@dataclass
class TableParity:
    """What a comparison of one table came to; ``worst_relative`` counts the differences that are allowed, too."""

    parts: int = 0
    rows: int = 0
    cells: int = 0
    different: int = 0
    worst_relative: float = 0.0
    byte_equal_parts: int = 0
    parts_missing: int = 0
    """Parts that only one of the lakes has, with rows or without."""
    ids_differ: int = 0
    """Parts that were made of other inputs, or by another recipe."""
    columns: dict[str, int] = field(default_factory=dict)
    """Column -> its cells that differ."""
    examples: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether nothing differs: no cell, no part, no origin of a part."""
        return not (self.different or self.parts_missing or self.ids_differ)

    def note(self, column: str, cells: int, example: Callable[[], Difference] | None = None) -> None:
        """Count cells of a column that differ, and keep an example while there are few."""
        if not cells:
            return
        self.different += cells
        self.columns[column] = self.columns.get(column, 0) + cells
        if example and len(self.examples) < EXAMPLES:
            self.examples.append(example())

    def facts(self) -> dict[str, Any]:
        """All of it as JSON holds it."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    """A value as JSON holds it; a float that is no finite number as text."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return iso(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def compare(
    one_lake: Lake, one_ledger: Ledger, other_lake: Lake, other_ledger: Ledger, config: Config,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, TableParity]:  # fmt: skip
    """Compare every table that recipes make, and of which either lake has a part.

    Rows are paired by their keys. Keys, whole numbers, texts, truth values and times must be the same; floats ``a`` and
    ``b`` may be ``1e-12 * max(|a|, |b|)`` apart, and none may be infinite or no number; null equals null alone; lists
    agree when they are as long and their elements agree. A row that one lake lacks differs in all its cells.

    Raises:
        DataError: a file of a part is gone, or cannot be read.
    """
    version, ledgers = config.feature_spec_version, (one_ledger, other_ledger)
    found: dict[str, TableParity] = {}
    sides = {
        table: tuple({part.key: part for part in ledger.parts(table.name, version)} for ledger in ledgers)
        for table in TABLES.values()
        if table.recipe
    }
    total, done = sum(len(one | other) for one, other in sides.values()), 0
    for table, (one, other) in sides.items():
        for key in sorted(one | other):
            told = found.setdefault(table.name, TableParity())
            _compare_part(table, (one.get(key), other.get(key)), (one_lake, other_lake), told)
            done += 1
            if progress:
                progress(table.name, done, total)
    return found


def _compare_part(
    table: Table, parts: tuple[Part | None, Part | None], lakes: tuple[Lake, Lake], told: TableParity
) -> None:
    one, other = parts
    told.parts += 1
    told.parts_missing += one is None or other is None
    told.ids_differ += one is not None and other is not None and one.id != other.id
    paths = [_place(part, lake) for part, lake in zip(parts, lakes, strict=True)]
    first, second = paths
    if first is None and second is None:
        told.byte_equal_parts += one is not None and other is not None
        return
    same = first is not None and second is not None and filecmp.cmp(first, second, shallow=False)
    told.byte_equal_parts += same
    name = next(part.path for part in parts if part and part.path)
    try:
        with ExitStack() as opened:
            files = [opened.enter_context(pq.ParquetFile(path)) if path else None for path in paths]
            _Comparison(table, name, (files[0], files[0] if same else files[1]), told).run()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"part {name} of {table.name} cannot be read: {shown(str(error), 300)}") from error


def _place(part: Part | None, lake: Lake) -> Path | None:
    """Where the rows of a part lie; None where it has none."""
    if part is None or not part.path:
        return None
    if not lake.has(part.path):
        raise DataError(f"the file {part.path} is gone from the lake {shown(lake.uri, 300)}: nothing can be compared.")
    return lake.fetch(part.path)


class _Comparison:
    """Two files of one part; one of them may be missing, and both may be the same."""

    def __init__(self, table: Table, name: str, files: Files, told: TableParity) -> None:
        names = [each for file in files if file for each in file.schema_arrow.names]
        self._files, self._name, self._told = files, name, told
        self._columns = list(dict.fromkeys([*table.stored_columns, *names]))
        self._keys = self._read([each for each in table.order or table.keys if each in table.stored_columns])

    def run(self) -> None:
        """Pair the rows, then hold their cells against each other."""
        found = paired(*self._keys)
        lone = [np.setdiff1d(np.arange(k.num_rows), i) for k, i in zip(self._keys, found, strict=True)]
        rows = len(found[0]) + len(lone[0]) + len(lone[1])
        self._told.rows += rows
        self._told.cells += rows * len(self._columns)
        for side, missing in enumerate(lone):
            self._note_lone(side, missing)
        if len(found[0]):
            self._cells(found)

    def _read(self, columns: Sequence[str]) -> tuple[pa.Table, pa.Table]:
        """These columns of both files; of a missing file no rows."""
        read = {file: file.read(columns=list(columns)) for file in self._files if file}
        nothing = next(iter(read.values())).slice(0, 0)
        return read.get(self._files[0], nothing), read.get(self._files[1], nothing)

    def _note_lone(self, side: int, rows: Indices) -> None:
        """Rows of one side: all their cells differ, and the first of them is an example."""

        def example() -> Difference:
            return self._difference(side, int(rows[0]), _ROW, ("missing", "there") if side else ("there", "missing"))

        for column in self._columns:
            self._told.note(column, len(rows), example if column == self._columns[0] else None)

    def _difference(self, side: int, row: int, column: str, values: tuple[Any, Any]) -> Difference:
        keys = self._keys[side].slice(row, 1).to_pylist()[0]
        return Difference(self._name, keys, column, values)

    def _cells(self, found: tuple[Indices, Indices]) -> None:
        """Compare the rows that both have, some columns at a time."""
        many = max(1, _CELLS // len(found[0]))
        moved = [len(i) != k.num_rows or bool((np.diff(i) != 1).any()) for k, i in zip(self._keys, found, strict=True)]
        for start in range(0, len(self._columns), many):
            group = self._columns[start : start + many]
            tables = [
                table.take(pa.array(rows)) if other else table
                for table, rows, other in zip(self._read(group), found, moved, strict=True)
            ]
            held = [dict(zip(table.column_names, table.columns, strict=True)) for table in tables]
            for column in group:
                self._column(column, held[0].get(column), held[1].get(column), found[0])

    def _column(self, column: str, one: pa.ChunkedArray | None, other: pa.ChunkedArray | None, rows: Indices) -> None:
        if one is None or other is None or one.type != other.type:
            kinds = tuple("no such column" if each is None else str(each.type) for each in (one, other))
            self._told.note(column, len(rows), lambda: self._difference(0, int(rows[0]), column, (kinds[0], kinds[1])))
            return
        wrong, worst = unequal(one.combine_chunks(), other.combine_chunks())
        self._told.worst_relative = max(self._told.worst_relative, worst)
        self._note_cells(column, wrong, (one, other), rows)

    def _note_cells(
        self, column: str, wrong: Mask, values: tuple[pa.ChunkedArray, pa.ChunkedArray], rows: Indices
    ) -> None:
        def example() -> Difference:
            first = int(wrong.argmax())
            both = (values[0][first].as_py(), values[1][first].as_py())
            return self._difference(0, int(rows[first]), column, both)

        self._told.note(column, int(wrong.sum()), example)
