"""ECS: an alert as a document of the Elastic Common Schema."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ndr import __version__
from ndr.alerts import Alert
from ndr.sinks.ocsf import sentence, technique_url
from ndr.time import iso

SCHEMA_VERSION = "8.17.0"
_SEVERITIES = {"low": 21, "medium": 47, "high": 73, "critical": 99}
"""The numbers that Elastic gives severities."""


def document(alert: Alert) -> dict[str, Any]:
    """One alert; its ``@timestamp`` is when it could first be told."""
    peers = list(dict.fromkeys(peer.peer_ip for peer in alert.peers))
    told: dict[str, Any] = {
        "@timestamp": iso(alert.detected),
        "ecs": {"version": SCHEMA_VERSION},
        "message": sentence(alert),
        "tags": ["ndr", *(["safelisted"] if alert.suppressed_by else [])],
        "labels": _labels(alert),
        "event": _event(alert),
        "rule": {
            "id": alert.leading_kind,
            "name": alert.title,
            "ruleset": alert.model_name,
            "version": alert.model_version,
        },
        "host": {"ip": [alert.host_ip], **({"name": alert.machine_name} if alert.machine_name else {})},
        "source": {"ip": alert.host_ip},
        "observer": {"vendor": "ndr", "product": "ndr", "type": "ndr", "version": __version__},
        "related": {"ip": [alert.host_ip, *(peer for peer in peers if peer != alert.host_ip)]},
    }
    if alert.machine_name:
        told["related"]["hosts"] = [alert.machine_name]
    if alert.peers:
        first = alert.peers[0]
        told["destination"] = {"ip": first.peer_ip, **({"port": first.port} if first.port is not None else {})}
    if alert.techniques:
        told["threat"] = {
            "framework": "MITRE ATT&CK",
            "technique": {"id": list(alert.techniques), "reference": [technique_url(t) for t in alert.techniques]},
        }
    return told


def _event(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "kind": "alert",
        "category": ["intrusion_detection", "network"],
        "type": ["info"],
        "module": "ndr",
        "dataset": "ndr.alerts",
        "provider": "ndr",
        "created": iso(alert.detected),
        "start": iso(alert.first_seen),
        "end": iso(alert.last_seen),
        "duration": (alert.last_seen - alert.first_seen) // timedelta(microseconds=1) * 1000,
        "severity": _SEVERITIES[alert.severity],
        "risk_score": alert.evidence,
        "risk_score_norm": alert.risk,
        "reason": "; ".join(alert.reasons) or alert.title,
    }


def _labels(alert: Alert) -> dict[str, str]:
    """What ECS has no names for; its labels are flat, and text."""
    told = {
        "prediction_score": repr(alert.prediction_score),
        "windows": str(alert.windows),
        "window_label": alert.window_label,
        "window_end_ts": iso(alert.window_end_ts),
        "segment_id": alert.segment_id,
        "baseline_horizon": alert.baseline_horizon,
        "baseline_source": alert.baseline_source,
        "is_cold_start": "true" if alert.is_cold_start else "false",
        "is_provisional": "true" if alert.is_provisional else "false",
        "suppressed_by": ",".join(alert.suppressed_by) or None,
    }
    return {name: value for name, value in told.items() if value is not None}
