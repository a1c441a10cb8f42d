"""What must hold of windows whatever the sessions are, without asking the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laws.comparing import expect, keyed, looks, ordered, shifted
from laws.pipeline import batches_of, made_tables, pipeline_of
from ndr.metrics import METRICS
from oracle import DAY, QUARTER, batch_of, known_at, midnight, views_of
from strategies import ANCHORS, CONFIGS, random_sessions, sessions

Row = dict[str, Any]
Case = tuple[int, datetime, list[Row]]
CONTEXT = (
    "hour_of_day", "day_of_week", "is_working_hours", "is_off_hours", "is_night_hours", "is_weekend", "is_holiday",
    "time_band",
)  # fmt: skip
BUSIEST = ("max_sessions_per_minute", "in_max_sessions_per_minute")
KEYS = ("host_ip", "window_label", "window_end_ts")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A configuration, a window end, and sessions around it."""
    config, anchor = draw(st.sampled_from(range(len(CONFIGS)))), draw(st.sampled_from(ANCHORS))
    return config, anchor, draw(sessions(anchor, CONFIGS[config].clock))


def swapped(row: Row, pairs: Mapping[str, str]) -> Row:
    """The row with the values of some columns exchanged."""
    both = {**pairs, **{b: a for a, b in pairs.items()}}
    return {**row, **{a: row[b] for a, b in both.items()}}


@given(cases())
@looks(30)
def test_what_arrives_later_changes_nothing_said_earlier(case: Case) -> None:
    config, end, rows = case
    known = [row for row in rows if batch_of(row)[1] <= end]
    lines = pipeline_of(config)
    if known:
        then, now = (ordered(lines.make(some, [end])["fg_a"], "fg_a") for some in (known, rows))
        assert then == now


@given(cases(), st.sampled_from((1, 2, 27, 365)))
@looks(25)
def test_moving_all_times_by_whole_days_moves_the_features(case: Case, days: int) -> None:
    config, end, rows = case
    by, lines = timedelta(days=days), pipeline_of(config)
    moved = shifted(rows, by)
    for row in moved:  # the name of a batch is text: it stays
        row["mini_batch_id"] = row["mini_batch_id"] and f"batch ending {row['batch_end_ts']}"
    without = (*CONTEXT, "record_id", "mini_batch_id")
    here = shifted(ordered(lines.make(rows, [end])["fg_a"], "fg_a", without), by)
    assert here == ordered(lines.make(moved, [end + by])["fg_a"], "fg_a", without)


@given(cases(), st.sampled_from((1, 4, 52)))
@looks(20)
def test_moving_all_times_by_whole_weeks_keeps_the_calendar(case: Case, weeks: int) -> None:
    _, end, rows = case
    by, lines = timedelta(weeks=weeks), pipeline_of(1)  # UTC, no holidays
    plain = [{**row, "mini_batch_id": None, "batch_end_ts": None} for row in rows]
    here, there = (
        ordered(lines.make(some, [at])["fg_a"], "fg_a", ("record_id", "mini_batch_id"))
        for some, at in ((plain, end), (shifted(plain, by), end + by))
    )
    assert shifted(here, by) == there


@given(cases())
@looks(30)
def test_swapping_the_ends_of_all_sessions_swaps_the_roles(case: Case) -> None:
    config, end, rows = case
    turned = [swapped(row, {"source_ip": "destination_ip"}) for row in rows]
    here, there = (ordered(pipeline_of(config).make(some, [end])["fg_a"], "fg_a") for some in (rows, turned))
    assert [swapped(row, {m.name: m.column("inbound") for m in METRICS}) for row in here] == there


@given(cases())
@looks(20)
def test_swapping_what_the_ends_sent_swaps_the_byte_sums(case: Case) -> None:
    config, end, rows = case
    pairs = {"source_bytes": "destination_bytes", "source_packets": "destination_packets"}
    turned = [swapped(row, pairs) for row in rows]
    without = [p + name for p in ("", "in_") for name in ("zero_reply_cnt", "bytes_asymmetry_ratio")]
    here, there = (ordered(pipeline_of(config).make(some, [end])["fg_a"], "fg_a", without) for some in (rows, turned))
    sums = {p + "bytes_src_sum": p + "bytes_dst_sum" for p in ("", "in_")}
    assert [swapped(row, sums) for row in here] == there


