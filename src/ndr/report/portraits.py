"""Portraits: what was gathered about one host, as it is told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ndr.alerts import Alert
from ndr.model.detector import Scorer, compared_with
from ndr.model.kinds import KINDS
from ndr.model.reasons import SPOKEN
from ndr.report import bands
from ndr.report.findings import Beacon, Contribution, Deviation, Episode, Host, Line, Peer

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Material:
    """What was read for all hosts that are shown."""

    steps: Sequence[datetime]
    courses: Mapping[tuple[str, datetime], Row]
    behaviour: Mapping[tuple[str, datetime], Row]
    usual: bands.Usual
    places: Sequence[bands.Place | None]
    metrics: Mapping[str, Sequence[str]]
    meetings: Mapping[str, Sequence[Row]]
    model: Scorer | None = None


def portrait(rank: int, row: Row, alerts: Sequence[Alert], material: Material) -> Host:
    """A host by the prediction of its most remarkable window."""
    address = row["host_ip"]
    course = [material.courses.get((address, end)) for end in material.steps]
    met = material.meetings.get(address, ())
    return Host(
        rank, address, row["machine_name"], row["segment_id"] or "unknown", row["leading_kind"],
        _techniques(row), row["prediction_score"], row["evidence"],
        row["window_label"], row["window_end_ts"], bool(alerts),
        windows=sum(1 for step in course if step and step["anomalous"]),
        scored=sum(1 for step in course if step),
        first=min((each.first_seen for each in alerts), default=None),
        last=max((each.last_seen for each in alerts), default=None),
        source=row["baseline_source"] or "", horizon=row["baseline_horizon"] or "",
        cold=row["is_cold_start"] == 1, provisional=row["is_provisional"] == 1,
        course=tuple(step["evidence"] if step else None for step in course),
        severity=alerts[0].severity if alerts else "",
        alarms=tuple(bool(step and step["anomalous"]) for step in course),
        lines=tuple(_line(column, row, material) for column in material.metrics[address]),
        deviations=_deviations(row), contributions=_contributions(row), beacon=_beacon(row),
        peers=tuple(_peer(each) for each in met),
        episodes=tuple(Episode(e.first_seen, e.last_seen, e.leading_kind, e.evidence, e.windows) for e in alerts),
        trained=compared_with(material.model, row["window_label"])[0],
        **_totals(met),
    )  # fmt: skip


def _techniques(row: Row) -> tuple[str, ...]:
    """Those of the leading kind first."""
    told = [each for each in (row["techniques"] or "").split(",") if each]
    first = KINDS[row["leading_kind"]].techniques if row["leading_kind"] in KINDS else ()
    return tuple(sorted(told, key=lambda each: each not in first))


def _line(column: str, row: Row, material: Material) -> Line:
    tier, address = row["baseline_source"], row["host_ip"]
    whose = {"host": address, "segment": row["segment_id"]}.get(tier, "")
    steps = [material.behaviour.get((address, end)) for end in material.steps]
    values = tuple(_known(step[column]) if step else None for step in steps)
    return Line(column, values, *bands.band(material.usual, tier, whose, material.places, column))


def _known(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _deviations(row: Row) -> tuple[Deviation, ...]:
    return tuple(
        Deviation(each["metric"], each["value"], each["baseline"], each["z"], each["source"])
        for each in row["top_deviations"] or ()
        if each["value"] is not None and each["baseline"] is not None and each["z"] is not None
    )


def _contributions(row: Row) -> tuple[Contribution, ...]:
    return tuple(
        Contribution(
            each["feature"], each["contribution"], each["value"], each["baseline"], each["source"] or "",
            each["technique"] or "",
        )
        for each in row["explanation"] or ()
    )  # fmt: skip


def _beacon(row: Row) -> Beacon | None:
    """The pair that beats, where that is a reason."""
    speaks = row["leading_kind"] == "beacon" or (row[f"evidence_{KINDS['beacon'].name}"] or 0.0) >= SPOKEN
    if not speaks or row["beacon_dst_ip"] is None or row["beacon_interval_seconds"] is None:
        return None
    return Beacon(
        row["beacon_dst_ip"], row["beacon_dst_port"], row["beacon_interval_seconds"], row["beacon_connections_cnt"],
        row["beacon_score"] or 0.0,
    )  # fmt: skip


def _totals(met: Sequence[Row]) -> dict[str, int]:
    """How many pairs and peers there were in the window, shown or not."""
    first = met[0] if met else {"all_pairs": 0, "all_fresh": 0, "all_peers": 0}
    told = {"pairs": "all_pairs", "new_pairs": "all_fresh", "all_peers": "all_peers"}
    return {name: int(first[column]) for name, column in told.items()}


def _peer(row: Row) -> Peer:
    ports = tuple(sorted({row[name] for name in ("first_port", "last_port") if row[name] is not None}))
    pairs, count, sessions, fresh = (int(row[name]) for name in ("pairs", "ports", "sessions", "fresh"))
    sent, received, seen = (_whole(row[name]) for name in ("sent", "received", "seen"))
    return Peer(row["dst_ip"], pairs, ports, count, sessions, sent, received, fresh, row["rare"] == 1, seen or 0)


def _whole(value: Any) -> int | None:
    """A sum as an integer: engines widen them."""
    return None if value is None else int(value)
