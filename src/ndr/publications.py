"""Publications: which baselines there are to be, and which one a moment is compared with."""

from __future__ import annotations

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

    A horizon is published when its first day holds data. References are the midnights of the schedule, the first ones
    at which a horizon can be published after a stretch of its own length without data, and those that were asked for.
    """
    spec, last = baselines_of(config), ledger.last_arrival()
    held = {floor(start, DAY) for start in ledger.slice_starts()}
    asked = ledger.asked_publications(config.feature_spec_version)
    found: dict[datetime, Publication] = {}
    for reference in {*_scheduled(spec, held, last), *asked}:
        covered = tuple(h for h in spec.horizons if reference - days(spec.reach(h)) in held)
        if covered and last and reference <= last:
            found[reference] = spec.publication(reference, covered, provisional=False)
        elif asked.get(reference):
            found[reference] = spec.publication(reference, spec.horizons, provisional=True)
    return [found[reference] for reference in sorted(found)]


def _scheduled(spec: Baselines, held: set[datetime], last: datetime | None) -> set[datetime]:
    if not held or last is None:
        return set()
    found: set[datetime] = set()
    for horizon in spec.horizons:
        length = int(horizon[:-1])
        for day in held:
            if not any(day - days(n) in held for n in range(1, length + 1)):
                found.add(day + days(spec.reach(horizon)))
    day = floor(min(held), DAY)
    while day <= last:
        if spec.schedule == "daily" or (day.weekday() == 0 if spec.schedule == "weekly" else day.day == 1):
            found.add(day)
        day += DAY
    return found


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
