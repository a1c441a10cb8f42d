"""Rarity: how often a pair was seen over a horizon, by a host and by all hosts of its segment."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir


def rarities(pair_days: ir.Table, keys: Sequence[str], threshold: float) -> ir.Table:
    """One row per group of the keys: sessions, active days, last session, and the score 1 / (1 + sessions)."""
    found = pair_days.group_by(list(keys)).agg(
        pair_seen_count=pair_days.sessions_cnt.sum().cast("int64"),
        active_days=pair_days.day_start_ts.nunique(),
        pair_last_seen_ts=pair_days.last_event_start.max(),
    )
    seen = found.pair_seen_count.cast("float64")
    scored = found.mutate(pair_daily_avg=seen / found.active_days.cast("float64"), pair_rarity_score=1.0 / (seen + 1.0))
    return scored.mutate(is_rare_pair_flag=(scored.pair_rarity_score >= threshold).cast("int32"))
