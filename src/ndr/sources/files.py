"""Import of one file: known or new content, its format, its sessions, and what became of every record."""

from __future__ import annotations

import glob
import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ndr.ahead import ahead
from ndr.errors import UsageError, near_miss, shown
from ndr.sources.content import BrokenContentError, Content, UnreadableFileError, prefixes
from ndr.sources.convert import check_spec, convert
from ndr.sources.formats import recognised, source_named
from ndr.sources.outputs import Outputs, Part, Tally
from ndr.sources.reading import Block, Fault, blocks
from ndr.sources.source import Reader, Source, SourceSpec
from ndr.tables.sessions import SESSION_FIELDS

SNIFFED_BYTES = 64 << 10
HEADER_LINES = 100

Outcome = Literal["imported", "known", "skipped", "refused"]
Known = Callable[[bytes], Mapping[int, Collection[str]]]
Lost = Callable[[str], bool]


@dataclass(frozen=True)
class FileReport:
    """What became of one file; ``read == sessions + sum(quarantined) + sum(filtered)`` always holds.

    ``imported``: its sessions (from ``from_line`` on, where earlier content was imported before) are written.
    ``known``: exactly this content was imported before. ``skipped``: it holds no session records, ``reason`` says what
    instead. ``refused``: broken as a whole, ``reason`` says how. Only an imported file leaves files behind.
    ``continues`` are hashes of contents imported before that this file begins with and whose rows stay;
    ``replaces`` are hashes of contents imported before that ended within a record: this file begins with them, and what
    was imported of them after ``from_line`` is read again here, so their rows have to go.
    """

    path: Path
    outcome: Outcome
    source: str | None = None
    reason: str | None = None
    content_bytes: int = 0
    content_sha256: str = ""
    head_sha256: str = ""
    from_byte: int = 0
    from_line: int = 1
    ends_with_newline: bool = True
    replaces: tuple[str, ...] = ()
    continues: tuple[str, ...] = ()
    read: int = 0
    sessions: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    filtered: dict[str, int] = field(default_factory=dict)
    mended: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.read != self.sessions + sum(self.quarantined.values()) + sum(self.filtered.values()):
            raise AssertionError(f"records were lost or doubled in {self.path}: {self}")


