"""The made-up sessions against what a session may be, and against what they should reach."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

from hypothesis import given, settings

from handmade import DAY, HOUR
from oracle import (
    OracleConfig,
    batch_of,
    fg_a,
    views_of,
)
from strategies import ANCHORS, CONFIGS, cases, random_config, random_ends, random_sessions, session_table


@given(cases(max_size=12))
@settings(max_examples=50, deadline=None)
def test_made_up_sessions_are_sessions(case: tuple[list[dict[str, Any]], list[datetime], OracleConfig]) -> None:
    sessions, ends, config = case
    assert session_table(sessions).num_rows == len(sessions)
    for s in sessions:
        assert s["event_start"] <= s["event_end"]
        assert batch_of(s)[1] > s[config.clock]
    for (_, _, end), values in fg_a(sessions, ends, config).items():
        assert end in ends
        assert values["peer_ip_nunique"] >= values["new_peer_cnt_lookback30d"]
        assert values["sessions_cnt"] + values["in_sessions_cnt"] + values["threat_cnt"] + values["in_threat_cnt"] > 0


def test_the_same_seed_gives_the_same_sessions() -> None:
    def drawn() -> list[Any]:
        rng = Random(7)  # noqa: S311 - made-up data, not secrets
        config = random_config(rng)
        return [config, random_sessions(rng, 200, clock=config.clock), random_ends(rng, 4)]

    assert drawn() == drawn()


def test_random_sessions_reach_every_edge() -> None:
    """Of a few hundred sessions some lie on window starts, come late, repeat, lack ports, or talk to themselves."""
    anchor = ANCHORS[0]
    sessions = random_sessions(Random(1), 800, anchor=anchor)  # noqa: S311 - made-up data, not secrets
    clocks = {s["event_end"] for s in sessions}
    assert {anchor, anchor - DAY, anchor - 8 * HOUR, anchor - 31 * DAY} <= clocks
    assert any(s["source_ip"] == s["destination_ip"] for s in sessions)
    assert any(s["batch_end_ts"] and s["batch_end_ts"] > s["event_end"] + HOUR for s in sessions)
    assert any(":" in s["source_ip"] for s in sessions)
    assert any(s["destination_port"] is None for s in sessions)
    roles = {(v.host, v.role) for v in views_of(sessions, CONFIGS[0])}
    assert ("10.1.1.9", "outbound") in roles
    assert ("10.1.1.9", "inbound") not in {(v.host, v.role) for v in views_of(sessions, CONFIGS[0]) if v.peer != v.host}
    assert {v for s in sessions for k, v in s.items() if k == "repeat_cnt"} == {None, 1, 2, 7}
