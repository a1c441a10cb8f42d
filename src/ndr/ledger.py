"""The ledger: which parts of which tables exist, under which fingerprint, and what was imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ndr.table import PartKey
from ndr.time import Interval


@dataclass(frozen=True)
class Part:
    """A part of a table that exists: ``id`` names recipe, spec and inputs, ``path`` is relative to the lake.

    A part without rows has no file: ``path`` is empty.
    """

    table: str
    version: str
    key: PartKey
    id: str
    rows: int
    path: str
    checksum: str


@dataclass(frozen=True)
class Unit:
    """What one import of one file's content brought: its sessions file and the slices they fall into."""

    id: str
    origin: str
    source: str
    content_bytes: int
    content_sha256: str
    head_sha256: str
    batch_end: datetime | None
    path: str
    checksum: str
    slices: Mapping[PartKey, int]
    report: Mapping[str, Any]

    @property
    def files(self) -> tuple[str, ...]:
        """Where its sessions and its quarantine lie, if it has any."""
        return tuple(filter(None, (self.path, f"quarantine/{self.id}.jsonl")))


class Ledger(Protocol):
    """What planner and runs ask of a ledger. Intervals choose by the start of a part or slice; None means all."""

    def parts(self, table: str, version: str, within: Interval | None = None) -> list[Part]:
        """The table's parts, in order."""

    def commit(self, made: Sequence[Part], gone: Sequence[Part], record: Mapping[str, Any]) -> None:
        """Replace and remove parts, all or nothing, and note how they came about; ``publications`` are kept by name.

        A ledger that cannot change so much at once does so in order: each part, and those of one publication, whole.
        """

    def row_count(self, table: str, version: str) -> int:
        """How many rows a table has; records, for the sessions."""

    def units(self, within: Interval | None = None) -> list[Unit]:
        """The imports that brought sessions of the interval, with the slices of theirs that lie in it."""

    def units_of(self, contents: Iterable[str]) -> list[Unit]:
        """The imports of these contents, by their hashes."""

    def units_of_batch(self, end: datetime) -> list[Unit]:
        """The imports of a named batch, without their slices."""

    def announce(self, parts: Sequence[Part], paths: Iterable[str]) -> None:
        """Before files are put in place: the parts are not what they were, and the files belong to nobody yet."""

    def unwanted(self) -> list[str]:
        """The files that no part or unit owns any more."""

    def removed(self, paths: Iterable[str]) -> None:
        """Note that unwanted files are gone."""

    def import_units(self, made: Sequence[Unit], gone: Sequence[Unit]) -> None:
        """Add what was imported and take back what it replaces, all or nothing."""

    def contents(self, head: bytes) -> dict[int, set[str]]:
        """Length -> hashes of the contents imported so far that begin with the same bytes, or are shorter and equal."""

    def slice_starts(self, within: Interval | None = None) -> list[datetime]:
        """The slices for which any record was imported, in order."""

    def days(self) -> dict[datetime, datetime]:
        """The days for which any record was imported, and when the first of its records was known."""

    def last_arrival(self) -> datetime | None:
        """The end of the last batch of which anything was imported."""

    def settled_arrival(self) -> datetime | None:
        """The end of the last batch, among those whose slices hold nothing unsettled."""

    def clock(self) -> str | None:
        """The clock by which the imports so far were put into slices."""

    def batches(self) -> dict[datetime, str]:
        """The named batches by their ends."""

    def name_batch(self, name: str, batch: Interval) -> None:
        """Remember a named batch, or raise DataError where it contradicts one that is known."""

    def asked_publications(self, version: str) -> dict[datetime, bool]:
        """The reference times for which baselines were asked for, and whether provisional ones will do."""

    def ask_publication(self, version: str, reference: datetime, *, provisional: bool) -> None:
        """Remember that baselines of a reference time are wanted."""

    def publication_records(self, version: str) -> dict[datetime, dict[str, Any]]:
        """How the publications came about that were made, by reference time."""

    def settled_under(self, fingerprint: str) -> bool:
        """Whether the last finished run had this fingerprint."""

    def unsettled(self) -> list[datetime]:
        """The slices whose imports, or their withdrawal, no finished run has built on."""

    def close(self) -> None:
        """Let go of whatever it holds."""

    def settle(self, fingerprint: str) -> None:
        """Note that a run has built everything there is to build."""
