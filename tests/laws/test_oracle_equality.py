"""Slices merged into windows say what the definitions say: every table against the oracle, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laws.comparing import EFFORT, expect_delta, expect_fg_a, expect_pair_counts, looks
from laws.pipeline import pipeline_of
from oracle import DAY, QUARTER
from strategies import ANCHORS, CONFIGS, random_ends, random_sessions, sessions

Row = dict[str, Any]
MOMENTS = dict(
    zip(
        "in_the_morning at_the_midnight_of_a_month just_after_it on_new_year after_a_leap_day "
        "when_clocks_go_forward when_clocks_go_back when_friday_ends".split(),
        ANCHORS,
        strict=True,
    )
)


def holds(rows: Sequence[Row], ends: Sequence[datetime], config: int) -> None:
    """Delta, pair_counts and FG-A of these sessions are the oracle's."""
    made = pipeline_of(config).make(rows, ends)
    expect_delta(made["delta"].to_pylist(), rows, CONFIGS[config])
    expect_pair_counts(made["pair_counts"].to_pylist(), rows, CONFIGS[config])
    expect_fg_a(made["fg_a"].to_pylist(), rows, ends, CONFIGS[config])


@pytest.mark.parametrize("config", range(len(CONFIGS)))
@pytest.mark.parametrize("moment", MOMENTS)
@given(data=st.data())
@looks(34)
def test_windows_over_slices_are_windows_over_sessions(moment: str, config: int, data: st.DataObject) -> None:
    anchor = MOMENTS[moment]
    rows = data.draw(sessions(anchor, CONFIGS[config].clock))
    later = data.draw(st.lists(st.sampled_from((-96, -1, 1, 4, 96, 97, 96 * 30)), max_size=2, unique=True))
    holds(rows, sorted({anchor, *(anchor + QUARTER * steps for steps in later)}), config)


@pytest.mark.parametrize("config", range(len(CONFIGS)))
@pytest.mark.parametrize("moment", MOMENTS)
@given(seed=st.integers(0, 2**32))
@looks(6)
def test_many_sessions_at_once(moment: str, config: int, seed: int) -> None:
    """Hundreds of sessions in which the same few keys meet again and again, and hundreds of seldom ones."""
    rng = Random(seed)  # noqa: S311 - made-up data, not secrets
    rows = random_sessions(rng, rng.choice((80, 200, 500)), anchor=MOMENTS[moment], clock=CONFIGS[config].clock)
    holds(rows, random_ends(rng, 3, anchor=MOMENTS[moment]), config)


SIXES = {
    "10.1.1.9": "fd00:1::9", "10.1.2.1": "fd00:2::1", "10.1.1.1": "fd00:1::1", "10.1.1.2": "fd00:1:0:1::2",
    "192.168.7.7": "fe80::7", "203.0.113.5": "2001:db8::5", "198.51.100.7": "2001:db8:0:1::7", "8.8.8.8": "2606::8",
}  # fmt: skip


def _six(row: Row) -> Row:
    ends = {c: row[c] for c in ("source_ip", "destination_ip")}
    fallback = {c: ip if ":" in ip else f"2001:db8:9::{ip.rpartition('.')[2]}" for c, ip in ends.items()}
    return {**row, **{c: SIXES.get(ip, fallback[c]) for c, ip in ends.items()}}


def _one_role(row: Row) -> Row:
    """Half of the hosts only ever send, the other half only ever answer."""
    internal = row["source_ip"].startswith(("10.", "192.", "fd"))
    sides = ("10.1.1.9", "203.0.113.5") if internal else ("8.8.8.8", "10.1.2.1")
    return {**row, "source_ip": sides[0], "destination_ip": sides[1]}


def _late(row: Row) -> Row:
    """Everything comes in explicit batches that end up to three days after the session."""
    start = row["event_end"].replace(minute=row["event_end"].minute // 15 * 15, second=0, microsecond=0)
    end = start + QUARTER * (1 + row["event_end"].microsecond % 3 + (row["source_bytes"] or 0) % 300)
    return {**row, "mini_batch_id": f"late-{end:%Y%m%dT%H%M}", "batch_end_ts": end}


def _threat_host(row: Row) -> Row:
    threat = row["destination_ip"] == "10.1.1.2" or row["source_ip"] == "10.1.1.2"
    return {**row, "event_name": "THREAT"} if threat else row


KINDS: dict[str, Callable[[Row], Row]] = {
    "ipv6": _six,
    "hosts_in_one_role": _one_role,
    "late_sessions": _late,
    "self_talk": lambda row: {**row, "destination_ip": row["source_ip"]},
    "threats_alone": _threat_host,
    "unknown_bytes": lambda row: {**row, "source_bytes": None, "destination_bytes": None},
    "half_known_bytes": lambda row: {**row, "source_bytes": None},
    "no_ports": lambda row: {**row, "destination_port": None, "network_transport": "icmp"},
    "blocked": lambda row: {**row, "event_action": "reset-both", "established": None},
    "only_old_sessions": lambda row: {  # every slice of the windows is empty, the lookback is not
        **row, "event_start": row["event_start"] - 2 * DAY, "event_end": row["event_end"] - 2 * DAY,
        "mini_batch_id": None, "batch_end_ts": None,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@looks(24)
def test_windows_over_slices_of_one_kind_of_sessions(kind: str, data: st.DataObject) -> None:
    config = data.draw(st.sampled_from((0, 1, 2)))
    anchor = data.draw(st.sampled_from(ANCHORS))
    rows = [KINDS[kind](row) for row in data.draw(sessions(anchor, CONFIGS[config].clock))]
    holds(rows, [anchor, anchor + QUARTER, anchor + 2 * DAY], config)


def test_the_default_run_looks_at_more_than_a_thousand_examples() -> None:
    usual = len(CONFIGS) * len(MOMENTS) * (34 + 6) + len(KINDS) * 24
    assert usual * EFFORT >= 1_500
