"""Tails: how unusual a number is among the rows of the training, in nats.

The *evidence* of a value is ``-ln`` of the share of training rows that are at least as high: 0.7 for one that half of
them reach, 4.6 for one in a hundred. Beyond the greatest values, of which there are too few to count, it goes on as
an exponential distribution would, so that what is far out is told from what is very far out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]

COUNTED = 0.98
"""Up to this quantile rows are counted; beyond it the exponential takes over."""
UNCOUNTED = 20
"""Where as many as possible are counted, so many rows are left to the exponential."""
KNOTS = 256
"""The most points that the counted part is stored with; between them evidence is interpolated."""
BEYOND = 4.0
"""How many times the evidence of the rarest of all training rows may be exceeded."""
MOST = 1000.0
"""No value is more evidence than this, whatever it is."""
STEEPEST = 0.05
"""A nat beyond the knots takes at least this part of what an average nat takes below."""
APART = 50
"""A window label with fewer values than this is judged among the rows of all labels."""
ALL = "*"
"""The tail over all window labels."""


class Closed(BaseModel):
    """Numbers that travel in a file: immutable, no key too many, nothing infinite, nothing converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Count = Annotated[int, Field(ge=1, le=10**12)]


class Tail(Closed):
    """The upper tail of one number, as points (value, training rows at least as high) and a slope beyond the last."""

    values: tuple[float, ...] = Field(min_length=1, max_length=KNOTS + 2)
    at_least: tuple[Count, ...]
    scale: float = Field(gt=0)
    """By how much a value beyond the last point must grow for one more nat."""

    @model_validator(mode="after")
    def _orderly(self) -> Tail:
        if len(self.values) != len(self.at_least):
            raise ValueError("a tail has as many counts as values")
        if any(a >= b for a, b in zip(self.values, self.values[1:], strict=False)):
            raise ValueError("the values of a tail must rise")
        if any(a <= b for a, b in zip(self.at_least, self.at_least[1:], strict=False)):
            raise ValueError("the counts of a tail must fall")
        return self

    @cached_property
    def _points(self) -> tuple[Floats, Floats]:
        return np.array(self.values), np.log(self.at_least[0] / np.array(self.at_least, np.float64))

    @property
    def median(self) -> float:
        """The greatest of its points that half of the training rows reach."""
        return self.values[sum(2 * count >= self.at_least[0] for count in self.at_least) - 1]

    def evidence(self, values: Floats) -> Floats:
        """How unusual each value is, in nats.

        It never falls as the value grows, is 0 at or below the lowest value of the training and for an unknown
        value (NaN), and never more than ``BEYOND`` times what the last of the training rows has: a few rows cannot
        tell how rare the rarest is.
        """
        knots, evidence = self._points
        counted = np.interp(values, knots, evidence)
        with np.errstate(over="ignore", invalid="ignore"):
            beyond = evidence[-1] + (values - knots[-1]) / self.scale
            found = np.where(values > knots[-1], beyond, counted)
        most = min(MOST, BEYOND * float(np.log(self.at_least[0] + 1.0)))
        return np.minimum(np.where(np.isnan(values), 0.0, found), most)


def fitted(values: Floats, *, exact: bool = False) -> Tail | None:
    """The tail of the known values; None when none is known.

    The last point is the lowest value above the ``COUNTED`` quantile; an ``exact`` tail counts all rows but the last
    ``UNCOUNTED``, where that is more: it keeps to the training, where the other looks past what is wild in it. From
    there on the excess is taken as exponential, with the median of the training rows beyond it (their mean where most
    are equal; the average slope below where all are), but never steeper than ``STEEPEST`` allows. Where the training
    knows one value only, a nat takes a tenth of it, and at least 0.1.
    """
    ordered = np.sort(values[np.isfinite(values)])
    if not len(ordered):
        return None
    distinct, first = np.unique(ordered, return_index=True)
    at_least = len(ordered) - first
    counted = max(COUNTED, 1 - UNCOUNTED / len(ordered)) if exact else COUNTED
    last = ordered[int(counted * (len(ordered) - 1))]
    end = min(int(np.searchsorted(distinct, last)) + 1, len(distinct) - 1)
    chosen = np.append(_spread(first[:end], len(ordered)), end)
    join = distinct[end]
    average = (join - distinct[0]) / np.log(len(ordered) / at_least[end]) if end else 0.0
    excess = ordered[ordered >= join] - join
    candidates = (float(np.median(excess)) / np.log(2.0), float(excess.mean()), float(average))
    scale = next((c for c in candidates if c > 0), max(abs(float(join)), 1.0) / 10)
    return Tail(
        values=tuple(distinct[chosen].tolist()),
        at_least=tuple(at_least[chosen].tolist()),
        scale=max(float(scale), STEEPEST * float(average)),
    )


def _spread(ranks: Whole, rows: int) -> Whole:
    """Which of rising ranks to keep: all, or some evenly spaced in rank and as many in evidence, with both ends."""
    if len(ranks) <= KNOTS:
        return np.arange(len(ranks))
    even = np.linspace(ranks[0], ranks[-1], KNOTS // 2)
    upper = rows - np.geomspace(rows - ranks[0], rows - ranks[-1], KNOTS // 2)
    wanted = np.concatenate([even, upper])
    return np.unique(np.searchsorted(ranks, wanted).clip(0, len(ranks) - 1))


def fitted_by_label(values: Floats, labels: Names, *, exact: bool = False) -> dict[str, Tail]:
    """One tail per window label with enough known values, and that of all rows as ``ALL``; empty when none is known."""
    every = fitted(values, exact=exact)
    if every is None:
        return {}
    found = {ALL: every}
    for label in np.unique(labels):
        of_label = values[labels == label]
        if np.isfinite(of_label).sum() >= APART and (tail := fitted(of_label, exact=exact)):
            found[str(label)] = tail
    return found


def _by_label(
    tails: Mapping[str, Tail], labels: Names, told: Callable[[Tail, npt.NDArray[np.bool_]], Floats]
) -> Floats:
    found = np.zeros(len(labels))
    for label in np.unique(labels):
        rows = labels == label
        found[rows] = told(tails.get(str(label), tails[ALL]), rows)
    return found


def evidence_by_label(tails: Mapping[str, Tail], values: Floats, labels: Names) -> Floats:
    """The evidence of each value among the training rows of its window label."""
    return _by_label(tails, labels, lambda tail, rows: tail.evidence(values[rows]))


def medians_by_label(tails: Mapping[str, Tail], labels: Names) -> Floats:
    """What half of the training rows of each row's window label reach."""
    return _by_label(tails, labels, lambda tail, rows: np.full(rows.sum(), tail.median))
