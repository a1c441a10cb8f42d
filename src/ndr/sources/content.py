"""The decompressed content of a file, read once, in chunks, and hashed on the way.

Compression is told by the first bytes, never by the name. Concatenated gzip members and zstd frames are one content.
"""

from __future__ import annotations

import codecs
import hashlib
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ndr.errors import AdapterError, DataError

CHUNK_BYTES = 16 << 20
HEAD_BYTES = 256  # what tells one content from another at first sight
BOMB_FLOOR_BYTES = 16 << 20  # a small file may expand as much as it likes

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_FOREIGN = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7z"}
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class UnreadableFileError(AdapterError):
    """The file cannot be read at all."""


class BrokenContentError(DataError):
    """The file as a whole cannot be trusted: nothing of it may be imported."""


class Content:
    """The decompressed content of one file, read once.

    ``size``, ``head``, ``last`` (byte) and ``sha256()`` describe what has been read so far.
    """

    def __init__(self, path: Path, expansion_limit: int) -> None:
        self.path = path
        self.expansion_limit = expansion_limit
        self.size = 0
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
        return pa.PythonFile(path.open("rb"), "r")  # OSFile takes no name that is not UTF-8
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
