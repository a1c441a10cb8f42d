"""The detector: one score for each window of a host, what it is made of, and in whose words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ndr.errors import ModelError
from ndr.model.forest import Forest
from ndr.model.kinds import KINDS
from ndr.model.matrix import KEYS, Feature, Rows, groups, insist, labels_of, numbers, scaled
from ndr.model.reasons import EXPLANATION, Told, divided, explanations, techniques
from ndr.model.tails import ALL, Floats, Tail, evidence_by_label, medians_by_label

FOREST = "forest"
SOURCE, DEVIATIONS = "baseline_source", "top_deviations"
ANOMALOUS, NORMAL = "anomalous", "normal"
ALERT_SHARE = 0.0005
AT_ONCE = 1 << 14
"""Rows that are judged in one go: their reasons take some kilobytes each while they are made."""
JUDGED = {
    **dict.fromkeys(("model_name", "model_version"), "string"),
    "inference_ts": "timestamp(6)",
    "prediction_score": "float64",
    "prediction_label": "string",
    "evidence": "float64",
    "leading_kind": "string",
    **{f"evidence_{kind}": "float64" for kind in KINDS},
    "explanation": EXPLANATION,
    "techniques": "string",
}
"""What a model adds to the rows that it judges, with Ibis types."""


class Scorer(Protocol):
    """What scores: a model of ours, or one elsewhere."""

    @property
    def name(self) -> str:
        """What kind of model it is."""

    @property
    def version(self) -> str:
        """Which one: the same version gives the same rows the same scores."""

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of the matrix that it needs."""

    def judge(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with the columns of ``JUDGED``."""


@dataclass(frozen=True)
class Weighed:
    """Rows as numbers: what each kind says, and what they say together."""

    labels: npt.NDArray[np.str_]
    kinds: Mapping[str, Floats]
    """Evidence of the kinds that the model knows, in nats."""
    evidence: Floats
    """Their sum."""
    score: Floats
    """The share of training rows, wild ones left out, that look more normal; below 1."""


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained model: numbers only. It says nothing of kinds that its training did not know."""

    inputs: tuple[Feature, ...]
    labels: tuple[str, ...]
    """The window labels of the training."""
    forest: Forest
    tails: Mapping[str, Mapping[str, Tail]]
    """Kind -> window label -> how its number is spread; the forest's number is its anomaly score."""
    totals: Mapping[str, Tail]
    """How the sum of evidence is spread, over all window labels: a greater sum is never a smaller score."""
    name: str = "isolation_forest"
    alert_share: float = ALERT_SHARE
    """The share of rows like those of the training that is labelled anomalous: no part of the model."""

    def for_budget(self, alert_share: float) -> Detector:
        """The same model, that labels another share of the rows anomalous."""
        return replace(self, alert_share=alert_share)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of the matrix that it needs, beside the keys."""
        kinds = [KINDS[kind].column for kind in self.tails if KINDS[kind].column]
        return tuple(dict.fromkeys([*(c for feature in self.inputs for c in feature.columns), *kinds]))

    def content(self) -> dict[str, Any]:
        """All that scores depend on but the forest, as it is stored."""
        return {
            "model_name": self.name,
            "features": [feature.model_dump() for feature in self.inputs],
            "labels": list(self.labels),
            "max_samples": self.forest.max_samples,
            "tails": {kind: {label: t.model_dump() for label, t in by.items()} for kind, by in self.tails.items()},
            "totals": {label: t.model_dump() for label, t in self.totals.items()},
        }

    @cached_property
    def version(self) -> str:
        """The first 12 hex digits of the SHA-256 of all that scores depend on."""
        forest = self.forest
        digest = hashlib.sha256(json.dumps(self.content(), sort_keys=True, allow_nan=False).encode())
        for array in (forest.tree, forest.feature, forest.left, forest.right, forest.samples):
            digest.update(array.astype("<i4").tobytes())
        digest.update(forest.threshold.astype("<f8").tobytes())
        return digest.hexdigest()[:12]

    def unusual(self, rows: Rows) -> Floats:
        """The forest's anomaly score of each row."""
        return self.forest.scores(scaled(self.inputs, self.labels, rows))

    def weigh(self, rows: Rows) -> Weighed:
        """What the rows look like to the model.

        Raises:
            ModelError: they lack a column that it needs.
        """
        insist(rows, (*KEYS, *self.features))
        labels = labels_of(rows)
        heard = {
            kind: evidence_by_label(
                tails, self.unusual(rows) if kind == FOREST else numbers(rows, KINDS[kind].column), labels
            )
            for kind, tails in self.tails.items()
        }
        evidence = np.sum([heard[kind] for kind in KINDS if kind in heard], axis=0)
        score = -np.expm1(-evidence_by_label(self.totals, evidence, labels))
        return Weighed(labels, heard, evidence, np.minimum(score, np.nextafter(1.0, 0.0)))

    def judge(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with the columns of ``JUDGED``, in their order.

        Raises:
            ModelError: they lack a column that the model needs.
        """
        starts = range(0, max(rows.num_rows, 1), AT_ONCE)
        return pa.concat_batches([self._judged(rows.slice(start, AT_ONCE)) for start in starts])

    def _judged(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        found = self.weigh(rows)
        count = rows.num_rows
        order = np.array([kind for kind in KINDS if kind in found.kinds])
        leading = order[np.argmax([found.kinds[kind] for kind in order], axis=0)] if count else order[:0]
        silent = pa.nulls(count, pa.float64())
        judged = {
            "model_name": pa.repeat(pa.scalar(self.name), count),
            "model_version": pa.repeat(pa.scalar(self.version), count),
            "inference_ts": rows.column("window_end_ts"),
            "prediction_score": pa.array(found.score),
            "prediction_label": pa.array(np.where(found.score >= 1 - self.alert_share, ANOMALOUS, NORMAL), pa.string()),
            "evidence": pa.array(found.evidence),
            "leading_kind": pa.array(leading, pa.string()),
            **{f"evidence_{k}": pa.array(found.kinds[k]) if k in found.kinds else silent for k in KINDS},
            "explanation": self._explained(rows, found),
            "techniques": techniques({kind: found.kinds[kind] for kind in KINDS if kind in found.kinds}),
        }
        kept = {name: rows.column(name) for name in rows.schema.names if name not in judged}
        return pa.RecordBatch.from_pydict({**kept, **judged})

    def _explained(self, rows: pa.RecordBatch, found: Weighed) -> pa.Array:
        told = [
            Told(
                KINDS[kind].column, evidence, numbers(rows, KINDS[kind].column),
                medians_by_label(self.tails[kind], found.labels), measured=False,
            )
            for kind, evidence in found.kinds.items() if kind != FOREST
        ]  # fmt: skip
        names = rows.schema.names
        sources = rows.column(SOURCE) if SOURCE in names else pa.nulls(rows.num_rows, pa.string())
        deviations = rows.column(DEVIATIONS) if DEVIATIONS in names else pa.array([])
        forest = found.kinds[FOREST]
        return explanations(told, self._divided(rows, forest), forest, sources, deviations)

    def _divided(self, rows: pa.RecordBatch, evidence: Floats) -> list[Told]:
        """What each feature has of the forest's evidence, where that is more than half of the training rows have."""
        told, places = groups(self.inputs, self.labels)
        parts = np.zeros((rows.num_rows, len(told)))
        worth = np.flatnonzero(evidence > np.log(2.0))
        if len(worth):
            matrix = scaled(self.inputs, self.labels, rows)[worth]
            shortened = self.forest.contributions(matrix, places, len(told) + 1)
            parts[worth] = divided(evidence[worth], shortened)[:, : len(told)]
        return [
            Told(feature.told, parts[:, place], *feature.facts(rows), measured=bool(feature.metric))
            for place, feature in enumerate(told)
        ]

    def check(self) -> None:
        """Whether the parts fit together.

        Raises:
            ModelError: they do not.
        """
        self.forest.check(len(self.inputs) + len(self.labels))
        unknown = next((kind for kind in self.tails if kind not in KINDS), None)
        if unknown is not None:
            raise ModelError(f"{unknown!r} is no kind of evidence; those are {', '.join(KINDS)}.")
        for kind, tails in [*self.tails.items(), ("the sum", self.totals)]:
            if ALL not in tails:
                raise ModelError(f"the tails of {kind} lack that over all window labels ({ALL!r}).")
        if FOREST not in self.tails:
            raise ModelError(f"the tails lack those of the {FOREST}.")


def compared_with(model: Scorer | None, label: str) -> tuple[int, bool]:
    """How many windows a score counts among, and whether they are all of this length; 0 where nobody knows."""
    totals = model.totals if isinstance(model, Detector) else {}
    tail = totals.get(label) or totals.get(ALL)
    return (tail.at_least[0] if tail else 0), label in totals
