"""Baselines again, naively, from rows of FG-A as plain dicts: fractions, loops, clarity before speed.

It is written from the definitions alone and shares no code with the program, so that a mistake has to be made twice.
What a metric's declaration says (its floor, its themes) is given to it, and so are the pairs' days.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

Row = dict[str, Any]
Key = tuple[Any, ...]
Table = dict[Key, Row]

DAY, QUARTER = timedelta(days=1), timedelta(minutes=15)
QUANTILES = {"median": "0.5", "p25": "0.25", "p75": "0.75", "p95": "0.95", "p99": "0.99"}


@dataclass(frozen=True)
class Measure:
    """What is said of a metric: the smallest step that matters, its themes, and whether the host is the source."""

    floor: float = 1.0
    themes: frozenset[str] = frozenset()
    outbound: bool = True
    weight: float = 1.0


@dataclass(frozen=True)
class BaselineConfig:
    metrics: Mapping[str, Measure]
    key_metrics: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    support_min: Mapping[str, int] = field(default_factory=dict)
    support_otherwise: int = 50
    capping_z_max: float = 6.0
    z_max: float = 10.0
    rarity_threshold: float = 0.25
    band_share_min: float = 0.05
    prefixes: tuple[str, ...] = ()
    tails: Mapping[str, int] = field(default_factory=lambda: {"7d": 2, "30d": 7})

    def least(self, metric: str) -> int:
        return self.support_min.get(metric, self.support_otherwise)

    def of_theme(self, theme: str) -> list[str]:
        """The outbound metrics of a theme."""
        return [name for name, m in self.metrics.items() if m.outbound and theme in m.themes]


@dataclass(frozen=True)
class Published:
    """The tables of one publication for one horizon, each under its key."""

    host: Table
    segment: Table
    everywhere: Table
    ip_metadata: Table
    pair_host: Table
    pair_segment: Table


# --- statistics by hand


def quantile(values: Iterable[Fraction], share: str) -> Fraction | None:
    """The value at that share of the way through the sorted values, on the straight line between two of them."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = Fraction(share) * (len(ordered) - 1)
    low = math.floor(place)
    above = ordered[min(low + 1, len(ordered) - 1)]
    return ordered[low] + (above - ordered[low]) * (place - low)


def spread(values: Sequence[Fraction]) -> Row:
    """The quantiles, the median distance from the median, and the distance between the quartiles."""
    found = {name: quantile(values, share) for name, share in QUANTILES.items()}
    median, p25, p75 = found["median"], found["p25"], found["p75"]
    if median is None or p25 is None or p75 is None:
        return dict.fromkeys((*QUANTILES, "mad", "iqr"))
    mad = quantile([abs(x - median) for x in values], "0.5")
    every = {**found, "mad": mad, "iqr": p75 - p25}
    return {name: float(value) for name, value in every.items() if value is not None}


def own_scale(mad: float | None, iqr: float | None) -> float | None:
    """One robust step: from the MAD, else from the quartiles, else unknown."""
    if mad is not None and mad > 0:
        return 1.4826 * mad
    return iqr / 1.349 if iqr is not None and iqr > 0 else None


def exact(rows: Iterable[Row], metric: str) -> list[Fraction]:
    return [Fraction(row[metric]) for row in rows if row[metric] is not None]


def grouped(rows: Iterable[Row], columns: Sequence[str]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[c] for c in columns)].append(row)
    return dict(groups)


# --- FG-B

PLACE = ("segment_id", "time_band", "window_label")


def bounds(
    reference: datetime, horizon: str, config: BaselineConfig, *, provisional: bool = False
) -> tuple[datetime, datetime]:
    """From when to when a horizon looks; a provisional one takes in the gap as well."""
    length, tail = int(horizon.rstrip("d")), config.tails[horizon]
    return reference - (length + tail) * DAY, reference if provisional else reference - tail * DAY


def in_bounds(rows: Iterable[Row], start: datetime, end: datetime) -> list[Row]:
    """The rows whose last slice starts in the interval."""
    return [row for row in rows if start <= row["window_end_ts"] - QUARTER < end]


def capping(rows: Iterable[Row], config: BaselineConfig) -> Table:
    """Median and scale of each key metric per segment, band and window, of all rows."""
    found: Table = {}
    for place, group in grouped(rows, PLACE).items():
        row = found[place] = {}
        for m in config.key_metrics:
            stats = spread(exact(group, m))
            scale = own_scale(stats["mad"], stats["iqr"]) or config.metrics[m].floor
            row |= {f"{m}_median": stats["median"], f"{m}_scale": scale}
    return found


