"""Deviations again, naively: rows of FG-A against published baselines, all as plain dicts.

Written from the definitions alone, without the program's code; pairs' rows and scored beacons are given to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from oracle import in_units
from oracle_baselines import DAY, PLACE, QUARTER, BaselineConfig, Key, Published, Row, Table, own_scale

LENGTHS = {f"w_{name}": n * QUARTER for name, n in {"15m": 1, "30m": 2, "1h": 4, "8h": 32, "24h": 96}.items()}
TIERS = ("host", "segment", "global")


@dataclass(frozen=True)
class Publication:
    reference: datetime
    horizons: Mapping[str, Published]
    provisional: bool = False


def in_force(publications: Iterable[Publication], end: datetime) -> Publication | None:
    """The publication that a window end is compared with: none is, that is more than a season away."""
    known = [p for p in sorted(publications, key=lambda p: p.reference) if abs(p.reference - end) <= 92 * DAY]
    regular = [p for p in known if not p.provisional and p.reference <= end]
    makeshift = [p for p in known if p.provisional]
    past = [p for p in makeshift if p.reference <= end]
    return next(iter([*reversed(regular), *reversed(past), *makeshift]), None)


def tier_rows(row: Row, base: Published, *, cold: bool) -> dict[str, Row]:
    """The statistics a row may be compared with, from its own tier on; none of them when no tier knows anything."""
    place = tuple(row[c] for c in PLACE)
    have = {
        "host": None if cold else base.host.get((row["host_ip"], *place)),
        "segment": base.segment.get(place),
        "global": base.everywhere.get(place[1:]),
    }
    known = [t for t in TIERS if any(v is not None for c, v in (have[t] or {}).items() if c.endswith("_median"))]
    return {t: have[t] or {} for t in TIERS[TIERS.index(known[0]) :]} if known else {}


def tier_of(m: str, tiers: Mapping[str, Row]) -> str | None:
    """The tier that one metric uses."""
    told = [t for t, row in tiers.items() if row.get(f"{m}_median") is not None]
    supported = [t for t in told if tiers[t][f"{m}_cold_start_flag"] == 0]
    return next(iter(supported or told), None)


def scale_of(m: str, tier: str, tiers: Mapping[str, Row], segment: Row, floor: float) -> float:
    own = own_scale(tiers[tier][f"{m}_mad"], tiers[tier][f"{m}_iqr"])
    kind = own_scale(segment.get(f"{m}_mad"), segment.get(f"{m}_iqr")) if tier == "host" else None
    return own or kind or floor


TRANSFORMS = (
    "diff", "scale", "z_mad", "abs_dev_over_mad", "z_mad_clipped", "z_mad_signed_pow3", "ratio", "log_ratio",
    "excess_over_p95", "excess_ratio_p95", "iqr_dev",
)  # fmt: skip


def transforms(x: float | None, stats: Mapping[str, Any], scale: float, k: float, z_max: float) -> Row:
    """How far a value is from what its tier says, in every measure of distance."""
    median, p95, iqr = stats.get("median"), stats.get("p95"), stats.get("iqr")
    if x is None or median is None or p95 is None:
        return dict.fromkeys(TRANSFORMS)
    diff = x - median
    z = diff / scale
    clipped = max(-z_max, min(z_max, z))
    ratio = (x + k) / (median + k)
    return {
        "diff": diff, "scale": scale, "z_mad": z, "abs_dev_over_mad": abs(diff) / scale,
        "z_mad_clipped": clipped, "z_mad_signed_pow3": math.copysign(abs(clipped) ** 3, z),
        "ratio": ratio, "log_ratio": in_units(math.log(ratio)),
        "excess_over_p95": max(0.0, x - p95),
        "excess_ratio_p95": (x + k) / (p95 + k),
        "iqr_dev": diff / (iqr / 1.349) if iqr else None,
    }  # fmt: skip


@dataclass
class Compared:
    """A row of FG-A with what it is compared with, metric by metric."""

    row: Row
    base: Published
    cold: bool
    tiers: dict[str, Row]
    sources: dict[str, str | None]
    deviations: dict[str, Row]
    config: BaselineConfig

    def z(self, m: str) -> float | None:
        found: float | None = self.deviations[m]["z_mad"]
        return found

    def strength(self, m: str) -> float | None:
        """How remarkable: what lies between the lowest quarter and the highest hundredth seen is not."""
        z, x, k = self.z(m), self.row[m], self.config.metrics[m].floor
        if z is None:
            return None
        less = (self.stat(m, "p25") + k) / (x + k) if self.sources[m] == "host" else 1.0
        factor = max((x + k) / (self.stat(m, "p99") + k), less, 1.0)
        return in_units(math.log(min(1 + abs(z), factor))) * self.config.metrics[m].weight

    def stat(self, m: str, name: str) -> Any:
        source = self.sources[m]
        return self.tiers[source][f"{m}_{name}"] if source else None


def compare(row: Row, base: Published, config: BaselineConfig) -> Compared:
    about = base.ip_metadata.get((row["host_ip"], row["window_label"]))
    cold = about is None or about["is_cold_start"] == 1
    tiers = tier_rows(row, base, cold=cold)
    segment = base.segment.get(tuple(row[c] for c in PLACE), {})
    sources = {m: tier_of(m, tiers) for m in config.metrics}
    deviations = {}
    for m, measure in config.metrics.items():
        source = sources[m]
        stats = {s: tiers[source][f"{m}_{s}"] for s in ("median", "p95", "iqr")} if source else {}
        scale = scale_of(m, source, tiers, segment, measure.floor) if source else measure.floor
        deviations[m] = transforms(row[m], stats, scale, measure.floor, config.z_max)
    return Compared(row, base, cold, tiers, sources, deviations, config)


def baseline_columns(c: Compared, config: BaselineConfig) -> Row:
    own = next(iter(c.tiers), None)
    supports = [c.stat(m, "support_count") for m in config.metrics if c.sources[m]]
    about = c.base.ip_metadata.get((c.row["host_ip"], c.row["window_label"]), {})
    return {
        "is_cold_start": int(c.cold),
        "is_full_history": about.get("is_full_history"),
        "is_non_persistent_machine": about.get("is_non_persistent_machine"),
        "machine_name": about.get("machine_name"),
        "baseline_source": own,
        "baseline_cold_start_any": max(c.tiers[own][f"{m}_cold_start_flag"] for m in config.metrics) if own else None,
        "baseline_min_support_count": min(supports, default=None),
    }


def band_columns(c: Compared, config: BaselineConfig) -> Row:
    """How often the host is active at such hours; unknown for the cold, and where nobody was ever seen then."""
    own = c.base.host.get((c.row["host_ip"], *(c.row[p] for p in PLACE)))
    known = (c.row["time_band"], c.row["window_label"]) in c.base.everywhere
    share = None if c.cold else own["active_share"] if own else 0.0 if known else None
    flag = None if share is None else int(share < config.band_share_min)
    return {"band_active_share": share, "time_band_violation_flag": flag}


def rarity(c: Compared, destination: str, port: int | None) -> Row | None:
    """What the row's tier says of a pair of its host."""
    if c.cold:
        return c.base.pair_segment.get((c.row["segment_id"], destination, port))
    return c.base.pair_host.get((c.row["host_ip"], destination, port))


