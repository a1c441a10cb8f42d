"""Rounding, so that every engine and machine comes to the same bits.

Sums, products and quotients of floats are the same everywhere; logarithms differ in the last digit, and what engines
make of two equal neighbours when they interpolate does as well. A difference of the last digit becomes a difference of
everything where nearly equal numbers are subtracted. So what may differ is rounded before anybody sees it.
"""

from __future__ import annotations

import ibis.expr.types as ir

LOGARITHM_UNIT = float(1 << 26)
"""Logarithms, and sums of them, are told in units of 2^-26: two that differ in the last digit round to the same."""
_HUNDREDTHS = 100.0
_BITS = 50
"""Of the 53 of a float; the others are what may differ."""


def logarithm(value: ir.FloatingValue) -> ir.FloatingValue:
    """The natural logarithm to a multiple of 2^-26; null where the value is null."""
    return in_units(value.ln())


def in_units(value: ir.FloatingValue) -> ir.FloatingValue:
    """The nearest multiple of 2^-26."""
    return (value * LOGARITHM_UNIT + 0.5).floor().cast("float64") / LOGARITHM_UNIT


def kept(value: ir.FloatingValue) -> ir.FloatingValue:
    """The value to 50 leading binary digits, 15 decimal ones, by Veltkamp's splitting (Dekker, 1971)."""
    far = value * float((1 << (53 - _BITS)) + 1)
    return far - (far - value)


def interpolated(quantile: ir.FloatingValue, *, whole: bool) -> ir.FloatingValue:
    """A quantile of stored values without what the engine's arithmetic left behind.

    Between ``whole`` numbers, quantiles of whole percents are hundredths. Between two equal floats of 50 bits it is
    exactly their value, for interpolation is off by less than half a unit of these.
    """
    if whole:
        return (quantile * _HUNDREDTHS + 0.5).floor().cast("float64") / _HUNDREDTHS
    return kept(quantile)
