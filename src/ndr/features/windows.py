"""Windows: what each host did over 15 minutes to 24 hours, merged from slices and measured afresh from pairs.

All tables here carry ``window_end_ts``, ``window_label``, ``host_ip`` and ``role``; a level (peers, ports, pairs,
segment_ports) adds its own key and the columns that the metrics of that level are measured from: ``sessions`` and
``bytes`` in the window, ``before`` (sessions in the lookback) and the host's totals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import ibis
import ibis.expr.types as ir

from ndr.metric import INBOUND, Metric
from ndr.metrics import METRICS, ROLES, SLICED

NO_PORT = -1
"""Stands for a null port inside the expressions, where keys are compared."""

ROW = ["window_end_ts", "window_label", "host_ip"]
HOST = [*ROW, "role"]
LEVELS = {"peers": "peer_ip", "ports": "port"}


def sliced_metrics(delta: ir.Table, frames: ir.Table, bands: ir.Table) -> ir.Table:
    """One row per host, role and window with any record: the merged metrics."""
    near = delta.join(frames.filter(frames.band >= 0), "slice_start_ts")
    known = near.filter(near.batch_end_ts <= near.window_end_ts)
    merge = {"sum": lambda c: c.sum(), "max": lambda c: c.max()}
    by_band = known.group_by(["window_end_ts", "band", "host_ip", "role"]).agg(
        segment_id=known.segment_id.arbitrary(),
        **{m.stored: merge[m.merge](known[m.stored]).cast("int64") for m in SLICED},
    )
    windowed = by_band.join(bands.filter(bands.in_window), "band")
    merged = windowed.group_by(HOST).agg(
        segment_id=windowed.segment_id.arbitrary(),
        **{m.stored: merge[m.merge](windowed[m.stored]).cast("int64") for m in SLICED},
    )
    return merged.select(*HOST, "segment_id", **{m.name: _finished(m, merged[m.stored]) for m in SLICED})


def _finished(metric: Metric, merged: ir.Value) -> ir.Value:
    return metric.finish(merged) if metric.finish else merged


def _ends(pairs: ir.Table, extra: Sequence[str]) -> ir.Table:
    """Every pair seen from both ends that are hosts."""
    ends = {"outbound": ("src", "dst"), "inbound": ("dst", "src")}
    seen = []
    for role in ROLES:
        host, peer = ends[role]
        hosts = pairs.filter(pairs[f"{host}_is_host"])
        seen.append(
            hosts.select(
                role=ibis.literal(role),
                host_ip=hosts[f"{host}_ip"],
                peer_ip=hosts[f"{peer}_ip"],
                port=hosts.dst_port.fill_null(NO_PORT),
                host_segment=hosts[f"{host}_segment_id"],
                peer_segment=hosts[f"{peer}_segment_id"],
                **{name: hosts[name] for name in extra},
            )
        )
    return seen[0].union(seen[1])


_PLACES = ("src_is_host", "dst_is_host", "src_segment_id", "dst_segment_id")


def pairs_in_windows(pair_counts: ir.Table, frames: ir.Table, bands: ir.Table) -> ir.Table:
    """One row per host, role, peer, port and window in or before which they met: sessions, bytes, before."""
    framed = pair_counts.join(frames, "slice_start_ts")
    known = framed.filter(framed.batch_end_ts <= framed.window_end_ts)
    by_band = known.group_by(["window_end_ts", "band", "src_ip", "dst_ip", "dst_port"]).agg(
        sessions=known.sessions_cnt.sum().cast("int64"),
        bytes=(known.source_bytes.fill_null(0) + known.destination_bytes.fill_null(0)).sum().cast("int64"),
        **{name: known[name].arbitrary() for name in _PLACES},
    )
    seen = _ends(by_band, ["window_end_ts", "band", "sessions", "bytes"]).join(bands, "band")
    return seen.group_by([*HOST, "host_segment", "peer_ip", "port"]).agg(
        peer_segment=seen.peer_segment.arbitrary(),
        sessions=ibis.ifelse(seen.in_window, seen.sessions, 0).sum().cast("int64"),
        bytes=ibis.ifelse(seen.in_window, seen.bytes, 0).sum().cast("int64"),
        before=ibis.ifelse(seen.in_window, 0, seen.sessions).sum().cast("int64"),
    )


def history_at(pair_history: ir.Table, ends: ir.Table) -> ir.Table:
    """The compacted history seen from both ends, for the history ends in use."""
    used = pair_history.semi_join(ends, "history_end_ts")
    return _ends(used, ["history_end_ts", "sessions_cnt"])


def _level(seen: ir.Table, history: ir.Table, ends: ir.Table, key: Sequence[str]) -> ir.Table:
    """``seen`` summed to a key of the host, with the compacted history added to what came before."""
    if "port" in key:
        seen, history = (t.filter(t.port != NO_PORT) for t in (seen, history))
    return _with_history(_summed(seen, [*HOST, *key]), history, ends, ["role", "host_ip", *key])


def _summed(seen: ir.Table, keys: list[str]) -> ir.Table:
    summed = seen.group_by(keys).agg(
        host_segment=seen.host_segment.arbitrary(),
        peer_segment=seen.peer_segment.arbitrary(),
        sessions=seen.sessions.sum().cast("int64"),
        bytes=seen.bytes.sum().cast("int64"),
        before=seen.before.sum().cast("int64"),
    )
    return summed.filter(summed.sessions > 0)


def _with_history(level: ir.Table, history: ir.Table, ends: ir.Table, keys: list[str]) -> ir.Table:
    past = history.group_by(["history_end_ts", *keys]).agg(compacted=history.sessions_cnt.sum().cast("int64"))
    dated = level.join(ends, "window_end_ts")
    found = dated.left_join(past, ["history_end_ts", *keys])
    return found.select(
        *(found[name] for name in level.columns if name != "before"),
        before=found.before + found.compacted.fill_null(0),
    )


def _segment_ports(ports: ir.Table, seen: ir.Table, history: ir.Table, ends: ir.Table) -> ir.Table:
    """The host's ports with what all hosts of its segment did before: the segment's past, not the host's."""
    keys = ["window_end_ts", "window_label", "role", "host_segment", "port"]
    shared = seen.group_by(keys).agg(before=seen.before.sum().cast("int64"))
    own = ports.select(*HOST, "host_segment", "port").left_join(shared, keys)
    level = own.select(*HOST, "host_segment", "port", before=own.before.fill_null(0))
    return _with_history(level, history, ends, ["role", "host_segment", "port"])


