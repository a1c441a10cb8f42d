"""Pairing: which rows of two tables have the same keys."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Indices: TypeAlias = npt.NDArray[np.integer[Any]]


def paired(one: pa.Table, other: pa.Table) -> tuple[Indices, Indices]:
    """The rows of both tables of keys that belong together, in the order of the first.

    Null is a key like any other. Of several rows with the same keys the first belongs to the first, and so on. Tables
    with other types have no rows in common.
    """
    if (one.schema.names, one.schema.types) != (other.schema.names, other.schema.types):
        return np.arange(0), np.arange(0)
    if one.equals(other):
        return np.arange(one.num_rows), np.arange(one.num_rows)
    numbers = _numbers(one, other)
    first, second = (
        side * (len(numbers) + 1) + _occurrences(side) for side in (numbers[: one.num_rows], numbers[one.num_rows :])
    )
    _, mine, theirs = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    order = np.argsort(mine)
    return mine[order], theirs[order]


def _numbers(one: pa.Table, other: pa.Table) -> Indices:
    """A number for every row of both, the same for the same keys."""
    found: Indices = np.zeros(one.num_rows + other.num_rows, np.int64)
    for pair in zip(one.columns, other.columns, strict=True):
        column = pa.chunked_array([chunk for half in pair for chunk in half.chunks])
        coded = pc.dictionary_encode(column, null_encoding="encode")  # one dictionary for all chunks
        codes = np.concatenate([chunk.indices.to_numpy().astype(np.int64) for chunk in coded.chunks])
        _, found = np.unique(found * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)
    return found


def _occurrences(numbers: Indices) -> Indices:
    """How many rows before it have the number of each."""
    order = np.argsort(numbers, kind="stable")
    sorted_ = numbers[order]
    places = np.arange(len(numbers))
    first = np.maximum.accumulate(np.where(np.diff(sorted_, prepend=-1) != 0, places, 0))
    found = np.empty_like(places)
    found[order] = places - first
    return found
