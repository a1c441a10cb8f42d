"""FG-B, segment: what is normal for the hosts of a segment, for those that have no past of their own."""

from __future__ import annotations

import ibis.expr.types as ir

from ndr.features.baselines import hosts, judged_wild, named, statistics
from ndr.table import table
from ndr.tables.fg_a import fg_a as fg_a_table
from ndr.tables.fg_b import APART, PARTITIONS, PUBLISHED, REFERENCE, STATISTICS, Baselines, stamped
from ndr.tables.fg_b_capping import fg_b_capping as fg_b_capping_table
from ndr.tables.settings import Settings
from ndr.time import DAY

_KEYS = ("time_band", "window_label", "segment_id")


@table(
    keys=(*_KEYS, *PARTITIONS),
    columns={**dict.fromkeys(_KEYS, "string"), **PUBLISHED, "hosts_cnt": "int64", **STATISTICS},
    every=DAY,
    at="reference_time",
    reads={"fg_a": fg_a_table.now(needed=True), "fg_b_capping": fg_b_capping_table.now(), "reference": REFERENCE},
    spec=Baselines,
    partitions=PARTITIONS,
    job="fg_b_builder",
    published=True,
    folder="fg_b/segment",
    apart=APART,
)
def fg_b_segment(
    fg_a: ir.Table, fg_b_capping: ir.Table, reference: ir.Table, *, spec: Baselines, settings: Settings, version: str
) -> ir.Table:
    """One row per segment, time band and window: the statistics of its hosts' slices taken together.

    ``m_median`` to ``m_p99`` are exact quantiles with linear interpolation over the slices that are not capped,
    ``m_mad`` the median distance from the median, ``m_iqr`` = p75 - p25; all null when no slice is left.
    ``m_support_count`` counts the slices with a value, capped ones included; ``m_cold_start_flag`` is 1 when they are
    too few.
    """
    del settings
    support = spec.support()
    judged = judged_wild(fg_a, fg_b_capping, spec.key_metrics(), spec.anomaly_capping.z_max, support)
    found = statistics(judged, ["kind"], STATISTICS, support, hosts_cnt=hosts)
    return stamped(named(found, judged, "kind", _KEYS), reference, version)
