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


def logarithm(value: ir.FloatingValue) -> ir.FloatingValue:
    """The natural logarithm to a multiple of 2^-26; null where the value is null."""
    return in_units(value.ln())


def in_units(value: ir.FloatingValue) -> ir.FloatingValue:
    """The nearest multiple of 2^-26."""
    return (value * LOGARITHM_UNIT + 0.5).floor().cast("float64") / LOGARITHM_UNIT


def to_bits(value: ir.FloatingValue, bits: int) -> ir.FloatingValue:
    """The value to so many leading binary digits, by Veltkamp's splitting (Dekker, 1971); 41 are 12 decimal ones."""
    far = value * float((1 << (53 - bits)) + 1)
    return far - (far - value)


def kept(value: ir.FloatingValue) -> ir.FloatingValue:
    """A metric as it is stored, to 41 bits; so 12 bits are left for what arithmetic on it adds."""
    return to_bits(value, 41)


def interpolated(quantile: ir.FloatingValue, *, whole: bool) -> ir.FloatingValue:
    """A quantile between stored values without what the engine's arithmetic left behind.

    Between ``whole`` numbers, quantiles of whole percents are hundredths. Between floats of 41 bits, 46 bits tell all
    that is known, and between two equal ones exactly their value.
    """
    if whole:
        return (quantile * _HUNDREDTHS + 0.5).floor().cast("float64") / _HUNDREDTHS
    return to_bits(quantile, 46)
