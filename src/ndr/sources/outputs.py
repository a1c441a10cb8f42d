"""What one file's import writes: sessions as Parquet, quarantined records as JSON lines, and their counts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from ndr.errors import AdapterError, shown
from ndr.sources.content import BrokenContentError
from ndr.sources.reading import EXCERPT_BYTES, Fault
from ndr.tables.sessions import SESSION_FIELDS

ROWS_PER_GROUP = 1 << 17
_REPEATING = [name for name in SESSION_FIELDS.names if pa.types.is_string(SESSION_FIELDS.field(name).type)]


@dataclass(frozen=True)
class Part:
    """What became of the records of one block."""

    sessions: pa.Table
    faults: list[Fault]
    filtered: Counter[str]
    mended: Counter[str]
    read: int
    last_line: int


@dataclass
class Tally:
    """Counts over all parts of a file."""

    read: int = 0
    sessions: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    filtered: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    first: Fault | None = None
    last: Fault | None = None
    last_line: int = 0

    def add(self, part: Part) -> None:
        """Counts one more part."""
        self.read += part.read
        self.sessions += part.sessions.num_rows
        self.quarantined.update(fault.reason for fault in part.faults)
        self.filtered.update(part.filtered)
        self.mended.update(part.mended)
        self.last_line = part.last_line
        if part.faults:
            self.first = self.first or part.faults[0]
            self.last = part.faults[-1]

    def check(self, share_limit: float, *, unfinished: bool) -> None:
        """Refuses a file of which too much is bad; a last line that breaks off (``unfinished``) is not held against it.

        Raises:
            BrokenContentError: more than ``share_limit`` of the records cannot be sessions.
        """
        bad = self.quarantined.total() - (unfinished and self.last is not None and self.last.line == self.last_line)
        if self.first and bad > share_limit * self.read:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.quarantined.most_common())
            raise BrokenContentError(
                f"{self.quarantined.total():,} of its {self.read:,} records cannot be sessions ({reasons}), more than "
                f"the share {share_limit:g} that bad_share_limit allows. The first is line {self.first.line}, "
                f"{self.first.reason}: {excerpt(self.first.text, 120)}"
            )


class Outputs:
    """The two files, each made when its first row comes."""

    def __init__(self, of: str, sessions_to: Path, quarantine_to: Path) -> None:
        self._of = of
        self._sessions_to = sessions_to
        self._quarantine_to = quarantine_to
        self._parquet: pq.ParquetWriter | None = None
        self._quarantine: TextIO | None = None
        self._waiting: list[pa.Table] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._flush(0)
        finally:
            if self._parquet:
                self._parquet.close()
            if self._quarantine:
                self._quarantine.close()

    def write(self, part: Part) -> None:
        """Appends one part.

        Raises:
            AdapterError: the disk is full or may not be written.
        """
        self._waiting.append(part.sessions)
        try:
            self._flush(ROWS_PER_GROUP)
            for fault in part.faults:
                self._quarantine = self._quarantine or self._quarantine_to.open("w", encoding="utf-8")
                record = {
                    "file": self._of,
                    "line": fault.line,
                    "reason": fault.reason,
                    "text": excerpt(fault.text),
                }
                self._quarantine.write(json.dumps(record, ensure_ascii=False) + "\n")
        except OSError as error:
            raise AdapterError(f"what came out of {self._of} cannot be written: {error}") from error

    def _flush(self, least: int) -> None:
        """Writes whole row groups while more than ``least`` rows wait."""
        while (rows := sum(table.num_rows for table in self._waiting)) > least:
            table = pa.concat_tables(self._waiting)
            size = min(ROWS_PER_GROUP, rows)
            self._parquet = self._parquet or pq.ParquetWriter(
                self._sessions_to, SESSION_FIELDS, compression="zstd", use_dictionary=_REPEATING
            )
            self._parquet.write_table(table[:size], row_group_size=ROWS_PER_GROUP)
            self._waiting = [table[size:]]


def excerpt(text: bytes | str, limit: int = EXCERPT_BYTES) -> str:
    """A record as it may stand in the quarantine or a message: one line, control characters written out, cut."""
    return shown(text.decode(errors="backslashreplace") if isinstance(text, bytes) else text, limit)
