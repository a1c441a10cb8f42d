"""Delta: what each host's sessions of a quarter hour add up to."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ndr.features.slices import host_slices
from ndr.metrics import SLICED
from ndr.table import table
from ndr.tables.previous import Enrichment, Operator, Place, Quality, Role
from ndr.tables.sessions import sessions as session_table
from ndr.tables.settings import PLACE, Settings, Spec, inert
from ndr.tables.shared import BATCHES, NETWORKS
from ndr.time import SLICE


class Delta(Spec):
    """Job ``delta_builder``. Sources, clock and port sets are settings; its other keys only describe the old layout."""

    input: Place | None = inert(PLACE)
    dq: Quality | None = inert("bad records are always quarantined and flaws mended, each counted by kind")
    enrichment: Enrichment | None = inert("port sets come from project_parameters.port_sets")
    roles: tuple[Role, ...] | None = inert("both roles are always made")
    operators: tuple[Operator, ...] | None = inert("every metric of the catalogue is always made")
    output: Place | None = inert(PLACE)


@table(
    keys=("host_ip", "role", "slice_start_ts", "mini_batch_id"),
    columns={
        "host_ip": "string",
        "role": "string",
        "slice_start_ts": "timestamp(6)",
        "mini_batch_id": "string",
        "batch_end_ts": "timestamp(6)",
        "segment_id": "string",
        "feature_spec_version": "string",
        **{metric.stored: "int64" for metric in SLICED},
    },
    every=SLICE,
    at="slice_start_ts",
    arrived="batch_end_ts",
    reads={"sessions": session_table.now(), "batches": BATCHES, "networks": NETWORKS},
    spec=Delta,
    settings=("internal_networks", "segments", "port_sets", "clock"),
    partitions=("dt", "hh", "mm"),
    job="delta_builder",
)
def delta(
    sessions: ir.Table, batches: ir.Table, networks: ir.Table, *, spec: Delta, settings: Settings, version: str
) -> ir.Table:
    """One row per host, role, slice and batch with any record: partial sums and maxima, to be merged by readers.

    Counts are sessions times the device's repeat count; byte sums are bytes, null when no session told them;
    ``duration_us_sum`` is microseconds. A host without a record in a role has no row there.
    """
    del spec
    rows = host_slices(sessions, batches, networks, port_sets=settings.ports(), clock=settings.clock)
    return rows.mutate(feature_spec_version=ibis.literal(version))
