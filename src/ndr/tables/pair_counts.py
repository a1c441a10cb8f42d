"""Pair counts: who talked to whom, on which port, in a quarter hour."""

from __future__ import annotations

import ibis.expr.types as ir

from ndr.features.slices import pair_slices
from ndr.table import table
from ndr.tables.previous import PairFilters, Place
from ndr.tables.sessions import sessions as session_table
from ndr.tables.settings import PLACE, SEGMENTS, Inert, Settings, Spec, inert
from ndr.tables.shared import BATCHES, NETWORKS, PLACES
from ndr.time import SLICE


class PairCounts(Spec):
    """Job ``pair_counts_builder``. Every session has both addresses; pairs without a port (ICMP) are kept."""

    traffic_input: Place | None = inert(PLACE)
    pair_counts_output: Place | None = inert(PLACE)
    filters: PairFilters | None = inert(
        "nothing is filtered: every session has both addresses, and pairs without a port (ICMP) are kept"
    )
    segment_mapping: Inert = inert(SEGMENTS)


@table(
    keys=("src_ip", "dst_ip", "dst_port", "slice_start_ts", "mini_batch_id"),
    columns={
        "src_ip": "string",
        "dst_ip": "string",
        "dst_port": "int32",
        "slice_start_ts": "timestamp(6)",
        "mini_batch_id": "string",
        "batch_end_ts": "timestamp(6)",
        "sessions_cnt": "int64",
        "source_bytes": "int64",
        "destination_bytes": "int64",
        "first_event_start": "timestamp(6)",
        "last_event_start": "timestamp(6)",
        **PLACES,
    },
    every=SLICE,
    at="slice_start_ts",
    arrived="batch_end_ts",
    reads={"sessions": session_table.now(), "batches": BATCHES, "networks": NETWORKS},
    spec=PairCounts,
    settings=("internal_networks", "segments", "clock"),
    partitions=("dt", "hh", "mm", "feature_spec_version"),
    job="pair_counts_builder",
)
def pair_counts(
    sessions: ir.Table, batches: ir.Table, networks: ir.Table, *, spec: PairCounts, settings: Settings, version: str
) -> ir.Table:
    """One row per source, destination, destination port, slice and batch with a session of an internal host.

    ``dst_port`` is null where the protocol has none; byte sums are null when no session told them. Threat records make
    no pair. The segments are those of the two addresses.
    """
    del spec, version
    return pair_slices(sessions, batches, networks, clock=settings.clock)
