"""Slices: sessions counted by quarter hour, per host and role (delta) and per pair (pair_counts), in one pass each."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import ibis
import ibis.expr.types as ir

from ndr.features.addresses import addresses
from ndr.metrics import ROLES, SLICED
from ndr.time import EPOCH, SLICE

BLOCKED = ("deny", "drop", "reset", "block", "reject")
ALLOWED = ("allow", "accept", "pass", "permit")
_SLICE_SECONDS = int(SLICE.total_seconds())
_PARTS = 1 << 24
"""A part's number is its slice's times this, plus the lateness of its batch: one integer to group by."""


def _starts_with_any(text: ir.StringValue, prefixes: Collection[str]) -> ir.BooleanValue:
    return ibis.or_(*(text.startswith(prefix) for prefix in prefixes))


def _step(moment: ir.TimestampValue, seconds: int) -> ir.IntegerValue:
    """Number of whole steps since the epoch: an integer groups ten times faster than a truncated time."""
    return (moment.epoch_seconds().cast("float64") / seconds).floor().cast("int64")


def _moment(step: ir.IntegerValue, seconds: int) -> ir.TimestampValue:
    return ibis.literal(EPOCH, "timestamp(6)") + (step * seconds).as_interval("s")


def _stepped(sessions: ir.Table, clock: str) -> ir.Table:
    """The sessions with the number of their part: their slice, and how many slices later their batch ends.

    A session is of the batch in which it ended when nobody named one, or an earlier one: it was not known before.
    """
    step = _step(sessions[clock], _SLICE_SECONDS)
    ended = _step(sessions.event_end, _SLICE_SECONDS)
    last = ibis.greatest(ibis.coalesce(_step(sessions.batch_end_ts, _SLICE_SECONDS) - 1, ended), ended)
    return sessions.mutate(part=step * _PARTS + last - step + _PARTS // 2)


def weight(sessions: ir.Table) -> ir.IntegerValue:
    """For how many sessions a record stands: the device's repeat count, one where it says nothing."""
    return ibis.ifelse(sessions.repeat_cnt > 0, sessions.repeat_cnt, 1).cast("int64")


def described(sessions: ir.Table, port_sets: Mapping[str, Collection[int]], clock: str) -> ir.Table:
    """One row per record, with what the metrics ask of it.

    ``weight`` counts the record, ``sessions`` only if it is one and not a threat; then flags, duration and slice.
    """
    s = _stepped(sessions, clock)
    is_blocked, is_traffic = _starts_with_any(s.event_action, BLOCKED), s.event_name != "THREAT"
    return s.mutate(
        minute=_step(s.event_start, 60),
        weight=weight(s),
        sessions=ibis.ifelse(is_traffic, weight(s), 0),
        is_traffic=is_traffic,
        is_allowed=_starts_with_any(s.event_action, ALLOWED),
        is_blocked=is_blocked,
        is_failed=is_blocked | ~s.established.fill_null(True),  # noqa: FBT003
        duration_us=s.event_end.delta(s.event_start, unit="microsecond").cast("int64"),
        **{f"to_{name}_port": s.destination_port.isin(sorted(ports)) for name, ports in port_sets.items()},
    )


def _of_role(rows: ir.Table, hosts: ir.Table, role: str) -> ir.Table:
    """One row per host and part. Minutes are counted apart: there can be as many of them as sessions."""
    end = "source_ip" if role == "outbound" else "destination_ip"
    seen = rows.semi_join(hosts, rows[end] == hosts.ip)
    keys = [end, "part"]
    summed = seen.group_by(keys).agg(
        **{m.stored: m.merged(m.measure(seen)) for m in SLICED if m.measured == "sessions"}
    )
    minutes = seen.group_by([*keys, "minute"]).agg(sessions=seen.sessions.sum())
    peaks = minutes.group_by(keys).agg(
        **{m.stored: m.measure(minutes).cast("int64") for m in SLICED if m.measured == "minutes"}
    )
    both = summed.join(peaks, keys)
    return both.select("part", host_ip=both[end], role=ibis.literal(role), **{m.stored: both[m.stored] for m in SLICED})


