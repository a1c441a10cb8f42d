"""FG-C: how far each host is from what is normal for it, metric by metric, and how suspicious that makes it."""

from __future__ import annotations

from typing import Annotated, Any

import ibis
import ibis.expr.types as ir
from pydantic import AfterValidator, Field

from ndr.features import deviations, rarity, suspicion
from ndr.features import frames as framing
from ndr.metric import Metric, statistic
from ndr.metrics import BASELINED
from ndr.table import Context, Given, in_force, table
from ndr.tables.beacons import HOUR
from ndr.tables.beacons import beacons as beacons_table
from ndr.tables.fg_a import WINDOWS
from ndr.tables.fg_a import fg_a as fg_a_table
from ndr.tables.fg_b import COLUMNS, MetricNames, Share
from ndr.tables.fg_b_global import fg_b_global as fg_b_global_table
from ndr.tables.fg_b_host import fg_b_host as fg_b_host_table
from ndr.tables.fg_b_ip_metadata import fg_b_ip_metadata as fg_b_ip_metadata_table
from ndr.tables.fg_b_pair_host import fg_b_pair_host as fg_b_pair_host_table
from ndr.tables.fg_b_pair_segment import fg_b_pair_segment as fg_b_pair_segment_table
from ndr.tables.fg_b_segment import fg_b_segment as fg_b_segment_table
from ndr.tables.pair_counts import pair_counts as pair_counts_table
from ndr.tables.previous import PairUse, Place
from ndr.tables.settings import PLACE, SEGMENTS, Inert, Settings, Spec, inert
from ndr.tables.slow_beacons import slow_beacons as slow_beacons_table
from ndr.time import DAY, SLICE, floor, stamp

CORE = {metric.name: metric for metric in BASELINED if "core" in metric.themes}
"""The metrics, outbound, whose windows, horizons and pairs are also held against each other."""
OUTBOUND = frozenset(metric.name for metric in BASELINED)
SCORES = ("anomaly_strength_core", "beacon_suspicion_score", *suspicion.THEMES)


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in deviations.TRANSFORMS:
            raise ValueError(f"{name!r} is no transform; those are {', '.join(deviations.TRANSFORMS)}")
    return names


class Deviations(Spec):
    """Job ``fg_c_builder``."""

    metrics: MetricNames = Field(default=tuple(dict.fromkeys(metric.name for metric in BASELINED)), min_length=1)
    transforms: Annotated[tuple[str, ...], AfterValidator(_known)] = deviations.TRANSFORMS
    z_max: float = Field(default=10.0, gt=0, allow_inf_nan=False, description="where m_z_mad_clipped ends")
    band_share_min: Share = Field(
        default=0.05, description="hosts active in less than this share of a band's slices violate it when they show up"
    )
    fg_a_input: Place | None = inert(PLACE)
    fg_b_input: Place | None = inert(PLACE)
    fg_c_output: Place | None = inert(PLACE)
    horizons: tuple[str, ...] | None = inert("every horizon of the publication in force is compared with")
    join_keys: tuple[str, ...] | None = inert("rows are joined by the keys of the tables")
    pair_counts: PairUse | None = inert("what is a rare pair follows from fg_b_builder.pair_counts.rarity_threshold")
    segment_mapping: Inert = inert(SEGMENTS)
    eps: float | None = inert("nothing is divided by 0: a scale ends at the metric's smallest step")


def _frames(context: Context) -> list[tuple[Any, ...]]:
    rows = []
    for part in context.parts:
        publication, end = in_force(context.publications, part.known_at), part.known_at
        if publication:
            ordered = sorted(publication.horizons, key=lambda horizon: int(horizon[:-1]))
            several, reference = len(ordered) > 1, publication.reference
            sides = (several and part.horizon == ordered[0], several and part.horizon == ordered[-1])
            hour, day = floor(end, HOUR), floor(end, DAY)
            rows.append(
                (end, part.horizon, stamp(reference), reference, int(publication.provisional), *sides, hour, day)
            )
    return rows


