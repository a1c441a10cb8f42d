"""Findings: everything a report tells, as values. What gathers them knows no page, what draws them knows no lake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ndr.table import Publication
from ndr.tables.fg_a import WINDOWS
from ndr.time import SLICE, Interval

Values = tuple[float | None, ...]
"""One number for each step of the period; None where nothing is known, which is not 0."""


@dataclass(frozen=True)
class Line:
    """A metric of a host over the period, in 15-minute windows, and what was normal for it at the time."""

    metric: str
    values: Values
    low: Values
    """The first quartile of the baseline in force."""
    median: Values
    high: Values
    """The third quartile."""
    ceiling: Values
    """The 95th percentile."""

    def thinned(self, steps: int) -> Line:
        """The highest of every so many steps, in values and baselines alike."""
        parts = (self.values, self.low, self.median, self.high, self.ceiling)
        return Line(self.metric, *(highest(part, steps) for part in parts))


@dataclass(frozen=True)
class Deviation:
    """A metric that was not as usual in the host's most remarkable window."""

    metric: str
    value: float
    usual: float
    z: float
    source: str


@dataclass(frozen=True)
class Contribution:
    """What one feature added to the evidence, or took from it; None where the model does not tell."""

    feature: str
    amount: float | None
    value: float | None
    usual: float | None
    source: str
    technique: str


@dataclass(frozen=True)
class Peer:
    """A peer that the host met in its most remarkable window, on one port or several."""

    address: str
    pairs: int
    """On how many ports; a protocol without ports counts as one."""
    ports: tuple[int, ...]
    """The least and the greatest, once if they are the same; empty where the protocol has none."""
    port_count: int
    sessions: int
    sent: int | None
    received: int | None
    fresh: int
    """How many of the pairs the baseline does not hold."""
    rare: bool
    """Whether it hardly holds one of them."""
    seen: int
    """Sessions in the baseline."""


@dataclass(frozen=True)
class Beacon:
    """The pair of the host that looks most like a beacon, when that is a reason."""

    address: str
    port: int | None
    every_seconds: float
    connections: int | None
    score: float


@dataclass(frozen=True)
class Episode:
    """An alert: anomalous windows of the host that hang together."""

    first: datetime
    last: datetime
    leading_kind: str
    evidence: float
    windows: int


@dataclass(frozen=True)
class Host:
    """A ranked host: its most remarkable window and what led up to it."""

    rank: int
    address: str
    name: str | None
    segment: str
    leading_kind: str
    techniques: tuple[str, ...]
    score: float
    evidence: float
    window: str
    peak: datetime
    """The end of the window with the greatest evidence."""
    anomalous: bool
    windows: int
    """Moments with an anomalous window, of those that were scored."""
    scored: int
    first: datetime | None
    last: datetime | None
    source: str
    horizon: str
    cold: bool
    provisional: bool
    severity: str = ""
    course: Values = ()
    """The greatest evidence of each step of the period."""
    alarms: tuple[bool, ...] = ()
    """Which steps of the period were anomalous."""
    lines: tuple[Line, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    peers: tuple[Peer, ...] = ()
    pairs: int = 0
    """All pairs of peer and port that the host met in that window."""
    new_pairs: int = 0
    all_peers: int = 0
    beacon: Beacon | None = None
    episodes: tuple[Episode, ...] = ()
    trained: int = 0
    """Windows that the model holds its score against; 0 where nobody knows."""

    @property
    def span(self) -> Interval:
        """Its most remarkable window."""
        return Interval(self.peak - WINDOWS.get(self.window, SLICE), self.peak)

    def thinned(self, steps: int) -> Host:
        """The highest of every so many steps."""
        alarms = tuple(any(self.alarms[at : at + steps]) for at in range(0, len(self.alarms), steps))
        lines = tuple(line.thinned(steps) for line in self.lines)
        return replace(self, course=highest(self.course, steps), alarms=alarms, lines=lines)


@dataclass(frozen=True)
class Baselines:
    """A publication that part of the period is compared with."""

    publication: Publication
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Model:
    """Which model gave the scores, and what its manifest says."""

    name: str
    version: str
    facts: Mapping[str, str]
    """Title -> text, in the order in which they are told."""


@dataclass(frozen=True)
class Quality:
    """What became of the records of the imports that reach into the period."""

    files: int
    read: int
    sessions: int
    quarantined: Mapping[str, int]
    filtered: Mapping[str, int]
    mended: Mapping[str, int]


@dataclass(frozen=True)
class Findings:
    """A whole report."""

    lake: str
    period: Interval | None
    """None when nothing was scored."""
    standing: str
    lacking: str = ""
    """Why nothing was scored."""
    sessions: int = 0
    hosts_seen: int = 0
    hosts_anomalous: int = 0
    """Hosts with any anomalous window, also those that are not listed."""
    hosts_alerted: int = 0
    """Hosts with an alert: what the safelist or the budget of a day leaves out is none."""
    windows: int = 0
    cold_hosts: int = 0
    quality: Quality | None = None
    baselines: tuple[Baselines, ...] = ()
    model: Model | None = None
    hosts: tuple[Host, ...] = ()
    covered: int = 0
    """Alerts that the safelist covers; they are not shown."""
    step: timedelta = SLICE
    """How long one step of the charts is."""
    ends: tuple[datetime, ...] = ()
    """The end of every step."""

    def thinned(self, steps: int) -> Findings:
        """The same with the highest of every so many steps."""
        ends = tuple(self.ends[min(at + steps, len(self.ends)) - 1] for at in range(0, len(self.ends), steps))
        hosts = tuple(host.thinned(steps) for host in self.hosts)
        return replace(self, step=self.step * steps, ends=ends, hosts=hosts)

    def first(self, hosts: int) -> Findings:
        """The same about fewer hosts."""
        return replace(self, hosts=self.hosts[:hosts])


def highest(values: Sequence[float | None], steps: int) -> Values:
    """The highest of every so many values; None where all are unknown."""
    groups = (values[at : at + steps] for at in range(0, len(values), steps))
    return tuple(max((value for value in group if value is not None), default=None) for group in groups)


def runs(values: Values, wanted: Callable[[float | None], bool] = lambda value: value is not None) -> list[range]:
    """The stretches of steps whose values are wanted, known ones unless said otherwise."""
    found: list[range] = []
    for at, value in enumerate(values):
        if not wanted(value):
            continue
        if found and found[-1].stop == at:
            found[-1] = range(found[-1].start, at + 1)
        else:
            found.append(range(at, at + 1))
    return found
