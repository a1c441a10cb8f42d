"""Pair history: the pairs of the four weeks before a midnight, as they were known then."""

from __future__ import annotations

import ibis.expr.types as ir

from ndr.features.frames import HISTORY
from ndr.features.history import pairs_before
from ndr.table import Context, Given, table
from ndr.tables.pair_days import pair_days as pair_days_table
from ndr.tables.settings import Settings, Spec
from ndr.tables.shared import PLACES
from ndr.time import DAY


class PairHistory(Spec):
    """Nothing to configure."""


def _ends(context: Context) -> list[tuple[object, ...]]:
    return [(part.known_at,) for part in context.parts]


@table(
    keys=("src_ip", "dst_ip", "dst_port", "history_end_ts"),
    columns={
        "src_ip": "string",
        "dst_ip": "string",
        "dst_port": "int32",
        "history_end_ts": "timestamp(6)",
        "sessions_cnt": "int64",
        **PLACES,
    },
    every=DAY,
    at="history_end_ts",
    at_end=True,
    reads={
        "pair_days": pair_days_table.past(HISTORY),
        "history_ends": Given({"history_end_ts": "timestamp(6)"}, _ends),
    },
    spec=PairHistory,
    partitions=("feature_spec_version", "dt"),
)
def pair_history(
    pair_days: ir.Table, history_ends: ir.Table, *, spec: PairHistory, settings: Settings, version: str
) -> ir.Table:
    """One row per pair and midnight: its sessions in the 28 days before, of batches that had arrived by then.

    The novelty of a window adds the ragged ends of its 30 days from the slices themselves.
    """
    del spec, settings, version
    return pairs_before(pair_days, history_ends, HISTORY.days)