def list_files(paths: Sequence[str]) -> list[Path]:
    """The files that paths, folders (with everything below) and globs name: sorted, each once, hidden ones left out.

    Raises:
        UsageError: a path that does not exist, or a glob that matches nothing.
    """
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if path.is_dir():
            found.update(dict.fromkeys(sorted(_inside(path))))
        elif path.exists() or path.is_symlink():
            found[path] = None
        elif matches := sorted(glob.glob(text, recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            found.update(dict.fromkeys(each for each in list_files(matches)))
        else:
            siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
            raise UsageError(f"there is no file or folder {shown(text)!r}.{near_miss(path.name, siblings)}")
    return list(found)


def _inside(folder: Path) -> list[Path]:
    """Every visible file below, and every folder that cannot be entered, so that it is refused by name."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=lambda error: found.append(Path(error.filename))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.extend(Path(place, name) for name in names if not name.startswith("."))
    return found


def read_file(  # noqa: PLR0913 - all of them by name
    path: Path,
    *,
    source: str | None,
    specs: Mapping[str, SourceSpec],
    sessions_to: Path,
    quarantine_to: Path,
    known: Known,
    lost: Lost = lambda _: False,
    named: str = "",
) -> FileReport:
    """Imports one file and says what became of it; a broken file is reported, never raised.

    ``known`` gives, for the first 256 bytes of a content, length and SHA-256 of the contents imported before that begin
    with them; ``lost`` whether what was imported of a content is gone, so that it has to be read again. Sessions go to
    ``sessions_to`` in the order of their lines, the same bytes whenever the file is read again; records that cannot be
    sessions go to ``quarantine_to`` as JSON lines, which call the file as it is ``named``, or by its path. Neither file
    is made when it is empty.

    Raises:
        SpecError: an unknown ``source``, or a spec that means nothing.
        AdapterError: the outputs cannot be written.
    """
    for spec in specs.values():
        check_spec(spec)
    task = _Task(path, source_named(source) if source else None, specs, sessions_to, quarantine_to, known, lost, named)
    done = False
    try:
        report = _read(task)
        done = report.outcome == "imported"
    except (UnreadableFileError, BrokenContentError) as error:
        report = FileReport(path, "refused", source, str(error))
    finally:
        if not done:
            sessions_to.unlink(missing_ok=True)
            quarantine_to.unlink(missing_ok=True)
    return report


@dataclass(frozen=True)
class _Task:
    path: Path
    source: Source | None
    specs: Mapping[str, SourceSpec]
    sessions_to: Path
    quarantine_to: Path
    known: Known
    lost: Lost
    named: str = ""

    def content(self) -> Content:
        limits = [spec.expansion_limit for spec in self.specs.values()]
        return Content(self.path, max(limits, default=SourceSpec().expansion_limit))


@dataclass(frozen=True)
class _Start:
    """Where to begin in content whose beginning may have been imported before."""

    byte: int = 0
    line: int = 1
    replaces: tuple[str, ...] = ()
    continues: tuple[str, ...] = ()


def _read(task: _Task) -> FileReport:
    content = task.content()
    chunks = content.chunks()
    first = next(chunks, b"")
    about = FileReport(task.path, "skipped", head_sha256=_sha256(content.head))
    if not first.strip():
        return replace(about, reason="empty")
    head = first[:SNIFFED_BYTES].decode(errors="replace")
    source, reason = recognised(task.path.name, head, task.source, task.specs)
    if source is None:
        return replace(about, reason=reason)
    about = replace(about, source=source.name)
    start, whole = _start(task, content)
    if whole:
        return replace(
            about, outcome="known", content_bytes=whole.size, content_sha256=whole.sha256(), reason="imported before",
            continues=start.continues,
        )  # fmt: skip
    try:
        return _import(task, source, content, itertools.chain([first], chunks), start)
    except BrokenContentError as error:
        return replace(about, outcome="refused", reason=str(error))


def _start(task: _Task, content: Content) -> tuple[_Start, Content | None]:
    """Where the content goes on after what was imported before; the whole content when all of it was.

    Content that ended within a line ended within a record: it is not split there but read again from the last end of a
    line that was imported.
    """
    before = {length: hashes for length, hashes in task.known(content.head).items() if length > 0}
    if not before:
        return _Start(), None
    whole = task.content()
    same = {length: prefix for length, prefix in prefixes(whole, before).items() if prefix.sha256 in before[length]}
    first_lost = min((length for length, prefix in same.items() if task.lost(prefix.sha256)), default=whole.size + 1)
    if whole.size in same and whole.size < first_lost:
        return _Start(continues=tuple(prefix.sha256 for prefix in same.values())), whole
    good = {length: prefix for length, prefix in same.items() if length < first_lost}
    ends = {length: prefix.lines for length, prefix in good.items() if prefix.lines is not None}
    byte = max(ends, default=0) if not content.encoding else 0
    again = tuple(same[length].sha256 for length in sorted(same) if length > byte)
    kept = tuple(good[length].sha256 for length in sorted(good) if length <= byte)
    return _Start(byte, ends[byte] + 1 if byte else 1, again, kept), None


def _import(task: _Task, source: Source, content: Content, chunks: Iterator[bytes], start: _Start) -> FileReport:
    spec = task.specs.get(source.name, SourceSpec())
    content.expansion_limit = spec.expansion_limit
    tally = Tally()
    drafted = ahead(_drafts(source.reader(spec), ahead(blocks(ahead(chunks), spec.line_bytes_limit)), start.line))
    with Outputs(task.named or str(task.path), task.sessions_to, task.quarantine_to) as outputs:
        for part in ahead(_parts(drafted, spec)):
            tally.add(part)
            outputs.write(part)
    tally.check(spec.bad_share_limit, unfinished=content.last != b"\n")
    return FileReport(
        task.path, "imported", source.name, None, content.size, content.sha256(), _sha256(content.head),
        start.byte, start.line, content.last == b"\n", start.replaces, start.continues, tally.read,
        tally.sessions,
        dict(tally.quarantined), dict(tally.filtered), dict(tally.mended),
    )  # fmt: skip


def _drafts(reader: Reader, numbered: Iterator[Block], first: int) -> Iterator[tuple[Block, pa.Table | None]]:
    """Each block with its draft. What lies before line ``first`` only tells the reader of headers."""
    for each in numbered:
        block = each
        old = pc.less(block.lines["line"], first)
        if first > 1 and pc.any(old).as_py():
            reader(block.lines.filter(pc.and_(old, _perhaps_header(block.lines))))
            faults = [fault for fault in block.faults if fault.line >= first]
            block = Block(block.lines.filter(pc.invert(old)), faults, block.last_line)
        yield block, reader(block.lines) if len(block.lines) else None


def _parts(drafted: Iterator[tuple[Block, pa.Table | None]], spec: SourceSpec) -> Iterator[Part]:
    for block, draft in drafted:
        if draft is None:
            yield Part(
                SESSION_FIELDS.empty_table(), block.faults, Counter(), Counter(), len(block.faults), block.last_line
            )
            continue
        done = convert(draft, spec)
        faults = sorted([*block.faults, *_with_text(done.faults, block.lines)], key=lambda fault: fault.line)
        read = len(draft) + len(block.faults)
        yield Part(done.sessions, faults, done.filtered, done.mended, read, block.last_line)


def _perhaps_header(lines: pa.Table) -> pa.Array:
    """Comment lines anywhere and the first lines of a file: all that can name columns."""
    return pc.or_(pc.less(lines["line"], HEADER_LINES), pc.starts_with(lines["text"], "#"))


def _with_text(faults: list[tuple[int, str]], lines: pa.Table) -> list[Fault]:
    places = np.searchsorted(lines["line"].to_numpy(), [line for line, _ in faults])
    texts = lines["text"].take(pa.array(places)).to_pylist()
    return [Fault(line, reason, text) for (line, reason), text in zip(faults, texts, strict=True)]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
