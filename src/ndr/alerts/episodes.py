"""Episodes: the anomalous windows of one host that hang together, folded where the rows lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir

from ndr.run import Workshop
from ndr.summary import stored
from ndr.tables.fg_a import WINDOWS
from ndr.tables.predictions import predictions
from ndr.time import DAY, EPOCH, Interval

GAP = timedelta(hours=1)
"""Windows of a host that are no farther apart belong together."""
_LOOKBACK, _FARTHER = 2 * DAY, 4


@dataclass(frozen=True)
class Episode:
    """The anomalous windows of a host that overlap or follow each other, and the one of most evidence among them."""

    host_ip: str
    detected: datetime
    """When the first of these windows was over. Longer windows that join later begin earlier, but never end earlier."""
    first_seen: datetime = field(compare=False)
    """When that window began, the shortest of those that were over at that moment."""
    last_seen: datetime = field(compare=False)
    begins: datetime = field(compare=False)
    """When the earliest of these windows began."""
    windows: int = field(compare=False)
    evidence: float = field(compare=False)
    window_label: str = field(compare=False)
    """Of the window of most evidence, as what follows."""
    peak_end: datetime = field(compare=False)
    leading_kind: str = field(compare=False)
    beacon: tuple[str, int | None] | None = field(compare=False)
    """The pair that beats, where a beacon leads."""
    days: Mapping[datetime, float] = field(compare=False)
    """The greatest evidence of each day that was asked for."""

    @property
    def peak_start(self) -> datetime:
        """When the window of most evidence began."""
        return self.peak_end - WINDOWS[self.window_label]


def episodes(shop: Workshop, within: Interval | None, threshold: float | None) -> list[Episode]:
    """The episodes with any window end in ``(start, end]``, whole as they were known at its end.

    Without a threshold the windows labelled anomalous count, else those with at least this score. Reads as far back
    as the first of these episodes goes.
    """
    known = shop.ledger.parts(predictions.name, shop.config.feature_spec_version)
    reach = _LOOKBACK
    while True:
        start = within.start if within else EPOCH
        wide = Interval(start - reach, within.end) if within else None
        rows = _folded(predictions.unbound("rows"), start, threshold)
        files = stored(predictions, shop, wide)
        found = shop.engine.fetch(shop.engine.compile(rows), {"rows": files}) if files.paths else []
        whole = _put_together(found)
        if wide is None or not known or wide.start <= known[0].key.start:
            return whole
        if all(episode.begins > wide.start + GAP for episode in whole):
            return whole
        reach *= _FARTHER


def _folded(rows: ir.Table, since: datetime, threshold: float | None) -> ir.Table:
    """One row per host, episode and day: how long, and its window of most evidence; of equal ones the earliest."""
    chosen = rows.prediction_label == "anomalous" if threshold is None else rows.prediction_score >= threshold
    told = rows.filter(chosen).select(
        "host_ip", "window_label", "window_end_ts", "evidence", "leading_kind", "beacon_dst_ip", "beacon_dst_port",
        start=_start(rows), day=(rows.window_end_ts - ibis.interval(microseconds=1)).truncate("D"),
    )  # fmt: skip
    in_order = {"group_by": "host_ip", "order_by": ["start", "window_end_ts", "window_label"]}
    reached = told.window_end_ts.max().over(ibis.window(**in_order, preceding=(None, 1)))
    opens = ibis.ifelse(reached.isnull() | (told.start > reached + GAP), 1, 0)
    opened = told.mutate(opens=opens)
    numbered = opened.mutate(episode=opened.opens.sum().over(ibis.window(**in_order, preceding=None, following=0)))
    keys = ["host_ip", "episode", "day"]
    whole = ibis.window(group_by=keys)
    best = ibis.window(group_by=keys, order_by=[ibis.desc("evidence"), "window_end_ts", "start"])
    first = ibis.window(group_by=keys, order_by=["window_end_ts", ibis.desc("start")])
    asked = ibis.ifelse(numbered.window_end_ts > since, numbered.evidence, ibis.null("float64"))
    every = numbered.mutate(
        first_seen=numbered.start.first().over(first),
        begins=numbered.start.min().over(whole),
        last_seen=numbered.window_end_ts.max().over(whole),
        detected=numbered.window_end_ts.min().over(whole),
        windows=numbered.count().over(whole),
        asked=asked.max().over(whole),
        place=ibis.row_number().over(best),
    )
    return every.filter(every.place == 0).drop("place", "opens", "start").order_by(*keys)


def _start(rows: ir.Table) -> ir.Value:
    """When a window began."""
    lengths = ((rows.window_label == label, length) for label, length in WINDOWS.items())
    return ibis.cases(
        *(
            (is_it, rows.window_end_ts - ibis.interval(seconds=int(length.total_seconds())))
            for is_it, length in lengths
        ),
        else_=rows.window_end_ts,
    )


def _put_together(rows: Iterable[Mapping[str, Any]]) -> list[Episode]:
    """The days of each episode as one; those of which no day was asked for are left out."""
    found: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["host_ip"], row["episode"]), []).append(row)
    return [_episode(days) for days in found.values() if any(day["asked"] is not None for day in days)]


def _episode(days: list[Mapping[str, Any]]) -> Episode:
    peak = max(days, key=lambda day: (day["evidence"], -day["day"].toordinal()))
    first = min(days, key=lambda day: day["detected"])
    beats = peak["leading_kind"] == "beacon" and peak["beacon_dst_ip"] is not None
    return Episode(
        host_ip=peak["host_ip"],
        detected=first["detected"],
        first_seen=first["first_seen"],
        last_seen=max(day["last_seen"] for day in days),
        begins=min(day["begins"] for day in days),
        windows=sum(day["windows"] for day in days),
        evidence=peak["evidence"],
        window_label=peak["window_label"],
        peak_end=peak["window_end_ts"],
        leading_kind=peak["leading_kind"],
        beacon=(peak["beacon_dst_ip"], peak["beacon_dst_port"]) if beats else None,
        days={day["day"]: day["asked"] for day in days if day["asked"] is not None},
    )
