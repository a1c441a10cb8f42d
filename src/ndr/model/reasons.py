"""Reasons: what a score is made of, as signed contributions that sum to its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ndr.model.kinds import KINDS
from ndr.model.tails import Floats

EXPLANATION = (
    "array<struct<feature: string, contribution: float64, value: float64, baseline: float64, "
    "source: string, technique: string>>"
)
Places = npt.NDArray[np.intp]
OTHER = "other_features"
"""The rest of the forest's evidence; it stands last."""
TRAINING = "training"
"""The source of a baseline that is the median of the training rows."""
TOP = 5
SPOKEN = 3.0
"""From so many nats on (one training row in twenty) a kind's techniques are named."""
_LIST = pa.list_(
    pa.struct(
        {
            "feature": pa.string(),
            **dict.fromkeys(("contribution", "value", "baseline"), pa.float64()),
            **dict.fromkeys(("source", "technique"), pa.string()),
        }
    )
)


@dataclass(frozen=True)
class Told:
    """What there is to say of each row under one name: a contribution, beside value and baseline."""

    name: str
    contribution: Floats
    value: Floats
    baseline: Floats
    measured: bool
    """Whether the baseline is that of the row, not of the training."""


def divided(evidence: Floats, shortened: Floats) -> Floats:
    """Evidence divided among features by how much each shortened the paths; a column per feature.

    What lengthened them speaks against the row and is negative, but is never told as more than half of what speaks
    for it: else a small sum would be made of large numbers. All 0 where nothing shortened a path.
    """
    speaks_for = np.maximum(shortened, 0.0).sum(axis=1)
    against = np.maximum(-shortened, 0.0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        damping = np.where(against > speaks_for / 2, speaks_for / 2 / against, 1.0)
        total = speaks_for - against * damping
        weights = np.where(shortened < 0, shortened * damping[:, None], shortened) / total[:, None]
    return np.where(speaks_for[:, None] > 0, weights, 0.0) * evidence[:, None]


def techniques(evidence: Mapping[str, Floats]) -> pa.Array:
    """The techniques of the kinds that speak clearly in each row, and half as loud as any, comma-separated."""
    kinds = [name for name in evidence if KINDS[name].techniques]
    count = len(next(iter(evidence.values())))
    loud = np.zeros(count, np.int64)
    enough = np.maximum(np.max(np.stack(list(evidence.values())), axis=0) / 2, SPOKEN)
    for place, kind in enumerate(kinds):
        loud |= (evidence[kind] >= enough).astype(np.int64) << place
    named = [
        ",".join(t for place, kind in enumerate(kinds) if code >> place & 1 for t in KINDS[kind].techniques)
        for code in range(1 << len(kinds))
    ]
    return pa.array(named, pa.string()).take(pa.array(loud))


def explanations(
    kinds: Sequence[Told], features: Sequence[Told], forest: Floats, sources: pa.Array, deviations: pa.Array
) -> pa.Array:
    """One list per row: kinds and the ``TOP`` features with a contribution, greatest first, then ``OTHER``.

    The contributions of ``features`` and the rest under ``OTHER`` sum to ``forest``, the forest's evidence.
    ``sources`` tells the tier of each row's baselines, ``deviations`` (empty, or one list per row) that of some of
    its metrics.
    """
    count = len(forest)
    told = [*kinds, *features]
    technique = [",".join(KINDS[kind].techniques) or None for kind in _kinds_of(kinds)] + [None] * (len(features) + 1)
    parts = _stack([t.contribution for t in told], count)
    among = parts[:, len(kinds) :]
    top = np.argsort(-np.abs(among), axis=1, kind="stable")[:, :TOP]
    places = np.concatenate([np.tile(np.arange(len(kinds)), (count, 1)), top + len(kinds)], axis=1)
    chosen = np.take_along_axis(parts, places, axis=1)
    rest = forest - np.take_along_axis(among, top, axis=1).sum(axis=1)
    rest[np.abs(rest) < 1e-12] = 0.0  # noqa: PLR2004 - what is left of rounding
    order = np.argsort(-chosen, axis=1, kind="stable")
    places = np.append(np.take_along_axis(places, order, axis=1), np.full((count, 1), len(told)), axis=1)
    chosen = np.append(np.take_along_axis(chosen, order, axis=1), rest[:, None], axis=1)
    said = chosen != 0
    row, place = np.broadcast_to(np.arange(count)[:, None], said.shape)[said], places[said]
    unknown = np.full((count, 1), np.nan)
    values = np.append(_stack([t.value for t in told], count), unknown, axis=1)[row, place]
    baselines = np.append(_stack([t.baseline for t in told], count), unknown, axis=1)[row, place]
    fields = {
        "feature": pa.array([*(t.name for t in told), OTHER], pa.string()).take(pa.array(place)),
        "contribution": pa.array(chosen[said]),
        "value": _known(values),
        "baseline": _known(baselines),
        "source": _sources(told, row, place, sources, deviations),
        "technique": pa.array(technique, pa.string()).take(pa.array(place)),
    }
    offsets = np.concatenate([[0], said.sum(axis=1).cumsum()]).astype(np.int32)
    structs = pa.StructArray.from_arrays(list(fields.values()), fields=list(_LIST.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets), structs, type=_LIST)


def _kinds_of(kinds: Sequence[Told]) -> list[str]:
    by_column = {kind.column: name for name, kind in KINDS.items()}
    return [by_column[told.name] for told in kinds]


def _stack(columns: Sequence[Floats], count: int) -> Floats:
    return np.stack(columns, axis=1) if columns else np.empty((count, 0))


def _known(values: Floats) -> pa.Array:
    return pa.array(values, mask=~np.isfinite(values))


def _sources(told: Sequence[Told], row: Places, place: Places, sources: pa.Array, deviations: pa.Array) -> pa.Array:
    """The tier that each baseline comes from, ``TRAINING`` for what is held against no tier, null for the rest.

    A metric with too little support in its row's tier has its baseline from the next: the deviations tell which.
    """
    known = pa.concat_arrays([sources.cast(pa.string()), pa.array([TRAINING, None], pa.string())])
    code = np.where(place == len(told), len(sources) + 1, len(sources))
    measured = np.array([*(t.measured for t in told), False])[place]
    code = np.where(measured, row, code)
    if len(deviations):
        flat = pc.list_flatten(deviations)
        named = pc.index_in(flat.field("metric"), value_set=pa.array([t.name for t in told], pa.string()))
        named = named.fill_null(len(told)).to_numpy()
        own = np.full((len(sources), len(told) + 1), -1)
        own[pc.list_parent_indices(deviations).to_numpy(), named] = len(known) + np.arange(len(flat))
        own = own[row, place]
        code = np.where(measured & (own >= 0), own, code)
        known = pa.concat_arrays([known, flat.field("source").cast(pa.string())])
    return known.take(pa.array(code))
