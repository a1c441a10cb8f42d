"""Pair days: the pairs of a day, the tiles of which the pair history is laid."""

from __future__ import annotations

import ibis.expr.types as ir

from ndr.features.history import pairs_by_day
from ndr.table import table
from ndr.tables.pair_counts import pair_counts as pair_counts_table
from ndr.tables.settings import Settings, Spec
from ndr.tables.shared import PLACES
from ndr.time import DAY


class PairDays(Spec):
    """Nothing to configure."""


@table(
    keys=("src_ip", "dst_ip", "dst_port", "day_start_ts", "known_ts"),
    columns={
        "src_ip": "string",
        "dst_ip": "string",
        "dst_port": "int32",
        "day_start_ts": "timestamp(6)",
        "known_ts": "timestamp(6)",
        "sessions_cnt": "int64",
        "active_hours": "int64",
        "last_event_start": "timestamp(6)",
        **PLACES,
    },
    every=DAY,
    at="day_start_ts",
    arrived="known_ts",
    reads={"pair_counts": pair_counts_table.now()},
    spec=PairDays,
    partitions=("feature_spec_version", "dt"),
)
def pair_days(pair_counts: ir.Table, *, spec: PairDays, settings: Settings, version: str) -> ir.Table:
    """One row per pair, UTC day and the midnight by which its batch had arrived: the sessions of the day.

    ``active_hours`` is a bit mask: bit h is set when a slice of the hour that begins at h o'clock UTC has sessions.
    ``known_ts`` is the end of the day, or a later midnight for sessions that came late.
    """
    del spec, settings, version
    return pairs_by_day(pair_counts)
