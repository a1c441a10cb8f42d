"""Hand-made sessions through the program's own recipes: what it says of one host."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from handmade import HOST, PLAIN, T
from laws.pipeline import Pipeline, Row
from ndr.tables.sessions import sessions
from oracle import OracleCalendar, OracleConfig

CONFIGS: dict[str, OracleConfig] = {
    "plain": PLAIN,
    "segments": replace(
        PLAIN,
        segments={
            "10.0.0.0/8": "site", "10.1.0.0/16": "office", "10.1.2.0/24": "servers", "10.1.2.8/32": "printer",
            "203.0.113.0/24": "partners", "2001:db8::/32": "six", "2001:db8:1::/48": "six one",
        },
        high_risk_segments=frozenset({"partners", "servers"}),
    ),
    "berlin": replace(
        PLAIN, calendar=OracleCalendar("Europe/Berlin", holidays=frozenset({datetime(2026, 3, 4).date()}))
    ),
    "by start": replace(PLAIN, clock="event_start"),
    "strict": replace(PLAIN, rare_thresholds={"peer": 0, "port": 1, "pair": 2}),
}  # fmt: skip


@cache
def _pipeline(config: str) -> Pipeline:
    return Pipeline(CONFIGS[config])


def rows_of(*made: Row, end: datetime = T, config: str = "plain") -> dict[tuple[str, str], Row]:
    """The rows of FG-A for one window end, under host and window."""
    whole = [{**dict.fromkeys([*sessions.columns, "mini_batch_id"]), **session} for session in made]
    found = _pipeline(config).make(whole, [end])["fg_a"].to_pylist()
    return {(row["host_ip"], row["window_label"]): row for row in found}


def row(*made: Row, host: str = HOST, label: str = "w_15m", end: datetime = T, config: str = "plain") -> Row:
    """The row of one host and window."""
    return rows_of(*made, end=end, config=config)[host, label]


def cells(found: Row, *names: str) -> Any:
    """Some cells of a row; one alone stands bare."""
    values = tuple(found[name] for name in names)
    return values[0] if len(values) == 1 else values