def _totalled(level: ir.Table) -> ir.Table:
    total = level.group_by(HOST).agg(
        host_sessions=level.sessions.sum().cast("int64"), host_bytes=level.bytes.sum().cast("int64")
    )
    return level.join(total, HOST)


def pair_metrics(
    pair_counts: ir.Table, pair_history: ir.Table, frames: ir.Table, bands: ir.Table, ends: ir.Table, *,
    high_risk_segments: Sequence[str], rare_thresholds: Mapping[str, int],
) -> list[ir.Table]:  # fmt: skip
    """One table per level, each with one row per host, role and window: the metrics measured at that level."""
    seen = pairs_in_windows(pair_counts, frames, bands)
    history = history_at(pair_history, ends)
    peers = _totalled(_level(seen, history, ends, ["peer_ip"]))
    peers = peers.mutate(
        rare_threshold=rare_thresholds["peer"],
        in_high_risk_segment=peers.peer_segment.isin(list(high_risk_segments)) if high_risk_segments else False,
    )
    ports = _totalled(_level(seen, history, ends, ["port"])).mutate(rare_threshold=rare_thresholds["port"])
    pairs = _with_history(seen.filter(seen.sessions > 0), history, ends, ["role", "host_ip", "peer_ip", "port"])
    levels = {
        "peers": peers,
        "ports": ports,
        "pairs": pairs.mutate(rare_threshold=rare_thresholds["pair"]),
        "segment_ports": _segment_ports(ports, seen, history, ends),
    }
    return [
        level.group_by(HOST).agg(**{m.name: m.measure(level) for m in METRICS if m.measured == name})
        for name, level in levels.items()
    ]


def host_rows(sliced: ir.Table, levels: Sequence[ir.Table]) -> ir.Table:
    """One row per host and window: every metric in both roles, inbound ones prefixed."""
    whole = sliced
    for level in levels:
        whole = whole.left_join(level, HOST, rname="again_{name}").drop([f"again_{key}" for key in HOST])
    whole = whole.mutate(**{m.name: _at_rest(m, whole[m.name], whole) for m in METRICS if m.measured != "host"})
    by_role = {role: _of_role(whole.filter(whole.role == role), role) for role in ROLES}
    keys = whole.group_by(ROW).agg(segment_id=whole.segment_id.arbitrary())
    rows = keys
    for role, one in by_role.items():
        rows = rows.left_join(one, ROW, rname=f"{role}_{{name}}").drop([f"{role}_{key}" for key in ROW])
    idle = {m.column(role): _absent(m, role, rows) for role in ROLES for m in METRICS}
    return rows.select(*ROW, "segment_id", **idle)


def _absent(metric: Metric, role: str, rows: ir.Table) -> ir.Value:
    """The value of a host that may have no record in the role at all."""
    value = rows[metric.column(role)]
    if metric.unknown:
        counted = rows[INBOUND + "sessions_cnt" if role == "inbound" else "sessions_cnt"]
        return ibis.ifelse(counted.isnull(), 0, value)
    return _idle(metric, value)


def _at_rest(metric: Metric, value: ir.Value, rows: ir.Table) -> ir.Value:
    """The value of a host that has records in the role: an unknown sum stays null unless there was no session."""
    if metric.unknown:
        return ibis.ifelse(rows.sessions_cnt == 0, value.fill_null(0), value)
    return _idle(metric, value)


def _idle(metric: Metric, value: ir.Value) -> ir.Value:
    """The value of a host without sessions in the role: 0 for counts, null for what cannot be computed."""
    return value.fill_null(0) if metric.zero_when_idle else value


def _of_role(rows: ir.Table, role: str) -> ir.Table:
    for metric in (m for m in METRICS if m.measured == "host"):
        rows = rows.mutate(**{metric.name: metric.measure(rows).cast(metric.dtype)})
    return rows.select(*ROW, **{m.column(role): rows[m.name] for m in METRICS})


def current_behaviour(
    rows: ir.Table, ends: ir.Table, windows: Mapping[str, timedelta], feature_spec_version: str
) -> ir.Table:
    """FG-A: host rows with their time context and metadata."""
    dated = rows.join(ends.drop("history_end_ts"), "window_end_ts")
    length = ibis.cases(*((dated.window_label == label, int(w.total_seconds())) for label, w in windows.items()))
    return dated.mutate(
        window_start_ts=dated.window_end_ts - length.as_interval("s"),
        feature_spec_version=ibis.literal(feature_spec_version),
        record_id=dated.host_ip + "|" + dated.window_label + "|" + dated.window_end_text,
    ).drop("window_end_text")