def _dated(rows: ir.Table, batches: ir.Table) -> ir.Table:
    """Turn part numbers into times and name the batches; done on the few distinct parts, not on every row."""
    rows = rows.alias("counted")
    parts = rows.select("part").distinct()
    numbered = parts.mutate(slice=(parts.part / _PARTS).floor().cast("int64"), late=parts.part % _PARTS)
    dated = numbered.mutate(
        slice_start_ts=_moment(numbered.slice, _SLICE_SECONDS),
        last_slice_ts=_moment(numbered.slice + numbered.late - _PARTS // 2, _SLICE_SECONDS),
        batch_end_ts=_moment(numbered.slice + numbered.late - _PARTS // 2 + 1, _SLICE_SECONDS),
    )
    named = dated.left_join(batches, "batch_end_ts").select(
        "part", "slice_start_ts", "batch_end_ts",
        mini_batch_id=ibis.coalesce(batches.mini_batch_id, batch_name(dated.last_slice_ts)),
    )  # fmt: skip
    return rows.join(named, "part").drop("part")


def batch_name(start: ir.TimestampValue) -> ir.StringValue:
    """``20260302T1015Z``: the name of a batch that nobody named, by the start of its last slice."""
    fields = ((start.year(), 4), (start.month(), 2), (start.day(), 2), (start.hour(), 2), (start.minute(), 2))
    y, mo, d, h, mi = (part.cast("string").lpad(width, "0") for part, width in fields)
    return y + mo + d + "T" + h + mi + "Z"


def _located(sessions: ir.Table, networks: ir.Table) -> ir.Table:
    sources = sessions.select(ip=sessions.source_ip)
    return addresses(sources.union(sessions.select(ip=sessions.destination_ip)), networks).alias("located")


def host_slices(
    sessions: ir.Table, batches: ir.Table, networks: ir.Table, *, port_sets: Mapping[str, Collection[int]], clock: str
) -> ir.Table:
    """One row per (host_ip, role, slice_start_ts, mini_batch_id): the partial values of the sliced metrics.

    Counts of an idle role do not exist as rows. Byte sums are null when no session told its bytes.
    """
    where = _located(sessions, networks)
    hosts = where.filter(where.is_host)
    rows = described(sessions, port_sets, clock)
    out, inbound = (_of_role(rows, hosts, role) for role in ROLES)
    found = _dated(out.union(inbound), batches)
    named = found.join(hosts, found.host_ip == hosts.ip)
    return named.select(
        "host_ip", "role", "slice_start_ts", "mini_batch_id", "batch_end_ts", "segment_id", *(m.stored for m in SLICED)
    )


def pair_slices(sessions: ir.Table, batches: ir.Table, networks: ir.Table, *, clock: str) -> ir.Table:
    """One row per (src_ip, dst_ip, dst_port, slice_start_ts, mini_batch_id) with at least one session.

    ``dst_port`` is null where the protocol has none. Byte sums are null when no session told its bytes. Threat records
    are not sessions and make no pair.
    """
    s = _stepped(sessions.filter(sessions.event_name != "THREAT"), clock)
    keys = {"src_ip": s.source_ip, "dst_ip": s.destination_ip, "dst_port": s.destination_port}
    pairs = s.group_by(**keys, part=s.part).agg(
        sessions_cnt=weight(s).sum().cast("int64"),
        source_bytes=s.source_bytes.sum().cast("int64"),
        destination_bytes=s.destination_bytes.sum().cast("int64"),
        first_event_start=s.event_start.min(),
        last_event_start=s.event_start.max(),
    )
    where = _located(sessions, networks)
    src = where.select(src_ip=where.ip, src_is_host=where.is_host, src_segment_id=where.segment_id)
    dst = where.select(dst_ip=where.ip, dst_is_host=where.is_host, dst_segment_id=where.segment_id)
    located = pairs.join(src, "src_ip").join(dst, "dst_ip")
    return _dated(located.filter(located.src_is_host | located.dst_is_host), batches)
