"""FG-B, pairs of segments: how rare a destination was for a segment over a horizon, for hosts without a past."""

from __future__ import annotations

import ibis.expr.types as ir

from ndr.features.rarity import rarities
from ndr.table import table
from ndr.tables.fg_b import PAIR_RARITY, PARTITIONS, PUBLISHED, REFERENCE, Baselines, stamped
from ndr.tables.pair_days import pair_days as pair_days_table
from ndr.tables.settings import Settings
from ndr.time import DAY


@table(
    keys=("segment_id", "dst_ip", "dst_port", *PARTITIONS),
    columns={"segment_id": "string", "dst_ip": "string", "dst_port": "int32", **PUBLISHED, **PAIR_RARITY},
    every=DAY,
    at="reference_time",
    reads={"pair_days": pair_days_table.now(needed=True), "reference": REFERENCE},
    spec=Baselines,
    partitions=PARTITIONS,
    job="fg_b_builder",
    published=True,
    folder="fg_b/pair/segment",
)
def fg_b_pair_segment(
    pair_days: ir.Table, reference: ir.Table, *, spec: Baselines, settings: Settings, version: str
) -> ir.Table:
    """One row per segment of internal sources, destination and destination port seen in a horizon, and how often.

    ``pair_rarity_score`` = 1 / (1 + sessions); ``is_rare_pair_flag`` is 1 at or above ``rarity_threshold``. A pair
    that is not here is new: whoever looks it up gives it rarity 1. ``dst_port`` is null where there is none.
    """
    del settings
    own = pair_days.filter(pair_days.src_is_host).rename(segment_id="src_segment_id")
    found = rarities(own, ("segment_id", "dst_ip", "dst_port"), spec.pair_counts.rarity_threshold)
    return stamped(found, reference, version)
