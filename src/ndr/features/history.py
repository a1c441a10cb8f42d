"""History: pairs compacted by day and by four weeks, so that novelty needs no scan of a month of slices."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

PAIR = ["src_ip", "dst_ip", "dst_port"]
PLACES = ["src_is_host", "dst_is_host", "src_segment_id", "dst_segment_id"]
_ONE_DAY = ibis.interval(days=1)


@ibis.udf.agg.builtin  # type: ignore[untyped-decorator]
def bit_or(mask: int) -> int:  # type: ignore[empty-body]
    """The bits that any row has set: both engines know it by this name, Ibis only for one of them."""


def _next_midnight(moment: ir.TimestampValue) -> ir.TimestampValue:
    """The first midnight not before the moment."""
    midnight = moment.truncate("D")
    return ibis.ifelse(midnight == moment, midnight, midnight + _ONE_DAY)


def pairs_by_day(pair_counts: ir.Table) -> ir.Table:
    """One row per pair, day and day of arrival: the sessions of the day, and the hours that have any.

    Bit h of ``active_hours`` stands for the hour of the day that begins at h o'clock, UTC.
    """
    dated = pair_counts.mutate(
        day_start_ts=pair_counts.slice_start_ts.truncate("D"),
        known_ts=_next_midnight(pair_counts.batch_end_ts),
        hour_bit=ibis.literal(1, "int64") << pair_counts.slice_start_ts.hour().cast("int64"),
    )
    return dated.group_by([*PAIR, "day_start_ts", "known_ts"]).agg(
        sessions_cnt=dated.sessions_cnt.sum().cast("int64"),
        active_hours=bit_or(dated.hour_bit).cast("int64"),
        last_event_start=dated.last_event_start.max(),
        **{name: dated[name].arbitrary() for name in PLACES},
    )


def pairs_before(pair_days: ir.Table, history_ends: ir.Table, days: int) -> ir.Table:
    """One row per pair and history end: the sessions of the ``days`` days before it, as known then."""
    first = pair_days.day_start_ts + ibis.interval(days=days)
    reached = pair_days.join(
        history_ends, [pair_days.known_ts <= history_ends.history_end_ts, first >= history_ends.history_end_ts]
    )
    return reached.group_by([*PAIR, "history_end_ts"]).agg(
        sessions_cnt=reached.sessions_cnt.sum().cast("int64"),
        **{name: reached[name].arbitrary() for name in PLACES},
    )
