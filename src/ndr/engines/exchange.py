"""The exchange: a folder through which an engine elsewhere and this process hand each other Parquet files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ndr.errors import AdapterError, shown


class Exchange(Protocol):
    """A folder that both sides reach; it is of this process alone and goes when it is closed."""

    def url(self, path: str) -> str:
        """What the other side calls a file or folder that is called ``path`` here."""

    def size(self, paths: Sequence[str]) -> int | None:
        """How large files are together, in bytes; None where nobody knows without asking for each."""

    def folder(self, name: str) -> str:
        """Where the other side may write files under a name, or overwrite those it wrote."""

    def files(self, name: str) -> list[str]:
        """The Parquet files that lie under a name."""

    def put(self, name: str, table: pa.Table) -> str:
        """Lay a small table there, as a file."""

    def clear(self) -> None:
        """Remove everything that was laid or written there."""

    def close(self) -> None:
        """Remove the folder."""


class LocalExchange:
    """A folder of this machine."""

    def __init__(self, scratch: str) -> None:
        self._scratch = scratch

    @cached_property
    def _folder(self) -> Path:
        """Made when it is first needed: whoever begins to write a lake clears what others left in its scratch."""
        if self._scratch:
            Path(self._scratch).mkdir(parents=True, exist_ok=True)
        return Path(mkdtemp(prefix="exchange-", dir=self._scratch or None)).absolute()

    def url(self, path: str) -> str:
        """The path as it is: Spark's own default is the file system of its machine, if nobody said otherwise."""
        return f"file://{path}" if path.startswith("/") else path

    def size(self, paths: Sequence[str]) -> int | None:
        """The sum of their sizes.

        Raises:
            AdapterError: one is gone.
        """
        try:
            return sum(Path(path).stat().st_size for path in paths)
        except OSError as error:
            raise AdapterError(f"{shown(str(error.filename), 300)} cannot be read: {error.strerror}.") from error

    def folder(self, name: str) -> str:
        """A folder below."""
        return str(self._folder / name)

    def files(self, name: str) -> list[str]:
        """Its Parquet files in the order of their names; those without a byte of data are among them."""
        return sorted(str(file) for file in (self._folder / name).glob("*.parquet"))

    def put(self, name: str, table: pa.Table) -> str:
        """Write a table beside the folders.

        Raises:
            AdapterError: the disk is full, or the like.
        """
        path = str(self._folder / f"{name}.parquet")
        try:
            pq.write_table(table, path)
        except OSError as error:
            raise AdapterError(f"{shown(path, 300)} cannot be written: {error.strerror}.") from error
        return path

    def clear(self) -> None:
        """Empty the folder."""
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
