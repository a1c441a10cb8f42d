"""Bands: what was usual at each moment of a period, by the baselines that were in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ndr.metric import statistic
from ndr.report.findings import Baselines, Values
from ndr.table import PartKey, Publication, in_force
from ndr.tables.settings import Calendar, moment
from ndr.time import SLICE

STATISTICS = ("p25", "median", "p75", "p95")
Place = tuple[datetime, str, str]
"""Reference time, horizon and time band: which row of a baseline a moment is held against."""
Usual = Mapping[tuple[str, str, Place], Mapping[str, Any]]
"""Tier, whose baseline it is, and place -> the row."""


def longest(publication: Publication) -> str:
    """The horizon that predictions are compared with."""
    return max(publication.horizons, key=lambda horizon: int(horizon[:-1]))


def places(known: Sequence[Publication], ends: Sequence[datetime], calendar: Calendar) -> list[Place | None]:
    """Where to look for what is usual at each of these window ends; None where no baselines were in force."""
    found: list[Place | None] = []
    for end in ends:
        own = in_force(known, end)
        band = moment(calendar, end - SLICE).time_band
        found.append((own.reference, longest(own), band) if own else None)
    return found


def serving(known: Sequence[Publication], ends: Sequence[datetime]) -> tuple[Baselines, ...]:
    """The publications that the window ends are compared with, and from when to when."""
    found: dict[datetime, Baselines] = {}
    for end in ends:
        if own := in_force(known, end):
            since = found[own.reference].since if own.reference in found else end - SLICE
            found[own.reference] = Baselines(own, since, end)
    return tuple(found.values())


def parts_of(served: Sequence[Baselines]) -> set[PartKey]:
    """The parts of published tables that hold these baselines in the horizon that counts."""
    return {
        PartKey(each.publication.reference, each.publication.reference, longest(each.publication)) for each in served
    }


def band(
    usual: Usual, tier: str, whose: str, at: Sequence[Place | None], column: str
) -> tuple[Values, Values, Values, Values]:
    """p25, median, p75 and p95 of a metric at each place; None where nothing is known."""
    rows = [usual.get((tier, whose, place), {}) if place else {} for place in at]
    low, median, high, ceiling = (tuple(row.get(statistic(column, name)) for row in rows) for name in STATISTICS)
    return low, median, high, ceiling
