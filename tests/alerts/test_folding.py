"""Law: folding where the rows lie equals folding them one after the other in plain Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.scored import HOSTS
from ndr.alerts.episodes import GAP, Episode, _folded, _put_together
from ndr.engine import Rows
from ndr.engines.duckdb import DuckDB
from ndr.tables.fg_a import WINDOWS
from ndr.tables.predictions import predictions
from ndr.time import DAY, SLICE

START = datetime(2026, 3, 4)
SINCE = START + DAY
NAMES = (
    "host_ip", "window_label", "window_end_ts", "evidence", "leading_kind", "beacon_dst_ip", "beacon_dst_port",
    "prediction_label",
)  # fmt: skip
Row = tuple[Any, ...]


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    keys = st.tuples(st.sampled_from(HOSTS[:2]), st.sampled_from(list(WINDOWS)), st.integers(1, 3 * 96))
    found = draw(st.lists(keys, max_size=30, unique=True))
    tail = st.tuples(st.integers(0, 3), st.sampled_from(["beacon", "scan"]), st.sampled_from(["anomalous", "normal"]))
    return [
        (host, label, START + i * SLICE, float(evidence), kind, "203.0.113.5", None, judgement)
        for (host, label, i), (evidence, kind, judgement) in zip(found, draw(st.lists(tail, min_size=30)), strict=False)
    ]


def naive(found: Sequence[Row]) -> list[Episode]:
    """Row by row, in the order in which windows begin."""
    groups: list[list[Row]] = []
    for row in sorted(
        (row for row in found if row[-1] == "anomalous"), key=lambda r: (r[0], r[2] - WINDOWS[r[1]], r[2])
    ):
        reached = max((other[2] for other in groups[-1]), default=None) if groups else None
        if reached and groups[-1][0][0] == row[0] and row[2] - WINDOWS[row[1]] <= reached + GAP:
            groups[-1].append(row)
        else:
            groups.append([row])
    return [_episode(group) for group in groups if any(row[2] > SINCE for row in group)]


def _episode(group: list[Row]) -> Episode:
    peak = min(group, key=lambda r: (-r[3], r[2], r[2] - WINDOWS[r[1]]))
    days: dict[datetime, float] = {}
    for row in group:
        day = (row[2] - timedelta(microseconds=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        if row[2] > SINCE:
            days[day] = max(row[3], days.get(day, 0.0))
    detected = min(r[2] for r in group)
    begun = [r[2] - WINDOWS[r[1]] for r in group]
    told_first = max(start for r, start in zip(group, begun, strict=True) if r[2] == detected)
    return Episode(
        peak[0], detected, told_first, max(r[2] for r in group), min(begun),
        len(group), peak[3], peak[1], peak[2], peak[4], ("203.0.113.5", None) if peak[4] == "beacon" else None, days,
    )  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Iterator[tuple[DuckDB, str]]:
    engine = DuckDB(str(tmp_path_factory.mktemp("folding")), threads=1)
    yield engine, engine.compile(_folded(predictions.unbound("rows"), SINCE, None))
    engine.close()


@given(found=rows())
def test_folding_equals_the_naive_way(asked: tuple[DuckDB, str], found: list[Row]) -> None:
    engine, query = asked
    content = Rows({name: predictions.columns[name] for name in NAMES}, found)
    folded = _put_together(engine.fetch(query, {"rows": content}))
    assert sorted(map(vars, folded), key=str) == sorted(map(vars, naive(found)), key=str)
