"""Settings that several tables share: the key ``project_parameters`` of the configuration."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ndr.net import DEFAULT_INTERNAL, parse_network


class Spec(BaseModel):
    """A closed, immutable set of configuration values."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone of the IANA database, such as Europe/Berlin") from None
    return name


def _networks(cidrs: tuple[str, ...]) -> tuple[str, ...]:
    for cidr in cidrs:
        parse_network(cidr)
    return cidrs


def _segments(segments: dict[str, str]) -> dict[str, str]:
    _networks(tuple(segments))
    return segments


def s3_folder(text: str) -> str:
    """A place on S3, without a slash at its end.

    Raises:
        ValueError: it is none, or has letters that somewhere need quoting.
    """
    rest = re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.=/-]*)?", text)
    if not rest or "//" in (rest[1] or "") or {".", ".."} & set((rest[1] or "").split("/")):
        raise ValueError(f"{text!r} is no prefix such as s3://bucket/folder, of letters, digits and ! _ . = - only")
    return text.rstrip("/")


S3Prefix = Annotated[str, AfterValidator(s3_folder)]
"""A place on S3, without a slash at its end; its letters need no quoting, wherever it stands."""
Port = Annotated[int, Field(ge=0, le=65535)]
Prefix = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
"""How a name begins: not empty, for so every name begins, and nothing that no name holds."""
Hour = Annotated[int, Field(ge=0, le=24)]
Inert = Any
"""What such a key may hold where nobody fixed its form."""


TRANSPORT: dict[str, Any] = {"transport": True}
"""What marks a field that says how data travel, and changes no number."""
INERT: dict[str, Any] = {"inert": True}
"""What marks a key of the previous platform that does nothing here; its description says what holds instead."""


def inert(instead: str) -> Any:
    """The field of such a key."""
    return Field(default=None, description=instead, json_schema_extra=INERT)


PLACE = (
    "tables lie in the lake, and what they read follows from their declarations; for a lake on S3, an output prefix "
    "is where the table lies"
)
"""What became of every key that names a prefix or a layout."""
SEGMENTS = "segments come from project_parameters.segments, else the /24 or /64 of an address"


class Calendar(Spec):
    """When people work. Hours are ``[from, to)`` in the time zone; night may pass midnight; the rest is off."""

    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    working_hours: tuple[Hour, Hour] = (7, 17)
    night_hours: tuple[Hour, Hour] = (22, 7)
    weekend: tuple[Annotated[int, Field(ge=0, le=6)], ...] = Field(default=(5, 6), description="0 is Monday")
    holidays: tuple[date, ...] = ()


class Settings(Spec):
    """What every table agrees on."""

    internal_networks: Annotated[tuple[str, ...], AfterValidator(_networks)] = Field(
        default=DEFAULT_INTERNAL, min_length=1
    )
    segments: Annotated[dict[str, str], AfterValidator(_segments)] = Field(default_factory=dict)
    calendar: Calendar = Calendar()
    port_sets: dict[Literal["high_risk", "admin", "fileshare", "directory", "db"], tuple[Port, ...]] = Field(
        default_factory=dict, description="a set that is named here replaces the default of that name"
    )
    clock: Literal["event_end", "event_start"] = "event_end"
    non_persistent_prefixes: tuple[Prefix, ...] = Field(
        default=(), description="names that begin so are machines that come and go; job non_persistent_prefixes"
    )
    ip_machine_mapping_s3_prefix: str | None = None
    lake_s3_prefix: S3Prefix | None = Field(
        default=None, description="where jobs on AWS keep their lake; else the folder that the outputs of tables share"
    )

    def ports(self) -> dict[str, tuple[int, ...]]:
        """The five port sets, the configured ones in place of the defaults."""
        return DEFAULT_PORT_SETS | {str(name): ports for name, ports in self.port_sets.items()}


DEFAULT_PORT_SETS: dict[str, tuple[int, ...]] = {
    "high_risk": (
        21,
        23,
        69,
        135,
        137,
        138,
        139,
        445,
        512,
        513,
        514,
        1080,
        1433,
        2323,
        3389,
        4444,
        5555,
        5900,
        5985,
        6667,
        9001,
        31337,
    ),
    "admin": (22, 23, 3389, 5900, 5985, 5986),
    "fileshare": (139, 445, 2049),
    "directory": (88, 389, 464, 636, 3268, 3269),
    "db": (1433, 1521, 3306, 5432, 6379, 9042, 9200, 27017, 50000),
}


class Moment(Spec):
    """The time context of one window end."""

    hour_of_day: int
    day_of_week: int
    is_working_hours: int
    is_off_hours: int
    is_night_hours: int
    is_weekend: int
    is_holiday: int
    time_band: str


def _within(hour: int, hours: tuple[int, int]) -> bool:
    start, end = hours
    return start <= hour < end if start <= end else hour >= start or hour < end


def moment(calendar: Calendar, instant: datetime) -> Moment:
    """The time context of an instant (naive UTC) in the calendar's zone.

    Working, off and night are parts of the day on every day; a holiday counts as a weekend day in ``time_band`` only.
    """
    local = (instant.replace(tzinfo=ZoneInfo("UTC"))).astimezone(ZoneInfo(calendar.time_zone))
    working = _within(local.hour, calendar.working_hours)
    night = not working and _within(local.hour, calendar.night_hours)
    weekend, holiday = local.weekday() in calendar.weekend, local.date() in calendar.holidays
    part = "WORKING" if working else "NIGHT" if night else "OFF"
    return Moment(
        hour_of_day=local.hour, day_of_week=local.weekday(),
        is_working_hours=working, is_off_hours=not (working or night), is_night_hours=night,
        is_weekend=weekend, is_holiday=holiday, time_band=f"{'WE' if weekend or holiday else 'WD'}_{part}",
    )  # fmt: skip
