"""Beacons: pairs whose connections of the last 24 hours keep time."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import ibis.expr.types as ir
from pydantic import Field

from ndr.features import beacons as rhythm
from ndr.table import Context, Given, table
from ndr.tables.pair_counts import pair_counts as pair_counts_table
from ndr.tables.sessions import sessions as session_table
from ndr.tables.settings import Settings, Spec
from ndr.time import DAY, SLICE

HOUR = timedelta(hours=1)
Share = Annotated[float, Field(ge=0, le=1)]


class Rhythm(Spec):
    """What counts as a rhythm; the same for fast and slow beacons."""

    min_connections: int = Field(default=8, ge=4, le=10**6, description="beats that a pair must have to be scored")
    burst_share: Share = Field(
        default=0.05, description="starts closer than this share of the 90th percentile of the gaps are one beat"
    )
    missed_beats: int = Field(
        default=3, ge=0, le=1000, description="an interval in which more beats are missing is a pause"
    )
    full_coverage_share: float = Field(
        default=0.5, gt=0, le=1, description="share of the period that a beacon must last for the full coverage_score"
    )
    halving_intervals: int = Field(default=4, ge=0, le=10**6, description="with this many intervals a score is halved")
    confirmation_share: Share = Field(default=0.5, description="how much of the score hangs on skew, size and coverage")
    min_score: Share = Field(default=0.1, description="pairs that score less are not kept")


class Beacons(Rhythm):
    """Which pairs are scored each hour over the 24 hours before, and how."""

    max_sessions: int = Field(
        default=86_400,
        ge=4,
        le=10**9,
        description="pairs with more sessions, one a second, are strobes (RITA) and not scored",
    )
    burst_seconds: float = Field(default=1.0, ge=1e-6, le=86_400, description="starts closer than this are one beat")


BEACON_COLUMNS = {
    "src_ip": "string",
    "dst_ip": "string",
    "dst_port": "int32",
    "beacon_end_ts": "timestamp(6)",
    "connections_cnt": "int64",
    **dict.fromkeys(("interval_median_seconds", "interval_regularity", "interval_skew_score"), "float64"),
    **dict.fromkeys(("size_regularity", "coverage_score", "prevalence_share", "beacon_score"), "float64"),
}
_PERIOD_HOURS = DAY // HOUR


def _slices(context: Context) -> list[tuple[Any, ...]]:
    ends = [part.known_at for part in context.parts]
    return [(end, end - SLICE * back) for end in ends for back in range(1, DAY // SLICE + 1)]


def rhythms(starts: ir.Table, spec: Rhythm, burst: timedelta) -> ir.Table:
    """One row per pair with enough beats, by the rules of the table."""
    beats = rhythm.beats(starts, burst // timedelta(microseconds=1), spec.burst_share)
    return rhythm.rhythms(beats, spec.min_connections, spec.missed_beats)


def scored(found: ir.Table, chosen: ir.Table, spec: Rhythm, period_hours: int) -> ir.Table:
    """One row per pair and end that scores enough."""
    scores = rhythm.beacon_scores(
        found, chosen, period_hours=period_hours, full_coverage_share=spec.full_coverage_share,
        halving_intervals=spec.halving_intervals, confirmation_share=spec.confirmation_share,
    )  # fmt: skip
    return scores.filter(scores.beacon_score >= spec.min_score)


@table(
    keys=("src_ip", "dst_ip", "dst_port", "beacon_end_ts"),
    columns=BEACON_COLUMNS,
    every=HOUR,
    at="beacon_end_ts",
    at_end=True,
    reads={
        "sessions": session_table.past(DAY),
        "pair_counts": pair_counts_table.past(DAY, needed=True),
        "frames": Given({"beacon_end_ts": "timestamp(6)", "slice_start_ts": "timestamp(6)"}, _slices),
    },
    spec=Beacons,
    settings=("clock",),
    partitions=("feature_spec_version", "dt"),
    job="beacons",
)
def beacons(
    sessions: ir.Table, pair_counts: ir.Table, frames: ir.Table, *, spec: Beacons, settings: Settings, version: str
) -> ir.Table:
    """One row per pair of an internal source and full hour whose connections of the 24 hours before it keep time.

    It reads the sessions whose clock lies in the 24 hours and whose batch had ended by the hour; threat records are
    none. A beat is a connection by ``event_start``, or a burst of them; a record counts once, for a repeat
    count says nothing of time. The scores are those of RITA v5, made robust, here with the default thresholds.

    - ``connections_cnt``: the beats. Starts closer than 1 s, or than 5 % of the 90th percentile of the gaps, are one.
    - ``interval_median_seconds``: the period: the median of the intervals between beats, each divided by the number of
      periods that it spans, so that missed beats do not stretch it.
    - ``interval_regularity``: max(0, 1 - (4 d / period)²), d the mean distance of the intervals to the nearest multiple
      of the period. Moments without rhythm have 0, intervals of a period ± 20 % about 0.84.
    - ``interval_skew_score``: 1 - abs(Bowley's skewness) of those distances; 1 when they hardly spread.
    - ``size_regularity``: max(0, 1 - MAD / median) of the bytes sent per beat; null when the median is unknown or 0.
    - ``coverage_score``: how long it lasts, pauses of more than 3 missed beats left out; 1 from 12 hours on.
    - ``prevalence_share``: of the other internal hosts that called anybody in these hours, the share that called the
      same destination and port: near 1 for the services of the house.
    - ``beacon_score`` in [0, 1]: n / (n + 4) * regularity * (1 + c) / 2 with n intervals and c the mean of skew, size
      and coverage. It does not look at the prevalence.

    Pairs with fewer than 8 beats, a score under 0.1 or more than 86,400 sessions (strobes, to RITA) have no row.
    ``dst_port`` is null where the protocol has none.
    """
    del version
    pairs = rhythm.pairs_of_slices(pair_counts, frames)
    chosen = rhythm.chosen_pairs(pairs, spec.min_connections, spec.max_sessions)
    starts = rhythm.starts_of_sessions(sessions, chosen, settings.clock, _PERIOD_HOURS)
    found = rhythms(starts, spec, timedelta(seconds=spec.burst_seconds))
    return scored(found, chosen, spec, _PERIOD_HOURS)
