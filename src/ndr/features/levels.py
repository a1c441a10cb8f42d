"""Levels: peers, ports and pairs of a window, measured afresh from the pairs of the whole window.

Addresses become numbers first, and every key after that is a number, for this is the dear part. A pair's sessions
around a window end are kept side by side: ``sessions_w`` and ``bytes_w`` within the window ``w``, ``before_w`` in its
lookback. They are summed to a level that way, and only what lies in a window is turned into rows, one per frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from ndr.metrics import METRICS, ROLES

NO_PORT = -1
"""Stands for a null port, so that ports can be compared."""

_ENDS = {"outbound": ("src", "dst"), "inbound": ("dst", "src")}


@dataclass(frozen=True)
class Bands:
    """For each window, from the shortest: the bands within it, and those in its lookback."""

    within: Sequence[Sequence[int]]
    before: Sequence[Sequence[int]]

    def columns(self) -> list[str]:
        """The sums that are kept side by side."""
        return [f"{name}_{w}" for w in range(len(self.within)) for name in ("sessions", "bytes", "before")]


def needed(pair_counts: ir.Table) -> ir.Table:
    """The columns of the pairs that are used here, so that no other is read."""
    ends = [f"{end}_{name}" for end in ("src", "dst") for name in ("ip", "is_host", "segment_id")]
    sums = ["sessions_cnt", "source_bytes", "destination_bytes"]
    return pair_counts.select(*ends, "dst_port", "slice_start_ts", "batch_end_ts", *sums)


def _numbered(pairs: ir.Table) -> tuple[ir.Table, ir.Table]:
    """Every address of the pairs with a number, and every segment with one."""
    ends = [
        pairs.select(ip=pairs[f"{e}_ip"], is_host=pairs[f"{e}_is_host"], segment_id=pairs[f"{e}_segment_id"])
        for e in ("src", "dst")
    ]
    each = ends[0].union(ends[1]).group_by("ip")
    nodes = each.agg(is_host=lambda t: t.is_host.arbitrary(), segment_id=lambda t: t.segment_id.arbitrary())
    numbered = nodes.mutate(node=ibis.row_number().over(order_by="ip")).alias("nodes")
    segments = numbered.select("segment_id").distinct()
    return numbered, segments.mutate(segment=ibis.row_number().over(order_by="segment_id")).alias("segments")


def _around(pair_counts: ir.Table, frames: ir.Table, nodes: ir.Table, bands: Bands) -> ir.Table:
    """One row per window end and pair: its sums within and before each window."""
    src, dst = (nodes.select(**{f"{e}_ip": nodes.ip, e: nodes.node}) for e in ("src", "dst"))
    rows = pair_counts.join(src, "src_ip").join(dst, "dst_ip")
    framed = rows.join(frames, "slice_start_ts")
    known = framed.filter(framed.batch_end_ts <= framed.window_end_ts)
    keys = ["end", "src", "dst", "port"]
    by_band = known.mutate(port=known.dst_port.fill_null(NO_PORT)).group_by([*keys, "band"]).agg(
        sessions=known.sessions_cnt.sum().cast("int64"),
        bytes=(known.source_bytes.fill_null(0) + known.destination_bytes.fill_null(0)).sum().cast("int64"),
    )  # fmt: skip

    def total(column: str, chosen: Sequence[int]) -> ir.Value:
        return ibis.ifelse(by_band.band.isin(list(chosen)), by_band[column], 0).sum().cast("int64")

    sums = {
        f"{name}_{w}": total(name, chosen) for name in ("sessions", "bytes") for w, chosen in enumerate(bands.within)
    }
    return (
        by_band.group_by(keys)
        .agg(**sums, **{f"before_{w}": total("sessions", chosen) for w, chosen in enumerate(bands.before)})
        .alias("around")
    )


def _from_both_ends(pairs: ir.Table, nodes: ir.Table, segments: ir.Table, columns: Iterable[str]) -> ir.Table:
    """Every pair seen from each end that is a host, with the segments of both."""
    placed = nodes.join(segments, "segment_id").select("node", "is_host", "segment")
    seen = []
    for role in ROLES:
        host, peer = _ENDS[role]
        hosts = placed.filter(placed.is_host).select(host=placed.node, host_segment=placed.segment)
        peers = placed.select(peer=placed.node, peer_segment=placed.segment)
        own = pairs.select(
            role=ROLES.index(role),
            host=pairs[host],
            peer=pairs[peer],
            port=pairs.port,
            **{c: pairs[c] for c in columns},
        )
        seen.append(own.join(hosts, "host").join(peers, "peer"))
    return seen[0].union(seen[1])


def _history(pair_history: ir.Table, nodes: ir.Table, segments: ir.Table, ends: ir.Table) -> ir.Table:
    """The compacted history from both ends; an address or segment that the windows do not know has no number."""
    used = pair_history.semi_join(ends, "history_end_ts")
    seen = []
    for role in ROLES:
        host, peer = _ENDS[role]
        hosts = used.filter(used[f"{host}_is_host"])
        one = hosts.select(
            "history_end_ts", "sessions_cnt", role=ROLES.index(role), port=hosts.dst_port.fill_null(NO_PORT),
            host_ip=hosts[f"{host}_ip"], peer_ip=hosts[f"{peer}_ip"], segment_id=hosts[f"{host}_segment_id"],
        )  # fmt: skip
        one = one.left_join(nodes.select(host_ip=nodes.ip, host=nodes.node), "host_ip").drop("host_ip_right")
        one = one.left_join(nodes.select(peer_ip=nodes.ip, peer=nodes.node), "peer_ip").drop("peer_ip_right")
        one = one.left_join(segments.select("segment_id", host_segment=segments.segment), "segment_id")
        seen.append(one.select("history_end_ts", "sessions_cnt", "role", "port", "host", "peer", "host_segment"))
    return seen[0].union(seen[1])


def _summed(seen: ir.Table, keys: Sequence[str], columns: Iterable[str], carried: Sequence[str] = ()) -> ir.Table:
    return seen.group_by(list(keys)).agg(
        **{c: seen[c].arbitrary() for c in carried}, **{c: seen[c].sum().cast("int64") for c in columns}
    )


def _in_frames(level: ir.Table, windows: ir.Table, keys: Sequence[str], sums: Sequence[str], bands: Bands) -> ir.Table:
    """One row per frame and key with a session in the window, the sums of the window as plain columns."""
    crossed = level.cross_join(windows.select("window"))

    def of_window(name: str) -> ir.Value:
        return ibis.cases(*((crossed.window == w, crossed[f"{name}_{w}"]) for w in range(len(bands.within))), else_=0)

    framed = crossed.select(*keys, "end", frame=crossed.end + crossed.window, **{n: of_window(n) for n in sums})
    return framed.filter(framed.sessions > 0)


def _with_history(level: ir.Table, history: ir.Table, ends: ir.Table, keys: Sequence[str], before: str) -> ir.Table:
    """The level with the compacted history added to what came before."""
    known = history.filter(ibis.and_(*(history[key].notnull() for key in keys)))
    past = known.group_by(["history_end_ts", *keys]).agg(compacted=known.sessions_cnt.sum().cast("int64"))
    dated = level.join(ends.select("end", "history_end_ts"), "end")
    found = dated.left_join(past, ["history_end_ts", *keys])
    kept = [name for name in level.columns if name != before]
    return found.select(*kept, **{before: found[before] + found.compacted.fill_null(0)})


def _totalled(level: ir.Table, name: str) -> ir.Table:
    """The level with the sums of each host; sums joined back cost half of what sums over a window do."""
    kept, host = level.alias(name), ["frame", "role", "host"]
    return kept.join(_summed(kept.select(*host, host_sessions="sessions", host_bytes="bytes"), host,
                             ["host_sessions", "host_bytes"]), host)  # fmt: skip


def _peers(seen: ir.Table, bands: Bands) -> ir.Table:
    return _summed(seen, ["end", "role", "host", "peer"], bands.columns(), ["peer_segment"])


def _ports(seen: ir.Table, bands: Bands) -> ir.Table:
    """The host's ports, each also with what all hosts of the segment did before: ``segment_before_w``."""
    ported = seen.filter(seen.port != NO_PORT)
    own = _summed(ported, ["end", "role", "host", "port"], bands.columns(), ["host_segment"])
    before = {f"segment_before_{w}": f"before_{w}" for w in range(len(bands.before))}
    shared = _summed(ported, ["end", "role", "host_segment", "port"], before.values()).rename(before)
    return own.join(shared, ["end", "role", "host_segment", "port"])


