"""Cells: which values of two columns are not the same."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask: TypeAlias = npt.NDArray[np.bool_]

TOLERANCE = 1e-12
"""How far floats may be apart, as a share of the larger one: sums differ in the last digits with their order."""
_OPPOSITE = 2.0
"""The relative difference of numbers of the same size and unlike signs; there is no larger one."""


def unequal(one: pa.Array, other: pa.Array) -> tuple[Mask, float]:
    """Which values of two arrays of the same type and length differ, and the largest relative difference of floats.

    The largest counts those that are allowed, too; where a float is infinite or no number there is none, and the values
    differ even if both are the same.
    """
    if one.equals(other) and _finite(one):
        return np.zeros(len(one), bool), 0.0
    if pa.types.is_floating(one.type):
        return _floats(one, other)
    if pa.types.is_list(one.type):
        return _lists(one, other)
    if pa.types.is_struct(one.type):
        return _structs(one, other)
    return _exact(one, other), 0.0


def _finite(values: pa.Array) -> bool:
    """Whether every float in it is a finite number."""
    if pa.types.is_floating(values.type):
        return bool(pc.all(pc.is_finite(values), min_count=0).as_py())
    if pa.types.is_list(values.type):
        return _finite(values.flatten())
    if pa.types.is_struct(values.type):
        return all(_finite(pc.struct_field(values, [i])) for i in range(values.type.num_fields))
    return True


def _known(values: pa.Array) -> Mask:
    mask: Mask = values.is_valid().to_numpy(zero_copy_only=False)
    return mask


def _exact(one: pa.Array, other: pa.Array) -> Mask:
    known = _known(one), _known(other)
    apart: Mask = pc.fill_null(pc.not_equal(one, other), fill_value=False).to_numpy(zero_copy_only=False)
    wrong: Mask = apart | (known[0] != known[1])
    return wrong


def _floats(one: pa.Array, other: pa.Array) -> tuple[Mask, float]:
    known = _known(one), _known(other)
    a, b = (pc.fill_null(each, 0.0).to_numpy(zero_copy_only=False) for each in (one, other))
    with np.errstate(invalid="ignore", over="ignore"):
        gap, size = np.abs(a - b), np.maximum(np.abs(a), np.abs(b))
        wrong = (known[0] != known[1]) | ~np.isfinite(size) | ~(gap <= TOLERANCE * size)
        told = known[0] & known[1] & np.isfinite(size) & (size > 0)
        worst = np.minimum(gap[told] / size[told], _OPPOSITE).max(initial=0.0)
    return wrong, float(worst)


def _lists(one: pa.Array, other: pa.Array) -> tuple[Mask, float]:
    lengths = pc.list_value_length(one), pc.list_value_length(other)
    wrong = _exact(*lengths)
    alike = np.flatnonzero(~wrong)
    chosen = pa.array(alike)
    inside, worst = unequal(one.take(chosen).flatten(), other.take(chosen).flatten())
    owners = np.repeat(alike, pc.fill_null(lengths[0], 0).to_numpy()[alike])
    wrong[owners[inside]] = True
    return wrong, worst


def _structs(one: pa.Array, other: pa.Array) -> tuple[Mask, float]:
    wrong, worst = _known(one) != _known(other), 0.0
    for i in range(one.type.num_fields):
        inside, far = unequal(pc.struct_field(one, [i]), pc.struct_field(other, [i]))
        wrong, worst = wrong | inside, max(worst, far)
    return wrong, worst