def pair_columns(c: Compared, pair_counts: Iterable[Row], config: BaselineConfig) -> Row:
    row, end = c.row, c.row["window_end_ts"]
    start = end - LENGTHS[row["window_label"]]
    pairs = {
        (p["dst_ip"], p["dst_port"])
        for p in pair_counts
        if p["src_ip"] == row["host_ip"] and start <= p["slice_start_ts"] < end and p["batch_end_ts"] <= end
    }
    looked_up = [rarity(c, *pair) for pair in pairs]
    scores = [found["pair_rarity_score"] if found else 1.0 for found in looked_up]
    rare = sum(found is None or found["is_rare_pair_flag"] == 1 for found in looked_up)
    mean = math.fsum(scores) / len(scores) if scores else None
    weighted = {}
    for m in config.of_theme("core"):
        z = c.deviations[m]["z_mad_clipped"]
        weighted[f"rare_pair_weighted_z_{m}"] = None if z is None or mean is None else z * mean
    return {
        "pair_rarity_source": "segment" if c.cold else "host",
        "pair_rarity_max": max(scores, default=None),
        "pair_rarity_mean": mean,
        "new_pair_cnt": looked_up.count(None),
        "rare_pair_cnt": rare,
        "rare_pair_flag": int(rare > 0),
        **weighted,
    }


def mean_of_largest(values: Iterable[float | None], k: int) -> float | None:
    """Of fewer than k the missing ones count as 0; null when there is none at all."""
    known = sorted((v for v in values if v is not None), reverse=True)
    return math.fsum(known[:k]) / k if known else None


THEMED = (
    ("exfiltration_suspicion_score", "exfiltration", 2), ("lateral_movement_score", "lateral", 3),
    ("scan_suspicion_score", "scan", 3), ("novelty_suspicion_score", "novelty", 3),
)  # fmt: skip


def rise(z: float | None, strength: float | None) -> float | None:
    """The strength of what is more than normal."""
    return 0.0 if (z or 0.0) < 0 else strength


