"""What an estate takes on a cluster and on one machine, by the slopes of a recorded run.

Nothing of this size was measured: the slopes are carried over by assumptions, every one of which is an option of
``python -m benchmarks.spark_estimate`` and printed beside the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.spark_fit import BY_HOST, TABLES, Fit, Record, by_output, cpu, fit, shuffled
from ndr.tables.fg_b import COLUMNS

QUARTERS = 96
MONTH_QUARTERS, MONTH_HOURS = 30.4 * QUARTERS, 730
HOUR, QUARTER = 3600.0, 900.0
BANDS, WINDOWS, HORIZONS = 6, 5, 2


@dataclass(frozen=True)
class Assumed:
    """What is taken for granted; each is an option of the command by its name."""

    hosts: float = 93_000
    sessions: float = 20_000
    """Of a host and day: a busy enterprise firewall. The simulator's default is 600."""
    pair_exponent: float = 0.85
    """A host's n sessions of a quarter hour fall on n to this power pairs of peer and port."""
    known_pairs: float = 2_000
    """Pairs of a host that the baselines of a horizon know."""
    days: float = 37
    """Days of FG-A that one publication reads: 7 for one horizon, 30 for the other."""
    instances: float = 10
    vcpus: float = 16
    memory_gib: float = 64
    gbit: float = 5
    """Network of an instance, sustained."""
    price: float = 0.922
    """USD an hour and instance, ml.m5.4xlarge for SageMaker Processing."""
    efficiency: float = 0.6
    """Share of the cluster's cores at work, on average."""
    one_vcpus: float = 64
    one_memory_gib: float = 512
    one_price: float = 4.032
    """USD an hour, r6i.16xlarge on EC2."""
    one_efficiency: float = 0.5
    """Share of the cores of the one machine at work in DuckDB."""
    largest_group: float = 0.054
    """Share of FG-A in the largest time band and window: 45 of 168 hours, one of five windows."""
    fixed_factor: float = 2.0
    """How much longer the fixed part of a step is on a cluster, with its thousands of tasks, than on one machine."""

    @property
    def cores(self) -> float:
        return self.instances * self.vcpus

    @property
    def pairs(self) -> float:
        """Of a host and quarter hour."""
        return float((self.sessions / QUARTERS) ** self.pair_exponent)


@dataclass(frozen=True)
class Load:
    """The rows of one build: read, by kind, and made."""

    table: str
    read: Mapping[str, float]
    made: float
    largest: float = 0.0
    """Share of the work that one task has to do."""


def loads(a: Assumed) -> tuple[list[Load], list[Load]]:
    """What a quarter hour builds, and what a publication of baselines builds."""
    day_pairs, delta = a.hosts * a.pairs * QUARTERS, a.hosts * QUARTERS * 2
    behaviour = a.hosts * WINDOWS
    known = a.hosts * a.known_pairs * HORIZONS * 2
    past = behaviour * QUARTERS * a.days
    groups = {"fg_b_host": behaviour * BANDS * HORIZONS}
    quarter = [
        Load("fg_a", {"pairs": day_pairs + delta}, behaviour),
        Load(
            "fg_c",
            {"hosts": behaviour * (1 + (BANDS + 1) * HORIZONS), "pairs": day_pairs + known},
            behaviour * HORIZONS,
        ),
    ]
    largest = {"fg_b_global": a.largest_group / len(COLUMNS)}
    return quarter, [Load(t, {"rows": past}, groups.get(t, 0.0), largest.get(t, 0.0)) for t in BY_HOST]


@dataclass(frozen=True)
class Taken:
    """What one build takes; seconds of the parts add up."""

    table: str
    fixed: float
    computing: float
    network: float
    last: float
    core_seconds: float
    shuffled_bytes: float
    peak_bytes: float

    @property
    def seconds(self) -> float:
        return self.fixed + self.computing + self.network + self.last


