"""Rarity: how often a pair was seen over a horizon, by a host and by its segment, and who meets rare ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.types as ir

NO_PORT = -1
"""Stands for a null port while pairs are joined: null equals nothing."""
PAIR = ("src_ip", "dst_ip", "dst_port")
KINDS = ("host", "segment")
"""Whose pairs a host's pairs are looked up among: its own while it is warm, those of its segment while it is cold."""
_SHARE_UNIT = float(1 << 40)
"""Scores are summed as whole units, so that a sum is the same in any order."""


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


def pairs_met(pair_counts: ir.Table, slices: ir.Table) -> ir.Table:
    """One row per window end and pair of an internal source: ``window``, the number of the shortest window it is in.

    ``slices`` says which slice lies in which window of which window end; batches that had not arrived do not count.
    """
    near = pair_counts.filter(pair_counts.src_is_host).join(slices, "slice_start_ts")
    known = near.filter(near.batch_end_ts <= near.window_end_ts)
    known = known.mutate(dst_port=known.dst_port.fill_null(NO_PORT))
    return known.group_by(["window_end_ts", *PAIR]).agg(window=known.window.min())


def looked_up(pairs: ir.Table, hosts: ir.Table, baselines: Mapping[str, ir.Table]) -> ir.Table:
    """The pairs with how rare they are among those of the host and of its segment: ``rarity_``, ``new_``, ``rare_``.

    ``hosts`` has one row per host, window end and horizon, with its segment and publication. A pair that a baseline
    does not know is new there, and as rare as can be.
    """
    found = pairs.join(hosts, [pairs.src_ip == hosts.host_ip, "window_end_ts"]).drop("host_ip")
    for kind in KINDS:
        known = baselines[kind]
        first = "src_ip" if kind == "host" else "segment_id"
        names = (first, "dst_ip", "dst_port", "baseline_horizon", "publication")
        known = known.mutate(dst_port=known.dst_port.fill_null(NO_PORT))
        known = known.select(
            **{f"at_{name}": known[name] for name in names}, score=known.pair_rarity_score, flag=known.is_rare_pair_flag
        )
        beside = found.left_join(known, [found[name] == known[f"at_{name}"] for name in names])
        found = beside.select(
            *found.columns,
            **{
                f"rarity_{kind}": beside.score.fill_null(1.0),
                f"new_{kind}": beside.score.isnull().cast("int64"),
                f"rare_{kind}": beside.flag.fill_null(1).cast("int64"),
            },
        )
    return found


def rarity_of_hosts(looked_up: ir.Table, windows: ir.Table) -> ir.Table:
    """One row per host, window, window end and horizon with any pair: how rare its pairs are, for either kind."""
    keys = ["src_ip", "window_end_ts", "baseline_horizon"]
    parts: dict[str, ir.Value] = {}
    for kind in KINDS:
        parts |= {
            f"units_{kind}": (looked_up[f"rarity_{kind}"] * _SHARE_UNIT).floor().cast("int64").sum().cast("int64"),
            f"max_{kind}": looked_up[f"rarity_{kind}"].max(),
            **{f"{name}_{kind}": looked_up[f"{name}_{kind}"].sum().cast("int64") for name in ("new", "rare")},
        }
    by_window = looked_up.group_by([*keys, "window"]).agg(pairs=looked_up.count(), **parts)
    longer = windows.select(longer="window", window_label="window_label")
    within = by_window.join(longer, by_window.window <= longer.longer)
    summed = ["pairs", *(name for name in parts if not name.startswith("max_"))]
    whole = within.group_by([*keys, "window_label"]).agg(
        **{name: within[name].sum().cast("int64") for name in summed},
        **{f"max_{kind}": within[f"max_{kind}"].max() for kind in KINDS},
    )
    means = {
        f"mean_{k}": whole[f"units_{k}"].cast("float64") / _SHARE_UNIT / whole.pairs.cast("float64") for k in KINDS
    }
    return whole.mutate(**means).rename(host_ip="src_ip")


def pair_facts(rows: ir.Table) -> dict[str, ir.Value]:
    """The rarity columns of rows that stand beside :func:`rarity_of_hosts`; a host without pairs has nulls and 0."""

    def of(name: str) -> ir.Value:
        return ibis.ifelse(rows.is_cold_start == 0, rows[f"{name}_host"], rows[f"{name}_segment"])

    rare = of("rare").fill_null(0)
    return {
        "pair_rarity_source": ibis.ifelse(rows.is_cold_start == 0, "host", "segment"),
        "pair_rarity_max": of("max"),
        "pair_rarity_mean": of("mean"),
        "new_pair_cnt": of("new").fill_null(0),
        "rare_pair_cnt": rare,
        "rare_pair_flag": (rare > 0).cast("int32"),
    }
