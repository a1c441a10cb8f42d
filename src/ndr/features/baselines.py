"""Baselines: what is normal for a host, its segment and everybody, in exact statistics that wild slices cannot move.

Median, quantiles by linear interpolation (type 7 of Hyndman and Fan, 1996), the median absolute deviation and the
interquartile range; 1.4826 and 1.349 make the last two agree with the standard deviation of a normal distribution
(Rousseeuw and Croux, 1993).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.types as ir

from ndr.metric import Metric, statistic

MAD_TO_SIGMA, IQR_TO_SIGMA = 1.4826, 1.349
QUANTILES = {"p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}
_STATISTICS = {
    "median": "float64",
    "p25": "float64",
    "p75": "float64",
    "p95": "float64",
    "p99": "float64",
    "mad": "float64",
    "iqr": "float64",
    "support_count": "int64",
    "cold_start_flag": "int32",
}
"""The nine statistics of a metric, in the order of the columns."""
STATISTIC_NAMES = tuple(_STATISTICS)


def statistic_columns(columns: Sequence[str]) -> dict[str, str]:
    """Columns and types of the statistics of some columns."""
    return {statistic(column, name): dtype for column in columns for name, dtype in _STATISTICS.items()}


def scale(mad: ir.Value, iqr: ir.Value) -> ir.Value:
    """Robust standard deviation: from the MAD, else from the IQR; null when both are 0 or unknown."""
    return ibis.coalesce((mad * MAD_TO_SIGMA).nullif(0.0), (iqr / IQR_TO_SIGMA).nullif(0.0))


def _quantiles(rows: ir.Table, keys: Sequence[str], columns: Sequence[str]) -> ir.Table:
    """One row per group: ``q_<column>``, the five quantiles as an array."""
    found = {f"q_{c}": rows[c].cast("float64").quantile(list(QUANTILES.values())) for c in columns}
    return rows.group_by(list(keys)).agg(**found)


def _deviations(rows: ir.Table, quantiles: ir.Table, keys: Sequence[str], columns: Sequence[str]) -> ir.Table:
    """One row per group: ``mad_<column>``, the median distance from the median."""
    place = list(QUANTILES).index("median")
    beside = rows.join(quantiles, list(keys))
    found = {f"mad_{c}": (beside[c].cast("float64") - beside[f"q_{c}"][place]).abs().median() for c in columns}
    return beside.group_by(list(keys)).agg(**found)


def wild_limits(fg_a: ir.Table, metrics: Sequence[Metric]) -> ir.Table:
    """One row per segment, time band and window: median and scale of the key metrics, by which slices are left out."""
    keys = ["segment_id", "time_band", "window_label"]
    names = [metric.name for metric in metrics]
    quantiles = _quantiles(fg_a, keys, names)
    whole = quantiles.join(_deviations(fg_a, quantiles, keys, names), keys)
    order = list(QUANTILES)
    found = {}
    for metric in metrics:
        q = whole[f"q_{metric.name}"]
        spread = scale(whole[f"mad_{metric.name}"], q[order.index("p75")] - q[order.index("p25")])
        found[statistic(metric.name, "median")] = q[order.index("median")]
        found[statistic(metric.name, "scale")] = spread.fill_null(metric.floor)
    return whole.select(*keys, **found)


def judged_wild(fg_a: ir.Table, limits: ir.Table, metrics: Sequence[Metric], z_max: float) -> ir.Table:
    """The rows of FG-A with ``wild``: whether any key metric is more than ``z_max`` scales off the segment's median."""
    keys = ["segment_id", "time_band", "window_label"]
    beside = fg_a.join(limits, keys)
    wild = ibis.literal(False)  # noqa: FBT003 - the value itself
    for metric in metrics:
        distance = (beside[metric.name] - beside[statistic(metric.name, "median")]).abs()
        wild |= (distance > beside[statistic(metric.name, "scale")] * z_max).fill_null(False)  # noqa: FBT003
    return beside.select(*fg_a.columns, wild=wild)


def statistics(
    rows: ir.Table, keys: Sequence[str], columns: Mapping[str, str], support_min: Mapping[str, int], **counts: ir.Value
) -> ir.Table:
    """One row per group of the keys: ``columns``, of which those of the metrics in ``support_min`` are filled.

    Wild rows count as support and nowhere else; quantiles are null when nothing is left. A group whose rows are all
    wild is there all the same.
    """
    every = rows.group_by(list(keys)).agg(
        slices_cnt=rows.count(),
        capped_cnt=rows.wild.cast("int64").sum().cast("int64"),
        **{f"n_{c}": rows[c].count() for c in support_min},
        **counts,
    )
    tame = rows.mutate(
        **{c: ibis.ifelse(rows.wild, ibis.null("float64"), rows[c].cast("float64")) for c in support_min}
    )
    quantiles = _quantiles(tame, keys, list(support_min))
    spread = _deviations(tame, quantiles, keys, list(support_min))
    whole = every.join(quantiles, list(keys)).join(spread, list(keys))
    found: dict[str, ir.Value] = {column: ibis.null(dtype) for column, dtype in columns.items()}
    found |= {"slices_cnt": whole.slices_cnt, "capped_cnt": whole.capped_cnt}
    for c, enough in support_min.items():
        q = whole[f"q_{c}"]
        values = {name: q[place] for place, name in enumerate(QUANTILES)}
        values |= {"mad": whole[f"mad_{c}"], "iqr": values["p75"] - values["p25"], "support_count": whole[f"n_{c}"]}
        values["cold_start_flag"] = (whole[f"n_{c}"] < enough).cast("int32")
        found |= {statistic(c, name): values[name] for name in _STATISTICS}
    return whole.select(*keys, *counts, **found)


def with_active_share(found: ir.Table, fg_a: ir.Table) -> ir.Table:
    """Baselines of hosts with ``active_share``: of the band's window ends, those at which the host had a row."""
    possible = fg_a.group_by("time_band").agg(possible_cnt=fg_a.window_end_ts.nunique())
    beside = found.join(possible, "time_band")
    share = beside.slices_cnt.cast("float64") / beside.possible_cnt.cast("float64")
    return beside.mutate(active_share=share).drop("possible_cnt")
