"""Kinds: what can speak in a score, from which column, and which techniques of ATT&CK it points to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One component of a score."""

    name: str
    title: str
    """As people read it."""
    column: str
    """Its number in FG-C; empty for the forest, which looks at many."""
    techniques: tuple[str, ...] = ()
    """Ids of MITRE ATT&CK (Enterprise) that such behaviour is typical of."""


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("forest", "isolation forest", ""),
        Kind("anomaly", "anomaly", "anomaly_strength_core"),
        Kind("beacon", "beacon", "beacon_suspicion_score", ("T1071", "T1573")),
        Kind("exfiltration", "exfiltration", "exfiltration_suspicion_score", ("T1041", "T1048")),
        Kind("lateral_movement", "lateral movement", "lateral_movement_score", ("T1021", "T1570")),
        Kind("scan", "scan", "scan_suspicion_score", ("T1046", "T1018")),
        Kind("novelty", "novelty", "novelty_suspicion_score"),
    )
}
"""In the order in which ties are told."""
ENDPOINT = "endpoint"
"""Who speaks where a model elsewhere gave the score."""
TECHNIQUES = {
    "T1018": "Remote System Discovery",
    "T1021": "Remote Services",
    "T1041": "Exfiltration Over C2 Channel",
    "T1046": "Network Service Discovery",
    "T1048": "Exfiltration Over Alternative Protocol",
    "T1071": "Application Layer Protocol",
    "T1570": "Lateral Tool Transfer",
    "T1573": "Encrypted Channel",
}
"""The names that ATT&CK gives these techniques."""


def technique_name(technique: str) -> str:
    """The name of a technique; its id where it is not known here."""
    return TECHNIQUES.get(technique, technique)
