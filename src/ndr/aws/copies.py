"""Copies: files of S3 on this machine while they are read again and again, the small ones, up to a number of bytes.

A small file costs an engine several calls each time it is read in place, and one to copy; large ones are better read in
place, the columns that are wanted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SMALL = 64 << 20
"""Bytes up to which a file is copied."""
HELD = 8 << 30
"""Bytes that all copies may have together."""
_AT_ONCE = 16


class Copies:
    """Files by their names in the lake; a copy stays until it is forgotten, or until room is made."""

    def __init__(self, folder: Path, held: int = HELD) -> None:
        self._folder, self._held = folder, held
        self._sizes: OrderedDict[str, int] = OrderedDict()

    def forget(self, name: str) -> None:
        """Drop a copy of what has changed or gone."""
        if self._sizes.pop(name, None) is not None:
            self._at(name).unlink(missing_ok=True)

    def forget_all(self) -> None:
        """Drop every copy."""
        for name in list(self._sizes):
            self.forget(name)

    def bring(self, sizes: Mapping[str, int], copy: Callable[[str, Path], bool]) -> dict[str, Path]:
        """Where those of the files are that are small enough, copied if need be; ``copy`` tells whether one exists.

        None that was brought before goes for it: what there is no room for is read in place.
        """
        total, missing = sum(self._sizes.values()), []
        for name, size in sizes.items():
            if name in self._sizes:
                self._sizes.move_to_end(name)
            elif size <= SMALL and total + size <= self._held:
                missing.append(name)
                total += size
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for name, there in zip(missing, threads.map(lambda name: copy(name, self._at(name)), missing), strict=True):
                if there:
                    self._sizes[name] = sizes[name]
        return {name: self._at(name) for name in sizes if name in self._sizes}

    def make_room(self) -> None:
        """Drop what was not asked for the longest, until half the room is free; nothing may be reading now."""
        total = sum(self._sizes.values())
        for name in list(self._sizes):
            if total <= self._held // 2:
                return
            total -= self._sizes[name]
            self.forget(name)

    def _at(self, name: str) -> Path:
        return self._folder / name
