"""FG-B: what the five tables of baselines share, the spec of job ``fg_b_builder`` and the horizons."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

import ibis
import ibis.expr.types as ir
from pydantic import AfterValidator, Field, model_validator

from ndr.errors import near_miss
from ndr.features.baselines import statistic_columns
from ndr.metric import Metric
from ndr.metrics import BASELINED, METRICS, ROLES
from ndr.table import Context, Given, Publication
from ndr.tables.fg_a import WINDOWS
from ndr.tables.previous import MachineNames, Place
from ndr.tables.settings import PLACE, SEGMENTS, Inert, Prefix, Spec, inert
from ndr.time import Interval, days, stamp

PARTITIONS = ("feature_spec_version", "baseline_horizon", "publication")


def _references(context: Context) -> list[tuple[Any, ...]]:
    return [(stamp(part.start), part.start, part.horizon) for part in context.parts]


REFERENCE = Given(
    {"publication": "string", "reference_time": "timestamp(6)", "baseline_horizon": "string"}, _references
)
"""The one publication and horizon that is made."""


def stamped(rows: ir.Table, reference: ir.Table, version: str) -> ir.Table:
    """Rows of a published table with the publication that they belong to."""
    return rows.cross_join(reference).mutate(feature_spec_version=ibis.literal(version))


PUBLISHED = dict.fromkeys((*PARTITIONS,), "string") | {"reference_time": "timestamp(6)"}
"""Columns of every table of a publication."""
BANDS = ("WD_NIGHT", "WD_OFF", "WD_WORKING", "WE_NIGHT", "WE_OFF", "WE_WORKING")
APART = {"time_band": BANDS, "window_label": tuple(WINDOWS)}
"""What can be made apart, of behaviour and of baselines."""


_BASELINED = {metric.name: metric for metric in BASELINED}
UNCOMPARED = frozenset(metric.name for metric in METRICS) - _BASELINED.keys()
"""The metrics that have no baselines: others say the same better. Specs may name them, to no effect."""
COLUMNS = {metric.column(role): metric for role in ROLES for metric in BASELINED}
"""The columns of FG-A that have baselines, both roles."""
PAIR_RARITY = {
    "pair_seen_count": "int64",
    "active_days": "int64",
    "pair_daily_avg": "float64",
    "pair_last_seen_ts": "timestamp(6)",
    "pair_rarity_score": "float64",
    "is_rare_pair_flag": "int32",
}
STATISTICS = {"slices_cnt": "int64", "capped_cnt": "int64", **statistic_columns(list(COLUMNS))}
"""What host, segment and everybody have alike."""


def _horizon(name: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,2}d", name):
        raise ValueError(f"{name!r} is no horizon: write whole days, such as 7d or 30d")
    return name


def _compared(names: tuple[str, ...]) -> tuple[str, ...]:
    """The metrics of these that hosts are compared in; other metrics of the catalogue have no baselines."""
    for name in names:
        if name not in UNCOMPARED and name not in _BASELINED:
            near = near_miss(name, _BASELINED)
            raise ValueError(f"{name!r} is no metric.{near} Hosts are compared in {', '.join(_BASELINED)}")
    found = tuple(name for name in names if name in _BASELINED)
    if names and not found:
        raise ValueError(f"of {', '.join(names)} no baselines are made; hosts are compared in {', '.join(_BASELINED)}")
    return found


def _about_compared(values: dict[str, int]) -> dict[str, int]:
    kept = _compared(tuple(values))
    return {name: values[name] for name in kept}


Horizon = Annotated[str, AfterValidator(_horizon)]
MetricNames = Annotated[tuple[str, ...], AfterValidator(_compared)]
Share = Annotated[float, Field(ge=0, le=1)]


class SafetyGap(Spec):
    """How far before the reference time a horizon ends; it begins its own length earlier."""

    tail_days: int = Field(ge=0, le=365)
    head_days: int | None = inert("a horizon is exactly as long as its name says: it begins that long before its end")


class Capping(Spec):
    """Which slices are too wild to say what is normal."""

    key_metrics: MetricNames = Field(
        default=("sessions_cnt", "failed_cnt", "peer_ip_nunique", "peer_port_nunique"),
        description="counts; bytes are no good judges, for a backup every night is a million scales off each time",
    )
    z_max: float = Field(
        default=200.0,
        gt=0,
        allow_inf_nan=False,
        description="robust z against the segment above which a slice is left out",
    )
    w_anom: float | None = inert("a wild slice is left out of the quantiles wholly, and counts as support")


class PairRarity(Spec):
    """Which pairs are rare."""

    rarity_threshold: Share = Field(default=0.25, description="pairs with 1 / (1 + sessions) at or above it are rare")
    enabled: bool | None = inert("pair rarity is always made")
    s3_prefix: str | None = inert(PLACE)


SUPPORT_MIN = 50
_GAPS = {"7d": SafetyGap(tail_days=2), "30d": SafetyGap(tail_days=7)}


class Baselines(Spec):
    """Job ``fg_b_builder``."""

    horizons: tuple[Horizon, ...] = Field(default=("7d", "30d"), min_length=1)
    safety_gaps: dict[Horizon, SafetyGap] = Field(default_factory=dict)
    schedule: Literal["monthly", "weekly", "daily"] = "monthly"
    baseline_metrics: MetricNames = tuple(_BASELINED)
    baseline_required_metrics: MetricNames = ("sessions_cnt",)
    support_min: Annotated[dict[str, Annotated[int, Field(ge=1, le=10**9)]], AfterValidator(_about_compared)] = Field(
        default_factory=dict, description="metric -> slices it needs; 50 for the others"
    )
    anomaly_capping: Capping = Capping()
    pair_counts: PairRarity = PairRarity()
    non_persistent_machine_prefixes: tuple[Prefix, ...] = ()
    fg_a_input: Place | None = inert(PLACE)
    fg_b_output: Place | None = inert(PLACE)
    segment_mapping: Inert = inert(SEGMENTS)
    join_keys: tuple[str, ...] | None = inert("rows are joined by the keys of the tables")
    ip_machine_mapping: MachineNames | None = inert("machine names come from the table machines")

    @model_validator(mode="after")
    def _required_have_baselines(self) -> Baselines:
        if without := set(self.baseline_required_metrics) - set(self.baseline_metrics):
            raise ValueError(f"baseline_required_metrics: {', '.join(sorted(without))} not among baseline_metrics")
        return self

    def support(self) -> dict[str, int]:
        """The columns that get baselines, and how many slices each needs before its baseline can be trusted."""
        return {
            c: self.support_min.get(m.name, SUPPORT_MIN) for c, m in COLUMNS.items() if m.name in self.baseline_metrics
        }

    def required_support(self) -> dict[str, int]:
        """The columns that a host needs a past in, and how many slices of each."""
        return {name: self.support_min.get(name, SUPPORT_MIN) for name in self.baseline_required_metrics}

    def key_metrics(self) -> list[Metric]:
        """The metrics that decide which slices are wild."""
        return [_BASELINED[name] for name in self.anomaly_capping.key_metrics]

    def gap(self, horizon: str) -> int:
        """The days between the end of a horizon and the reference time."""
        gap = self.safety_gaps.get(horizon) or _GAPS.get(horizon)
        return gap.tail_days if gap else 2

    def reach(self, horizon: str) -> int:
        """The days between the begin of a horizon and the reference time."""
        return int(horizon[:-1]) + self.gap(horizon)

    def publication(self, reference: datetime, horizons: tuple[str, ...], *, provisional: bool) -> Publication:
        """The publication of a reference time; a provisional one leaves no gap."""
        return Publication(
            reference,
            {
                h: Interval(reference - days(self.reach(h)), reference - days(0 if provisional else self.gap(h)))
                for h in horizons
            },
            provisional,
        )
