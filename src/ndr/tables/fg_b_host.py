"""FG-B, host: what is normal for each host in each part of the week."""

from __future__ import annotations

import ibis.expr.types as ir

from ndr.features.baselines import judged_wild, named, statistics, with_active_share
from ndr.table import table
from ndr.tables.fg_a import fg_a as fg_a_table
from ndr.tables.fg_b import APART, PARTITIONS, PUBLISHED, REFERENCE, STATISTICS, Baselines, stamped
from ndr.tables.fg_b_capping import fg_b_capping as fg_b_capping_table
from ndr.tables.settings import Settings
from ndr.time import DAY

_KEYS = ("time_band", "window_label", "host_ip", "segment_id")
_OF_KIND = ("time_band", "window_label", "segment_id")


@table(
    keys=(*_KEYS, *PARTITIONS),
    columns={**dict.fromkeys(_KEYS, "string"), **PUBLISHED, "active_share": "float64", **STATISTICS},
    every=DAY,
    at="reference_time",
    reads={"fg_a": fg_a_table.now(needed=True), "fg_b_capping": fg_b_capping_table.now(), "reference": REFERENCE},
    spec=Baselines,
    partitions=PARTITIONS,
    job="fg_b_builder",
    published=True,
    folder="fg_b/host",
    apart=APART,
)
def fg_b_host(
    fg_a: ir.Table, fg_b_capping: ir.Table, reference: ir.Table, *, spec: Baselines, settings: Settings, version: str
) -> ir.Table:
    """One row per host, segment, time band and window: nine statistics of each metric over a horizon.

    ``m_median`` to ``m_p99`` are exact quantiles with linear interpolation over the slices that are not capped,
    ``m_mad`` the median distance from the median, ``m_iqr`` = p75 - p25; all null when no slice is left.
    ``m_support_count`` counts the slices with a value, capped ones included; ``m_cold_start_flag`` is 1 when they are
    too few. ``active_share`` is the share of the band's window ends at which the host had a row.
    """
    del settings
    support = spec.support()
    judged = judged_wild(fg_a, fg_b_capping, spec.key_metrics(), spec.anomaly_capping.z_max, support)
    found = named(statistics(judged, ["host_ip", "kind"], STATISTICS, support), judged, "kind", _OF_KIND)
    return stamped(with_active_share(found, fg_a), reference, version)
