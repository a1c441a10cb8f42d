"""Capping: how far from the ordinary a slice of a segment must be to say nothing about what is normal."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ndr.features.baselines import wild_limits
from ndr.metric import statistic
from ndr.metrics import BASELINED
from ndr.table import table
from ndr.tables.fg_a import fg_a as fg_a_table
from ndr.tables.fg_b import APART, PARTITIONS, PUBLISHED, REFERENCE, Baselines, stamped
from ndr.tables.settings import Settings
from ndr.time import DAY


@table(
    keys=("time_band", "window_label", "segment_id", *PARTITIONS),
    columns={
        "time_band": "string",
        "window_label": "string",
        "segment_id": "string",
        **PUBLISHED,
        **{statistic(metric.name, part): "float64" for metric in BASELINED for part in ("median", "scale")},
    },
    every=DAY,
    at="reference_time",
    reads={"fg_a": fg_a_table.now(needed=True), "reference": REFERENCE},
    spec=Baselines,
    partitions=PARTITIONS,
    job="fg_b_builder",
    published=True,
    folder="fg_b/capping",
    apart=APART,
)
def fg_b_capping(fg_a: ir.Table, reference: ir.Table, *, spec: Baselines, settings: Settings, version: str) -> ir.Table:
    """One row per segment, time band and window: median and robust scale of the key metrics over all its slices.

    A slice that is more than ``z_max`` scales off in any key metric is left out of the quantiles of the baselines.
    Metrics that are no key metrics are null. The scale is never 0: it falls back to the metric's smallest step.
    """
    del settings
    limits = wild_limits(fg_a, spec.key_metrics())
    unused = {
        statistic(metric.name, part): ibis.null("float64")
        for metric in BASELINED
        for part in ("median", "scale")
        if metric.name not in spec.anomaly_capping.key_metrics
    }
    return stamped(limits.mutate(**unused), reference, version)
