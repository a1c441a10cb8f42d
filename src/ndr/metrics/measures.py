"""The few shapes of measurement that several metrics share."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ndr.rounding import in_units

ENTROPY_UNIT = float(2**58)
"""Entropy terms are added as integers of 2^-58 nats: integer sums do not depend on the order of the rows, float sums do.
A term is at most 1/e and the sum at most ln(2^32), so 64 bits hold it."""


def ratio(numerator: ir.Value, denominator: ir.Value) -> ir.Value:
    """``numerator / denominator`` as float64; null when the denominator is 0 or either is null."""
    return numerator.cast("float64") / denominator.cast("float64").nullif(0.0)


def entropy(part: ir.Value, total: ir.Value) -> ir.Value:
    """Shannon entropy in nats, H = sum (c/N) ln(N/c), of the parts ``c`` of a total ``N``; null when no row has a part.

    This form has no negative term, so it keeps its precision where one part holds almost everything. It is told as a
    multiple of 2^-26: see :mod:`ndr.rounding`.
    """
    c, n = part.cast("float64"), total.cast("float64")
    present = part > 0
    term = ibis.ifelse(present, (c / n.nullif(0.0)) * (n.nullif(0.0) / c.nullif(0.0)).ln(), 0.0)
    units = (term * ENTROPY_UNIT).floor().cast("int64").sum()
    return ibis.ifelse(present.sum() > 0, in_units(units.cast("float64") / ENTROPY_UNIT), ibis.null("float64"))


def top_share(part: ir.Value, total: ir.Value) -> ir.Value:
    """Share of the largest part in the total; null when the total is 0."""
    return ratio(part.max(), total.max())


def count_where(condition: ir.Value) -> ir.Value:
    """Number of rows where the condition holds; null counts as not."""
    return condition.fill_null(False).cast("int64").sum().cast("int64")  # noqa: FBT003 - the value itself