def _slices(context: Context) -> list[tuple[Any, ...]]:
    lengths = sorted(WINDOWS.values())
    ages = [SLICE * back for back in range(1, DAY // SLICE + 1)]
    ends = sorted({part.known_at for part in context.parts})
    return [(end, end - age, framing.window_band(age, lengths)) for end in ends for age in ages]


def _windows(_: Context) -> list[tuple[Any, ...]]:
    return [(window, label) for window, label, _ in framing.window_rows(WINDOWS)]


_ABOUT = {
    "record_id": "string",
    "host_ip": "string",
    "window_label": "string",
    "window_end_ts": "timestamp(6)",
    "mini_batch_id": "string",
    "feature_spec_version": "string",
    "segment_id": "string",
    "time_band": "string",
}
_FLAGS = {
    "machine_name": "string",
    **dict.fromkeys(("is_full_history", "is_non_persistent_machine", "is_cold_start"), "int32"),
}
_BASELINE = {
    "baseline_horizon": "string",
    "publication": "string",
    "reference_time": "timestamp(6)",
    "is_provisional": "int32",
    **_FLAGS,
}
_FACTS = {
    "baseline_source": "string",
    "baseline_cold_start_any": "int32",
    "band_active_share": "float64",
    "time_band_violation_flag": "int32",
}
_PAIRS = {
    "pair_rarity_source": "string",
    "pair_rarity_max": "float64",
    "pair_rarity_mean": "float64",
    "new_pair_cnt": "int64",
    "rare_pair_cnt": "int64",
    "rare_pair_flag": "int32",
}
_CARRIED = [*_ABOUT, *_BASELINE, "is_shortest", "is_longest"]
_LINKS = ("window_disagreement_", "baseline_drift_z_", "baseline_drift_ratio_", "rare_pair_weighted_z_")
FRAMES = {
    "window_end_ts": "timestamp(6)",
    **dict.fromkeys(("baseline_horizon", "publication"), "string"),
    "reference_time": "timestamp(6)",
    "is_provisional": "int32",
    **dict.fromkeys(("is_shortest", "is_longest"), "boolean"),
    **dict.fromkeys(("beacon_end_ts", "slow_beacon_end_ts"), "timestamp(6)"),
}


def _judged(fg_a: ir.Table, frames: ir.Table, ip_metadata: ir.Table, columns: dict[str, Metric]) -> ir.Table:
    """Every row of FG-A for every horizon, and whether its host has a past of its own."""
    framed = fg_a.select(*_ABOUT, *columns).join(frames, "window_end_ts")
    keys = ("host_ip", "window_label", *deviations.WHICH)
    flags = ip_metadata.select(**{f"of_{key}": ip_metadata[key] for key in keys}, **{n: ip_metadata[n] for n in _FLAGS})
    rows = framed.left_join(flags, [framed[key] == flags[f"of_{key}"] for key in keys])
    return rows.mutate(is_cold_start=rows.is_cold_start.fill_null(1))


def _compared(rows: ir.Table, tiers: deviations.Tiers, spec: Deviations, stage: str) -> ir.Table:
    beside = tiers.beside(rows)
    facts = deviations.baseline_facts(beside, tiers.columns, spec.band_share_min)
    rows = deviations.routed(beside, tiers.columns, _CARRIED, facts, stage)
    return deviations.measured(rows, tiers.columns, (*_CARRIED, *facts), stage)


def _linked(rows: ir.Table, core: ir.Table, columns: dict[str, Metric], pairs: ir.Table, beacons: ir.Table) -> ir.Table:
    """The compared rows with what is told once per host, of its windows, horizons, pairs and beacons."""
    linked = rows
    for place, (told, keys) in enumerate(
        (
            (deviations.disagreements(core, columns), ("host_ip", "window_end_ts", "baseline_horizon")),
            (deviations.drifts(core, columns), ("host_ip", "window_label", "window_end_ts")),
            (pairs, deviations.ROW),
            (beacons, ("host_ip", "window_end_ts", "baseline_horizon")),
        )
    ):
        named = told.rename({f"of_{key}_{place}": key for key in keys})
        linked = linked.left_join(named, [rows[key] == named[f"of_{key}_{place}"] for key in keys])
    return linked.alias("linked")


@table(
    keys=("host_ip", "window_label", "window_end_ts", "baseline_horizon"),
    columns={
        **_ABOUT,
        **_BASELINE,
        **_FACTS,
        "baseline_min_support_count": "int64",
        **dict.fromkeys(SCORES, "float64"),
        "top_deviations": suspicion.DEVIATION,
        **_PAIRS,
        **suspicion.BEACON,
        **{link + name: "float64" for link in _LINKS for name in CORE},
        **{statistic(column, name): "float64" for column in COLUMNS for name in deviations.TRANSFORMS},
    },
    every=SLICE,
    at="window_end_ts",
    at_end=True,
    reads={
        "fg_a": fg_a_table.now(needed=True),
        "fg_b_host": fg_b_host_table.latest(),
        "fg_b_segment": fg_b_segment_table.latest(),
        "fg_b_global": fg_b_global_table.latest(),
        "fg_b_ip_metadata": fg_b_ip_metadata_table.latest(),
        "fg_b_pair_host": fg_b_pair_host_table.latest(),
        "fg_b_pair_segment": fg_b_pair_segment_table.latest(),
        "pair_counts": pair_counts_table.past(DAY),
        "beacons": beacons_table.latest(),
        "slow_beacons": slow_beacons_table.latest(),
        "frames": Given(FRAMES, _frames),
        "slices": Given(
            {"window_end_ts": "timestamp(6)", "slice_start_ts": "timestamp(6)", "window": "int64"}, _slices
        ),
        "lengths": Given({"window": "int64", "window_label": "string"}, _windows),
    },
    spec=Deviations,
    partitions=("feature_spec_version", "baseline_horizon", "dt"),
    job="fg_c_builder",
    by_horizon=True,
)
def fg_c(  # noqa: PLR0913, PLR0917 - one argument per table that it reads
    fg_a: ir.Table, fg_b_host: ir.Table, fg_b_segment: ir.Table, fg_b_global: ir.Table, fg_b_ip_metadata: ir.Table,
    fg_b_pair_host: ir.Table, fg_b_pair_segment: ir.Table, pair_counts: ir.Table, beacons: ir.Table,
    slow_beacons: ir.Table, frames: ir.Table, slices: ir.Table, lengths: ir.Table, *, spec: Deviations,
    settings: Settings, version: str,
) -> ir.Table:  # fmt: skip
    """One row per host, window, window end and horizon of the baselines in force: how far the host is from normal.

    A cold host (``is_cold_start``) is held against its segment (``baseline_source``), a segment without baselines
    against everybody; a metric with too little support in one tier against the next. ``is_provisional`` is 1 when the
    baselines were made of less history than they need. With x the value, k the metric's smallest step and the scale
    1.4826 MAD, else IQR / 1.349, else the segment's, else k, never 0:

    - ``m_diff`` = x - median; ``m_z_mad`` = diff / scale; ``m_abs_dev_over_mad`` = abs(diff) / scale;
      ``m_z_mad_clipped`` within ± ``z_max`` (10); ``m_z_mad_signed_pow3`` its third power.
    - ``m_ratio`` = (x + k) / (median + k); ``m_log_ratio`` = ln(ratio); ``m_excess_over_p95`` = max(0, x - p95);
      ``m_excess_ratio_p95`` = (x + k) / (p95 + k); ``m_iqr_dev`` = diff / (IQR / 1.349), null when the IQR is 0. All
      are null when x or the median is unknown.
    - ``baseline_cold_start_any`` is 1 when any metric has too little support in the row's tier;
      ``baseline_min_support_count`` is the least support of the tiers used.
    - ``band_active_share`` is the share of the time band's slices in which the host was active;
      ``time_band_violation_flag`` is 1 below ``band_share_min`` (0.05). Both are null for cold hosts.
    - ``window_disagreement_m`` = z of w_15m - z of w_1h; ``baseline_drift_z_m`` and ``_ratio_m`` hold the median of the
      shortest horizon against the longest.
    - Pairs of the window are looked up among the host's, or the segment's while it is cold (``pair_rarity_source``); a
      pair that is not there is new with rarity 1. ``rare_pair_weighted_z_m`` = clipped z times ``pair_rarity_mean``.
    - The *strength* of a deviation is ln(1 + abs(z)), but no more than ln((x + k) / (p99 + k)) above p99 and, against
      the host's own past, ln((p25 + k) / (x + k)) below p25; else 0: what was seen now and then is nothing new. It
      counts half for shares, ratios and means, and half again for the inbound role.
    - ``top_deviations``: the five metrics of greatest strength, then abs(z), with z, value, median and tier.

    Scores; unknown strengths count as 0, null when all are unknown:

    - ``anomaly_strength_core``: mean of the 5 greatest strengths of all metrics in both roles.
    - ``exfiltration_suspicion_score``: mean of the 2 greatest of outbound metrics of theme exfiltration with z >= 0.
    - ``lateral_movement_score``: mean of the 3 greatest of outbound metrics of theme lateral with z >= 0.
    - ``scan_suspicion_score``: mean of the 3 greatest of outbound metrics of theme scan with z >= 0.
    - ``novelty_suspicion_score``: mean of the 3 greatest of outbound metrics of theme novelty with z >= 0.
    - ``beacon_suspicion_score``: of the host's pairs in ``beacons`` and ``slow_beacons`` as of the window end, without
      multicast, the greatest beacon_score (1 - prevalence_share) (1 + rarity) / 2; 0 without any. ``beacon_*`` tells of
      that pair.
    """
    del settings
    deviations.check_parity(fg_b_host.columns, fg_b_segment.columns, fg_b_global.columns)
    columns = {c: metric for c, metric in COLUMNS.items() if metric.name in spec.metrics}
    core = {c: metric for c, metric in columns.items() if c in CORE} or dict([*columns.items()][:1])
    bands = fg_a.select("time_band").distinct()  # a quarter hour needs a fifth of the hosts' baselines
    baselines = {"host": fg_b_host.semi_join(bands, "time_band"), "segment": fg_b_segment, "global": fg_b_global}
    rows = _judged(fg_a, frames, fg_b_ip_metadata, columns)
    wide = _compared(rows, deviations.Tiers(baselines, columns), spec, "every")
    narrow = _compared(rows, deviations.Tiers(baselines, core), spec, "core")

    hosts = rows.select("host_ip", "window_end_ts", "segment_id", *deviations.WHICH).distinct()
    known = {"host": fg_b_pair_host, "segment": fg_b_pair_segment}
    met = rarity.looked_up(rarity.pairs_met(pair_counts, slices), hosts, known)
    calling = rarity.looked_up(suspicion.beacons_of(beacons, slow_beacons, frames), hosts, known)
    linked = _linked(wide, narrow, core, rarity.rarity_of_hosts(met, lengths), suspicion.best_beacons(calling))
    return _told(linked, columns, spec, version)


def _told(linked: ir.Table, columns: dict[str, Metric], spec: Deviations, version: str) -> ir.Table:
    """The declared columns; those of metrics and transforms that are not configured are null."""
    pairs = rarity.pair_facts(linked)
    found: dict[str, ir.Value] = {
        **{name: linked[name] for name in fg_c.columns if name in linked.columns},
        "feature_spec_version": ibis.literal(version),
        "baseline_min_support_count": ibis.least(*(linked[f"support_{c}"] for c in columns)),
        **suspicion.scores(linked, columns, OUTBOUND),
        "top_deviations": suspicion.top_deviations(linked, columns),
        **pairs,
        **suspicion.beacon_facts(linked),
    }
    for c, metric in columns.items():
        every = deviations.transforms(linked, c, metric, spec.z_max)
        found |= {name: every[name] for name in every if name.removeprefix(f"{c}_") in spec.transforms}
        if c in CORE:
            found[f"rare_pair_weighted_z_{c}"] = every[statistic(c, "z_mad_clipped")] * pairs["pair_rarity_mean"]
    return linked.select(**{name: found.get(name, ibis.null(dtype)) for name, dtype in fg_c.columns.items()})