def is_capped(row: Row, caps: Table, config: BaselineConfig) -> bool:
    usual = caps[tuple(row[c] for c in PLACE)]
    return any(
        row[m] is not None and abs(row[m] - usual[f"{m}_median"]) / usual[f"{m}_scale"] > config.capping_z_max
        for m in config.key_metrics
    )


def statistics(group: Sequence[Row], caps: Table, config: BaselineConfig) -> Row:
    kept = [row for row in group if not is_capped(row, caps, config)]
    found: Row = {"slices_cnt": len(group), "capped_cnt": len(group) - len(kept)}
    for m in config.metrics:
        support = len(exact(group, m))
        found |= {f"{m}_{name}": value for name, value in spread(exact(kept, m)).items()}
        found |= {f"{m}_support_count": support, f"{m}_cold_start_flag": int(support < config.least(m))}
    return found


def host_baselines(rows: Sequence[Row], config: BaselineConfig) -> Table:
    caps, bands = capping(rows, config), grouped(rows, ("time_band",))
    possible = {band: len({row["window_end_ts"] for row in group}) for (band,), group in bands.items()}
    return {
        key: {**statistics(group, caps, config), "active_share": len(group) / possible[key[2]]}
        for key, group in grouped(rows, ("host_ip", *PLACE)).items()
    }


def kind_baselines(rows: Sequence[Row], columns: Sequence[str], config: BaselineConfig) -> Table:
    """Those of segments or of everything, by the columns that tell groups apart."""
    caps = capping(rows, config)
    return {
        key: {**statistics(group, caps, config), "hosts_cnt": len({row["host_ip"] for row in group})}
        for key, group in grouped(rows, columns).items()
    }


def machine_names(machines: Iterable[Row], reference: datetime) -> dict[str, str | None]:
    """Address to name: what the latest inventory that says something about it, not after the reference, says."""
    known = [row for row in machines if row["snapshot_month"] <= f"{reference:%Y-%m}"]
    return {row["ip_address"]: row["machine_name"] for row in sorted(known, key=lambda row: row["snapshot_month"])}


def ip_metadata(hosts: Table, names: Mapping[str, str | None], config: BaselineConfig) -> Table:
    """Per host and window: whether it has been seen enough, and whether it is a machine at all that stays."""
    support: dict[Key, dict[str, int]] = defaultdict(lambda: dict.fromkeys(config.required, 0))
    for (ip, _, _, window), row in hosts.items():
        for m in config.required:
            support[ip, window][m] += row[f"{m}_support_count"]
    found: Table = {}
    for (ip, window), counts in support.items():
        full = all(counts[m] >= config.least(m) for m in config.required)
        name = names.get(ip)
        passing = any((name or "").lower().startswith(prefix.lower()) for prefix in config.prefixes)
        found[ip, window] = {
            "is_full_history": int(full),
            "machine_name": name,
            "is_non_persistent_machine": int(passing),
            "is_cold_start": int(not full or passing),
        }
    return found


def pair_rarity(days: Iterable[Row], first: str, config: BaselineConfig) -> Table:
    """How seldom each pair is, per source host (``src_ip``) or per segment of it (``src_segment_id``)."""
    found: Table = {}
    for key, group in grouped(days, (first, "dst_ip", "dst_port")).items():
        seen, active = sum(row["sessions_cnt"] for row in group), len({row["day_start_ts"] for row in group})
        score = 1 / (1 + seen)
        found[key] = {
            "pair_seen_count": seen,
            "active_days": active,
            "pair_daily_avg": seen / active,
            "pair_last_seen_ts": max(row["last_event_start"] for row in group),
            "pair_rarity_score": score,
            "is_rare_pair_flag": int(score >= config.rarity_threshold),
        }
    return found


def published(
    rows: Sequence[Row], days: Sequence[Row], names: Mapping[str, str | None], config: BaselineConfig
) -> Published:
    """All tables of a publication for one horizon, of the rows and the pairs' days that lie in it."""
    hosts = host_baselines(rows, config)
    return Published(
        hosts,
        kind_baselines(rows, PLACE, config),
        kind_baselines(rows, PLACE[1:], config),
        ip_metadata(hosts, names, config),
        pair_rarity([d for d in days if d["src_is_host"]], "src_ip", config),
        pair_rarity([d for d in days if d["src_is_host"]], "src_segment_id", config),
    )