def suspicion_columns(c: Compared, config: BaselineConfig) -> Row:
    strengths = {m: c.strength(m) for m in config.metrics}
    rises = {m: rise(c.z(m), strengths[m]) for m in config.metrics}
    return {
        "anomaly_strength_core": mean_of_largest(strengths.values(), 5),
        **{score: mean_of_largest([rises[m] for m in config.of_theme(theme)], count) for score, theme, count in THEMED},
    }


def top_deviations(c: Compared, config: BaselineConfig) -> list[Row]:
    """All that deviate, the most remarkable first; the row keeps the first five."""
    found = [
        {
            "_strength": c.strength(m),
            "metric": m,
            "z": z,
            "value": float(c.row[m]),
            "baseline": c.stat(m, "median"),
            "source": c.sources[m],
        }
        for m in config.metrics
        if (z := c.z(m))
    ]
    return sorted(found, key=lambda d: (-d["_strength"], -abs(d["z"]), d["metric"]))


def beacon_candidates(c: Compared, beacons: Iterable[Row], slow_beacons: Iterable[Row]) -> list[tuple[float, Row]]:
    """The pairs of the host that were scored by the window end, with what each adds to suspicion, highest first."""
    end = c.row["window_end_ts"]
    hour, day = (end - (end - datetime(1970, 1, 1)) % step for step in (4 * QUARTER, DAY))
    scored = []
    for rows, scored_at in ((beacons, hour), (slow_beacons, day)):
        for b in rows:
            mine = b["src_ip"] == c.row["host_ip"] and b["beacon_end_ts"] == scored_at
            if mine and not (ip_address(b["dst_ip"]).is_multicast or b["dst_ip"].startswith("255.")):
                found = rarity(c, b["dst_ip"], b["dst_port"])
                rare = found["pair_rarity_score"] if found else 1.0
                scored.append((b["beacon_score"] * (1 - b["prevalence_share"]) * (1 + rare) / 2, b))
    return sorted(scored, key=lambda pair: -pair[0])


def fg_c(
    rows: Sequence[Row], publications: Sequence[Publication], config: BaselineConfig,
    *, pair_counts: Sequence[Row] = (), beacons: Sequence[Row] = (), slow_beacons: Sequence[Row] = (),
) -> Table:  # fmt: skip
    """One row per key under the columns of the table; ``_beacons`` and ``_deviating`` hold all candidates."""
    compared: dict[Key, Compared] = {}
    found: Table = {}
    for row in rows:
        publication = in_force(publications, row["window_end_ts"])
        for horizon, base in publication.horizons.items() if publication else ():
            c = compare(row, base, config)
            key = (row["host_ip"], row["window_label"], row["window_end_ts"], horizon)
            compared[key] = c
            scored = beacon_candidates(c, beacons, slow_beacons)
            found[key] = {
                **{f"{m}_{name}": value for m, made in c.deviations.items() for name, value in made.items()},
                **baseline_columns(c, config), **band_columns(c, config),
                **pair_columns(c, pair_counts, config), **suspicion_columns(c, config),
                "beacon_suspicion_score": scored[0][0] if scored else 0.0,
                "_beacons": scored, "_deviating": top_deviations(c, config),
            }  # fmt: skip
    for key in found:
        found[key] |= window_disagreement(key, compared, config) | baseline_drift(key, compared, config)
    return found


def window_disagreement(key: Key, compared: Mapping[Key, Compared], config: BaselineConfig) -> Row:
    """How much farther the last quarter hour deviates than the last hour."""
    host, _, end, horizon = key
    short, long = (compared.get((host, label, end, horizon)) for label in ("w_15m", "w_1h"))

    def between(m: str) -> float | None:
        a, b = short.z(m) if short else None, long.z(m) if long else None
        return a - b if a is not None and b is not None and short.sources[m] == long.sources[m] else None

    return {f"window_disagreement_{m}": between(m) for m in config.of_theme("core")}


def baseline_drift(key: Key, compared: Mapping[Key, Compared], config: BaselineConfig) -> Row:
    """How far what is normal lately is from what was normal for long."""
    ours = {k[3]: c for k, c in compared.items() if k[:3] == key[:3]}
    by_length: list[str] = sorted(ours, key=lambda horizon: int(horizon.rstrip("d")))
    short, long = ours[by_length[0]], ours[by_length[-1]]
    found: Row = {}
    for m, measure in config.metrics.items():
        found |= dict.fromkeys((f"baseline_drift_z_{m}", f"baseline_drift_ratio_{m}"))
        a, b, source, k = short.stat(m, "median"), long.stat(m, "median"), long.sources[m], measure.floor
        if short is not long and a is not None and b is not None and source == short.sources[m]:
            segment = long.base.segment.get(tuple(long.row[c] for c in PLACE), {})
            found[f"baseline_drift_z_{m}"] = (a - b) / scale_of(m, source, long.tiers, segment, k)
            found[f"baseline_drift_ratio_{m}"] = (a + k) / (b + k)
    return found
