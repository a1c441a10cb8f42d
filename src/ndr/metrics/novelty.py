"""Novelty: what a window shows that the 30 days before its start did not, or hardly, show."""

from __future__ import annotations

from ndr.metric import Measured, Metric
from ndr.metrics.measures import count_where, ratio


def unseen(name: str, doc: str, key: str, measured: Measured, unit: str, *themes: str) -> Metric:
    """Keys of the window with no session in the lookback."""
    return Metric(
        name, unit, doc, f"count of {key} seen in the window and not in the 30 days before the window's start", measured,
        lambda k: count_where(k.before == 0), themes=("novelty", *themes),
    )  # fmt: skip


def rare(name: str, doc: str, key: str, measured: Measured, unit: str) -> Metric:
    """Keys of the window with at most K sessions in the lookback, new ones included."""
    return Metric(
        name, unit, doc, f"count of {key} seen in the window with at most K sessions in the 30 days before it", measured,
        lambda k: count_where(k.before <= k.rare_threshold), themes=("novelty",),
    )  # fmt: skip


NOVELTY: tuple[Metric, ...] = (
    unseen("new_peer_cnt_lookback30d", "Peers never met in the lookback.", "distinct peers", "peers", "peers", "lateral"),
    rare("rare_peer_cnt_lookback30d", "Peers met at most K times in the lookback, new ones included.", "distinct peers", "peers", "peers"),
    Metric("new_peer_ratio_lookback30d", "ratio", "Share of new peers among the peers; null without peers.", "new_peer_cnt_lookback30d / peer_ip_nunique", "host", lambda h: ratio(h.new_peer_cnt_lookback30d, h.peer_ip_nunique), "share", floor=0.01, themes=("novelty",)),
    unseen("new_dst_port_cnt_lookback30d", "Ports the host never used in the lookback.", "distinct ports", "ports", "ports"),
    rare("rare_dst_port_cnt_lookback30d", "Ports the host used at most K times in the lookback, new ones included.", "distinct ports", "ports", "ports"),
    unseen("new_pair_cnt_lookback30d", "Peers met on a port never used with them in the lookback.", "distinct (peer, port)", "pairs", "pairs"),
    Metric("new_src_dst_port_cnt_lookback30d", "ports", "Ports that no host of the segment used in the lookback.", "count of distinct ports seen in the window and by no host of the segment in the 30 days before the window's start", "ports", lambda k: count_where(k.segment_before == 0), themes=("novelty", "lateral")),
)  # fmt: skip
