"""Lakes with a past of a day or two: short horizons, few metrics, and sessions around midnights."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from day.lakes import HOSTS, MINUTE, QUARTER, record, write_config
from ndr.local_ledger import SqliteLedger

MONDAY = datetime(2026, 3, 2)
METRICS = ["sessions_cnt", "bytes_src_sum"]
BASELINES: dict[str, Any] = {
    "horizons": ["1d", "2d"],
    "safety_gaps": {"1d": {"tail_days": 0}, "2d": {"tail_days": 1}},
    "schedule": "daily",
    "baseline_metrics": METRICS,
    "support_min": dict.fromkeys(METRICS, 2),
    "anomaly_capping": {"key_metrics": ["sessions_cnt"]},
}
"""Horizons of a day just before the reference, and of two days until a day before it."""
PUBLISHED = ("fg_b", "fg_c")
"""The folders of baselines and deviations."""


def configured(folder: Path, **changes: Any) -> tuple[str, Path]:
    """The option for a configuration with these baselines, changed here and there."""
    jobs = {"fg_b_builder": BASELINES | changes, "fg_c_builder": {"metrics": METRICS}}
    return "--config", write_config(folder / "config.json", jobs=jobs)


def some(start: datetime, quarters: int = 1, every: int = 1, **changes: Any) -> list[dict[str, Any]]:
    """One session of each of two hosts in every so manyth quarter hour."""
    return [
        record(
            start + n * QUARTER + (3 * i + 1) * MINUTE, **{"source_ip": host, "source_bytes": 100 + 10 * n, **changes}
        )
        for n in range(0, quarters, every)
        for i, host in enumerate(HOSTS[:2])
    ]


def stored(lake: Path, table: str, *columns: str) -> list[dict[str, Any]]:
    """All rows of a table, some columns of its files."""
    with closing(SqliteLedger(lake / "ledger.sqlite")) as ledger:
        paths = [part.path for part in ledger.parts(table, "1") if part.path]
    return [row for path in paths for row in pq.ParquetFile(lake / path).read(list(columns)).to_pylist()]
