"""Listings: the rows of an inventory as they stand in a CSV or Parquet file, and which of its columns hold what."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ndr.errors import DataError, NdrError, UnknownNameError, UsageError, shown
from ndr.sources.content import BrokenContentError, Content, UnreadableFileError

_EXPANSION_LIMIT = 200
_DELIMITERS = ",;\t|"
_GUESSES = {
    "ip": ("ip_address", "ip", "ipaddress"),
    "name": ("machine_name", "hostname", "host_name", "computer_name", "name"),
    "active": ("active", "is_active"),
}


class Entry(NamedTuple):
    """One row of a listing as text; ``line`` is that of a file, else the number of the row, from 1."""

    line: int
    ip_address: str
    machine_name: str
    active: str
    fault: str | None = None


class Places(NamedTuple):
    """Where in a row things stand."""

    ip: int
    name: int
    active: int | None

    def entry(self, line: int, row: Sequence[object]) -> Entry:
        """The row as an entry."""
        active = None if self.active is None else row[self.active]
        return Entry(line, _text(row[self.ip]), _text(row[self.name]), _text(active))


@dataclass(frozen=True)
class Wanted:
    """The columns that hold address, name and whether a machine is active; guessed where none is named."""

    ip: str | None = None
    name: str | None = None
    active: str | None = None

    def places(self, columns: Sequence[str]) -> Places:
        """Where in a row of these columns they stand; ``active`` may be missing.

        Raises:
            UnknownNameError: a named column is not there.
            DataError: none of the guesses for address or name is there, or the chosen column is there twice.
        """
        ip, name = self._place("ip", self.ip, columns), self._place("name", self.name, columns)
        if ip is None or name is None:
            what = "addresses" if ip is None else "machine names"
            option = "ip" if ip is None else "name"
            raise DataError(
                f"no column of {what} was found: looked for {', '.join(_GUESSES[option])} among "
                f"{shown(', '.join(columns), 300)}. Name it with --{option}-column."
            )
        return Places(ip, name, self._place("active", self.active, columns))

    def _place(self, what: str, asked: str | None, columns: Sequence[str]) -> int | None:
        plain = [re.sub(r"[\s-]+", "_", column.strip().lower()) for column in columns]
        if asked is not None:
            chosen = [i for i, column in enumerate(columns) if column == asked]
            chosen = chosen or [i for i, column in enumerate(columns) if column.strip().lower() == asked.lower()]
            if not chosen:
                raise UnknownNameError("column", asked, [shown(column) for column in columns])
        else:
            guess = next((guess for guess in _GUESSES[what] if guess in plain), None)
            chosen = [i for i, column in enumerate(plain) if column == guess]
        if len(chosen) > 1:
            raise DataError(f"there are {len(chosen)} columns {shown(columns[chosen[0]])!r}; only one can be meant.")
        return chosen[0] if chosen else None


def _text(value: object) -> str:
    """A value as text: nothing is empty, bytes are UTF-8 if they can be."""
    if value is None:
        return ""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def read_listing(path: Path, wanted: Wanted) -> Iterator[Entry]:
    """The rows of a CSV file (plain, gzip or zstd; separated by comma, semicolon, tab or bar) or a Parquet file.

    Raises:
        UsageError: there is no such file.
        AdapterError: it cannot be read.
        DataError: it is broken, or lacks a column.
    """
    if not path.exists():
        raise UsageError(f"there is no file {shown(str(path))!r}. A database is named by a URI: sqlite:///cmdb.sqlite.")
    try:
        content = Content(path, _EXPANSION_LIMIT)
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        yield from _parquet(path, wanted) if parquet else _csv(content, wanted)
    except (BrokenContentError, UnreadableFileError) as error:
        raise type(error)(f"{shown(str(path))}: {error}") from error
    except OSError as error:
        raise UnreadableFileError(f"{shown(str(path))} cannot be read: {error.strerror or error}.") from error


def _csv(content: Content, wanted: Wanted) -> Iterator[Entry]:
    text = b"".join(content.chunks()).decode(errors="backslashreplace").lstrip("\r\n")
    head = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=head.count), strict=True)
    try:
        header = next(rows, None)
        if header is None:
            raise BrokenContentError("it is empty: an inventory begins with a line that names its columns.")
        places = wanted.places(header)
        for row in rows:
            if len(row) == len(header):
                yield places.entry(rows.line_num, row)
            elif row:
                yield Entry(rows.line_num, ",".join(row), "", "", "odd_field_count")
    except csv.Error as error:
        raise BrokenContentError(
            f"line {rows.line_num} cannot be read as CSV: {error}. A quote that is not closed does this. "
            "Nothing was imported."
        ) from error


def _parquet(path: Path, wanted: Wanted) -> Iterator[Entry]:
    try:
        with path.open("rb") as stream, pq.ParquetFile(stream) as file:
            columns = file.schema_arrow.names
            ip, name, active = wanted.places(columns)
            chosen = [columns[place] for place in (ip, name, active) if place is not None]
            places = Places(0, 1, None if active is None else 2)
            line = 0
            for batch in file.iter_batches(columns=list(dict.fromkeys(chosen))):
                values = [batch[column].to_pylist() for column in chosen]
                for row in zip(*values, strict=True):
                    line += 1
                    yield places.entry(line, row)
    except NdrError:
        raise
    except (pa.ArrowException, ValueError) as error:
        raise BrokenContentError(f"it cannot be read as Parquet: {shown(str(error), 200)}.") from error
