"""When they work: the rhythm of the week for each kind of activity, as weights of the 168 hours of a local week."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from ndr.sources.simulation.network import Array

WEEK: Final = 168
_DAY: Final = 24
_WORKDAYS: Final = 5
_OFFICE: Final = (1, 1, 1, 1, 1, 2, 6, 30, 75, 100, 100, 90, 60, 85, 100, 95, 80, 50, 22, 12, 8, 6, 3, 2)
_PUBLIC: Final = (25, 18, 14, 12, 14, 20, 35, 55, 75, 85, 90, 90, 90, 88, 88, 88, 90, 95, 100, 100, 95, 80, 60, 40)


def _week(workday: tuple[int, ...], weekend: float) -> Array:
    day = np.array(workday, np.float64)
    return np.concatenate([day if number < _WORKDAYS else day * weekend for number in range(WEEK // _DAY)])


RHYTHMS: Final = {
    "office": _week(_OFFICE, 0.06),  # people at their desks
    "public": _week(_PUBLIC, 0.8),  # the public outside
    "programs": _week(tuple(40 + hour // 2 for hour in _OFFICE), 0.8),  # programs that people's work drives a little
    "flat": _week((1,) * _DAY, 1.0),  # machines that do not know the hour
}


def hour_of_week(moment: datetime, zone: ZoneInfo) -> int:
    """The hour of the local week (0 is Monday's first) at a naive UTC moment."""
    local = moment.replace(tzinfo=UTC).astimezone(zone)
    return local.weekday() * _DAY + local.hour
