"""Deviations: how far each metric of a host is from what is normal for it, its segment or everybody.

A row has up to three *tiers* of baselines: the host's own, its segment's, everybody's. Statistics of a tier stand
beside the row as ``<tier>_<statistic>_<column>`` until one tier is chosen for each metric; those of the chosen one are
``median_<column>``, ``scale_<column>`` and so on. Wide steps end in a name of their own (``alias``), or expressions of
hundreds of columns would be written into each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from ndr.errors import DataError
from ndr.features.baselines import IQR_TO_SIGMA, STATISTIC_NAMES, scale
from ndr.metric import INBOUND, Metric, statistic
from ndr.rounding import logarithm

TIERS = ("host", "segment", "global")
PLACE = ("segment_id", "time_band", "window_label")
TIER_KEYS = {"host": ("host_ip", *PLACE), "segment": PLACE, "global": PLACE[1:]}
WHICH = ("baseline_horizon", "publication")
ROW = ("host_ip", "window_label", "window_end_ts", "baseline_horizon")
TRANSFORMS = (
    "diff", "z_mad", "abs_dev_over_mad", "z_mad_clipped", "z_mad_signed_pow3", "ratio", "log_ratio", "excess_over_p95",
    "excess_ratio_p95", "iqr_dev",
)  # fmt: skip
"""What is told of each metric, in the order of the columns."""
_NEEDED = ("median", "p25", "p95", "p99", "mad", "iqr", "support_count", "cold_start_flag")


def check_parity(host: Iterable[str], segment: Iterable[str], everybody: Iterable[str]) -> None:
    """See that the three tiers tell the same statistics, or a host could not be routed from one to the next.

    Raises:
        DataError: names the table and the columns that it lacks.
    """
    endings = tuple(f"_{name}" for name in STATISTIC_NAMES)
    told = {
        tier: {column for column in columns if column.endswith(endings)}
        for tier, columns in zip(TIERS, (host, segment, everybody), strict=True)
    }
    for tier, columns in told.items():
        if lacking := sorted(set().union(*told.values()) - columns):
            raise DataError(
                f"the baselines of tier {tier} (table fg_b_{tier}) lack {', '.join(lacking)}, which other tiers have; "
                "build all tables of the publication again with one version of the program."
            )


@dataclass(frozen=True)
class Tiers:
    """The baselines that rows are held against, and the columns that are compared."""

    baselines: Mapping[str, ir.Table]
    columns: Mapping[str, Metric]

    def beside(self, rows: ir.Table) -> ir.Table:
        """The rows with the statistics of every tier; those of the host for warm rows only.

        The join keys are unique in each tier: one row stays one row.
        """
        rows = rows.mutate(warm_ip=ibis.ifelse(rows.is_cold_start == 0, rows.host_ip, ibis.null("string")))
        beside = rows
        for tier in TIERS:
            own = self._statistics(tier)
            keys = {key: "warm_ip" if key == "host_ip" else key for key in (*TIER_KEYS[tier], *WHICH)}
            beside = beside.left_join(own, [rows[mine] == own[f"{tier}_at_{key}"] for key, mine in keys.items()])
        return beside

    def _statistics(self, tier: str) -> ir.Table:
        told = self.baselines[tier]
        more = {"host": {"host_active_share": "active_share"}, "global": {"global_slices_cnt": "slices_cnt"}}
        return told.select(
            **{f"{tier}_at_{key}": told[key] for key in (*TIER_KEYS[tier], *WHICH)},
            **{name: told[column] for name, column in more.get(tier, {}).items()},
            **{_of(tier, name, c): told[statistic(c, name)] for c in self.columns for name in _NEEDED},
        )


def _of(tier: str, name: str, column: str) -> str:
    return f"{tier}_{name}_{column}"


def _first(values: Sequence[tuple[ir.BooleanValue, ir.Value]]) -> ir.Value:
    return ibis.cases(*values, else_=None)


def routed(
    beside: ir.Table, columns: Mapping[str, Metric], kept: Sequence[str], facts: Mapping[str, ir.Value], stage: str
) -> ir.Table:
    """The rows with ``facts`` and the tier of each metric, ``tier_<column>``: the place of its name in :data:`TIERS`.

    It is the first tier that knows the metric and has enough support, else the first that knows it at all.
    """
    tiers = {}
    for c in columns:
        known = [beside[_of(tier, "median", c)].notnull() for tier in TIERS]
        trusted = [beside[_of(tier, "cold_start_flag", c)] == 0 for tier in TIERS]
        places = [ibis.literal(place, "int8") for place in range(len(TIERS))]
        sure = [(k & t, place) for k, t, place in zip(known, trusted, places, strict=True)]
        tiers[f"tier_{c}"] = _first([*sure, *zip(known, places, strict=True)])
    used = [_of(t, name, c) for t in TIERS for name in _NEEDED for c in columns]
    return beside.select(*kept, *columns, *used, **facts, **tiers).alias(f"{stage}_routed")


def measured(rows: ir.Table, columns: Mapping[str, Metric], kept: Sequence[str], stage: str) -> ir.Table:
    """The rows with ``median_``, ``p95_``, ``iqr_``, ``support_``, ``scale_``, ``z_``, ``strength_`` of each metric.

    The scale is that of the chosen tier: 1.4826 MAD, else IQR / 1.349; where the host's are 0, the segment's; else the
    metric's smallest step. It is never 0.
    """
    found: dict[str, ir.Value] = {}
    for c, metric in columns.items():
        of = {
            name: _first([(rows[f"tier_{c}"] == place, rows[_of(t, name, c)]) for place, t in enumerate(TIERS)])
            for name in _NEEDED[:-1]
        }
        kind = scale(rows[_of("segment", "mad", c)], rows[_of("segment", "iqr", c)])
        kind = ibis.ifelse(rows[f"tier_{c}"] == TIERS.index("host"), kind, ibis.null("float64"))
        spread = ibis.coalesce(scale(of["mad"], of["iqr"]), kind, ibis.literal(metric.floor, "float64"))
        found |= {f"{name}_{c}": of[name] for name in ("median", "p25", "p95", "p99", "iqr")}
        found |= {f"support_{c}": of["support_count"], f"scale_{c}": spread}
    stats = rows.select(*kept, *columns, *(f"tier_{c}" for c in columns), **found).alias(f"{stage}_measured")
    z = {f"z_{c}": (stats[c].cast("float64") - stats[f"median_{c}"]) / stats[f"scale_{c}"] for c in columns}
    far = stats.mutate(**z).alias(f"{stage}_deviating")
    strengths = {f"strength_{c}": _strength(far, c, metric) for c, metric in columns.items()}
    return far.mutate(**strengths).alias(f"{stage}_weighed")


def _strength(rows: ir.Table, column: str, metric: Metric) -> ir.FloatingValue:
    """How remarkable a deviation is: ln(1 + abs(z)), but no more than ln of how far x is beyond p99, or below p25.

    A backup every night is many robust deviations from the median of its hours, and yet nothing new: it lies within
    p99. Beyond, (x + k) / (p99 + k) says by what factor it exceeds what was seen; below, (p25 + k) / (x + k), against
    the host's own past alone: to do less than others is nothing remarkable. See :func:`weight`.
    """
    x, k = rows[column].cast("float64"), ibis.literal(metric.floor, "float64")
    above, below = (x + k) / (rows[f"p99_{column}"] + k), (rows[f"p25_{column}"] + k) / (x + k)
    own = rows[f"tier_{column}"] == TIERS.index("host")
    factor = ibis.ifelse(above > 1.0, above, ibis.ifelse(own & (below > 1.0), below, 1.0))
    distance = rows[f"z_{column}"].abs() + 1.0
    return logarithm(ibis.ifelse(distance.isnull() | (distance < factor), distance, factor)) * weight(column, metric)


def weight(column: str, metric: Metric) -> float:
    """What a deviation counts among others: half for what is no count, and half for what others do to the host.

    A share or a mean may be that of one session; and who scans is to come before who is scanned.
    """
    return (1.0 if metric.kind == "count" else 0.5) * (0.5 if column.startswith(INBOUND) else 1.0)


def transforms(rows: ir.Table, column: str, metric: Metric, z_max: float) -> dict[str, ir.Value]:
    """All that is told of how far a metric is off; null where the value or its median is unknown."""
    x, z, k = rows[column].cast("float64"), rows[f"z_{column}"], ibis.literal(metric.floor, "float64")
    median, p95, iqr = (rows[f"{name}_{column}"] for name in ("median", "p95", "iqr"))
    clipped = ibis.ifelse(z > z_max, z_max, ibis.ifelse(z < -z_max, -z_max, z))
    above = x - p95
    ratio = (x + k) / (median + k)
    found = {
        "diff": x - median,
        "z_mad": z,
        "abs_dev_over_mad": z.abs(),
        "z_mad_clipped": clipped,
        "z_mad_signed_pow3": clipped * clipped * clipped,
        "ratio": ratio,
        "log_ratio": logarithm(ratio),
        "excess_over_p95": ibis.ifelse(above < 0, 0.0, above),
        "excess_ratio_p95": (x + k) / (p95 + k),
        "iqr_dev": (x - median) / (iqr / IQR_TO_SIGMA).nullif(0.0),
    }
    return {statistic(column, name): value for name, value in found.items()}


def baseline_facts(beside: ir.Table, columns: Mapping[str, Metric], band_share_min: float) -> dict[str, ir.Value]:
    """What is told of the tiers of a row: which is its own, and how rarely the host is active at such hours.

    ``baseline_source`` is the first tier with any median. ``band_active_share`` of a warm host without a baseline at
    these hours is 0 when others have one, and unknown when nobody was ever seen then.
    """
    known = [ibis.coalesce(*(beside[_of(tier, "median", c)] for c in columns)).notnull() for tier in TIERS]
    cold = [ibis.greatest(*(beside[_of(tier, "cold_start_flag", c)] for c in columns)) for tier in TIERS]
    warm, others = beside.is_cold_start == 0, beside.global_slices_cnt.notnull()
    absent = ibis.ifelse(warm & others, ibis.literal(0.0), ibis.null("float64"))
    share = ibis.ifelse(warm, ibis.coalesce(beside.host_active_share, absent), ibis.null("float64"))
    return {
        "baseline_source": _first([(k, ibis.literal(tier)) for k, tier in zip(known, TIERS, strict=True)]),
        "baseline_cold_start_any": _first(list(zip(known, cold, strict=True))),
        "band_active_share": share,
        "time_band_violation_flag": (share < band_share_min).cast("int32"),
    }


def source_of(rows: ir.Table, column: str) -> ir.StringValue:
    """The name of the tier that a metric was held against."""
    return _first([(rows[f"tier_{column}"] == place, ibis.literal(tier)) for place, tier in enumerate(TIERS)])


def disagreements(core: ir.Table, columns: Iterable[str]) -> ir.Table:
    """One row per host, window end and horizon: z of the last quarter hour minus z of the last hour.

    Null where the two are held against different tiers: then the tiers disagree, not the windows.
    """
    keys = [key for key in ROW if key != "window_label"]

    def between(column: str) -> ir.Value:
        short, long = (core.window_label == label for label in ("w_15m", "w_1h"))
        tier, z = core[f"tier_{column}"], core[f"z_{column}"]
        same = tier.max(where=short) == tier.max(where=long)
        return ibis.ifelse(same, z.max(where=short) - z.max(where=long), ibis.null("float64"))

    return core.group_by(keys).agg(**{f"window_disagreement_{c}": between(c) for c in columns})


def drifts(core: ir.Table, columns: Mapping[str, Metric]) -> ir.Table:
    """One row per host, window and window end: how far the median of the shortest horizon is from the longest's.

    Null where the two are those of different tiers.
    """
    keys = [key for key in ROW if key != "baseline_horizon"]
    named: dict[str, ir.Value] = {}
    for c in columns:
        for side in ("shortest", "longest"):
            told = {name: core[f"{name}_{c}"].max(where=core[f"is_{side}"]) for name in ("tier", "median", "scale")}
            named |= {f"{name}_{side}_{c}": value for name, value in told.items()}
    both = core.group_by(keys).agg(**named)
    found = {}
    for c, metric in columns.items():
        k = ibis.literal(metric.floor, "float64")
        same = both[f"tier_shortest_{c}"] == both[f"tier_longest_{c}"]
        short, long = (
            ibis.ifelse(same, both[f"median_{side}_{c}"], ibis.null("float64")) for side in ("shortest", "longest")
        )
        found[f"baseline_drift_z_{c}"] = (short - long) / both[f"scale_longest_{c}"]
        found[f"baseline_drift_ratio_{c}"] = (short + k) / (long + k)
    return both.select(*keys, **found)
