"""Imports: files become units of the lake's session table, each content once, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from ndr.lake import Lake
from ndr.ledger import Ledger, Unit
from ndr.log import log
from ndr.run import sweep
from ndr.sources.files import FileReport, read_file
from ndr.sources.source import SourceSpec
from ndr.table import PartKey
from ndr.time import EPOCH, SLICE, Interval

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

    def files(self, paths: Sequence[Path], progress: Callable[[Path], None] | None = None) -> list[FileReport]:
        """Import each file; a broken one is reported while the others go on.

        Under a named batch the files given are the whole batch: what it brought before and does not bring again goes.
        """
        if self.batch:
            self.ledger.name_batch(self.batch.name, self.batch.interval)
        reports = []
        for path in paths:
            if progress:
                progress(path)
            reports.append(self._file(path))
        if self.batch:
            self._forget_others(reports)
        return reports

    def _file(self, path: Path) -> FileReport:
        report = read_file(
            path, source=self.source, specs=self.specs, sessions_to=Path(self.lake.stage(_SESSIONS)),
            quarantine_to=Path(self.lake.stage(_QUARANTINE)), known=self.ledger.contents, lost=self._lost,
        )  # fmt: skip
        log("read", path=str(path), outcome=report.outcome, reason=report.reason, records=report.read)
        if report.outcome == "imported":
            self._publish(report)
        return report

    def _lost(self, content: str) -> bool:
        return any(unit.path and not self.lake.has(unit.path) for unit in self.ledger.units_of([content]))

    def _publish(self, report: FileReport) -> None:
        replaced = self.ledger.units_of(report.replaces)
        end = self.batch.interval.end if self.batch else None
        about = facts(report) | {"clock": self.clock}
        unit = publish_unit(self.lake, _SESSIONS, about, clock=self.clock, batch_end=end)
        self.ledger.import_units([unit], replaced)
        sweep(self.lake, self.ledger)

    def _forget_others(self, reports: Sequence[FileReport]) -> None:
        brought = {report.content_sha256 for report in reports}
        end = self.batch.interval.end if self.batch else None
        others = [u for u in self.ledger.units() if u.batch_end == end and u.content_sha256 not in brought]
        self.ledger.import_units([], others)
        sweep(self.lake, self.ledger)


def facts(report: FileReport) -> dict[str, Any]:
    """A report as plain data."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(report).items()}


def slices_of(path: str, clock: str, batch_end: datetime | None) -> dict[PartKey, int]:
    """How many records of a sessions file fall into each slice."""
    with duckdb.connect(":memory:") as con:
        bucket = duckdb.FunctionExpression(
            "time_bucket",
            duckdb.ConstantExpression(SLICE),
            duckdb.ColumnExpression(clock),
            duckdb.ConstantExpression(EPOCH),
        )
        count = duckdb.FunctionExpression("count")
        rows = con.read_parquet(path).aggregate([bucket.alias("start"), count.alias("n")]).fetchall()
    return {PartKey(start, batch_end or start + SLICE): records for start, records in rows}


def publish_unit(lake: Lake, staged: str, report: Mapping[str, Any], *, clock: str, batch_end: datetime | None) -> Unit:
    """Put a staged sessions file in its place, with its quarantine beside it; the unit is still to be recorded."""
    identity = f"{report['content_sha256']}:{report['from_byte']}:{batch_end or ''}"
    name = hashlib.sha256(identity.encode()).hexdigest()[:32]
    relative = {staged: f"sessions/{name}.parquet", _QUARANTINE: f"quarantine/{name}.jsonl"}
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
    return Unit(
        name, str(report["path"]), str(report["source"]), report["content_bytes"], report["content_sha256"],
        report["head_sha256"], batch_end, relative[staged] if slices else "", digest, slices, report,
    )  # fmt: skip
