"""Gzip JSON lines to sessions Parquet, beside DuckDB's own JSON reader, told the columns, writing the same ones."""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.data import Traffic
from benchmarks.lakes import MEMORY_LIMIT
from benchmarks.measure import Line, alternate, cost, line
from benchmarks.settings import NOON, Setting
from ndr.sources.files import FileReport, read_file
from ndr.sources.formats import SOURCES
from ndr.sources.source import SourceSpec
from ndr.tables.sessions import SESSION_FIELDS
from ndr.time import SLICE

RECORDS = 1_000_000
GOAL = 1.5
_SQL = {
    "timestamp[us]": "TIMESTAMP", "string": "VARCHAR", "int32": "INTEGER", "int64": "BIGINT", "bool": "BOOLEAN"
}  # fmt: skip


def duckdb_import(logs: Path, sessions: Path) -> None:
    """What DuckDB needs for the same columns: types cast by its JSON reader, nothing checked, mended or counted."""
    columns = ", ".join(f"{field.name}: '{_SQL[str(field.type)]}'" for field in SESSION_FIELDS)
    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as con:
        con.execute(
            f"COPY (FROM read_json('{logs}', format = 'newline_delimited', columns = {{{columns}}}))"
            f" TO '{sessions}' (FORMAT parquet, COMPRESSION zstd)"
        )


def our_import(logs: Path, sessions: Path) -> FileReport:
    """The same through the product's adapter."""
    return read_file(
        logs, source=None, specs={name: SourceSpec() for name in SOURCES}, sessions_to=sessions,
        quarantine_to=sessions.with_suffix(".jsonl"), known=lambda _head: {},
    )  # fmt: skip


def measured(setting: Setting) -> list[Line]:
    """Palo Alto JSON lines, recognised by content."""
    records = setting.sized(RECORDS)
    logs = Traffic(records, 4_000, NOON - SLICE, SLICE).json_lines(setting.folder / "logs.json.gz")
    theirs, ours = setting.folder / "theirs.parquet", setting.folder / "ours.parquet"
    report = our_import(logs, ours)
    if report.sessions != records:
        raise AssertionError(f"{records - report.sessions} of {records} generated records are no sessions: {report}")
    floor, made = alternate(
        setting.runs,
        lambda _: cost(lambda: duckdb_import(logs, theirs)),
        lambda _: cost(lambda: our_import(logs, ours)),
    )
    return [
        line("import", f"floor: DuckDB reads {records:,} gzip JSON lines and writes Parquet", floor),
        line("import", "the same lines to sessions Parquet, checked and counted", made, floor, most=GOAL),
    ]
