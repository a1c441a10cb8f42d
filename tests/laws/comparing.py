"""Cell by cell: what the tables say against what the oracle says, and tables against each other."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, settings

import oracle
from ndr.tables import TABLES
from ndr.time import Interval
from oracle import OracleConfig

Row = dict[str, Any]
DELTA_KEYS = ("host_ip", "role", "slice_start_ts", "mini_batch_id")
PAIR_KEYS = ("src_ip", "dst_ip", "dst_port", "slice_start_ts", "mini_batch_id")
EFFORT = int(os.environ.get("NDR_EFFORT", "1"))
"""``NDR_EFFORT=20 make test ARGS=tests/laws`` looks at twenty times as many examples."""


SHRINK = [Phase.shrink] if os.environ.get("NDR_SHRINK") else []
"""``NDR_SHRINK=1`` looks for the smallest example of a failure, which takes minutes for each failing test."""


def looks(usual: int) -> settings:
    """How many examples hypothesis looks at, and how."""
    return settings(
        max_examples=usual * EFFORT,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, *SHRINK],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


def same(got: object, wanted: object) -> bool:
    """Equal; floats to 1e-12 of the wanted one. Null is null, never 0 or not-a-number."""
    if isinstance(wanted, float) and isinstance(got, float):
        return math.isclose(got, wanted, rel_tol=1e-12, abs_tol=0.0)
    return got == wanted and (got is None) == (wanted is None)


def expect(got: Mapping[Any, Row], wanted: Mapping[Any, Row]) -> None:
    """The same keys and, in every column that is wanted, the same cells."""
    assert set(got) == set(wanted), (
        f"missing {list(set(wanted) - set(got))[:3]}, surplus {list(set(got) - set(wanted))[:3]}"
    )
    different = {
        f"{key} {column}": (got[key].get(column, "no such column"), value)
        for key, row in wanted.items()
        for column, value in row.items()
        if not same(got[key].get(column, "no such column"), value)
    }
    assert not different, "\n".join(f"{at}: got {g}, wanted {w}" for at, (g, w) in list(different.items())[:10])


def keyed(rows: Iterable[Row], columns: Sequence[str]) -> dict[Any, Row]:
    """Rows under their keys, each key once."""
    rows = list(rows)
    found = {tuple(row[c] for c in columns): row for row in rows}
    assert len(found) == len(rows), f"{len(rows) - len(found)} rows repeat a key"
    return found


def expect_fg_a(got: list[Row], rows: Sequence[Row], ends: Iterable[datetime], config: OracleConfig) -> None:
    wanted = oracle.fg_a(rows, ends, config)
    for (_, label, end), row in wanted.items():
        row |= {"feature_spec_version": "1", "window_start_ts": end - config.windows[label]}
        assert set(row) | {"host_ip", "window_label", "window_end_ts"} == set(TABLES["fg_a"].columns)
    expect(keyed(got, ("host_ip", "window_label", "window_end_ts")), wanted)


def expect_delta(got: list[Row], rows: Sequence[Row], config: OracleConfig, within: Interval | None = None) -> None:
    """The slices of an interval.

    The oracle tells the finished metric: seconds, and 0 bytes where there was no session; delta the partial one.
    """
    wanted = oracle.delta(rows, config)
    for row in wanted.values():
        row["duration_us_sum"] = round(row.pop("duration_sum") * 1e6)
        if row["sessions_cnt"] == 0:
            row |= {"bytes_src_sum": None, "bytes_dst_sum": None}
    expect(*(_within(found, within, 2) for found in (keyed(got, DELTA_KEYS), wanted)))


def expect_pair_counts(
    got: list[Row], rows: Sequence[Row], config: OracleConfig, within: Interval | None = None
) -> None:
    """The slices of an interval.

    The oracle counts all pairs, under the names that their batches were given; the table those of hosts.
    """
    names = oracle.named(rows)
    arrived = [(r, oracle.batch_of(r)[1]) for r in rows]
    renamed = [{**r, "mini_batch_id": names.get(end), "batch_end_ts": end} for r, end in arrived]
    wanted = {
        key: {
            "source_bytes": row.pop("source_bytes_sum"), "destination_bytes": row.pop("destination_bytes_sum"), **row,
            "src_is_host": oracle.is_host(key[0], config), "dst_is_host": oracle.is_host(key[1], config),
        }
        for key, row in oracle.pair_counts(renamed, config).items()
        if oracle.is_host(key[0], config) or oracle.is_host(key[1], config)
    }  # fmt: skip
    expect(*(_within(found, within, 3) for found in (keyed(got, PAIR_KEYS), wanted)))


def _within(rows: Mapping[Any, Row], interval: Interval | None, place: int) -> dict[Any, Row]:
    """The rows whose slice, at that place of the key, lies in the interval."""
    return {key: row for key, row in rows.items() if interval is None or interval.contains(key[place])}


def ordered(table: pa.Table, name: str, without: Iterable[str] = ()) -> list[Row]:
    """A table's rows in the order of its keys, without some columns."""
    left_out = set(without)
    rows = sorted(table.to_pylist(), key=lambda row: tuple((row[k] is not None, row[k]) for k in TABLES[name].keys))
    return [{c: v for c, v in row.items() if c not in left_out} for row in rows]


def shifted(rows: Iterable[Row], by: timedelta) -> list[Row]:
    """The rows with all their times moved."""
    return [{c: v + by if isinstance(v, datetime) else v for c, v in row.items()} for row in rows]
