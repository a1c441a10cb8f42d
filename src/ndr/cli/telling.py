"""Telling: alerts, and the hosts farthest from normal, as data and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ndr.alerts import Alert
from ndr.cli.output import plain, write_rows
from ndr.errors import shown
from ndr.standing import reasons
from ndr.time import iso

_REASONS = 4


def tell_alerts(found: Sequence[Alert]) -> None:
    """Alerts for people, each with its reasons; that there are none is told too."""
    if not found:
        print("\nNo alerts: none of these windows is anomalous\n")
        return
    print("\nAlerts")
    for alert in found:
        name = f" {shown(alert.machine_name, 60)}" if alert.machine_name else ""
        points_to = f" ({', '.join(alert.techniques)})" if alert.techniques else ""
        print(
            f"{alert.rank:3}. {alert.host_ip}{name} in {shown(alert.segment_id or '-', 60)}: "
            f"{alert.title}{points_to}, {alert.severity}, evidence {alert.evidence:.1f}, "
            f"{iso(alert.first_seen)} to {iso(alert.last_seen)}"
        )
        for reason in alert.reasons[:_REASONS]:
            print(f"       {reason}")
    print()


def deviant_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the hosts farthest from normal as data, with its reasons."""
    return {**{name: plain(value) for name, value in row.items()}, "reasons": reasons(row)}


def tell_deviant(rows: Sequence[Mapping[str, Any]]) -> None:
    """The hosts that are farthest from normal, each with its reasons."""
    if rows:
        print("\nHosts farthest from normal")
    for place, row in enumerate(rows, 1):
        name = f" {shown(row['machine_name'], 60)}" if row["machine_name"] else ""
        against = f"{AGAINST.get(row['baseline_source'], 'no baseline')} ({row['baseline_horizon']})"
        score = f"{LEADING[row['leading_score']]} {row['score']:.1f}"
        window = f"{row['window_label']} until {row['window_end_ts']}"
        print(
            f"{place:3}. {row['host_ip']}{name} in {shown(row['segment_id'], 60)}: {score}, {window}, against {against}"
        )
        for reason in row["reasons"]:
            print(f"       {reason}")
    if rows:
        print()


LEADING = {
    "anomaly_strength_core": "anomaly", "exfiltration_suspicion_score": "exfiltration",
    "lateral_movement_score": "lateral movement", "beacon_suspicion_score": "beacon",
}  # fmt: skip
AGAINST = {"host": "its own past", "segment": "its segment", "global": "everybody"}


def tell_spent(spent: Mapping[str, Mapping[str, int]]) -> None:
    """What the tables cost where the engine counts it, per build; nothing where it does not."""
    rows = [
        {
            "table": name,
            "builds": costs["builds"],
            "Spark jobs per build": round(costs["jobs"] / costs["builds"], 1),
            "stages": round(costs["stages"] / costs["builds"], 1),
            "tasks": round(costs["tasks"] / costs["builds"], 1),
            "shuffled MB": round(costs["shuffle_bytes"] / costs["builds"] / 1e6, 2),
        }
        for name, costs in spent.items()
    ]
    if rows:
        write_rows(rows, "table")
