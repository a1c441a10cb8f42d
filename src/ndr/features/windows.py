"""Windows: what each host did over 15 minutes to 24 hours: sliced metrics merged, all metrics in one row.

What is measured afresh from pairs stands in :mod:`ndr.features.levels`. Rows are keyed by ``frame`` (a number for
window end and window), ``host_ip`` and ``role`` until the last step.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from ndr.metric import Metric
from ndr.metrics import METRICS, ROLES, SLICED
from ndr.rounding import kept

ROW = ["frame", "host_ip"]
HOST = [*ROW, "role"]


def _merged(rows: ir.Table, keys: list[str]) -> ir.Table:
    partial = {m.stored: m.merged(rows[m.stored]) for m in SLICED}
    return rows.group_by(keys).agg(segment_id=rows.segment_id.arbitrary(), **partial)


def sliced_metrics(delta: ir.Table, frames: ir.Table, bands: ir.Table) -> ir.Table:
    """One row per host, role and frame with any record: the merged metrics."""
    near = delta.join(frames.filter(frames.band >= 0), "slice_start_ts")
    known = near.filter(near.batch_end_ts <= near.window_end_ts)
    by_band = _merged(known, ["end", "band", "host_ip", "role"])
    windowed = by_band.join(bands.filter(bands.in_window), "band")
    merged = _merged(windowed.mutate(frame=windowed.end + windowed.window), HOST)
    return merged.select(*HOST, "segment_id", **{m.name: _finished(m, merged[m.stored]) for m in SLICED})


def _finished(metric: Metric, merged: ir.Value) -> ir.Value:
    return metric.finish(merged) if metric.finish else merged


def host_rows(sliced: ir.Table, levels: Sequence[ir.Table]) -> ir.Table:
    """One row per host and frame: every metric in both roles, inbound ones prefixed."""
    whole = sliced
    for level in levels:
        whole = whole.left_join(level, HOST, rname="again_{name}").drop([f"again_{key}" for key in HOST])
    for metrics in _layers():
        whole = whole.mutate(**{m.name: _in_role(m, whole) for m in metrics})
    whole = whole.alias("by_role")
    rows = whole.group_by(ROW).agg(segment_id=whole.segment_id.arbitrary())
    for role in ROLES:
        own = whole.filter(whole.role == role)
        named = own.select(*ROW, **{f"has_{role}": True}, **{m.column(role): own[m.name] for m in METRICS})
        found = rows.left_join(named, ROW)
        recorded = found[f"has_{role}"].notnull()
        values = {m.column(role): _stored(m, _of_role(m, found[m.column(role)], recorded)) for m in METRICS}
        rows = found.select(*rows.columns, **values)
    return rows


def _layers() -> list[list[Metric]]:
    """The metrics, those measured from other metrics of the host after the others."""
    return [[m for m in METRICS if (m.measured == "host") is of_host] for of_host in (False, True)]


def _in_role(metric: Metric, rows: ir.Table) -> ir.Value:
    """The value of a host that has records in the role: an unknown sum stays null unless there was no session."""
    if metric.measured == "host":
        return metric.measure(rows).cast(metric.dtype)
    value = rows[metric.name]
    if metric.unknown:
        return ibis.ifelse(rows.sessions_cnt == 0, value.fill_null(0), value)
    return value.fill_null(0) if metric.zero_when_idle else value


def _of_role(metric: Metric, value: ir.Value, recorded: ir.BooleanValue) -> ir.Value:
    """The value of a host that may have no record in the role at all: 0 for counts, else null."""
    return ibis.ifelse(recorded, value, 0) if metric.zero_when_idle else value


def _stored(metric: Metric, value: ir.Value) -> ir.Value:
    return kept(value) if metric.dtype == "float64" else value


def current_behaviour(rows: ir.Table, ends: ir.Table, windows: ir.Table, feature_spec_version: str) -> ir.Table:
    """FG-A: host rows with their window, time context and metadata."""
    framed = ends.cross_join(windows).mutate(frame=lambda t: t.end + t.window)
    dated = rows.join(framed, "frame")
    return dated.mutate(
        window_start_ts=dated.window_end_ts - dated.window_seconds.as_interval("s"),
        feature_spec_version=ibis.literal(feature_spec_version),
        record_id=dated.host_ip + "|" + dated.window_label + "|" + dated.window_end_text,
    ).drop("frame", "end", "window", "window_seconds", "window_end_text", "history_end_ts")
