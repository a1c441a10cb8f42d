"""Baselines: what is normal for a host, its segment and everybody, in exact statistics that wild slices cannot move.

Median, quantiles by linear interpolation (type 7 of Hyndman and Fan, 1996), the median absolute deviation and the
interquartile range; 1.4826 and 1.349 make the last two agree with the standard deviation of a normal distribution
(Rousseeuw and Croux, 1993).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from ndr.metric import Metric, statistic
from ndr.rounding import interpolated

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


def _quantiles(columns: Mapping[str, ir.Value]) -> dict[str, ir.Value]:
    """``q_<column>``, the five quantiles as an array."""
    return {f"q_{c}": value.quantile(list(QUANTILES.values())) for c, value in columns.items()}


def _deviations(rows: ir.Table, quantiles: ir.Table, keys: Sequence[str], columns: Sequence[str]) -> ir.Table:
    """One row per group: ``mad_<column>``, the median distance from the median.

    The median of integers is one of them or halfway between two, so twice the distance is an integer as well; and
    integers are put in order in a third of the time that floats take.
    """
    place = list(QUANTILES).index("median")
    whole = {c for c in columns if rows[c].type().is_integer()}
    medians = quantiles.select(
        *keys,
        **{f"m_{c}": quantiles[f"q_{c}"][place] for c in columns if c not in whole},
        **{f"m_{c}": (quantiles[f"q_{c}"][place] * 2.0).cast("int64") for c in columns if c in whole},
    )
    beside = rows.join(medians, list(keys))
    found = {
        f"mad_{c}": (beside[c] * 2 - beside[f"m_{c}"]).abs().median() / 2.0
        if c in whole
        else (beside[c] - beside[f"m_{c}"]).abs().median()
        for c in columns
    }
    return beside.group_by(list(keys)).agg(**found)


def wild_limits(fg_a: ir.Table, metrics: Sequence[Metric]) -> ir.Table:
    """One row per segment, time band and window: median and scale of the key metrics, by which slices are left out."""
    keys = ["segment_id", "time_band", "window_label"]
    names = [metric.name for metric in metrics]
    quantiles = fg_a.group_by(keys).agg(**_quantiles({name: fg_a[name] for name in names}))
    whole = quantiles.join(_deviations(fg_a, quantiles, keys, names), keys)
    order = list(QUANTILES)
    found = {}
    for metric in metrics:
        q = whole[f"q_{metric.name}"]
        spread = scale(whole[f"mad_{metric.name}"], q[order.index("p75")] - q[order.index("p25")])
        found[statistic(metric.name, "median")] = q[order.index("median")]
        found[statistic(metric.name, "scale")] = spread.fill_null(metric.floor)
    return whole.select(*keys, **found)


def _numbered(limits: ir.Table) -> ir.Table:
    """The limits with numbers for what they are about: rows are grouped faster by a number than by three texts."""
    place = [limits.time_band, limits.window_label]
    return limits.mutate(
        place=ibis.dense_rank().over(order_by=place), kind=ibis.dense_rank().over(order_by=[*place, limits.segment_id])
    )


@dataclass(frozen=True)
class Judged:
    """The rows of FG-A with ``wild``: whether any key metric is too many scales off the segment's median.

    Number ``place`` stands for time band and window, ``kind`` for segment, time band and window; ``names`` has both.
    """

    rows: ir.Table
    names: ir.Table


def judged_wild(
    fg_a: ir.Table, limits: ir.Table, metrics: Sequence[Metric], z_max: float, columns: Iterable[str]
) -> Judged:
    """The columns of FG-A that are wanted, and which rows are wild."""
    keys = ["segment_id", "time_band", "window_label"]
    names = _numbered(limits)
    beside = fg_a.join(names, keys)
    wild = ibis.literal(False)  # noqa: FBT003 - the value itself
    for metric in metrics:
        distance = (beside[metric.name] - beside[statistic(metric.name, "median")]).abs()
        wild |= (distance > beside[statistic(metric.name, "scale")] * z_max).fill_null(False)  # noqa: FBT003
    rows = beside.select("host_ip", "place", "kind", wild=wild, **{c: beside[c] for c in columns})
    return Judged(rows, names.select(*keys, "place", "kind"))


def statistics(
    judged: Judged, numbers: Sequence[str], columns: Mapping[str, str], support_min: Mapping[str, int],
    **counts: Callable[[ir.Table], ir.Value],
) -> ir.Table:  # fmt: skip
    """One row per group of the numbers: ``columns``, of which those of the metrics in ``support_min`` are filled.

    Wild rows count as support and nowhere else; quantiles are null when nothing is left. A group whose rows are all
    wild is there all the same.
    """
    rows = judged.rows
    if "host_ip" in numbers:  # thousands of small groups: a value finds its group sooner when neighbours share it
        rows = rows.order_by(list(numbers))
    tame = {c: ibis.ifelse(rows.wild, ibis.null(rows[c].type()), rows[c]) for c in support_min}
    quantiles = rows.group_by(list(numbers)).agg(
        slices_cnt=rows.count(),
        capped_cnt=rows.wild.cast("int64").sum().cast("int64"),
        **{f"n_{c}": rows[c].count() for c in support_min},
        **{name: count(rows) for name, count in counts.items()},
        **_quantiles(tame),
    )
    spread = _deviations(rows.filter(~rows.wild), quantiles, numbers, list(support_min))
    whole = quantiles.left_join(spread, list(numbers))
    found: dict[str, ir.Value] = {column: ibis.null(dtype) for column, dtype in columns.items()}
    found |= {"slices_cnt": whole.slices_cnt, "capped_cnt": whole.capped_cnt}
    for c, enough in support_min.items():
        q, is_whole = whole[f"q_{c}"], rows[c].type().is_integer()
        values = {name: interpolated(q[place], whole=is_whole) for place, name in enumerate(QUANTILES)}
        values |= {"mad": whole[f"mad_{c}"], "iqr": values["p75"] - values["p25"], "support_count": whole[f"n_{c}"]}
        values["cold_start_flag"] = (whole[f"n_{c}"] < enough).cast("int32")
        found |= {statistic(c, name): values[name] for name in _STATISTICS}
    return whole.select(*numbers, *counts, **found)


def hosts(rows: ir.Table) -> ir.Value:
    """How many hosts there are."""
    return rows.host_ip.nunique().cast("int64")


def named(found: ir.Table, judged: Judged, number: str, names: Sequence[str]) -> ir.Table:
    """Statistics under the names that a number stands for."""
    return found.join(judged.names.select(number, *names).distinct(), number).drop(number)


def with_active_share(found: ir.Table, fg_a: ir.Table) -> ir.Table:
    """Baselines of hosts with ``active_share``: of the band's window ends, those at which the host had a row."""
    ends = fg_a.select("time_band", "window_end_ts").distinct()
    possible = ends.group_by("time_band").agg(possible_cnt=ends.count())
    beside = found.join(possible, "time_band")
    share = beside.slices_cnt.cast("float64") / beside.possible_cnt.cast("float64")
    return beside.mutate(active_share=share).drop("possible_cnt")
