"""Rows of a model's matrix, made up: calm hosts, and one that is not."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from ndr.model.kinds import KINDS
from ndr.model.training import TrainingOptions

START = datetime(2026, 3, 2)
LABELS = ("w_15m", "w_1h")
COLUMNS = ("failed_cnt_z_mad_clipped", "failed_cnt_log_ratio", "peer_ip_nunique_z_mad_clipped", "new_pair_cnt")
SMALL = TrainingOptions(trees=20, max_samples=64)


def matrix(hosts: int = 12, ends: int = 16, seed: int = 0, attacks: int = 0) -> pa.Table:
    """One row per host, label and window end; host number 0 goes wild in the last ``attacks`` window ends."""
    chance = np.random.default_rng(seed)
    keys = [(host, label, end) for end in range(ends) for host in range(hosts) for label in LABELS]
    count = len(keys)
    bad = np.array([host == 0 and end >= ends - attacks for host, _, end in keys])
    failed = chance.poisson(3, count) + 400 * bad
    columns = {
        "host_ip": pa.array([f"10.0.0.{host}" for host, _, _ in keys]),
        "window_label": pa.array([label for _, label, _ in keys]),
        "window_end_ts": pa.array([START + timedelta(minutes=15 * end) for _, _, end in keys], pa.timestamp("us")),
        "baseline_source": pa.array(["host"] * count),
        "record_id": pa.array([str(n) for n in range(count)]),
        "failed_cnt_z_mad_clipped": np.clip((failed - 3) / 1.5, -10, 10),
        "failed_cnt_log_ratio": np.log((failed + 1) / 4),
        "peer_ip_nunique_z_mad_clipped": np.where(bad, 9.0, chance.normal(0, 1, count)),
        "new_pair_cnt": pa.array(chance.poisson(1, count) + 50 * bad, pa.int64()),
        "value_failed_cnt": pa.array(failed, pa.int64()),
        "baseline_failed_cnt": np.full(count, 3.0),
        "value_peer_ip_nunique": pa.array(chance.poisson(5, count), pa.int64()),
        "baseline_peer_ip_nunique": np.full(count, 5.0),
    }
    for kind in KINDS.values():
        if kind.column:
            columns[kind.column] = chance.exponential(0.3, count) + np.where(bad, 4.0, 0.0)
    return pa.table(columns)


def batch(rows: pa.Table) -> pa.RecordBatch:
    return rows.combine_chunks().to_batches()[0]
