"""From a file to numbered lines: decompression, encodings, long and broken lines, in bounded memory.

The content is decompressed once, in chunks, and hashed on the way. Compression is told by the first bytes, never by the
name. Concatenated gzip members and zstd frames are one content.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import itertools
import queue
import stat
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ndr.errors import AdapterError, DataError

CHUNK_BYTES = 8 << 20
HEAD_BYTES = 256  # what tells one content from another at first sight
BOMB_FLOOR_BYTES = 16 << 20  # a small file may expand as much as it likes
EXCERPT_BYTES = 2048  # what a quarantined line shows of itself

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_FOREIGN = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7z"}
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

T = TypeVar("T")


class UnreadableFileError(AdapterError):
    """The file cannot be read at all."""


class BrokenContentError(DataError):
    """The file as a whole cannot be trusted: nothing of it may be imported."""


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


class Content:
    """The decompressed content of one file, read once.

    ``size``, ``lines`` (newlines seen), ``head``, ``last`` and ``sha256()`` describe what has been read so far.
    """

    def __init__(self, path: Path, expansion_limit: int) -> None:
        self.path = path
        self.expansion_limit = expansion_limit
        self.size = 0
        self.lines = 0
        self.head = b""
        self.last = b""
        self.encoding: str | None = None
        self._hash = hashlib.sha256()
        self.compression = _compression(path)

    def sha256(self) -> str:
        """Hash of what was read so far."""
        return self._hash.hexdigest()

    def raw_chunks(self) -> Iterator[bytes]:
        """The content as it is, in chunks of the same size whatever the compression.

        Raises:
            BrokenContentError: the compressed stream is cut short or damaged, or expands beyond the limit.
            UnreadableFileError: the file cannot be read.
        """
        with _opened(self.path) as packed:
            stream = pa.CompressedInputStream(packed, self.compression) if self.compression else packed
            while chunk := self._full_chunk(stream):
                self.size += len(chunk)
                if self.compression and self.size > max(BOMB_FLOOR_BYTES, packed.tell() * self.expansion_limit):
                    raise BrokenContentError(
                        f"it expands more than {self.expansion_limit} times: {packed.tell():,} bytes became more than "
                        f"{self.size:,}. If that is meant, raise expansion_limit of its source."
                    )
                self._hash.update(chunk)
                self.lines += chunk.count(b"\n")
                self.last = chunk[-1:]
                self.head = self.head or chunk[:HEAD_BYTES]
                yield chunk

    def chunks(self) -> Iterator[bytes]:
        """The content as UTF-8 without a byte-order mark; UTF-16 and UTF-32 are told by theirs."""
        decoder = None
        for number, chunk in enumerate(self.raw_chunks()):
            if number == 0:
                self.encoding = next((name for mark, name in _WIDE if chunk.startswith(mark)), None)
                decoder = codecs.getincrementaldecoder(self.encoding)("replace") if self.encoding else None
            if decoder:
                yield decoder.decode(chunk).encode(errors="replace")
            else:
                yield chunk.removeprefix(codecs.BOM_UTF8) if number == 0 else chunk

    def _full_chunk(self, stream: pa.NativeFile) -> bytes:
        """The next CHUNK_BYTES, less only at the end: where chunks end must not depend on the compression."""
        try:
            chunk: bytes = stream.read(CHUNK_BYTES)
            while 0 < len(chunk) < CHUNK_BYTES and (more := stream.read(CHUNK_BYTES - len(chunk))):
                chunk += more
        except OSError as error:
            if not self.compression:
                raise UnreadableFileError(f"it cannot be read: {error.strerror or error}.") from error
            raise BrokenContentError(
                f"its {self.compression} stream is cut short or damaged after {_whole_lines(self.path):,} lines "
                f"({error}). Nothing of it was imported; fetch the file again."
            ) from error
        return chunk


@dataclass(frozen=True)
class Prefix:
    """The first bytes of a content: their hash, and their lines if they end where a line ends, else None."""

    sha256: str
    lines: int | None


def prefixes(content: Content, lengths: Iterable[int]) -> dict[int, Prefix]:
    """Reads the whole content; what it is up to each of these lengths, as far as it is that long.

    A prefix ends a line if its last byte is a newline or the byte after it is.
    """
    found: dict[int, Prefix] = {}
    digest, at, lines = hashlib.sha256(), 0, 0
    wanted = sorted(lengths)
    open_end = 0  # a length whose next byte has not been seen yet
    for chunk in content.raw_chunks():
        if open_end:
            found[open_end] = _prefix(digest, lines, newline=chunk[:1] == b"\n")
            open_end = 0
        done = 0
        while wanted and wanted[0] <= at + len(chunk):
            part = chunk[done : wanted[0] - at]
            digest.update(part)
            lines += part.count(b"\n")
            done += len(part)
            length = wanted.pop(0)
            ended = chunk[done - 1 : done] == b"\n"
            found[length] = (
                Prefix(digest.hexdigest(), lines)
                if ended
                else _prefix(digest, lines, newline=chunk[done : done + 1] == b"\n")
            )
            open_end = length if done == len(chunk) and not ended else 0
        digest.update(chunk[done:])
        lines += chunk.count(b"\n", done)
        at += len(chunk)
    return found


def _prefix(digest: hashlib._Hash, lines: int, *, newline: bool) -> Prefix:
    return Prefix(digest.hexdigest(), lines + 1 if newline else None)


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
            yield Block(_table([], []), [Fault(line, "line_too_long", endless)])
            endless, line, chunk = None, line + 1, chunk[end + 1 :]
        body, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield _block(body, line, limit)
            line += body.count(b"\n") + 1
        if len(rest) > limit:
            endless, rest = rest[:EXCERPT_BYTES], b""
    if endless is not None:
        yield Block(_table([], []), [Fault(line, "line_too_long", endless)])
    elif rest:
        yield _block(rest, line, limit)


def ahead(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """The same items, made in a thread that works up to ``depth`` items ahead of whoever takes them."""
    ready: queue.Queue[T | _End] = queue.Queue(depth)
    left = threading.Event()

    def offer(thing: T | _End) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(thing, timeout=0.1)
                break

    def work() -> None:
        end = _End()
        try:
            for item in itertools.takewhile(lambda _: not left.is_set(), items):
                offer(item)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that takes the items
            end = _End(error)
        if isinstance(items, Generator):
            items.close()
        offer(end)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while not isinstance(thing := ready.get(), _End):
            yield thing
        if thing.error:
            raise thing.error
    finally:
        left.set()
        thread.join()


@dataclass(frozen=True)
class _End:
    """The end of what :func:`ahead` makes, and the error that caused it."""

    error: BaseException | None = None


def _compression(path: Path) -> str | None:
    try:
        kind = path.stat().st_mode
        magic = b""
        if stat.S_ISREG(kind):
            with path.open("rb") as file:
                magic = file.read(8)
    except OSError as error:
        raise UnreadableFileError(f"it cannot be opened: {error.strerror or error}.") from error
    if not stat.S_ISREG(kind):
        what = "a folder" if stat.S_ISDIR(kind) else "a pipe, socket or device"
        raise UnreadableFileError(f"it is {what}, not a file.")
    for mark, name in _FOREIGN.items():
        if magic.startswith(mark):
            raise BrokenContentError(f"it is compressed with {name}; gzip and zstd are read. Unpack it first.")
    return next((name for mark, name in _MAGIC.items() if magic.startswith(mark)), None)


def _opened(path: Path) -> pa.NativeFile:
    try:
        return pa.OSFile(str(path), "rb")
    except OSError as error:
        raise UnreadableFileError(f"it cannot be opened: {error.strerror or error}.") from error


def _whole_lines(path: Path) -> int:
    """How many lines of a damaged stream come before the damage."""
    lines = 0
    with _opened(path) as packed:
        stream = pa.CompressedInputStream(packed, _compression(path))
        try:
            while piece := stream.read(HEAD_BYTES):
                lines += piece.count(b"\n")
        except OSError:
            return lines
    return lines


def _table(numbers: pa.Array | list[int], text: pa.Array | list[str]) -> pa.Table:
    return pa.table({"line": pa.array(numbers, pa.int64()), "text": pa.array(text, pa.string())})


def _block(body: bytes, first: int, limit: int) -> Block:
    """``body`` split at newlines (its last one already taken off); blank lines are no records and are left out."""
    whole = pa.BinaryArray.from_buffers(
        pa.binary(), 1, [None, pa.py_buffer(np.array([0, len(body)], np.int32)), pa.py_buffer(body)]
    )
    text = pc.split_pattern(whole, pattern=b"\n").values
    numbers = pa.array(np.arange(first, first + len(text), dtype=np.int64))
    reasons = _unreadable(body, text, limit)
    faults = [Fault(first + i, reason, text[i].as_py()[:EXCERPT_BYTES]) for i, reason in sorted(reasons.items())]
    if reasons:
        keep = np.ones(len(text), bool)
        keep[list(reasons)] = False
        text, numbers = text.filter(pa.array(keep)), numbers.filter(pa.array(keep))
    text = text.view(pa.string())
    if b"\r" in body:
        text = pc.ascii_rtrim(text, characters="\r")
    blank = _blank(text)
    if blank.any():
        text, numbers = text.filter(pa.array(~blank)), numbers.filter(pa.array(~blank))
    return Block(_table(numbers, text), faults)


def _blank(text: pa.Array) -> np.ndarray:
    """Which lines hold nothing but blanks; looks only at those that begin with one."""
    blank = pc.equal(pc.binary_length(text), 0).to_numpy(zero_copy_only=False).copy()
    indented = np.flatnonzero(
        pc.starts_with(text, " ").to_numpy(zero_copy_only=False)
        | pc.starts_with(text, "\t").to_numpy(zero_copy_only=False)
    )
    if len(indented):
        blank[indented] = pc.utf8_is_space(text.take(pa.array(indented))).to_numpy(zero_copy_only=False)
    return blank


def _unreadable(body: bytes, text: pa.Array, limit: int) -> dict[int, str]:
    """Position in the block -> why the line cannot be read. Looks at single lines only where something is wrong."""
    reasons: dict[int, str] = {}
    if not _is_utf8(body):
        reasons |= {i: "bad_utf8" for i, line in enumerate(text.to_pylist()) if not _is_utf8(line)}
    if b"\0" in body:
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
