"""One plain session, written by hand, and the row of features that sessions like it give."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from oracle import OracleConfig, fg_a

T = datetime(2026, 3, 4, 10, 15)  # a Wednesday
HOST, OTHER, PEER = "10.1.1.1", "10.1.1.2", "203.0.113.5"
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
SECOND, TICK = timedelta(seconds=1), timedelta(microseconds=1)
PLAIN = OracleConfig(
    port_sets={
        "high_risk": frozenset({445}),
        "admin": frozenset({22}),
        "fileshare": frozenset({445}),
        "directory": frozenset({389}),
        "db": frozenset({5432}),
    }
)


def session(end: datetime = T - MINUTE, lasting: timedelta = timedelta(0), **changes: Any) -> dict[str, Any]:
    return {
        "event_start": end - lasting,
        "event_end": end,
        "source_ip": HOST,
        "destination_ip": PEER,
        "source_port": 50_000,
        "destination_port": 443,
        "network_transport": "tcp",
        "source_bytes": 100,
        "destination_bytes": 50,
        "event_action": "allow",
        "event_reason": None,
        "event_name": "TRAFFIC",
        "established": True,
        "repeat_cnt": None,
        **changes,
    }


def row(
    *sessions: dict[str, Any], host: str = HOST, label: str = "w_15m", end: datetime = T, config: OracleConfig = PLAIN
) -> dict[str, Any]:
    return fg_a(sessions, [end], config)[host, label, end]


def expect(actual: dict[str, Any], **expected: Any) -> None:
    close = {name: pytest.approx(v, rel=1e-15) if isinstance(v, float) else v for name, v in expected.items()}
    assert {name: actual[name] for name in expected} == close
