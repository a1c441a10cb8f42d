"""Publications: which baselines there are to be, and which one a moment is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from ndr.ledger import Ledger
from ndr.specs import Config
from ndr.table import Publication, in_force
from ndr.tables.fg_b import Baselines
from ndr.tables.fg_b_host import fg_b_host
from ndr.time import DAY, END_OF_TIME, Interval, ceil, days, floor


def baselines_of(config: Config) -> Baselines:
    """The spec of the baselines."""
    spec = config.spec(fg_b_host)
    assert isinstance(spec, Baselines)  # noqa: S101 - tells the type checker what the declaration says
    return spec


def publications(
    config: Config, ledger: Ledger, more: Mapping[datetime, bool] = MappingProxyType({})
) -> list[Publication]:
    """The publications that the data, the schedule and requests call for, by reference time.

    A horizon is *covered* when its first day and at least half of its days hold data that were known by the reference
    time; only covered horizons are published. References are the midnights of the schedule, those at which a horizon
    is covered for the first time, or was not for as many midnights before as it has days, and those that were asked
    for; ``more`` are asked for now: reference time -> whether provisional ones will do.
    """
    spec, days_known, last = baselines_of(config), ledger.days(), ledger.last_arrival()
    if last is None:
        return []
    asked = {**ledger.asked_publications(config.feature_spec_version), **more}
    found: dict[datetime, Publication] = {}
    for reference in {*_scheduled(spec, min(days_known), last), *_firsts(spec, days_known), *asked}:
        covered = tuple(horizon for horizon in spec.horizons if _covered(spec, horizon, reference, days_known))
        if covered and reference <= last:
            found[reference] = spec.publication(reference, covered, provisional=False)
        elif asked.get(reference) and (horizons := _distinct(spec, reference, days_known)):
            found[reference] = spec.publication(reference, horizons, provisional=True)
    return [found[reference] for reference in sorted(found)]


def _covered(spec: Baselines, horizon: str, reference: datetime, days_known: Mapping[datetime, datetime]) -> bool:
    bounds = spec.publication(reference, (horizon,), provisional=False).horizons[horizon]
    held = [days_known.get(day.start, END_OF_TIME) <= reference for day in bounds.split(DAY)]
    return held[0] and 2 * sum(held) >= len(held)


def _distinct(spec: Baselines, reference: datetime, days_known: Mapping[datetime, datetime]) -> tuple[str, ...]:
    """The horizons of a provisional publication: the shortest with data, and longer ones that look at more than it."""
    held = [day for day, known in days_known.items() if day < reference and known <= reference]
    found: dict[int, str] = {}
    for horizon in sorted(spec.horizons, key=lambda name: int(name[:-1])):
        if seen := sum(1 for day in held if day >= reference - days(spec.reach(horizon))):
            found.setdefault(seen, horizon)
    return tuple(found.values())


def _firsts(spec: Baselines, days_known: Mapping[datetime, datetime]) -> set[datetime]:
    """The midnights at which a horizon is covered, and was not at as many midnights before as it has days."""
    found: set[datetime] = set()
    for horizon in spec.horizons:
        midnights = (day + days(spec.reach(horizon)) for day in days_known)
        covered = {each for each in midnights if _covered(spec, horizon, each, days_known)}
        found |= {
            each for each in covered if not any(each - days(n) in covered for n in range(1, int(horizon[:-1]) + 1))
        }
    return found


def _scheduled(spec: Baselines, first: datetime, last: datetime) -> set[datetime]:
    midnights = (first + DAY * n for n in range((last - first) // DAY + 1))
    if spec.schedule == "daily":
        return set(midnights)
    return {day for day in midnights if (day.weekday() == 0 if spec.schedule == "weekly" else day.day == 1)}


def warmup_references(config: Config, ledger: Ledger) -> list[datetime]:
    """The references of provisional publications for every stretch of data that no regular baselines serve.

    For each it is the last midnight with a whole day of its data before it, else the next midnight.
    """
    known, last = [p for p in publications(config, ledger) if not p.provisional], ledger.last_arrival()
    found = []
    for stretch in stretches(ledger.slice_starts()):
        end = min(stretch.end, last) if last else stretch.end
        if not in_force(known, end):
            midnight = floor(end, DAY)
            found.append(midnight if midnight - stretch.start >= DAY else ceil(end, DAY))
    return found


def stretches(starts: Iterable[datetime]) -> list[Interval]:
    """Stretches of time in which some window holds data; a month without a session is not walked through."""
    found: list[Interval] = []
    for start in sorted(starts):
        if found and start <= found[-1].end:
            found[-1] = Interval(found[-1].start, start + DAY)
        else:
            found.append(Interval(start, start + DAY))
    return found
