"""A small lake for explanations: two calm evenings, and a night in which one host uploads and knocks on doors."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from day.lakes import DAY, HOSTS, MINUTE, Answer, ndr, record, run, write, write_config
from day.pasts import BASELINES, MONDAY, some
from ndr.local_ledger import SqliteLedger

NIGHT = MONDAY + 2 * DAY
END = NIGHT + 60 * MINUTE
AT = "2026-03-04T01:00:00Z"
ATTACKER, CALM, SINK = HOSTS[0], HOSTS[1], "198.51.100.9"
METRICS = ["sessions_cnt", "bytes_src_sum", "failed_cnt", "peer_ip_nunique", "admin_port_sessions_cnt"]
UPLOADS, DOORS = 6, 12


def night() -> list[dict[str, Any]]:
    """An hour in which the attacker sends 6 GB to one peer and is refused by the SSH of twelve."""
    uploads = [
        record(
            NIGHT + (30 + 4 * n) * MINUTE,
            destination_ip=SINK,
            source_bytes=1_000_000_000,
            destination_bytes=None if n == 0 else 4_000,
            event_action="allow",
        )
        for n in range(UPLOADS)
    ]
    doors = [
        record(
            NIGHT + (20 + n) * MINUTE,
            destination_ip=f"10.2.0.{20 + n}",
            destination_port=22,
            source_bytes=60,
            destination_bytes=0,
            event_action="deny",
            event_reason="tcp-rst-from-server",
            repeat_cnt=3 if n == 0 else None,
        )
        for n in range(DOORS)
    ]
    threat = record(NIGHT + 50 * MINUTE, destination_ip=SINK, event_name="THREAT", event_action="alert")
    ping = record(
        NIGHT + 51 * MINUTE, destination_ip=CALM, network_transport="icmp", source_port=None, destination_port=None
    )
    return [*uploads, *doors, threat, ping]


def records() -> list[dict[str, Any]]:
    """Everything that the lake is made of."""
    evenings = [some(MONDAY + day * DAY - DAY / 12, 8) for day in (1, 2)]
    return [*(each for evening in evenings for each in evening), *some(NIGHT, 4), *night()]


def configured(folder: Path) -> tuple[str, Path]:
    """The option for a configuration with short horizons and a few metrics."""
    baselines = BASELINES | {"baseline_metrics": METRICS, "support_min": dict.fromkeys(METRICS, 2)}
    jobs = {"fg_b_builder": baselines, "fg_c_builder": {"metrics": METRICS}}
    return "--config", write_config(folder / "config.json", jobs=jobs)


def made(folder: Path) -> tuple[Path, tuple[str, Path]]:
    """The lake, scored by a model that was trained on it, and the option for its configuration."""
    options = configured(folder)
    lake = folder / "lake"
    run(lake, write(folder / "log.json", records()), *options)
    return lake, options


def explain(lake: Path, *arguments: object, host: str = ATTACKER) -> Answer:
    answer = ndr("explain", host, "--lake", lake, *arguments)
    assert "Traceback" not in answer.err
    return answer


def stored_path(lake: Path, table: str) -> Path:
    """The file of a table that ends with the night's hour."""
    with closing(SqliteLedger(lake / "ledger.sqlite")) as ledger:
        found = [part.path for part in ledger.parts(table, "1") if part.path and part.key.known_at == END]
    return lake / found[-1]


def session_path(lake: Path) -> Path:
    """The file of the sessions."""
    with closing(SqliteLedger(lake / "ledger.sqlite")) as ledger:
        return lake / next(unit.path for unit in ledger.units() if unit.path)


def tamper(path: Path, column: str, change: Callable[[Any], Any], where: Callable[[dict[str, Any]], bool]) -> None:
    """Change a column of some rows of a file."""
    table = pq.ParquetFile(path).read()
    rows = table.to_pylist()
    assert any(where(row) for row in rows), "nothing to change"
    values = [change(row[column]) if where(row) else row[column] for row in rows]
    place = table.schema.get_field_index(column)
    pq.write_table(
        table.set_column(place, table.schema.field(column), pa.array(values, table.schema[place].type)), path
    )


def conceal(lake: Path, path: Path) -> None:
    """Let the ledger know the changed file's checksum, as one would who has both at hand."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    relative = path.relative_to(lake).as_posix()
    with closing(sqlite3.connect(lake / "ledger.sqlite")) as db, db:
        for table in ("parts", "units"):
            db.execute(f"UPDATE {table} SET checksum = ? WHERE path = ?", (digest, relative))  # noqa: S608