@given(cases(), st.data())
@looks(25)
def test_partial_rows_merge_whatever_way_the_sessions_were_split(case: Case, data: st.DataObject) -> None:
    """Slices of two halves side by side give the windows of the whole; only a busy minute may have been cut in two."""
    config, end, rows = case
    lines, batches = pipeline_of(config), batches_of(rows)
    halves: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        halves[data.draw(st.booleans())].append(row)
    first, second = (lines.slices(half) for half in halves)
    whole = lines.make(rows, [end])["fg_a"]
    merged = [
        lines.windows({name: pa.concat_tables([a[name], b[name]]) for name in a}, [end], batches)["fg_a"]
        for a, b in ((first, second), (second, first))
    ]
    assert ordered(merged[0], "fg_a") == ordered(merged[1], "fg_a")
    assert ordered(merged[0], "fg_a", BUSIEST) == ordered(whole, "fg_a", BUSIEST)
    for got, most in zip(ordered(merged[0], "fg_a"), ordered(whole, "fg_a"), strict=True):
        assert all(got[column] <= most[column] for column in BUSIEST)


def _known_by(row: Row, end: datetime, config: int) -> datetime:
    """Until when the batch of a session may end so that nothing about the window end changes."""
    view = views_of([{**row, "source_ip": "10.1.1.1"}], CONFIGS[config])[0]
    compacted = midnight(end - DAY)
    return compacted if compacted - 28 * DAY <= view.slice_start < compacted and known_at(view, end) else end


@given(cases(), st.data())
@looks(25)
def test_in_which_batches_the_sessions_came_makes_no_difference(case: Case, data: st.DataObject) -> None:
    config, end, rows = case
    plain = [{**row, "mini_batch_id": None, "batch_end_ts": None} for row in rows]
    known = [row for row in plain if batch_of(row)[1] <= end]
    batched = []
    for row in known:
        soonest = batch_of(row)[1]
        room = (_known_by(row, end, config) - soonest) // QUARTER
        batch_end = soonest + QUARTER * data.draw(st.integers(0, max(0, room)))
        batched.append({**row, "batch_end_ts": batch_end, "mini_batch_id": f"batch-{batch_end}"})
    if known:
        without = (*BUSIEST, "mini_batch_id")
        one, many = (
            ordered(pipeline_of(config).make(some, [end])["fg_a"], "fg_a", without) for some in (known, batched)
        )
        assert one == many


@given(cases(), st.lists(st.sampled_from((-96, -5, -1, 1, 2, 30)), min_size=1, max_size=4, unique=True))
@looks(20)
def test_window_ends_made_together_are_those_made_alone(case: Case, steps: Sequence[int]) -> None:
    config, anchor, rows = case
    ends = [anchor, *(anchor + QUARTER * step for step in steps)]
    together = ordered(pipeline_of(config).make(rows, ends)["fg_a"], "fg_a")
    alone = pa.concat_tables([pipeline_of(config).make(rows, [end])["fg_a"] for end in ends])
    assert together == ordered(alone, "fg_a")


@given(cases())
@looks(25)
def test_no_table_says_one_thing_twice(case: Case) -> None:
    """One row per key: no join multiplies rows. Every key is known, but for the port where the protocol has none."""
    config, anchor, rows = case
    made = pipeline_of(config).make(rows, [anchor - DAY, anchor, anchor + QUARTER])
    for table in made_tables():
        found = keyed(made[table.name].to_pylist(), table.keys)
        for place, column in enumerate(table.keys):
            assert column == "dst_port" or all(key[place] is not None for key in found)


@given(cases(), st.permutations(range(30)))
@looks(20)
def test_the_order_of_the_sessions_makes_no_difference(case: Case, order: Sequence[int]) -> None:
    config, end, rows = case
    mixed = [rows[i] for i in order if i < len(rows)]
    here, there = (pipeline_of(config).make(some, [end]) for some in (rows, mixed))
    for table in made_tables():
        assert ordered(here[table.name], table.name) == ordered(there[table.name], table.name)


@given(st.integers(0, 2**32))
@looks(20)
def test_a_longer_window_holds_the_shorter_ones(seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - made-up data, not secrets
    config, end = rng.randrange(len(CONFIGS)), rng.choice(ANCHORS)
    rows = random_sessions(rng, 150, anchor=end, clock=CONFIGS[config].clock)
    found = keyed(pipeline_of(config).make(rows, [end])["fg_a"].to_pylist(), KEYS)
    growing = [m for m in METRICS if m.merge != "afresh" and not m.unknown]
    lengths = list(CONFIGS[config].windows)
    for (host, label, _), row in found.items():
        for longer in lengths[lengths.index(label) + 1 :]:
            outer = found[host, longer, end]
            assert all(outer[m.column(r)] >= row[m.column(r)] for m in growing for r in ("outbound", "inbound"))


@pytest.mark.parametrize("config", range(len(CONFIGS)))
def test_no_sessions_make_no_rows(config: int) -> None:
    made = pipeline_of(config).make([], [ANCHORS[0]])
    assert {name: table.num_rows for name, table in made.items()} == dict.fromkeys(made, 0)
    expect({}, {})
