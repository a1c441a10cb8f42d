"""The lake: where the files of the tables lie, and how they get there all at once.

A file is written under ``_staging``, forced to disk and renamed to its place; a part's file name follows from the part
alone, so writing a part again replaces it. Readers ask the ledger, which knows a file only after it is in place.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol, TextIO

from ndr.errors import AdapterError, LakeBusyError, NdrError, UsageError, shown
from ndr.table import PartKey, Table
from ndr.time import stamp

STAGING = "_staging"


class Lake(Protocol):
    """What runs ask of a lake."""

    @property
    def uri(self) -> str:
        """Where it lies: a folder, or s3://bucket/prefix."""

    def close(self) -> None:
        """Let go of whatever it holds."""

    def writing(self, wait_seconds: float) -> AbstractContextManager[None]:
        """Be the only writer; or raise LakeBusyError when another one did not finish in time."""

    def check(self) -> None:
        """See that this is still the only writer; raise a retryable error when another one has taken over."""

    def path(self, relative: str) -> str:
        """Where engines find a file of the lake."""

    def ready(self, relatives: Sequence[str]) -> list[str]:
        """Where engines find files that they are about to read, which may be copies."""

    def stage(self, relative: str) -> str:
        """Where to write a file before it is published."""

    def publish(self, relative: str) -> str:
        """Put a staged file in its place, over what was there; return its checksum."""

    def has(self, relative: str) -> bool:
        """Whether the file is there."""

    def remove(self, relative: str) -> None:
        """Remove a file; one that is gone is fine."""

    def fetch(self, relative: str) -> Path:
        """A file of the lake as one of this machine, to be read; there is none where the lake has none."""

    def amend(self, relative: str, change: Callable[[bytes | None], bytes]) -> None:
        """Put what ``change`` makes of a small file in its place; no change that others make meanwhile is lost."""


def partition_values(version: str, key: PartKey) -> dict[str, str]:
    """What the hive partitions of a part are called, by the start of its interval."""
    return {
        "feature_spec_version": version,
        "baseline_horizon": key.horizon,
        "model_version": key.horizon,
        "publication": stamp(key.start),
        "snapshot_month": f"{key.start:%Y-%m}",
        "dt": f"{key.start:%Y-%m-%d}",
        "hh": f"{key.start:%H}",
        "mm": f"{key.start:%M}",
    }


def part_path(table: Table, version: str, key: PartKey, name: str) -> str:
    """Where a part lies: hive partitions, then a file of a name that tells it from the others of its partition."""
    values = partition_values(version, key)
    folders = "/".join(f"{column}={values[column]}" for column in table.partitions)
    suffix = f".v{version}" if version and "feature_spec_version" not in table.partitions else ""
    return f"{table.folder or table.name}/{folders}/{name}{suffix}.parquet"


def checksum(path: str | Path) -> str:
    """SHA-256 of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_staged(lake: Lake, relative: str, data: bytes) -> None:
    """Write a small file where it waits to be published.

    Raises:
        AdapterError: the disk is full, or the like.
    """
    staged = Path(lake.stage(relative))
    try:
        staged.write_bytes(data)
    except OSError as error:
        raise AdapterError(f"{shown(str(staged), 300)} cannot be written: {error.strerror}.") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class LocalLake:
    """A lake in a local folder.

    Raises:
        UsageError: the folder is a URI of another kind, or a file.
    """

    def __init__(self, root: str | Path) -> None:
        text = str(root)
        if "://" in text and not text.startswith("file://"):
            raise UsageError(f"the lake {shown(text)!r} is no folder: name one of this machine, or s3://bucket/folder.")
        self.root = Path(text.removeprefix("file://")).absolute()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"the lake {shown(text)!r} cannot be made: {error.strerror}.") from error
        with suppress(OSError):  # a lake that may only be read needs no place to write
            (self.root / STAGING).mkdir(exist_ok=True)

    def close(self) -> None:
        """Nothing is held."""

    def check(self) -> None:
        """Nobody takes over here while this process lives."""

    @property
    def uri(self) -> str:
        """The folder, as an absolute path."""
        return str(self.root)

    @contextmanager
    def writing(self, wait_seconds: float) -> Iterator[None]:
        """Be the only writer; leftovers of a writer that was killed are cleared first.

        Raises:
            LakeBusyError: another writer did not finish in time.
        """
        with self._lock_file() as lock:
            deadline = time.monotonic() + wait_seconds
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise LakeBusyError(str(self.root), wait_seconds) from None
                    time.sleep(0.1)
            shutil.rmtree(self.root / STAGING, ignore_errors=True)
            (self.root / STAGING).mkdir(exist_ok=True)
            yield

    def _lock_file(self) -> TextIO:
        try:
            return (self.root / ".lock").open("w")
        except OSError as error:
            raise AdapterError(f"the lake {shown(str(self.root))} cannot be written: {error.strerror}.") from error

    def path(self, relative: str) -> str:
        """The absolute path of a file of the lake."""
        return str(self.root / relative)

    def ready(self, relatives: Sequence[str]) -> list[str]:
        """The absolute paths of files of the lake."""
        return [self.path(relative) for relative in relatives]

    def stage(self, relative: str) -> str:
        """Where to write a file before it is published."""
        return str(self.root / STAGING / relative.replace("/", "~"))

    def publish(self, relative: str) -> str:
        """Put a staged file in its place, over what was there; return its checksum.

        Raises:
            AdapterError: the disk is full, or the folder may not be written.
        """
        staged, final = Path(self.stage(relative)), self.root / relative
        try:
            _sync(staged)
            digest = checksum(staged)
            final.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(final)
            _sync(final.parent)
        except OSError as error:
            raise AdapterError(f"{shown(str(final))} cannot be written: {error.strerror}.") from error
        return digest

    def fetch(self, relative: str) -> Path:
        """The file itself."""
        return self.root / relative

    def amend(self, relative: str, change: Callable[[bytes | None], bytes]) -> None:
        """Put what ``change`` makes of a small file in its place, while others who would change it wait.

        Raises:
            AdapterError: it cannot be read or written.
        """
        final = self.root / relative
        draft = final.with_name(f".{final.name}.part")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with final.with_name(f".{final.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                draft.write_bytes(change(final.read_bytes() if final.exists() else None))
                _sync(draft)
                draft.replace(final)
                _sync(final.parent)
        except NdrError:
            raise
        except OSError as error:
            raise AdapterError(f"{shown(str(final), 300)} cannot be written: {error.strerror}.") from error

    def has(self, relative: str) -> bool:
        """Whether the file is there."""
        return (self.root / relative).is_file()

    def remove(self, relative: str) -> None:
        """Remove a file, and the folders that this leaves empty; a file that is gone is fine."""
        final = self.root / relative
        final.unlink(missing_ok=True)
        for folder in final.parents:
            if folder == self.root or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
