"""Compiled queries, kept between runs: turning expressions of hundreds of columns into SQL takes longer than a batch.

The cache belongs to the user who runs the program and lies in their cache folder, never in a lake, for what it holds is
executed. A query is filed under the fingerprint of its table, the engine, and the versions that compiled it.
"""

from __future__ import annotations

import gc
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class QueryCache:
    """A folder of compiled queries; without a folder nothing is kept."""

    folder: Path | None = None

    @staticmethod
    def of_user() -> QueryCache:
        """The user's own cache folder, or none where it cannot be made private."""
        try:
            base = os.environ.get("XDG_CACHE_HOME") or (Path.home() / ".cache")
            folder = Path(base) / "ndr" / "queries"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
        except (OSError, RuntimeError):
            return QueryCache()
        private = status.st_uid == os.getuid() and not status.st_mode & 0o022
        return QueryCache(folder if private else None)

    def get(self, fingerprint: str, engine: str, compiled: Callable[[], str]) -> str:
        """The query of a table, compiled now if it was not before."""
        if self.folder is None:
            return _without_collector(compiled)
        versions = "|".join((fingerprint, engine, version("ibis-framework"), version("sqlglot")))
        file = self.folder / f"{hashlib.sha256(versions.encode()).hexdigest()}.sql"
        try:
            return file.read_text(encoding="utf-8")
        except OSError:
            query = _without_collector(compiled)
        try:
            with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False, encoding="utf-8") as draft:
                draft.write(query)
            Path(draft.name).replace(file)
        except OSError:
            pass
        return query


def _without_collector(compiled: Callable[[], str]) -> str:
    """Compile without looking for garbage meanwhile: among a hundred thousand live nodes that takes half the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        return compiled()
    finally:
        if was_on:
            gc.enable()


NO_CACHE = QueryCache()
"""Compiles every time."""
