"""Twin lakes made by hand: parts of real tables with made-up rows, no engine; and one cell changed in one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ndr.arrow import arrow_schema
from ndr.lake import LocalLake, checksum, part_path
from ndr.ledger import Part
from ndr.local_ledger import SqliteLedger
from ndr.parity import TableParity, compare
from ndr.specs import Config
from ndr.table import PartKey, Table
from ndr.tables import TABLES
from ndr.time import SLICE

START = datetime(2026, 3, 4, 10)  # a Wednesday
ROWS = 7
HELD = ("delta", "pair_history", "predictions")
"""Tables that between them have every type of column, and a key that may be null."""
Change = Callable[[pa.Table], pa.Table]


def a_value(dtype: pa.DataType, row: int, name: str) -> Any:
    """A value that tells the row."""
    if pa.types.is_string(dtype):
        return f"{name}-{row}"
    if pa.types.is_boolean(dtype):
        return row % 2 == 0
    if pa.types.is_timestamp(dtype):
        return START + timedelta(minutes=row)
    if pa.types.is_list(dtype):
        return [{f.name: a_value(f.type, 10 * row + i, f.name) for f in dtype.value_type} for i in range(row % 3)]
    return 1.1 * (row + 1) if pa.types.is_floating(dtype) else 100 + row


def a_part(table: Table) -> pa.Table:
    """Rows of a table, of all of its columns; every third port is unknown."""
    schema = arrow_schema(table.stored_columns)
    columns = {f.name: [a_value(f.type, row, f.name) for row in range(ROWS)] for f in schema}
    if "dst_port" in columns:
        columns["dst_port"] = [None if row % 3 == 0 else row for row in range(ROWS)]
    return pa.table(columns, schema=schema)


def keys_of(table: Table) -> list[PartKey]:
    """Two parts with rows and one without."""
    return [PartKey(START + n * table.every, START + n * table.every + SLICE) for n in range(3)]


def make(root: Path) -> Path:
    """A lake with parts of some tables."""
    lake = LocalLake(root)
    with closing(SqliteLedger(root / "ledger.sqlite")) as ledger:
        for name in HELD:
            table, parts = TABLES[name], []
            for number, key in enumerate(keys_of(table)):
                path = part_path(table, "1", key, f"part{number}") if number < 2 else ""
                if path:
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    pq.write_table(a_part(table), root / path)
                told = (ROWS, path, checksum(root / path)) if path else (0, "", "")
                parts.append(Part(name, "1", key, f"{name}{number}", *told))
            ledger.commit(parts, [], {})
    lake.close()
    return root


def file_of(root: Path, name: str) -> Path:
    """The file of the first part of a table."""
    with closing(SqliteLedger(root / "ledger.sqlite")) as ledger:
        return root / ledger.parts(name, "1")[0].path


def change(root: Path, name: str, how: Change) -> None:
    """Write the first part of a table again, otherwise."""
    file = file_of(root, name)
    pq.write_table(how(pq.read_table(file)), file)


def put(column: str, value: Any, row: int = 4) -> Change:
    """Another value in one cell; or what a function makes of the one there."""

    def how(rows: pa.Table) -> pa.Table:
        values = rows.column(column).to_pylist()
        values[row] = value(values[row]) if callable(value) else value
        place = rows.column_names.index(column)
        return rows.set_column(place, rows.schema.field(column), pa.array(values, rows.schema.field(column).type))

    return how


@contextmanager
def ledger_of(root: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(root / "ledger.sqlite")) as ledger:
        yield ledger


def held(one: Path, other: Path) -> dict[str, TableParity]:
    """What a comparison of two lakes says."""
    with ledger_of(one) as first, ledger_of(other) as second:
        return compare(LocalLake(one), first, LocalLake(other), second, Config())
