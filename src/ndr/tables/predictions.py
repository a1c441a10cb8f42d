"""Predictions: how unusual each window of a host is, by the model in force, and why."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir

from ndr.features import suspicion
from ndr.metric import Metric, statistic
from ndr.model.detector import JUDGED
from ndr.model.kinds import KINDS
from ndr.table import Context, Given, in_force, table
from ndr.tables.fg_a import fg_a as fg_a_table
from ndr.tables.fg_b import COLUMNS
from ndr.tables.fg_c import CORE
from ndr.tables.fg_c import fg_c as fg_c_table
from ndr.tables.inference import Inference
from ndr.tables.settings import Settings
from ndr.time import SLICE

_KEYS = ("host_ip", "window_label", "window_end_ts")
PASSED = {
    **dict.fromkeys(("record_id", "host_ip", "window_label"), "string"),
    "window_end_ts": "timestamp(6)",
    **dict.fromkeys(("mini_batch_id", "feature_spec_version", "segment_id", "time_band", "machine_name"), "string"),
    **dict.fromkeys(("baseline_horizon", "baseline_source"), "string"),
    **dict.fromkeys(("is_cold_start", "is_provisional"), "int32"),
    "new_pair_cnt": "int64",
    "pair_rarity_max": "float64",
    **suspicion.BEACON,
    "top_deviations": suspicion.DEVIATION,
}
"""What predictions tell of FG-C as it is."""
FEATURES = (
    *(statistic(column, "z_mad_clipped") for column in COLUMNS),
    *(statistic(column, "log_ratio") for column in CORE),
    "pair_rarity_max", "new_pair_cnt", "rare_pair_cnt", "band_active_share",
)  # fmt: skip
"""What the forest looks at where the configuration says nothing."""


def value_column(metric: str) -> str:
    """Where the matrix has the value of a metric that a feature is made of."""
    return f"value_{metric}"


def baseline_column(metric: str) -> str:
    """Where the matrix has the median that a metric was held against."""
    return f"baseline_{metric}"


def _frames(context: Context) -> list[tuple[Any, ...]]:
    """The longest horizon of the baselines in force at each window end."""
    rows = {}
    for part in context.parts:
        publication = in_force(context.publications, part.known_at)
        if publication:
            rows[part.known_at] = max(publication.horizons, key=lambda horizon: int(horizon[:-1]))
    return list(rows.items())


@table(
    keys=_KEYS,
    columns={**PASSED, **JUDGED},
    every=SLICE,
    at="window_end_ts",
    at_end=True,
    reads={
        "fg_a": fg_a_table.now(needed=True),
        "fg_c": fg_c_table.now(needed=True),
        "frames": Given({"window_end_ts": "timestamp(6)", "baseline_horizon": "string"}, _frames),
    },
    spec=Inference,
    partitions=("feature_spec_version", "dt", "model_version"),
    job="inference_predictions",
    by_model=True,
    judged=JUDGED,
)
def predictions(
    fg_a: ir.Table, fg_c: ir.Table, frames: ir.Table, *, spec: Inference, settings: Settings, version: str
) -> ir.Table:
    """One row per host, window and window end that is compared with baselines: how unusual it is, and why.

    - ``prediction_score`` in [0, 1): the share of the rows that the model was trained on that look more normal, beyond
      the last of them by an exponential tail. ``prediction_label`` is ``anomalous`` when no more than ``alert_share``
      (0.0005) of them would be called so, else ``normal``.
    - ``evidence`` is the sum of ``evidence_<kind>``, in nats: -ln of the share of training rows of the same window
      length whose number of this kind is at least as high. ``leading_kind`` is the kind with the most.
    - ``explanation``: signed contributions that sum to ``evidence``, greatest first, each with the value, what is usual
      and the tier (``source``) that says so; the forest's evidence is divided among its features by how much each
      shortened the paths. ``techniques`` are the ids of MITRE ATT&CK of the kinds with at least 3 nats and
      half of the greatest.
    - ``inference_ts`` is the end of the batch, so that a replay gives the same bytes.
    - An endpoint (``leading_kind`` is ``endpoint``) gives its score alone: no evidence of kinds, no contributions.

    Of several horizons the longest in force counts. ``beacon_*`` and ``top_deviations`` are those of FG-C.
    """
    del settings, version
    chosen = spec.payload.feature_columns or FEATURES
    made = {statistic(c, name): (c, m) for c, m in COLUMNS.items() for name in ("z_mad_clipped", "log_ratio")}
    metrics: dict[str, Metric] = dict(made[name] for name in chosen if name in made)
    compared = fg_c.semi_join(frames, ["window_end_ts", "baseline_horizon"])
    own = fg_a.select(
        **{f"of_{key}": fg_a[key] for key in _KEYS},
        **{value_column(c): fg_a[c] for c in metrics},
        **{name: fg_a[name] for name in chosen if name not in fg_c.columns},
    )
    rows = compared.inner_join(own, [compared[key] == own[f"of_{key}"] for key in _KEYS])
    names = dict.fromkeys([*PASSED, *(k.column for k in KINDS.values() if k.column), *chosen])
    usual = {baseline_column(c): rows[value_column(c)].cast("float64") - rows[statistic(c, "diff")] for c in metrics}
    return rows.select(*names, *(value_column(c) for c in metrics), **usual)
