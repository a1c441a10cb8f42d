"""Techniques of MITRE ATT&CK (Enterprise) that the kinds of a score point to, in plain words."""

from __future__ import annotations

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


def named(technique: str) -> str:
    """The name of a technique; its id where it is not known here."""
    return TECHNIQUES.get(technique, technique)
