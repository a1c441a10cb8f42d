"""Publications: which baselines there are to be, and which one a moment is compared with."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from ndr.ledger import Ledger
from ndr.specs import Config
from ndr.table import Publication
from ndr.tables.fg_b import Baselines
from ndr.tables.fg_b_host import fg_b_host
from ndr.time import DAY, ceil, days, floor


def baselines_of(config: Config) -> Baselines:
    """The spec of the baselines."""
    spec = config.spec(fg_b_host)
    assert isinstance(spec, Baselines)  # noqa: S101 - tells the type checker what the declaration says
    return spec


def publications(config: Config, ledger: Ledger) -> list[Publication]:
    """The publications that the data, the schedule and requests call for, by reference time.

    A horizon is published when its first day holds data that were known by the reference time. References are the
    midnights of the schedule, the first ones at which a horizon can be published after a stretch of its own length
    without data, and those that were asked for.
    """
    spec, days_known, last = baselines_of(config), ledger.days(), ledger.last_arrival()
    if last is None:
        return []
    asked = ledger.asked_publications(config.feature_spec_version)
    found: dict[datetime, Publication] = {}
    for reference in {*_scheduled(spec, min(days_known), last), *_firsts(spec, days_known), *asked}:
        firsts = {horizon: reference - days(spec.reach(horizon)) for horizon in spec.horizons}
        covered = tuple(h for h, day in firsts.items() if days_known.get(day, reference + DAY) <= reference)
        if covered and reference <= last:
            found[reference] = spec.publication(reference, covered, provisional=False)
        elif asked.get(reference):
            found[reference] = spec.publication(reference, spec.horizons, provisional=True)
    return [found[reference] for reference in sorted(found)]


def _firsts(spec: Baselines, known: Collection[datetime]) -> set[datetime]:
    """The first midnights at which a horizon is covered after a stretch of its own length without data."""
    return {
        day + days(spec.reach(horizon))
        for horizon in spec.horizons
        for day in known
        if not any(day - days(back) in known for back in range(1, int(horizon[:-1]) + 1))
    }


def _scheduled(spec: Baselines, first: datetime, last: datetime) -> set[datetime]:
    midnights = (first + DAY * n for n in range((last - first) // DAY + 1))
    if spec.schedule == "daily":
        return set(midnights)
    return {day for day in midnights if (day.weekday() == 0 if spec.schedule == "weekly" else day.day == 1)}


def warmup_reference(ledger: Ledger) -> datetime | None:
    """The reference of a provisional publication: the last midnight with a whole day of data before it, else the next.

    None without data.
    """
    starts, last = ledger.slice_starts(), ledger.last_arrival()
    if not starts or last is None:
        return None
    midnight = floor(last, DAY)
    near = [start for start in starts if start < midnight]
    return midnight if near and midnight - max(near[0], midnight - DAY) >= DAY else ceil(last, DAY)
