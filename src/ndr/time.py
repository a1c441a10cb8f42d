"""Time: half-open UTC intervals, slices, and how far a table reads back.

Every instant in this program is a naive ``datetime`` that means UTC, because every stored time is UTC without a zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ndr.errors import UsageError, shown

SLICE = timedelta(minutes=15)
DAY = timedelta(days=1)
FIRST_YEAR, LAST_YEAR = 1970, 2200
EPOCH = datetime(1970, 1, 1)  # naive means UTC here
END_OF_TIME = datetime(LAST_YEAR, 1, 1)


def days(n: int) -> timedelta:
    """``n`` days of 24 hours."""
    return timedelta(days=n)


def floor(moment: datetime, step: timedelta) -> datetime:
    """The latest multiple of ``step`` since the epoch that is not after ``moment``."""
    return moment - (moment - EPOCH) % step


def ceil(moment: datetime, step: timedelta) -> datetime:
    """The earliest multiple of ``step`` since the epoch that is not before ``moment``."""
    return moment + (EPOCH - moment) % step


def parse_instant(text: str) -> datetime:
    """An ISO 8601 date or time as naive UTC; a time without a zone means UTC.

    Raises:
        UsageError: the text is not a date or time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{shown(text)!r} is not a time: write it like 2026-03-01 or 2026-03-01T10:15Z (UTC)."
        ) from None
    if not FIRST_YEAR <= moment.year < LAST_YEAR:
        raise UsageError(f"{shown(text)!r} is outside the years {FIRST_YEAR} to {LAST_YEAR}.")
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def stamp(moment: datetime) -> str:
    """``20260302T1015Z``: a moment as part of a file or batch name."""
    return f"{moment:%Y%m%dT%H%MZ}"


def iso(moment: datetime) -> str:
    """ISO 8601 with ``Z``, down to the microsecond only when there is one."""
    return moment.isoformat() + "Z"


@dataclass(frozen=True, order=True)
class Interval:
    """``[start, end)``, UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise UsageError(
                f"the interval [{iso(self.start)}, {iso(self.end)}) is empty: its end must come after its start."
            )

    def contains(self, moment: datetime) -> bool:
        """Whether ``start <= moment < end``."""
        return self.start <= moment < self.end

    def within(self, other: Interval | None) -> Interval | None:
        """What lies in the other interval too; the whole when there is no other, None when nothing does."""
        start, end = (max(self.start, other.start), min(self.end, other.end)) if other else (self.start, self.end)
        return Interval(start, end) if start < end else None

    def split(self, step: timedelta) -> Iterator[Interval]:
        """The aligned pieces of length ``step`` that touch the interval, each whole."""
        at = floor(self.start, step)
        while at < self.end:
            yield Interval(at, at + step)
            at += step

    def __str__(self) -> str:
        return f"[{iso(self.start)}, {iso(self.end)})"
