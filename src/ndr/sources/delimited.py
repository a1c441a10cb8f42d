"""What the sources that read a line at a time share: rows into drafts, quoted fields, and what TCP flags tell."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping

import pyarrow as pa

from ndr.errors import UnknownNameError
from ndr.sources.source import DRAFT_FIELDS, TEXT_COLUMNS, SourceSpec

Row = dict[str, str | None]
"""One draft row; a missing name or an empty text is null."""

_WHOLE_HEAD_BYTES = 65_000
_LONGEST_COUNT = 20


def goes_on(head: str) -> bool:
    """Whether this head was cut out of a longer file, which may hold session records further down."""
    return len(head.encode(errors="replace")) >= _WHOLE_HEAD_BYTES


def draft(lines: pa.Table, row: Callable[[str], Row | None]) -> pa.Table:
    """One draft row per line of the block for which ``row`` gives one; None says that the line is not a record."""
    numbers: list[int] = []
    rows: list[Row] = []
    for number, text in zip(lines["line"].to_pylist(), lines["text"].to_pylist(), strict=True):
        if text and not text.isspace():
            made = row(text)
            if made is not None:
                numbers.append(number)
                rows.append(made)
    columns = [_texts([made.get(name) or None for made in rows]) for name in DRAFT_FIELDS.names[1:]]
    return pa.table([pa.array(numbers, pa.int64()), *columns], schema=DRAFT_FIELDS)


def _texts(values: list[str | None]) -> pa.Array:
    """Text as Arrow holds it: half a surrogate pair, which JSON escapes can spell, becomes a question mark."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        clean = [None if text is None else text.encode("utf-8", "replace").decode() for text in values]
        return pa.array(clean, pa.string())


def split_fields(text: str, delimiter: str = ",") -> list[str] | None:
    """The fields of one line, quotes and doubled quotes undone; None when the quoting cannot be read."""
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return None


def mapped_fields(spec: SourceSpec) -> dict[str, str]:
    """The configured ``field_mapping``, each session column known.

    Raises:
        UnknownNameError: a key is not a column of a draft.
    """
    for column in spec.field_mapping:
        if column not in TEXT_COLUMNS:
            raise UnknownNameError("session column in field_mapping", column, TEXT_COLUMNS)
    return spec.field_mapping


def first_of(fields: Mapping[str, str], *names: str) -> str | None:
    """The value of the first of these fields that is there and not empty."""
    for name in names:
        if value := fields.get(name):
            return value
    return None


def count(text: str | None) -> int | None:
    """A plain count, None for anything else."""
    if text and text.isascii() and text.isdecimal() and len(text) <= _LONGEST_COUNT:
        return int(text)
    return None


def answered(*replies: str | None) -> str | None:
    """``true`` if the other side sent anything, ``false`` if it is known to have sent nothing, else None."""
    known = [number for number in map(count, replies) if number is not None]
    return ("true" if any(known) else "false") if known else None


def refused(source_flags: str, destination_flags: str) -> bool:
    """Whether the destination answered SYN with a reset and nothing else, which is an answer but no establishment."""
    return "S" in source_flags and "R" in destination_flags and "S" not in destination_flags


def closing_reason(source_flags: str, destination_flags: str) -> str | None:
    """Why a TCP session ended, from the flags (``FSRPA``) each side sent; None when they do not say.

    Both sides sent FIN: closed in order, whatever reset came after. Else the only side that reset did it.
    """
    if "F" in source_flags and "F" in destination_flags:
        return "tcp-fin"
    resets = ("R" in source_flags, "R" in destination_flags)
    if any(resets):
        return {(True, False): "tcp-rst-from-client", (False, True): "tcp-rst-from-server"}.get(resets)
    return "tcp-fin" if "F" in source_flags + destination_flags else None
