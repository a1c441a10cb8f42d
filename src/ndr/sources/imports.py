"""Imports: files become units of the lake's session table, each content once, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ndr.lake import Lake
from ndr.ledger import Ledger, Unit
from ndr.log import log
from ndr.run import sweep
from ndr.sources.files import FileReport, read_file
from ndr.sources.source import SourceSpec
from ndr.table import PartKey
from ndr.time import EPOCH, SLICE, Interval, iso

_SESSIONS, _QUARANTINE = "import.parquet", "import.jsonl"


@dataclass(frozen=True)
class Batch:
    """A batch that the user names: everything imported under it arrived by its end."""

    name: str
    interval: Interval


@dataclass(frozen=True)
class Importer:
    """Where imports go and how logs are read."""

    lake: Lake
    ledger: Ledger
    specs: Mapping[str, SourceSpec]
    clock: str
    source: str | None = None
    batch: Batch | None = None
    named: Mapping[Path, str] = field(default_factory=dict)
    """What files are called at the place that they are copies from."""

    def files(self, paths: Sequence[Path], progress: Callable[[Path], None] | None = None) -> list[FileReport]:
        """Import each file; a broken one is reported while the others go on.

        Under a named batch the files given are the whole batch: what it brought before and does not bring again goes,
        unless a file was refused, for then nobody knows what the whole batch is.
        """
        if self.batch:
            self.ledger.name_batch(self.batch.name, self.batch.interval)
        reports = []
        for path in paths:
            if progress:
                progress(path)
            reports.append(self._file(path))
        if self.batch and not any(report.outcome == "refused" for report in reports):
            self._forget_others(reports, self.batch.interval.end)
        return reports

    def _file(self, path: Path) -> FileReport:
        report = read_file(
            path, source=self.source, specs=self.specs, sessions_to=Path(self.lake.stage(_SESSIONS)),
            quarantine_to=Path(self.lake.stage(_QUARANTINE)), known=self.ledger.contents, lost=self._lost,
            named=self.named.get(path, ""),
        )  # fmt: skip
        log("read", path=str(path), outcome=report.outcome, reason=report.reason, records=report.read)
        if report.outcome == "imported":
            self._publish(report)
        return report

    def _lost(self, content: str) -> bool:
        return any(self._stale(unit) for unit in self.ledger.units_of([content]))

    def _stale(self, unit: Unit) -> bool:
        """Whether a unit's file is gone, or its logs would be read differently today."""
        gone = bool(unit.path) and not self.lake.has(unit.path)
        return gone or unit.report.get("source_spec") != self._spec_of(unit.source)

    def _spec_of(self, source: str) -> str:
        return self.specs[source].model_dump_json() if source in self.specs else ""

    def _publish(self, report: FileReport) -> None:
        replaced = self.ledger.units_of(report.replaces)
        end = self.batch.interval.end if self.batch else None
        origin = {"path": self.named[report.path]} if report.path in self.named else {}
        about = facts(report) | origin | {"clock": self.clock, "source_spec": self._spec_of(str(report.source))}
        unit = publish_unit(self.lake, self.ledger, _SESSIONS, about, clock=self.clock, batch_end=end)
        self.ledger.import_units([unit], replaced)
        sweep(self.lake, self.ledger)

    def _forget_others(self, reports: Sequence[FileReport], batch_end: datetime) -> None:
        brought = {content for report in reports for content in (report.content_sha256, *report.continues)}
        others = [u for u in self.ledger.units_of_batch(batch_end) if u.content_sha256 not in brought]
        self.ledger.import_units([], others)
        sweep(self.lake, self.ledger)


def facts(report: FileReport) -> dict[str, Any]:
    """A report as plain data; a path that is no text has its odd bytes written out."""
    path = str(report.path).encode(errors="backslashreplace").decode()
    return vars(report) | {"path": path}


def slices_of(path: str, clock: str, batch_end: datetime | None) -> dict[PartKey, int]:
    """How many records of a sessions file fall into each slice and were known when.

    A record is known at the end of its batch, but not before the slice in which its session ended is over.
    """
    rows = pq.read_table(path, columns=list({clock, "event_end"}))
    step = SLICE // timedelta(microseconds=1)
    numbers = [rows[column].cast(pa.int64()).to_numpy() // step for column in (clock, "event_end")]
    parts, counts = np.unique(np.stack(numbers), axis=1, return_counts=True)
    found: dict[PartKey, int] = {}
    for (start, ended), records in zip(parts.T.tolist(), counts.tolist(), strict=True):
        known_at = EPOCH + SLICE * (ended + 1)
        key = PartKey(EPOCH + SLICE * start, max(known_at, batch_end or known_at))
        found[key] = found.get(key, 0) + records
    return found


def publish_unit(
    lake: Lake, ledger: Ledger, staged: str, report: Mapping[str, Any], *, clock: str, batch_end: datetime | None
) -> Unit:
    """Put a staged sessions file in its place, with its quarantine beside it; the unit is still to be recorded."""
    identity = f"{report['content_sha256']}:{report['from_byte']}:{batch_end or ''}"
    name = hashlib.sha256(identity.encode()).hexdigest()[:32]
    relative = {staged: f"sessions/{name}.parquet", _QUARANTINE: f"quarantine/{name}.jsonl"}
    ledger.announce([], relative.values())
    slices: dict[PartKey, int] = {}
    digest = ""
    for source, target in relative.items():
        file = Path(lake.stage(source))
        if not file.exists():
            continue
        if source == staged:
            slices = slices_of(str(file), clock, batch_end)
        file.replace(lake.stage(target))
        published = lake.publish(target)
        digest = published if source == staged else digest
    about = {**report, "slices_from": iso(min(k.start for k in slices)) if slices else None}
    return Unit(
        name, str(report["path"]), str(report["source"]), report["content_bytes"], report["content_sha256"],
        report["head_sha256"], batch_end, relative[staged] if slices else "", digest, slices, about,
    )  # fmt: skip
