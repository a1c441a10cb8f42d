"""Slow beacons: pairs that meet every few hours or once a day, by the active hours of two weeks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import ibis.expr.types as ir
from pydantic import Field

from ndr.features import beacons as rhythm
from ndr.table import Context, Given, table
from ndr.tables.beacons import BEACON_COLUMNS, HOUR, Rhythm, Share, rhythms, scored
from ndr.tables.pair_days import pair_days as pair_days_table
from ndr.tables.settings import Settings
from ndr.time import DAY

PERIOD = timedelta(days=14)
_PERIOD_HOURS = PERIOD // HOUR
_ADJACENT = 2 * HOUR
"""Active hours next to each other are one beat: a connection near the full hour may show in both."""


class SlowBeacons(Rhythm):
    """Which pairs are scored each midnight over the 14 days before, and how."""

    min_interval_hours: int = Field(
        default=3, ge=2, le=72, description="periods shorter than this are seen better by the hourly table"
    )
    max_active_share: Share = Field(
        default=0.5, description="pairs that are active in more of the hours are busy, not slow; they are not scored"
    )
    max_hours_per_beat: float = Field(
        default=1.5,
        ge=1,
        le=24,
        description="pairs whose beats last longer on average are at work, they do not call home",
    )


def _days(context: Context) -> list[tuple[Any, ...]]:
    ends = [part.known_at for part in context.parts]
    return [(end, end - DAY * back) for end in ends for back in range(1, PERIOD // DAY + 1)]


def _hours_of_day(_: Context) -> list[tuple[Any, ...]]:
    return [(hour,) for hour in range(DAY // HOUR)]


@table(
    keys=("src_ip", "dst_ip", "dst_port", "beacon_end_ts"),
    columns=BEACON_COLUMNS,
    every=DAY,
    at="beacon_end_ts",
    at_end=True,
    reads={
        "pair_days": pair_days_table.past(PERIOD, needed=True),
        "frames": Given({"beacon_end_ts": "timestamp(6)", "day_start_ts": "timestamp(6)"}, _days),
        "hours": Given({"hour": "int64"}, _hours_of_day),
    },
    spec=SlowBeacons,
    partitions=("feature_spec_version", "dt"),
    job="slow_beacons",
)
def slow_beacons(
    pair_days: ir.Table, frames: ir.Table, hours: ir.Table, *, spec: SlowBeacons, settings: Settings, version: str
) -> ir.Table:
    """One row per pair of an internal source and midnight whose active hours of the 14 days before it keep time.

    The columns are those of ``beacons``, over full hours instead of moments: a beat is a run of active hours (hours of
    slices with sessions, of batches that had arrived by the midnight), ``connections_cnt`` counts the beats and
    ``size_regularity`` is null, for bytes are not kept by the hour. Pairs with fewer than 8 beats, a period under 3
    hours, beats of more than 1.5 hours on average, sessions in more than half of the hours or a score under 0.1 have no
    row. A habit at a fixed hour of the day is a rhythm too; prevalence and rarity tell whose it is.
    """
    del settings, version
    days = rhythm.active_hours(pair_days, frames).alias("active_days")
    busy = int(spec.max_active_share * _PERIOD_HOURS)
    chosen = rhythm.chosen_pairs(rhythm.pairs_of_days(days), spec.min_connections, busy)
    starts = rhythm.starts_of_hours(days, chosen, hours)
    found = rhythms(starts, spec, _ADJACENT)
    slow = found.period >= spec.min_interval_hours * rhythm.HOUR
    short = found.starts_per_beat <= spec.max_hours_per_beat
    return scored(found.filter(slow & short), chosen, spec, _PERIOD_HOURS)
