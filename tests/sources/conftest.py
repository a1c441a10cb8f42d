"""One way to read a log in a test: write its content, import it, get the report, the sessions and the quarantine."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ndr.sources.files import FileReport, read_file
from ndr.sources.formats import SOURCES
from ndr.sources.source import SourceSpec


@dataclass
class Import:
    report: FileReport
    sessions: list[dict]
    quarantine: list[dict]


class Reading:
    """Imports files into a folder of its own; ``last`` is the sessions file of the last import."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.last = folder

    def __call__(self, content, *, name="a.log", source=None, known=lambda _head: {}, **spec) -> Import:
        """``content``: a path, text or bytes; ``spec``: settings of every source."""
        self.count += 1
        path = content
        if not isinstance(content, Path):
            path = self.folder / name
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.last, quarantine = self.folder / f"{self.count}.parquet", self.folder / f"{self.count}.jsonl"
        mapped = spec.pop("field_mapping", {})
        specs = {name: SourceSpec(**spec) for name in SOURCES}
        specs[source or "palo_alto"] = SourceSpec(**spec, field_mapping=mapped)
        report = read_file(
            path, source=source, specs=specs, sessions_to=self.last, quarantine_to=quarantine, known=known
        )
        sessions = pq.read_table(self.last).to_pylist() if self.last.exists() else []
        held = [json.loads(line) for line in quarantine.read_text().splitlines()] if quarantine.exists() else []
        assert len(sessions) == report.sessions
        assert len(held) == sum(report.quarantined.values())
        assert self.last.exists() == bool(sessions)
        assert quarantine.exists() == bool(held)
        return Import(report, sessions, held)


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(tmp_path)
