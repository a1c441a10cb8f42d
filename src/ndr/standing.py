"""Standing: which baselines there are, what is lacking for more, and which hosts are farthest from normal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from ndr.publications import baselines_of, publications
from ndr.run import Workshop
from ndr.summary import stored
from ndr.table import Publication, in_force
from ndr.tables.fg_c import fg_c
from ndr.time import DAY, Interval, iso

RHYTHM = 5.0
"""What a perfect beacon weighs against deviations: as much as one of 150 robust standard deviations."""
_STRENGTHS = ("exfiltration_suspicion_score", "lateral_movement_score", "anomaly_strength_core")
TELLING = 0.2
"""The beacon suspicion from which on it is a reason."""
_TOLD = (
    "host_ip", "machine_name", "segment_id", "window_label", "window_end_ts", "baseline_horizon", "baseline_source",
    "is_cold_start", "is_provisional", "reference_time", "anomaly_strength_core", "exfiltration_suspicion_score",
    "lateral_movement_score", "beacon_suspicion_score", "new_pair_cnt", "beacon_dst_ip", "beacon_dst_port",
    "beacon_interval_seconds", "beacon_score", "top_deviations",
)  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """The baselines in force for the last moment of a lake, and the days with logs that there are and must be."""

    publication: Publication | None
    days_known: int
    days_needed: int
    other_publications: int

    def facts(self) -> dict[str, Any]:
        """As data."""
        own = self.publication
        return {
            "reference": iso(own.reference) if own else None,
            "provisional": own.provisional if own else None,
            "horizons": list(own.horizons) if own else [],
            "days_known": self.days_known,
            "days_needed": self.days_needed,
        }

    def __str__(self) -> str:
        need = f"baselines need {self.days_needed} days of logs, you have {self.days_known}"
        if self.days_known >= self.days_needed:
            need = f"no baselines are due yet ({self.days_known} days of logs, with gaps or before the next reference)"
        if self.publication is None:
            return f"{need}: no host is compared yet; with --warmup they are compared with what there is"
        told = f"baselines of {iso(self.publication.reference)} over {' and '.join(self.publication.horizons)}"
        if not self.publication.provisional:
            return told
        return f"{need}: provisional {told}, new hosts are compared with their segment"


def standing(shop: Workshop) -> Standing:
    """How a lake stands with baselines."""
    known, spec, last = publications(shop.config, shop.ledger), baselines_of(shop.config), shop.ledger.last_arrival()
    needed = min(spec.reach(horizon) for horizon in spec.horizons)
    days = sum(1 for day in shop.ledger.days() if last is None or day > last - DAY * (needed + 1))
    own = in_force(known, last) if last else None
    return Standing(own, days, needed, len(known) - (own is not None))


def most_deviant(shop: Workshop, within: Interval | None, limit: int = 10) -> list[dict[str, Any]]:
    """The hosts with the greatest ``score`` of any of their rows, each with that row; equal hosts by address.

    score = the greatest of anomaly_strength_core, exfiltration_suspicion_score, lateral_movement_score and 5 times
    beacon_suspicion_score. Without an interval it looks at the last 24 hours that were compared.
    """
    version = shop.config.feature_spec_version
    if within is None:
        ends = [part.key.known_at for part in shop.ledger.parts(fg_c.name, version) if part.rows]
        within = Interval(ends[-1] - DAY, ends[-1]) if ends else None
    files = stored(fg_c, shop, within)
    if not files.paths:
        return []
    rows = fg_c.unbound("rows")
    return shop.engine.fetch(shop.engine.compile(_ranked(rows, limit)), {"rows": files})


def _ranked(rows: ir.Table, limit: int) -> ir.Table:
    parts = [rows[name] for name in _STRENGTHS]
    score = ibis.greatest(*(part.fill_null(0.0) for part in parts), rows.beacon_suspicion_score * RHYTHM)
    leads = ((name, rows[name] >= score) for name in _STRENGTHS)
    leading = ibis.cases(*((is_it, ibis.literal(name)) for name, is_it in leads), else_="beacon_suspicion_score")
    told = rows.select(*_TOLD, score=score, leading_score=leading)
    order = [ibis.desc("score"), "window_end_ts", "window_label", "baseline_horizon"]
    best = told.mutate(place=ibis.row_number().over(ibis.window(group_by="host_ip", order_by=order)))
    return best.filter(best.place == 0).drop("place").order_by(ibis.desc("score"), "host_ip").limit(limit)


def reasons(row: Mapping[str, Any], limit: int = 3) -> list[str]:
    """Why a host is where it is in :func:`most_deviant`, in words, what weighs most first."""
    told = [
        f"{each['metric']} {_amount(each['value'])}, usually {_amount(each['baseline'])} (z {each['z']:+.3g})"
        for each in (row["top_deviations"] or [])[:limit]
    ]
    if row["new_pair_cnt"]:
        told.append(f"{row['new_pair_cnt']} pairs of peer and port never seen in the baseline")
    if row["beacon_suspicion_score"] < TELLING:
        return told
    port = "" if row["beacon_dst_port"] is None else f":{row['beacon_dst_port']}"
    every = _amount(row["beacon_interval_seconds"])
    beacon = f"calls {row['beacon_dst_ip']}{port} every {every} s (beacon score {row['beacon_score']:.2f})"
    first = row["beacon_suspicion_score"] * RHYTHM >= row["score"]
    return [beacon, *told] if first else [*told, beacon]


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"  # noqa: PLR2004