def pair_metrics(
    pair_counts: ir.Table, pair_history: ir.Table, given: Mapping[str, ir.Table], bands: Bands, *,
    high_risk_segments: Sequence[str], rare_thresholds: Mapping[str, int],
) -> list[ir.Table]:  # fmt: skip
    """One table per level, each with one row per frame, host and role: the metrics measured at that level."""
    windows, ends = given["windows"], given["ends"]
    pairs = pair_counts.alias("pairs")
    nodes, segments = _numbered(pairs)
    around = _around(pairs, given["frames"], nodes, bands)
    seen = _from_both_ends(around, nodes, segments, ["end", *bands.columns()]).alias("seen")
    history = _history(pair_history, nodes, segments, ends).alias("history")
    sums = ["sessions", "bytes", "before"]

    peers = _in_frames(_peers(seen, bands), windows, ["role", "host", "peer", "peer_segment"], sums, bands)
    peers = _totalled(_with_history(peers, history, ends, ["role", "host", "peer"], "before"), "peers")
    risky = segments.filter(segments.segment_id.isin(list(high_risk_segments) or [""])).segment
    ports = _in_frames(
        _ports(seen, bands), windows, ["role", "host", "port", "host_segment"], [*sums, "segment_before"], bands
    )
    ports = _with_history(ports, history, ends, ["role", "host", "port"], "before")
    ports = _totalled(_with_history(ports, history, ends, ["role", "host_segment", "port"], "segment_before"), "ports")
    met = _in_frames(seen, windows, ["role", "host", "peer", "port"], sums, bands)
    levels = {
        "peers": peers.mutate(
            in_high_risk_segment=peers.peer_segment.isin(risky), rare_threshold=rare_thresholds["peer"]
        ),
        "ports": ports.mutate(rare_threshold=rare_thresholds["port"]),
        "pairs": _with_history(met, history, ends, ["role", "host", "peer", "port"], "before"),
    }
    return [_measured(name, rows, nodes) for name, rows in levels.items()]


def _measured(name: str, level: ir.Table, nodes: ir.Table) -> ir.Table:
    metrics = {m.name: m.measure(level) for m in METRICS if m.measured == name}
    found = level.group_by(["frame", "role", "host"]).agg(**metrics)
    named = found.join(nodes.select(host=nodes.node, host_ip=nodes.ip), "host")
    role = ibis.cases(*((named.role == i, role) for i, role in enumerate(ROLES)))
    return named.select("frame", "host_ip", role=role, **{m: named[m] for m in metrics})
