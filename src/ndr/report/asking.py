"""Asking: the questions of a report, as expressions. All are about few hosts and the columns that are shown."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import ibis
import ibis.expr.types as ir

from ndr.features.rarity import NO_PORT
from ndr.metric import statistic
from ndr.report.bands import STATISTICS
from ndr.table import Columns, Table

WINDOW = "w_15m"
"""The window of the charts."""
PEAKS: Columns = {"host_ip": "string", "window_label": "string", "window_end_ts": "timestamp(6)"}
MEETINGS: Columns = {
    "host_ip": "string", "segment_id": "string", "met_from": "timestamp(6)", "met_until": "timestamp(6)",
    "reference": "timestamp(6)", "horizon": "string", "warm": "boolean", "by_bytes": "boolean",
}  # fmt: skip
"""Whose pairs are asked for, over which window, and by which baselines they are looked up."""
_PAIR = ("dst_ip", "dst_port")


def hosts_of(rows: ir.Table) -> ir.Table:
    """One row: the hosts of the predictions, those with an anomalous window, and those without a past of their own."""
    odd, cold = rows.prediction_label == "anomalous", rows.is_cold_start == 1
    return rows.agg(
        hosts=rows.host_ip.nunique(), anomalous=rows.host_ip.nunique(where=odd), cold=rows.host_ip.nunique(where=cold)
    )


def nearest(rows: ir.Table, limit: int) -> ir.Table:
    """The hosts with the greatest evidence, each with the window that has it."""
    order = [ibis.desc("evidence"), "window_end_ts", "window_label"]
    placed = rows.select(*PEAKS, "evidence")
    placed = placed.mutate(place=ibis.row_number().over(ibis.window(group_by="host_ip", order_by=order)))
    first = placed.filter(placed.place == 0).order_by(ibis.desc("evidence"), "host_ip")
    return first.select(*PEAKS).limit(limit)


def peaks_of(rows: ir.Table) -> ir.Table:
    """The predictions of the windows in ``peaks``."""
    return rows.semi_join(ibis.table(dict(PEAKS), name="peaks"), list(PEAKS))


def courses(rows: ir.Table, hosts: Collection[str]) -> ir.Table:
    """One row per host and window end: the greatest evidence, and whether any window is anomalous."""
    own = rows.filter(rows.host_ip.isin(sorted(hosts)))
    return own.group_by(["host_ip", "window_end_ts"]).agg(
        evidence=own.evidence.max(), anomalous=(own.prediction_label == "anomalous").any()
    )


def behaviour(rows: ir.Table, hosts: Collection[str], columns: Sequence[str]) -> ir.Table:
    """The short windows of the hosts, some columns of FG-A."""
    own = rows.filter(rows.host_ip.isin(sorted(hosts)) & (rows.window_label == WINDOW))
    return own.select("host_ip", "window_end_ts", *columns)


def normal(table: Table, key: str | None, keys: Collection[str], columns: Sequence[str]) -> ir.Table:
    """What is usual in the short windows, for some hosts or segments, or for everybody."""
    rows = table.unbound("rows")
    own = rows.filter(rows.window_label == WINDOW)
    if key:
        own = own.filter(own[key].isin(sorted(keys)))
    told = [statistic(column, name) for column in columns for name in STATISTICS]
    return own.select(
        "reference_time", "baseline_horizon", "time_band", *told, whose=own[key] if key else ibis.literal("")
    )


def meetings(pairs: ir.Table, own: ir.Table, of_segment: ir.Table, limit: int) -> ir.Table:
    """The peers of the hosts in ``meetings``, and how often the baseline saw their pairs: a few each.

    Cold hosts are looked up among the pairs of their segment, as everywhere.
    """
    asked = ibis.table(dict(MEETINGS), name="meetings")
    met = pairs.join(
        asked,
        [
            pairs.src_ip == asked.host_ip, pairs.slice_start_ts >= asked.met_from,
            pairs.slice_start_ts < asked.met_until, pairs.batch_end_ts <= asked.met_until,
        ],
    )  # fmt: skip
    met = met.mutate(dst_port=met.dst_port.fill_null(NO_PORT))
    summed = met.group_by([*MEETINGS, *_PAIR]).agg(
        sessions=met.sessions_cnt.sum().cast("int64"), sent=met.source_bytes.sum().cast("int64"),
        received=met.destination_bytes.sum().cast("int64"),
    )  # fmt: skip
    for name, known, first in (("host", own, "src_ip"), ("segment", of_segment, "segment_id")):
        whose = summed.host_ip if name == "host" else summed.segment_id
        told = known.select(
            **{f"{name}_whose": known[first], f"{name}_ip": known.dst_ip},
            **{f"{name}_port": known.dst_port.fill_null(NO_PORT), f"{name}_at": known.reference_time},
            **{f"{name}_horizon": known.baseline_horizon},
            **{f"{name}_seen": known.pair_seen_count, f"{name}_rare": known.is_rare_pair_flag},
        )
        summed = summed.left_join(
            told,
            [
                whose == told[f"{name}_whose"], summed.dst_ip == told[f"{name}_ip"],
                summed.dst_port == told[f"{name}_port"], summed.reference == told[f"{name}_at"],
                summed.horizon == told[f"{name}_horizon"],
            ],
        )  # fmt: skip
    return _first_met(summed, limit)


def _first_met(rows: ir.Table, limit: int) -> ir.Table:
    """The pairs of each peer as one row, the peers with new and rare ones first."""
    seen = ibis.ifelse(rows.warm, rows.host_seen, rows.segment_seen)
    rare = ibis.ifelse(rows.warm, rows.host_rare, rows.segment_rare)
    told = rows.select(
        "host_ip", "dst_ip", "by_bytes", "sessions", "sent", "received", port=rows.dst_port.nullif(NO_PORT), seen=seen,
        rare=rare.fill_null(1), fresh=ibis.ifelse(seen.isnull(), 1, 0),
    )  # fmt: skip
    peers = told.group_by(["host_ip", "dst_ip", "by_bytes"]).agg(
        pairs=told.count(), ports=told.port.nunique(), first_port=told.port.min(), last_port=told.port.max(),
        fresh=told.fresh.sum(), most_fresh=told.fresh.max(), rare=told.rare.max(), seen=told.seen.sum(),
        sessions=told.sessions.sum(), sent=told.sent.sum(), received=told.received.sum(),
    )  # fmt: skip
    of_host = ibis.window(group_by="host_ip")
    weight = ibis.ifelse(peers.by_bytes, peers.sent, peers.sessions).fill_null(0)
    order = [ibis.desc("most_fresh"), ibis.desc("rare"), ibis.desc("weight"), "dst_ip"]
    placed = peers.mutate(
        weight=weight, all_pairs=peers.pairs.sum().over(of_host), all_fresh=peers.fresh.sum().over(of_host),
        all_peers=peers.count().over(of_host),
    )  # fmt: skip
    placed = placed.mutate(place=ibis.row_number().over(ibis.window(group_by="host_ip", order_by=order)))
    return placed.filter(placed.place < limit).order_by("host_ip", "place")
