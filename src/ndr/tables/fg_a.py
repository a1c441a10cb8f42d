"""FG-A: what each host did, over the last quarter hour to the last day."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import ibis.expr.types as ir
from pydantic import Field

from ndr.features import frames as framing
from ndr.features import levels, windows
from ndr.metrics import METRICS, ROLES
from ndr.table import Context, Given, table
from ndr.tables.delta import delta as delta_table
from ndr.tables.pair_counts import pair_counts as pair_counts_table
from ndr.tables.pair_history import pair_history as pair_history_table
from ndr.tables.previous import Place
from ndr.tables.settings import PLACE, SEGMENTS, Inert, Settings, Spec, inert, moment
from ndr.time import SLICE, days, iso, stamp

WINDOWS = {
    "w_15m": timedelta(minutes=15),
    "w_30m": timedelta(minutes=30),
    "w_1h": timedelta(hours=1),
    "w_8h": timedelta(hours=8),
    "w_24h": timedelta(hours=24),
}
_CONTEXT = {
    **dict.fromkeys(("hour_of_day", "day_of_week"), "int32"),
    **dict.fromkeys(("is_working_hours", "is_off_hours", "is_night_hours", "is_weekend", "is_holiday"), "int32"),
    "time_band": "string",
}
Count = Annotated[int, Field(ge=0)]


class RareThresholds(Spec):
    """How many sessions in the lookback still count as rare."""

    peer: Count = 3
    port: Count = 3
    pair: Count = 3


class Lookback(Spec):
    """Novelty against the 30 days before a window."""

    rare_thresholds: RareThresholds = RareThresholds()


class CurrentBehaviour(Spec):
    """Job ``fg_a_builder``."""

    high_risk_segments: tuple[str, ...] = ()
    lookback30d: Lookback = Lookback()
    delta_input: Place | None = inert(PLACE)
    delta_s3_prefix: str | None = inert(PLACE)
    fg_a_output: Place | None = inert(PLACE)
    output_s3_prefix: str | None = inert(PLACE)
    pair_counts_input: Place | None = inert(PLACE)
    segment_mapping: Inert = inert(SEGMENTS)


def _frames(context: Context) -> list[tuple[Any, ...]]:
    return framing.frame_rows([part.known_at for part in context.parts], WINDOWS)


def _bands(_: Context) -> list[tuple[Any, ...]]:
    return framing.band_rows(WINDOWS)


def _windows(_: Context) -> list[tuple[Any, ...]]:
    return framing.window_rows(WINDOWS)


def _ends(context: Context) -> list[tuple[Any, ...]]:
    rows = []
    for place, part in enumerate(context.parts):
        end, number = part.known_at, framing.end_number(place, WINDOWS)
        batch = context.batches.get(end) or stamp(part.start)
        when = moment(context.settings.calendar, part.start)
        rows.append(
            (number, end, iso(end), framing.history_end(end, WINDOWS), batch, *(getattr(when, c) for c in _CONTEXT))
        )
    return rows


@table(
    keys=("host_ip", "window_label", "window_end_ts"),
    columns={
        "record_id": "string",
        "host_ip": "string",
        "window_label": "string",
        "window_start_ts": "timestamp(6)",
        "window_end_ts": "timestamp(6)",
        "mini_batch_id": "string",
        "feature_spec_version": "string",
        "segment_id": "string",
        **_CONTEXT,
        **{metric.column(role): metric.dtype for role in ROLES for metric in METRICS},
    },
    every=SLICE,
    at="window_end_ts",
    at_end=True,
    reads={
        "delta": delta_table.past(days(1), needed=True),
        "pair_counts": pair_counts_table.past(framing.read_back(WINDOWS)),
        "oldest_pairs": pair_counts_table.before(days(31), days(29)),
        "pair_history": pair_history_table.before(days(3) - SLICE, days(2) - SLICE),
        "frames": Given(
            {"end": "int64", "window_end_ts": "timestamp(6)", "slice_start_ts": "timestamp(6)", "band": "int64"},
            _frames,
        ),
        "bands": Given({"band": "int64", "window": "int64", "in_window": "boolean"}, _bands),
        "lengths": Given({"window": "int64", "window_label": "string", "window_seconds": "int64"}, _windows),
        "ends": Given(
            {
                "end": "int64", "window_end_ts": "timestamp(6)", "window_end_text": "string",
                "history_end_ts": "timestamp(6)", "mini_batch_id": "string", **_CONTEXT,
            },
            _ends,
        ),
    },
    spec=CurrentBehaviour,
    settings=("calendar",),
    partitions=("feature_spec_version", "dt"),
    job="fg_a_builder",
)  # fmt: skip
def fg_a(  # noqa: PLR0913, PLR0917 - one argument per table that it reads
    delta: ir.Table, pair_counts: ir.Table, oldest_pairs: ir.Table, pair_history: ir.Table, frames: ir.Table,
    bands: ir.Table, lengths: ir.Table, ends: ir.Table, *, spec: CurrentBehaviour, settings: Settings, version: str,
) -> ir.Table:  # fmt: skip
    """One row per host, window and window end with at least one record in the window: what the host did.

    Outbound metrics have plain names, inbound ones the prefix ``in_``. Counts are 0 for an idle role; shares, ratios
    and entropies that cannot be computed are null. A window reads what had arrived by its end, nothing later.
    """
    del settings
    sliced = windows.sliced_metrics(delta, frames, bands)
    pairs = levels.needed(pair_counts).union(levels.needed(oldest_pairs))
    measured = levels.pair_metrics(
        pairs, pair_history, {"frames": frames, "windows": lengths, "ends": ends},
        levels.Bands(framing.bands_within(WINDOWS), framing.bands_before(WINDOWS)),
        high_risk_segments=spec.high_risk_segments, rare_thresholds=spec.lookback30d.rare_thresholds.model_dump(),
    )  # fmt: skip
    return windows.current_behaviour(windows.host_rows(sliced, measured), ends, lengths, version)
