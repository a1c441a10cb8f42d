"""OCSF: an alert as a Detection Finding (class 2004) of the Open Cybersecurity Schema Framework."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ndr import __version__
from ndr.alerts import Alert
from ndr.alerts.peers import Peer
from ndr.model.kinds import ENDPOINT
from ndr.time import EPOCH

SCHEMA_VERSION = "1.5.0"
CLASS, CREATE = 2004, 1
_SEVERITIES = {"low": 2, "medium": 3, "high": 4, "critical": 5}
_NEW, _SUPPRESSED = 1, 3
_UNKNOWN_DEVICE, _IP_ADDRESS, _HOSTNAME, _STATISTICAL, _LEARNING = 0, 2, 1, 3, 4


def finding(alert: Alert) -> dict[str, Any]:
    """A Detection Finding; its times are milliseconds since 1970, its ``time`` is when it could first be told."""
    covered = bool(alert.suppressed_by)
    told: dict[str, Any] = {
        "activity_id": CREATE,
        "activity_name": "Create",
        "category_uid": CLASS // 1000,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + CREATE,
        "type_name": "Detection Finding: Create",
        "time": _millis(alert.detected),
        "start_time": _millis(alert.first_seen),
        "end_time": _millis(alert.last_seen),
        "severity_id": _SEVERITIES[alert.severity],
        "severity": alert.severity.capitalize(),
        "status_id": _SUPPRESSED if covered else _NEW,
        "status": "Suppressed" if covered else "New",
        "is_alert": not covered,
        "message": sentence(alert),
        "risk_score": round(alert.risk),
        "count": alert.windows,
        "metadata": {
            "version": SCHEMA_VERSION,
            "uid": alert.id,
            "product": {"name": "ndr", "vendor_name": "ndr", "version": __version__},
        },
        "finding_info": _finding_info(alert),
        "device": _given(ip=alert.host_ip, hostname=alert.machine_name, type_id=_UNKNOWN_DEVICE, type="Unknown"),
        "resources": [{"uid": alert.host_ip, "name": alert.machine_name or alert.host_ip, "type": "host"}],
        "observables": _observables(alert),
        "unmapped": _unmapped(alert),
    }
    if alert.peers:
        told["evidences"] = [_evidence(alert, peer) for peer in alert.peers]
    if alert.top_deviations:
        told["anomaly_analyses"] = [_analysis(alert)]
    return told


def sentence(alert: Alert) -> str:
    """What happened, in one line."""
    name = f" ({alert.machine_name})" if alert.machine_name else ""
    return f"{alert.host_ip}{name}: {alert.title}" + "".join(f"; {reason}" for reason in alert.reasons)


def technique_url(technique: str) -> str:
    """Where MITRE explains a technique, or a sub-technique such as T1021.002."""
    return f"https://attack.mitre.org/techniques/{technique.replace('.', '/')}/"


def _finding_info(alert: Alert) -> dict[str, Any]:
    learning = _LEARNING if alert.leading_kind in {"forest", ENDPOINT} else _STATISTICAL
    told = {
        "uid": alert.id,
        "title": f"{alert.title} by {alert.machine_name or alert.host_ip}",
        "desc": sentence(alert),
        "types": [alert.leading_kind],
        "created_time": _millis(alert.detected),
        "modified_time": _millis(alert.last_seen),
        "first_seen_time": _millis(alert.first_seen),
        "last_seen_time": _millis(alert.last_seen),
        "analytic": {
            "name": alert.title, "uid": alert.leading_kind, "version": alert.model_version, "type_id": learning,
            "type": "Learning (ML/DL)" if learning == _LEARNING else "Statistical",
        },
    }  # fmt: skip
    if alert.techniques:
        told["attacks"] = [{"technique": {"uid": t, "src_url": technique_url(t)}} for t in alert.techniques]
    return told


def _evidence(alert: Alert, peer: Peer) -> dict[str, Any]:
    return {
        "src_endpoint": _given(ip=alert.host_ip, hostname=alert.machine_name),
        "dst_endpoint": _given(ip=peer.peer_ip, port=peer.port),
        "data": {
            "sessions": peer.sessions, "bytes_sent": peer.bytes_sent, "bytes_received": peer.bytes_received,
            "window_label": alert.window_label, "window_end_time": _millis(alert.window_end_ts),
        },
    }  # fmt: skip


def _analysis(alert: Alert) -> dict[str, Any]:
    """What deviates from which baseline; OCSF holds values as text."""

    def measured(each: Mapping[str, Any], name: str) -> dict[str, Any]:
        return {
            "observation_parameter": each["metric"],
            "observation_type": "Deviation Analysis",
            "observations": [{"value": f"{each[name]:.12g}"}],
        }

    compared = [each for each in alert.top_deviations if each["value"] is not None]
    usual = [each for each in compared if each["baseline"] is not None]
    return {
        "analysis_targets": [{"name": alert.host_ip, "type": "host"}],
        "anomalies": [measured(each, "value") for each in compared],
        "baselines": [measured(each, "baseline") for each in usual],
    }


def _observables(alert: Alert) -> list[dict[str, Any]]:
    told = [{"name": "device.ip", "type_id": _IP_ADDRESS, "type": "IP Address", "value": alert.host_ip}]
    if alert.machine_name:
        told.append({
            "name": "device.hostname", "type_id": _HOSTNAME, "type": "Hostname", "value": alert.machine_name,
        })  # fmt: skip
    return told + [
        {"name": "evidences[].dst_endpoint.ip", "type_id": _IP_ADDRESS, "type": "IP Address", "value": peer_ip}
        for peer_ip in dict.fromkeys(peer.peer_ip for peer in alert.peers)
    ]


def _unmapped(alert: Alert) -> dict[str, Any]:
    """What OCSF has no names for."""
    names = ("prediction_score", "evidence", "windows", "segment_id", "baseline_horizon", "baseline_source")
    flags = {"is_cold_start": bool(alert.is_cold_start), "is_provisional": bool(alert.is_provisional)}
    covering = {"suppressed_by": list(alert.suppressed_by)} if alert.suppressed_by else {}
    return _given(**{name: getattr(alert, name) for name in names}) | flags | covering


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _millis(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)