class Model:
    """The fits of a recorded run, and what they come to elsewhere."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.fits = {(table, name): fit(records, table, engine, value)
                     for table in TABLES for name, (engine, value) in _FIGURES.items()}  # fmt: skip
        self.last = {table: by_output(records, table, _last) for table in TABLES}
        self.driver = {table: by_output(records, table, _driver_peak) for table in TABLES}

    def of(self, table: str, name: str) -> Fit:
        return self.fits[table, name]

    def cluster(self, load: Load, a: Assumed) -> Taken:
        """A build on the cluster. What is fixed is not divided; the last step runs on the driver alone."""
        work = self.of(load.table, "spark").more(load.read)
        moved = self.of(load.table, "shuffled").more(load.read)
        carried = moved + self.of(load.table, "read").more(load.read)
        last = self.last[load.table].more({"rows": load.made})
        return Taken(
            load.table,
            a.fixed_factor * self.of(load.table, "fixed").fixed,
            work * max(1 / (a.cores * a.efficiency), load.largest),
            carried / (a.instances * a.gbit * 1e9 / 8),
            last / (a.vcpus * a.one_efficiency),
            work, moved, self.driver[load.table].at({"rows": load.made}),
        )  # fmt: skip

    def one(self, load: Load, a: Assumed) -> Taken:
        """A build by DuckDB on the one machine; the peak is what memory it needs, if nothing is put aside."""
        found = self.of(load.table, "duckdb")
        work = found.more(load.read)
        return Taken(
            load.table, found.fixed / 2, work / (a.one_vcpus * a.one_efficiency), 0.0, 0.0, work, 0.0,
            self.of(load.table, "duckdb peak").at(load.read),
        )  # fmt: skip


def _last(spent: Mapping[str, Any]) -> float:
    return float(spent["last_cpu"])


def _driver_peak(spent: Mapping[str, Any]) -> float:
    return float(spent["peak"])


_FIGURES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], float]]] = {
    "duckdb": ("duckdb", cpu),
    "duckdb seconds": ("duckdb", lambda spent: float(spent["seconds"])),
    "duckdb peak": ("duckdb", lambda spent: float(spent["peak"])),
    "spark": ("spark", lambda spent: float(spent["java_cpu"])),
    "spark seconds": ("spark", lambda spent: float(spent["seconds"])),
    "fixed": ("spark", lambda spent: float(spent["seconds"] - spent["last_seconds"])),
    "spark peak": ("spark", lambda spent: float(spent["java_peak"])),
    "shuffled": ("spark", shuffled),
    "read": ("spark", lambda spent: float(spent["read_bytes"])),
}


def quarter_seconds(take: Callable[[Load, Assumed], Taken], a: Assumed) -> float:
    """FG-A and FG-C of one quarter hour."""
    return sum(take(load, a).seconds for load in loads(a)[0])


def most_hosts(fits: Callable[[Assumed], bool], a: Assumed) -> float:
    """The largest number of hosts, to a hundredth, for which it is so; 0 where it never is, else infinite."""
    low, high = 100.0, 1e8
    if not fits(replace(a, hosts=low)):
        return 0.0
    if fits(replace(a, hosts=high)):
        return math.inf
    while high / low > 1.01:  # noqa: PLR2004 - a hundredth
        middle = math.sqrt(low * high)
        low, high = (middle, high) if fits(replace(a, hosts=middle)) else (low, middle)
    return low


def ranges(a: Assumed) -> dict[str, Assumed]:
    """The same a third better and a third worse: efficiency, and pairs."""
    return {
        "low": replace(a, efficiency=min(1.0, a.efficiency * 4 / 3), one_efficiency=min(1.0, a.one_efficiency * 4 / 3),
                       pair_exponent=a.pair_exponent - 0.06),
        "middle": a,
        "high": replace(a, efficiency=a.efficiency * 2 / 3, one_efficiency=a.one_efficiency * 2 / 3,
                        pair_exponent=a.pair_exponent + 0.06),
    }  # fmt: skip
