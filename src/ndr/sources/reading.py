"""From a content to numbered lines, in bounded memory: long, broken and blank lines never reach a format's reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

EXCERPT_BYTES = 2048  # what a quarantined line shows of itself

T = TypeVar("T")


@dataclass(frozen=True)
class Fault:
    """A record that cannot be a session."""

    line: int
    reason: str
    text: bytes


@dataclass(frozen=True)
class Block:
    """Some lines of a file in order: the readable ones as a table (``line``, ``text``), the others as faults."""

    lines: pa.Table
    faults: list[Fault]
    last_line: int


def blocks(chunks: Iterator[bytes], limit: int) -> Iterator[Block]:
    """The lines of the content, numbered from 1; a line longer than ``limit`` bytes is never held as a whole."""
    rest, line = b"", 1
    endless: bytes | None = None  # the beginning of a line beyond the limit whose end has not come yet
    for each in chunks:
        chunk = each
        if endless is not None:
            end = chunk.find(b"\n")
            if end < 0:
                continue
            yield Block(_table([], []), [Fault(line, "line_too_long", endless)], line)
            endless, line, chunk = None, line + 1, chunk[end + 1 :]
        data = rest + chunk
        end = data.rfind(b"\n")
        if end >= 0:
            block = _block(data, end, line, limit)
            line = block.last_line + 1
            yield block
        rest = data[end + 1 :]
        if len(rest) > limit:
            endless, rest = rest[:EXCERPT_BYTES], b""
    if endless is not None:
        yield Block(_table([], []), [Fault(line, "line_too_long", endless)], line)
    elif rest:
        yield _block(rest, len(rest), line, limit)


def _table(numbers: pa.Array | list[int], text: pa.Array | list[str]) -> pa.Table:
    return pa.table({"line": pa.array(numbers, pa.int64()), "text": pa.array(text, pa.string())})


def _block(data: bytes, end: int, first: int, limit: int) -> Block:
    """``data`` up to ``end`` split at newlines; blank lines are no records and are left out."""
    offsets = pa.py_buffer(np.array([0, end], np.int32))
    text = pc.split_pattern(
        pa.BinaryArray.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(data)]), b"\n"
    ).values
    last = first + len(text) - 1
    numbers = pa.array(np.arange(first, last + 1, dtype=np.int64))
    reasons = _unreadable(data, text, limit)
    faults = [Fault(first + i, reason, text[i].as_py()[:EXCERPT_BYTES]) for i, reason in sorted(reasons.items())]
    if reasons:
        keep = np.ones(len(text), bool)
        keep[list(reasons)] = False
        text, numbers = text.filter(pa.array(keep)), numbers.filter(pa.array(keep))
    text = text.view(pa.string())
    if b"\r" in data:
        text = pc.ascii_rtrim(text, characters="\r")
    blank = _blank(text)
    if blank.any():
        text, numbers = text.filter(pa.array(~blank)), numbers.filter(pa.array(~blank))
    return Block(_table(numbers, text), faults, last)


def _blank(text: pa.Array) -> npt.NDArray[np.bool_]:
    """Which lines hold nothing but blanks; looks closer only at those that begin with one."""
    blank = _flags(pc.equal(pc.binary_length(text), 0))
    indented = np.flatnonzero(_flags(pc.or_(pc.starts_with(text, " "), pc.starts_with(text, "\t"))))
    if len(indented):
        blank[indented] = _flags(pc.utf8_is_space(text.take(pa.array(indented))))
    return blank


def _flags(array: pa.Array) -> npt.NDArray[np.bool_]:
    return np.array(array.to_numpy(zero_copy_only=False), bool)


def _unreadable(data: bytes, text: pa.Array, limit: int) -> dict[int, str]:
    """Position in the block -> why the line cannot be read. Looks at single lines only where something is wrong."""
    reasons: dict[int, str] = {}
    if not _is_utf8(data):
        reasons |= {i: "bad_utf8" for i, line in enumerate(text.to_pylist()) if not _is_utf8(line)}
    if b"\0" in data:
        reasons |= {i: "nul_byte" for i, line in enumerate(text.to_pylist()) if b"\0" in line}
    lengths = pc.binary_length(text)
    if (pc.max(lengths).as_py() or 0) > limit:
        reasons |= {int(i): "line_too_long" for i in np.flatnonzero(lengths.to_numpy() > limit)}
    return reasons


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
