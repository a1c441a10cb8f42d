"""A lake with predictions written by hand: what alerts are made of, without any model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ndr.arrow import arrow_schema
from ndr.lake import part_path
from ndr.ledger import Part
from ndr.table import PartKey, Table
from ndr.tables.pair_counts import pair_counts
from ndr.tables.predictions import predictions
from ndr.time import SLICE
from worlds import World

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
T = datetime(2026, 3, 4, 10)  # a Wednesday
MODEL = "a1b2c3d4e5f6"
HOSTS = tuple(f"10.1.1.{i}" for i in range(1, 20))
DEVIATION = {"metric": "bytes_src_sum", "z": 40.0, "value": 5e9, "baseline": 1000.0, "source": "host"}
REASON = {
    "feature": "exfiltration_suspicion_score", "contribution": 12.0, "value": 9.5, "baseline": 0.1, "source": "host",
    "technique": "T1041",
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """As much of a model as reading needs."""

    version: str = MODEL
    name: str = "by hand"


def judged(host: str = HOSTS[0], end: datetime = T, evidence: float = 12.0, **changes: Any) -> dict[str, Any]:
    """A row of predictions: an anomalous window, unless told otherwise."""
    row = dict.fromkeys(predictions.columns)
    row |= {
        "host_ip": host, "window_label": "w_15m", "window_end_ts": end, "feature_spec_version": "1",
        "mini_batch_id": "b", "inference_ts": end, "segment_id": "10.1.1.0/24", "time_band": "WD_WORKING",
        "machine_name": f"pc-{host.rpartition('.')[2]}", "baseline_horizon": "30d", "baseline_source": "host",
        "is_cold_start": 0, "is_provisional": 0, "model_name": "by hand", "model_version": MODEL,
        "prediction_score": 0.99999, "prediction_label": "anomalous", "evidence": evidence,
        "leading_kind": "exfiltration", "explanation": [REASON], "techniques": "T1041,T1048", "new_pair_cnt": 0,
        "top_deviations": [DEVIATION],
    }  # fmt: skip
    row |= changes
    return row | {"record_id": f"{row['host_ip']}|{row['window_label']}|{row['window_end_ts'].isoformat()}Z"}


def talked(host: str, peer: str, port: int | None = 443, start: datetime = T - SLICE, **changes: Any) -> dict[str, Any]:
    """A row of pair counts: a session of the quarter hour that ends at ``T``."""
    row = dict.fromkeys(pair_counts.columns)
    return row | {
        "src_ip": host, "dst_ip": peer, "dst_port": port, "slice_start_ts": start, "batch_end_ts": start + SLICE,
        "mini_batch_id": "b", "sessions_cnt": 1, "source_bytes": 100, "destination_bytes": 50,
        "first_event_start": start, "last_event_start": start, "src_is_host": True, "dst_is_host": False,
        "src_segment_id": "10.1.1.0/24", "dst_segment_id": "SEG_UNKNOWN", "feature_spec_version": "1", **changes,
    }  # fmt: skip


class Scored(World):
    """A lake in a folder whose predictions are put in as they stand."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.shop = replace(self.shop, in_force=Model)

    def score(self, *rows: dict[str, Any]) -> None:
        """Store predictions, a part for each window end and model."""
        parts: dict[PartKey, list[dict[str, Any]]] = {}
        for row in rows:
            end = row["window_end_ts"]
            parts.setdefault(PartKey(end - SLICE, end, row["model_version"]), []).append(row)
        self._store(predictions, parts)

    def talk(self, *rows: dict[str, Any]) -> None:
        """Store pair counts."""
        parts: dict[PartKey, list[dict[str, Any]]] = {}
        for row in rows:
            parts.setdefault(PartKey(row["slice_start_ts"], row["batch_end_ts"]), []).append(row)
        self._store(pair_counts, parts)

    def _store(self, table: Table, parts: dict[PartKey, list[dict[str, Any]]]) -> None:
        made = []
        for key, rows in parts.items():
            path = part_path(table, "1", key, f"{key.known_at:%Y%m%dT%H%M}")
            held = pq.read_table(self.lake.path(path), partitioning=None).to_pylist() if self.lake.has(path) else []
            schema = arrow_schema(table.stored_columns)
            every = [*held, *rows]
            pq.write_table(pa.Table.from_pylist(every, schema), self.lake.stage(path))
            made.append(Part(table.name, "1", key, "by hand", len(every), path, self.lake.publish(path)))
        self.ledger.commit(made, [], {})


def quarters(host: str, start: datetime, count: int, **changes: Any) -> Iterable[dict[str, Any]]:
    """Anomalous quarter hours in a row, of which the first begins at ``start``."""
    return [judged(host, start + (i + 1) * SLICE, **changes) for i in range(count)]
