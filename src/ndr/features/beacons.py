"""Beacons: how regular the connections of a pair are, in time and in size.

After the beacon score of RITA v5 (Active Countermeasures), with its ingredients - the median absolute deviation and
Bowley's skewness of the intervals, the spread of the sizes, how long it lasts - but hardened: connections of one burst
are one beat, intervals over missed beats are folded back onto the period, few beats score less, and a pair that is
busy without a rhythm gets nothing for being busy.

Times are whole microseconds since the epoch, sums are sums of integers, quantiles are exact (linear interpolation): the
same rows give the same scores in any order and on any engine.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ndr.features.history import PAIR, bit_or
from ndr.time import EPOCH

SECOND = 1_000_000
HOUR = 3600 * SECOND
_NO_PORT = -1
"""Stands for a port that the protocol does not have while pairs are joined: null equals nothing."""
_FAR = 0.9
"""The quantile of the gaps that says how far apart beats are: nine connections a burst are still one beat."""
_NO_SPREAD = 20
"""Quartiles closer than a period divided by this have no skewness to speak of: clocks and queues blur that much."""


def _since_epoch(moment: ir.TimestampValue) -> ir.IntegerValue:
    return moment.delta(ibis.literal(EPOCH, "timestamp(6)"), unit="microsecond").cast("int64")


def _port(port: ir.IntegerValue) -> ir.IntegerValue:
    return port.fill_null(_NO_PORT)


def pairs_of_slices(pair_counts: ir.Table, frames: ir.Table) -> ir.Table:
    """One row per pair of an internal source and end: ``moments``, its sessions before the end, as known by then."""
    seen = pair_counts.filter(pair_counts.src_is_host).join(frames, "slice_start_ts")
    seen = seen.filter(seen.batch_end_ts <= seen.beacon_end_ts)
    seen = seen.mutate(dst_port=_port(seen.dst_port))
    return seen.group_by([*PAIR, "beacon_end_ts"]).agg(moments=seen.sessions_cnt.sum().cast("int64"))


def starts_of_sessions(sessions: ir.Table, chosen: ir.Table, clock: str, hours: int) -> ir.Table:
    """One row per chosen pair and second with a start: the first, the last, and the bytes of all.

    Sessions are those whose clock lies in the hours before the end and whose batch had ended by then; threat records
    are none. A record counts once, whatever its repeat count: it tells of one start.
    """
    s = sessions.filter(sessions.event_name != "THREAT")
    s = s.select(
        src_ip=s.source_ip, dst_ip=s.destination_ip, dst_port=_port(s.destination_port), start=s.event_start,
        end=s.event_end, clock=s[clock], brought=ibis.coalesce(s.batch_end_ts, s.event_end), bytes=s.source_bytes,
    )  # fmt: skip
    until = chosen.beacon_end_ts
    known = [s.end < until, s.brought <= until]
    seen = s.join(chosen, [*PAIR, s.clock < until, s.clock >= until - ibis.interval(hours=hours), *known])
    seen = seen.mutate(start=_since_epoch(seen.start))
    return seen.group_by(seen.pair, second=seen.start // SECOND).agg(
        first=seen.start.min(), last=seen.start.max(),
        bytes=seen.bytes.sum().cast("int64"), told=seen.bytes.count(),
    )  # fmt: skip


def active_hours(pair_days: ir.Table, frames: ir.Table) -> ir.Table:
    """One row per pair of an internal source, end and day before it: the hours with sessions, as known by the end."""
    days = pair_days.filter(pair_days.src_is_host).join(frames, "day_start_ts")
    days = days.filter(days.known_ts <= days.beacon_end_ts).mutate(dst_port=_port(pair_days.dst_port))
    return days.group_by([*PAIR, "beacon_end_ts", "day_start_ts"]).agg(active_hours=bit_or(days.active_hours))


def pairs_of_days(days: ir.Table) -> ir.Table:
    """One row per pair and end: ``moments``, its active hours."""
    counted = days.mutate(hours=sum((_is_active(days, hour) for hour in range(1, 24)), _is_active(days, 0)))
    return counted.group_by([*PAIR, "beacon_end_ts"]).agg(moments=counted.hours.sum().cast("int64"))


def _is_active(days: ir.Table, hour: int | ir.IntegerValue) -> ir.IntegerValue:
    return (days.active_hours >> hour) & 1


def starts_of_hours(days: ir.Table, chosen: ir.Table, hours: ir.Table) -> ir.Table:
    """One row per chosen pair and active hour: its start stands for those of the sessions, whose bytes are unknown."""
    seen = days.join(chosen, [*PAIR, "beacon_end_ts"]).cross_join(hours)
    seen = seen.filter(_is_active(seen, seen.hour) == 1)
    start = _since_epoch(seen.day_start_ts) + seen.hour * HOUR
    return seen.select("pair", first=start, last=start, bytes=ibis.null("int64"), told=ibis.literal(0, "int64"))


def chosen_pairs(pairs: ir.Table, at_least: int, at_most: int) -> ir.Table:
    """The pairs and ends with so many moments, numbered, and how prevalent what they talk to is.

    ``prevalence_share``: of the other sources that were active before the end, how many talked to the same destination
    and port; 0 when there is no other.
    """
    pairs = pairs.alias("active_pairs")
    service = ["dst_ip", "dst_port", "beacon_end_ts"]
    callers = pairs.group_by(service).agg(callers=pairs.count())
    everyone = pairs.group_by("beacon_end_ts").agg(everyone=pairs.src_ip.nunique())
    enough = pairs.filter(pairs.moments.between(at_least, at_most))
    known = enough.join(callers, service).join(everyone, "beacon_end_ts")
    share = (known.callers - 1).cast("float64") / (known.everyone - 1).nullif(0)
    order = ibis.window(order_by=[*PAIR, "beacon_end_ts"])
    return known.mutate(prevalence_share=share.fill_null(0.0), pair=ibis.row_number().over(order)).alias("chosen_pairs")


def beats(starts: ir.Table, burst: int, burst_share: float) -> ir.Table:
    """One row per beat but the last: ``interval`` to the next one and the ``size`` of its burst in bytes.

    Starts that follow each other closer than ``burst`` are one beat, also closer than ``burst_share`` of the 90th
    percentile of the longer gaps. The size is null when no session of the burst told its bytes. The last beat has no
    interval, and its burst may still go on. ``starts`` counts what is in the burst.
    """
    in_order = {"group_by": "pair", "order_by": "first"}
    before = starts.last.lag().over(ibis.window(**in_order))
    timed = starts.mutate(
        gap=starts["first"] - before,
        place=starts.told.count().over(ibis.window(**in_order, preceding=None, following=0)) - 1,
        bytes_before=starts.bytes.fill_null(0).cumsum(**in_order).cast("int64") - starts.bytes.fill_null(0),
        told_before=starts.told.cumsum(**in_order).cast("int64") - starts.told,
    )
    far = timed.gap.quantile(_FAR, where=timed.gap >= burst).over(ibis.window(group_by="pair"))
    timed = timed.mutate(far=far)
    is_beat = timed.gap.isnull() | ((timed.gap >= burst) & (timed.gap >= burst_share * timed.far))
    beat = timed.filter(is_beat)
    after = ibis.window(**in_order)
    told = beat.told_before.lead().over(after) - beat.told_before
    size = beat.bytes_before.lead().over(after) - beat.bytes_before
    found = beat.select(
        "pair",
        interval=beat["first"].lead().over(after) - beat["first"],
        starts=beat.place.lead().over(after) - beat.place,
        size=ibis.ifelse(told > 0, size, ibis.null("int64")),
    )
    return found.filter(found.interval.notnull()).alias("beats")


def rhythms(beats: ir.Table, at_least: int, missed: int) -> ir.Table:
    """One row per pair with ``at_least`` beats: the period, how regular the intervals and sizes are, how long it lasts.

    ``period`` is the median of the intervals, each divided by the number of beats that it spans: the whole number (at
    least one) of median intervals that comes next to it. Missed beats neither stretch it nor count as deviations.

    - ``interval_regularity`` = max(0, 1 - (mean deviation / quarter period)²); the deviation of an interval is its
      distance to the nearest multiple of the period, half a period at most. Moments without rhythm deviate by a quarter
      of a period on average and have 0. RITA takes the median around the median; the mean of bounded deviations
      mistakes chance for rhythm less often when there are few.
    - ``interval_skew_score`` = 1 - abs(q1 + q3 - 2 q2) / (q3 - q1) over the quartiles of those distances with their
      signs (Bowley's skewness, as in RITA); 1 when q3 - q1 is less than a twentieth of the period.
    - ``size_regularity`` = max(0, 1 - MAD / median) of the sizes, as in RITA; null when the median is unknown or 0.
    - ``covered``: microseconds of the intervals with at most ``missed`` beats missing, and a period for the last beat.
    - ``starts_per_beat``: how long bursts are.
    """
    found = _sized(_folded(beats, at_least), missed)
    ratio = 2 * found.deviated / (found.intervals * found.period)
    spread = found.q3 - found.q1
    skew = 1 - (found.q1 + found.q3 - 2 * found.q2).abs() / spread.nullif(0.0)
    size = 1 - found.size_spread / found.usual_size.nullif(0.0)
    return found.mutate(
        connections_cnt=found.intervals + 1,
        interval_regularity=ibis.greatest(1 - ratio * ratio, 0.0),
        interval_skew_score=ibis.ifelse(spread * _NO_SPREAD < found.period, 1.0, skew),
        size_regularity=ibis.ifelse(size < 0, 0.0, size),  # greatest() would make a number of null
        covered=found.covered + found.period,
    )


def _spans(interval: ir.IntegerValue, period: ir.NumericValue) -> ir.FloatingValue:
    return ibis.greatest((interval / period + 0.5).floor(), 1)


def _folded(beats: ir.Table, at_least: int) -> ir.Table:
    """The beats of pairs that have enough, each with the period and the usual size of its pair."""
    counted = beats.group_by("pair").agg(
        intervals=beats.count(), usual=beats.interval.median(), usual_size=beats["size"].median().cast("float64"),
        starts_per_beat=beats.starts.mean(),
    )  # fmt: skip
    usual = beats.join(counted.filter(counted.intervals >= at_least - 1), "pair")
    whole = (usual.interval / _spans(usual.interval, usual.usual) + 0.5).floor().cast("int64")
    usual = usual.mutate(folded=whole)
    return usual.mutate(period=(usual.folded.median().over(ibis.window(group_by="pair")) + 0.5).floor().cast("int64"))


def _sized(folded: ir.Table, missed: int) -> ir.Table:
    """One row per pair: sums and quantiles of the deviations from the period and from the usual size."""
    b = folded.mutate(spans=_spans(folded.interval, folded.period).cast("int64"))
    b = b.mutate(residual=b.interval - b.spans * b.period)
    return b.group_by(["pair", "intervals", "period", "usual_size", "starts_per_beat"]).agg(
        deviated=ibis.least(2 * b.residual.abs(), b.period).sum().cast("int64"),
        q1=b.residual.quantile(0.25), q2=b.residual.median(), q3=b.residual.quantile(0.75),
        size_spread=(b["size"] - b.usual_size).abs().median(),
        covered=b.interval.sum(where=b.spans <= missed + 1).fill_null(0).cast("int64"),
    )  # fmt: skip


def beacon_scores(
    rhythms: ir.Table, chosen: ir.Table, *, period_hours: int, full_coverage_share: float, halving_intervals: int,
    confirmation_share: float,
) -> ir.Table:  # fmt: skip
    """One row per pair and end: the rhythm under the names of the tables, and ``beacon_score``.

    ``coverage_score`` = min(1, covered / (``full_coverage_share`` of the hours)), RITA's duration score without its
    bins. With n intervals, c = ``confirmation_share`` and h = ``halving_intervals``:

        beacon_score = n / (n + h) * interval_regularity * (1 - c + c * mean(skew, size, coverage))

    over those of the three that are known. RITA takes a weighted mean, in which every busy pair scores a half; here
    time decides, the others confirm, and few intervals say little.
    """
    full = full_coverage_share * period_hours * HOUR
    scored = rhythms.mutate(coverage_score=ibis.least(rhythms.covered / full, 1.0))
    others = scored.interval_skew_score + scored.coverage_score
    confirmed = ibis.coalesce((others + scored.size_regularity) / 3, others / 2)
    intervals = scored.connections_cnt - 1
    support = intervals / (intervals + halving_intervals)
    scored = scored.mutate(
        interval_median_seconds=scored.period / SECOND,
        beacon_score=support * scored.interval_regularity * (1 - confirmation_share + confirmation_share * confirmed),
    )
    named = scored.join(chosen, "pair")
    return named.mutate(dst_port=named.dst_port.nullif(_NO_PORT)).select(
        *PAIR, "beacon_end_ts", "connections_cnt", "interval_median_seconds", "interval_regularity",
        "interval_skew_score", "size_regularity", "coverage_score", "prevalence_share", "beacon_score",
    )  # fmt: skip
