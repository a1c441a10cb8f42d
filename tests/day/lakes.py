"""What the tests of whole days share: logs in JSON lines, the command line in this process, and a lake as bytes."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ndr.cli import main
from ndr.local_ledger import SqliteLedger

START = datetime(2026, 3, 4, 10)  # a Wednesday
MINUTE, QUARTER, DAY = timedelta(minutes=1), timedelta(minutes=15), timedelta(days=1)
HOSTS = ("10.1.1.1", "10.1.1.2", "10.2.0.7", "fd00::7")
ALL_TABLES = ("delta", "pair_counts", "pair_days", "pair_history", "fg_a")


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


def ndr(*arguments: object) -> Answer:
    """One command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse, after --help
            code = int(end.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


def run(lake: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    """``ndr run`` into the lake, without provisional baselines unless asked; its summary, whose counts add up."""
    cold = () if "--warmup" in arguments else ("--no-warmup",)
    answer = ndr("run", *arguments, *cold, "--lake", lake, "--format", "json")
    assert answer.code == code, answer.err or answer.out
    assert "Traceback" not in answer.err
    summary = answer.data
    add_up(summary)
    return summary


def add_up(summary: dict[str, Any]) -> None:
    """Every record read is a session, or quarantined, or filtered: in the whole and in each file."""
    assert summary["records_read"] == summary["sessions"] + summary["quarantined"] + summary["filtered"]
    assert summary["quarantined"] == sum(summary["quarantined_by_reason"].values())
    assert summary["filtered"] == sum(summary["filtered_by_name"].values())
    for file in summary["files"]:
        assert file["read"] == file["sessions"] + sum(file["quarantined"].values()) + sum(file["filtered"].values())
    for name in ("sessions", "read"):
        assert sum(file[name] for file in summary["files"]) == summary[name.replace("read", "records_read")]


def plan(lake: Path, table: str = "fg_a", *arguments: object) -> dict[str, int]:
    """How many parts of each table the plan lists."""
    answer = ndr("plan", table, "--lake", lake, "--format", "json", *arguments)
    assert answer.code == 0, answer.err
    listed: Counter[str] = Counter()
    for row in answer.data:
        listed[row["table"]] += row["parts"]
    return dict(+listed)


def record(at: datetime, **changes: Any) -> dict[str, Any]:
    """One session of a Palo Alto firewall as parsed JSON, ended at a moment."""
    return {
        "source_ip": HOSTS[0],
        "destination_ip": "203.0.113.5",
        "source_port": 50_000,
        "destination_port": 443,
        "source_bytes": 100,
        "destination_bytes": 50,
        "event_start": f"{(at - timedelta(seconds=3)).isoformat()}Z",
        "event_end": f"{at.isoformat()}Z",
        "event_action": "allow",
        "event_reason": "tcp-fin",
        "event_name": "TRAFFIC",
        "network_transport": "tcp",
        **changes,
    }


def hour(n: int = 40, start: datetime = START) -> list[dict[str, Any]]:
    """``n`` sessions of four hosts within an hour, in every quarter of it."""
    return [
        record(
            start + i * 60 * MINUTE / n,
            source_ip=HOSTS[i % 4],
            destination_ip="fd00::9" if i % 4 == 3 else HOSTS[1] if i % 5 == 0 else f"203.0.113.{i % 7}",
            destination_port=(443, 53, 445, 22)[i % 4],
            source_bytes=10 * i,
            destination_bytes=7 * i if i % 3 else 0,
            event_action="deny" if i % 11 == 0 else "allow",
        )
        for i in range(n)
    ]


def text(records: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(each) + "\n" for each in records)


def write(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(records), encoding="utf-8")
    return path


def write_config(path: Path, **values: Any) -> Path:
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def files(lake: Path, *tables: str) -> dict[str, str]:
    """Hash of every data file of the lake, or of some tables, by place."""
    found = (path for path in sorted(lake.rglob("*")) if path.is_file())
    places = {path.relative_to(lake).as_posix(): path for path in found}
    return {
        place: hashlib.sha256(path.read_bytes()).hexdigest()
        for place, path in places.items()
        if not place.startswith(("ledger.sqlite", ".lock", "_staging/", "report.html"))
        and (not tables or place.partition("/")[0] in tables)
    }


def features(lake: Path) -> dict[str, str]:
    """Hash of every data file but models and what they said: which one was trained when depends on who came first."""
    return {place: told for place, told in files(lake).items() if not place.startswith(("models/", "predictions/"))}


def made(lake: Path) -> dict[str, str]:
    """Hash of every file that the tables made of the sessions consist of."""
    return files(lake, *ALL_TABLES)


def differing(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The places whose files came, went or changed."""
    return {place for place in before | after if before.get(place) != after.get(place)}


def rebuilt_since(lake: Path, builds: int) -> list[str]:
    """The files that builds since the given number of builds wrote, as the ledger notes them, in order."""
    return [part["path"] for record in _builds(lake)[builds:] for part in record.get("parts", ()) if part["path"]]


def build_count(lake: Path) -> int:
    return len(_builds(lake))


def _builds(lake: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(lake / "ledger.sqlite")) as db:
        return [json.loads(record) for (record,) in db.execute("SELECT record FROM builds ORDER BY id")]


def parts(lake: Path, tables: Sequence[str] = ALL_TABLES, version: str = "1") -> list[tuple[Any, ...]]:
    """What the ledger says of every part, but for the ids of its inputs."""
    with closing(SqliteLedger(lake / "ledger.sqlite")) as ledger:
        found = [part for table in tables for part in ledger.parts(table, version)]
    return [(part.table, part.key, part.rows, part.path, part.checksum) for part in found]


def sessions(lake: Path) -> list[tuple[Any, ...]]:
    """Every stored session, sorted."""
    with closing(SqliteLedger(lake / "ledger.sqlite")) as ledger:
        paths = [unit.path for unit in ledger.units() if unit.path]
    rows = [row for path in paths for row in pq.ParquetFile(lake / path).read().to_pylist()]
    return sorted((tuple(row.values()) for row in rows), key=repr)
