"""Suspicion: what deviations, rarity and rhythm come to; every score is monotone: more deviation never lowers it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import ibis
import ibis.expr.types as ir

from ndr.features.deviations import source_of
from ndr.features.rarity import KINDS, NO_PORT
from ndr.metric import Metric

DEVIATION = "array<struct<metric: string, z: float64, value: float64, baseline: float64, source: string>>"
TOP = 5
THEMES = {
    "exfiltration_suspicion_score": ("exfiltration", 2),
    "lateral_movement_score": ("lateral", 3),
    "scan_suspicion_score": ("scan", 3),
    "novelty_suspicion_score": ("novelty", 3),
}
"""Scores of what is more than normal: the theme of the outbound metrics, and how many of the strongest count."""
_TO_MANY = r"^(22[4-9]|23[0-9]|255)\.|^ff[0-9a-f]{2}:"
"""Multicast and limited broadcast addresses, in their canonical form."""
BEACON = {
    "beacon_dst_ip": "string",
    "beacon_dst_port": "int32",
    "beacon_connections_cnt": "int64",
    "beacon_interval_seconds": "float64",
    "beacon_interval_regularity": "float64",
    "beacon_interval_skew_score": "float64",
    "beacon_size_regularity": "float64",
    "beacon_coverage_score": "float64",
    "beacon_prevalence_share": "float64",
    "beacon_score": "float64",
}
"""What is told of the pair that makes a host look most like a beacon."""


def mean_of_largest(values: Sequence[ir.FloatingValue], count: int) -> ir.FloatingValue:
    """The mean of the ``count`` largest of values that are not negative; what is unknown or lacking counts as 0.

    Null when all are unknown.
    """
    if not values:
        return ibis.null("float64")
    ordered = ibis.array([0.0 - value.fill_null(0.0) for value in values]).sort()[:count]
    return ibis.ifelse(ibis.coalesce(*values).notnull(), (0.0 - ordered.sums()) / count, ibis.null("float64"))


def scores(rows: ir.Table, columns: Mapping[str, Metric], outbound: Collection[str]) -> dict[str, ir.Value]:
    """The scores that follow from the deviations alone; their formulas stand with the table."""

    def of_theme(theme: str) -> list[ir.FloatingValue]:
        """The strength of what is more than normal."""
        chosen = [c for c, metric in columns.items() if c in outbound and theme in metric.themes]
        return [ibis.ifelse(rows[f"z_{c}"] < 0, 0.0, rows[f"strength_{c}"]) for c in chosen]

    return {
        "anomaly_strength_core": mean_of_largest([rows[f"strength_{c}"] for c in columns], TOP),
        **{score: mean_of_largest(of_theme(theme), count) for score, (theme, count) in THEMES.items()},
    }


def top_deviations(rows: ir.Table, columns: Mapping[str, Metric]) -> ir.ArrayValue:
    """The five metrics of the most remarkable deviations, strongest first; what is not off at all is not told.

    Equal ones go by abs(z), then by name.
    """
    told = [
        ibis.struct(
            {
                "strength": 0.0 - rows[f"strength_{c}"].fill_null(0.0),
                "distance": 0.0 - rows[f"z_{c}"].abs().fill_null(0.0), "metric": ibis.literal(c), "z": rows[f"z_{c}"],
                "value": rows[c].cast("float64"), "baseline": rows[f"median_{c}"], "source": source_of(rows, c),
            }
        )
        for c in columns
    ]  # fmt: skip
    names = ("metric", "z", "value", "baseline", "source")
    first = ibis.array(told).sort()[:TOP].filter(lambda each: each["distance"] < 0)
    return first.map(lambda each: ibis.struct({name: each[name] for name in names}))


def beacons_of(beacons: ir.Table, slow_beacons: ir.Table, frames: ir.Table) -> ir.Table:
    """One row per window end and pair that was scored, by the hour and by the midnight that had passed by then.

    What is sent to many at once (multicast, broadcast) calls nobody home.
    """
    ends = frames.select("window_end_ts", "beacon_end_ts", "slow_beacon_end_ts").distinct()
    slow = ends.select("window_end_ts", beacon_end_ts=ends.slow_beacon_end_ts)
    both = [
        scored.join(end, "beacon_end_ts")
        for scored, end in ((beacons, ends.drop("slow_beacon_end_ts")), (slow_beacons, slow))
    ]
    found = both[0].union(both[1].select(*both[0].columns))
    found = found.filter(~found.dst_ip.re_search(_TO_MANY))
    return found.mutate(dst_port=found.dst_port.fill_null(NO_PORT))


def best_beacons(looked_up: ir.Table) -> ir.Table:
    """One row per host, window end and horizon with any scored pair: the most suspicious, by either rarity.

    Suspicion of a pair = beacon_score (1 - prevalence_share) (1 + rarity) / 2. Of equal pairs the greater score, then
    the address and port that sort last are told.
    """
    found = {}
    for kind in KINDS:
        rarity = looked_up[f"rarity_{kind}"]
        suspicion = looked_up.beacon_score * (1.0 - looked_up.prevalence_share) * (rarity + 1.0) / 2.0
        values = {
            "suspicion": suspicion, "beacon_score": looked_up.beacon_score,
            "dst_ip": looked_up.dst_ip, "dst_port": looked_up.dst_port,
            "interval_seconds": looked_up.interval_median_seconds, "connections_cnt": looked_up.connections_cnt,
            "interval_regularity": looked_up.interval_regularity,
            "interval_skew_score": looked_up.interval_skew_score,
            "coverage_score": looked_up.coverage_score, "prevalence_share": looked_up.prevalence_share,
            "size_regularity": looked_up.size_regularity.fill_null(-1.0),
        }  # fmt: skip
        found[f"best_{kind}"] = ibis.struct(values).max()
    keys = ["src_ip", "window_end_ts", "baseline_horizon"]
    return looked_up.group_by(keys).agg(**found).rename(host_ip="src_ip")


def beacon_facts(rows: ir.Table) -> dict[str, ir.Value]:
    """The beacon columns of rows that stand beside :func:`best_beacons`; 0 and nulls where no pair was scored."""
    best = ibis.ifelse(rows.is_cold_start == 0, rows.best_host, rows.best_segment)
    found = {name: best[name.removeprefix("beacon_")] for name in BEACON if name != "beacon_score"}
    found["beacon_dst_port"] = found["beacon_dst_port"].nullif(NO_PORT)
    found["beacon_size_regularity"] = found["beacon_size_regularity"].nullif(-1.0)
    return {
        "beacon_suspicion_score": best["suspicion"].fill_null(0.0), **found, "beacon_score": best["beacon_score"],
    }  # fmt: skip
