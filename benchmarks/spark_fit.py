"""What grows with the rows: a fixed part and a slope, by least squares, from the cases of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Record: TypeAlias = Mapping[str, Any]
"""One case as it is kept: ``step``, ``hosts``, ``density``, ``skew``, ``rows``, and costs by engine and table."""
MILLION = 1e6
ENGINES = ("duckdb", "spark")
PAIRS, ROWS, HOSTS = "pairs", "rows", "hosts"
_PAIRED = ("pair_counts", "fg_b_pair_host", "fg_b_pair_segment")
BY_HOST = ("fg_b_capping", "fg_b_host", "fg_b_segment", "fg_b_global")
TABLES = ("fg_a", *BY_HOST, "fg_c")


@dataclass(frozen=True)
class Fit:
    """``fixed`` and, for each kind of rows, what a million of them adds; ``worst`` is the largest residual."""

    fixed: float
    slopes: Mapping[str, float]
    worst: float
    mean: float

    def at(self, rows: Mapping[str, float]) -> float:
        """What so many rows come to."""
        return self.fixed + self.more(rows)

    def more(self, rows: Mapping[str, float]) -> float:
        """What they come to, besides the fixed part."""
        return sum(slope * rows[kind] / MILLION for kind, slope in self.slopes.items())

    @property
    def residual(self) -> float:
        """The largest residual as a share of the mean."""
        return self.worst / self.mean if self.mean else 0.0


def rows_of(table: str, read: Mapping[str, int]) -> dict[str, float]:
    """The rows that a build of a table reads, by kind: those of pairs grow with sessions, the others with hosts."""
    whole = float(sum(read.values()))
    if table == "fg_a":
        return {PAIRS: whole}
    if table == "fg_c":
        pairs = float(sum(read.get(name, 0) for name in _PAIRED))
        return {HOSTS: whole - pairs, PAIRS: pairs}
    return {ROWS: float(read["fg_a"])}


def fitted(rows: Sequence[Mapping[str, float]], values: Sequence[float]) -> Fit:
    """The least squares of some points, no part of it below 0: what comes out below is left out, and the rest anew.

    A slope that was left out is no proof that these rows cost nothing: it is what the largest residual could hide.
    """
    kinds = list(rows[0])
    held = [*range(len(kinds) + 1)]
    design = np.array([[1.0, *(each[kind] / MILLION for kind in kinds)] for each in rows])
    target = np.array(values, dtype=float)
    found = np.zeros(len(kinds) + 1)
    while held:
        parts = np.linalg.lstsq(design[:, held], target, rcond=None)[0]
        if (parts >= 0).all():
            found[held] = parts
            break
        held.pop(int(parts.argmin()))
    worst = float(np.abs(design @ found - target).max())
    spans = np.ptp(design, axis=0)
    slopes = {
        kind: float(found[place]) if place in held else worst / span if (span := float(spans[place])) else 0.0
        for place, kind in enumerate(kinds, 1)
    }
    return Fit(float(found[0]), slopes, worst, float(target.mean()))


def fit(records: Sequence[Record], table: str, engine: str, value: Callable[[Mapping[str, Any]], float]) -> Fit:
    """A figure of the builds of one table, over the cases without skew."""
    cases = [record for record in records if not record["skew"] and table in record[engine]]
    rows = [rows_of(table, record["rows"][table]) for record in cases]
    return fitted(rows, [value(record[engine][table]) for record in cases])


def by_output(records: Sequence[Record], table: str, value: Callable[[Mapping[str, Any]], float]) -> Fit:
    """The same of Spark's last step, over the rows that come out."""
    cases = [record["spark"][table] for record in records if not record["skew"] and table in record["spark"]]
    return fitted([{ROWS: float(case["rows_out"])} for case in cases], [value(case) for case in cases])


def seconds(spent: Mapping[str, Any]) -> float:
    """Wall clock."""
    return float(spent["seconds"])


def cpu(spent: Mapping[str, Any]) -> float:
    """Core-seconds of everything."""
    return float(spent["cpu"] + spent["java_cpu"])


def shuffled(spent: Mapping[str, Any]) -> float:
    """Bytes."""
    return float(spent["spent"].get("shuffle_bytes", 0))
