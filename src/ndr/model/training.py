"""Training: a detector from the rows of a period, the same one from the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from ndr.errors import ModelError, shown
from ndr.model.detector import FOREST, Detector
from ndr.model.forest import Forest
from ndr.model.kinds import KINDS
from ndr.model.matrix import KEYS, Feature, features_of, insist, labels_of, numbers, scaled
from ndr.model.tails import ALL, Closed, Floats, evidence_by_label, fitted, fitted_by_label

Mask = npt.NDArray[np.bool_]

FEWEST = 50
"""Rows that a training needs, and a validation too."""
FIT_QUARTERS = 3
"""The quarters of the window ends that the forest of the validation is grown on; it is tried on the rest."""
FINEST = 0.05
"""The smallest spread of ln(1 + score) that wildness is measured by."""


class TrainingOptions(Closed):
    """How a detector is trained."""

    trees: int = Field(default=200, ge=1, le=2000)
    max_samples: int = Field(default=512, ge=2, le=100_000)
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    max_rows: int = Field(default=200_000, ge=1)
    wild_scales: float = Field(default=8.0, gt=0)
    """So many robust scales above the median of those above 0 a score is wild."""
    wild_share_max: float = Field(default=0.2, ge=0, lt=1)
    """No more than this share of the rows is left out, the wildest first."""


class Validation(Closed):
    """How a detector that saw the earlier rows only judges the later ones."""

    first_window_end: str
    """Where the rows begin that it is tried on."""
    fitted_rows: int
    rows: int
    share_above_99: float
    """Share of the rows with a score of at least 0.99; near 0.01 when the later days are like the earlier ones."""
    share_above_999: float
    rank_correlation: float
    """Spearman's, of its forest's scores and those of the final forest."""


class Facts(Closed):
    """What there is to say of a training; no score depends on it."""

    rows: int
    rows_given: int
    hosts: int
    wild_rows: int
    """Left out because their deviations stand out already: neither the forest nor the scores count them as usual."""
    first_window_end: str
    last_window_end: str
    constant_features: tuple[str, ...]
    """Left out because all rows agree in them, or none knows them."""
    validation: Validation | None
    validation_lacks: str = ""
    """Why there is no validation."""
    options: TrainingOptions
    libraries: dict[str, str]


def train(
    matrix: pa.Table, columns: Sequence[str], options: TrainingOptions | None = None
) -> tuple[Detector, dict[str, Any]]:
    """A detector that looks at these columns, and the facts of its training (:class:`Facts`).

    Neither the order of the rows nor that of their batches matters. Wild rows (see :func:`wild`) are left out of the
    forest and of what scores are shares of: attacks among the rows must not make attacks look usual. The tails of the
    kinds are those of all rows.

    Raises:
        ModelError: there are too few rows, a column is missing, or none of the columns tells anything.
    """
    options = options or TrainingOptions()
    insist(matrix, (*KEYS, *columns))
    rows = in_order(matrix, options.max_rows)
    _insist_on_enough(rows)
    features = features_of(rows, columns)
    out = wild(rows, options)
    detector = _grown(rows, features, out, options)
    told = {feature.column for feature in detector.inputs}
    ends = rows.column("window_end_ts").to_numpy()
    validation, lacks = _validated(rows, ends, out, features, detector, options)
    facts = Facts(
        rows=rows.num_rows,
        rows_given=matrix.num_rows,
        hosts=len(rows.column("host_ip").unique()),
        wild_rows=int(out.sum()),
        first_window_end=_iso(ends.min()),
        last_window_end=_iso(ends.max()),
        constant_features=tuple(feature.column for feature in features if feature.column not in told),
        validation=validation,
        validation_lacks=lacks,
        options=options,
        libraries=_libraries(),
    )
    return detector, facts.model_dump(mode="json")


def in_order(matrix: pa.Table, most: int) -> pa.Table:
    """The rows by their keys; of too many those whose keys have the smallest SHA-1."""
    if matrix.num_rows > most:
        keys = zip(*(matrix.column(key).to_pylist() for key in KEYS), strict=True)
        digests = np.array([hashlib.sha1("|".join(map(str, key)).encode()).digest()[:8] for key in keys])  # noqa: S324 - no secret, an even sample
        matrix = matrix.take(pa.array(np.sort(np.argsort(digests, kind="stable")[:most])))
    return matrix.sort_by([(key, "ascending") for key in KEYS])


def wild(rows: pa.Table, options: TrainingOptions) -> Mask:
    """Which rows the deviations already call wild.

    A row is wild when ln(1 + score) of any kind is more than ``wild_scales`` robust scales (1.4826 MAD) above the
    median of the rows of its window label whose score is above 0. Medians hold while fewer than half of those rows
    are attacks. Of too many wild rows the wildest are meant.
    """
    labels = labels_of(rows)
    distance = np.zeros(rows.num_rows)
    for kind in _heard(rows):
        if kind == FOREST:
            continue
        height = np.log1p(np.maximum(np.nan_to_num(numbers(rows, KINDS[kind].column)), 0.0))
        for label in np.unique(labels):
            own = labels == label
            positive = height[own & (height > 0)]
            if len(positive) >= FEWEST:
                middle = np.median(positive)
                spread = max(1.4826 * float(np.median(np.abs(positive - middle))), FINEST)
                distance[own] = np.maximum(distance[own], (height[own] - middle) / spread)
    out = distance > options.wild_scales
    allowed = int(options.wild_share_max * rows.num_rows)
    if out.sum() > allowed:
        out = np.zeros(rows.num_rows, bool)
        out[np.argsort(-distance, kind="stable")[:allowed]] = True
    return out


def _insist_on_enough(rows: pa.Table) -> None:
    if rows.num_rows < FEWEST:
        raise ModelError(
            f"a model needs at least {FEWEST} rows to be trained on, and there are {rows.num_rows:,}: "
            "choose a longer period, or build more windows with deviations first (ndr run)."
        )


def _heard(rows: pa.Table) -> list[str]:
    """The kinds whose number the rows have."""
    return [name for name, kind in KINDS.items() if not kind.column or kind.column in rows.column_names]


def _grown(rows: pa.Table, features: Sequence[Feature], out: Mask, options: TrainingOptions) -> Detector:
    """Forest, tails and totals."""
    calm = rows.filter(pa.array(~out))
    inputs = tuple(sized for feature in features if (sized := feature.fitted(calm)))
    if not inputs:
        named = ", ".join(shown(feature.column) for feature in features[:5])
        raise ModelError(
            f"none of the {len(features)} features ({named}, …) tells the rows apart: each is unknown or the same in "
            "all of them. Choose a longer period, or other features (payload.feature_columns)."
        )
    own = labels_of(rows)
    labels = tuple(sorted(set(own.tolist())))
    forest = _forest(scaled(inputs, labels, calm), options)
    numbers_of = {
        kind: forest.scores(scaled(inputs, labels, rows)) if kind == FOREST else numbers(rows, KINDS[kind].column)
        for kind in _heard(rows)
    }
    tails = {kind: tail for kind, values in numbers_of.items() if (tail := fitted_by_label(values, own))}
    evidence: Floats = np.sum([evidence_by_label(tails[kind], numbers_of[kind], own) for kind in tails], axis=0)
    total = fitted(evidence[~out], exact=True)
    return Detector(inputs, labels, forest, tails, {ALL: total} if total else {})


def _forest(matrix: npt.NDArray[np.float32], options: TrainingOptions) -> Forest:
    """Scikit-learn's forest as plain arrays."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 - slow to import, and only training needs it

    samples = min(options.max_samples, len(matrix))
    grown = IsolationForest(n_estimators=options.trees, max_samples=samples, random_state=options.seed, n_jobs=1)
    grown.fit(matrix)
    trees = [tree.tree_ for tree in grown.estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]

    def children(name: str) -> npt.NDArray[np.int32]:
        told = [np.where((c := getattr(t, name)) < 0, -1, c + start) for t, start in zip(trees, starts, strict=True)]
        return np.concatenate(told).astype(np.int32)

    leaf = np.concatenate([tree.children_left for tree in trees]) < 0
    return Forest(
        tree=np.repeat(np.arange(len(trees)), [tree.node_count for tree in trees]).astype(np.int32),
        feature=np.where(leaf, -1, np.concatenate([tree.feature for tree in trees])).astype(np.int32),
        threshold=np.where(leaf, 0.0, np.concatenate([tree.threshold for tree in trees])),
        left=children("children_left"),
        right=children("children_right"),
        samples=np.concatenate([tree.n_node_samples for tree in trees]).astype(np.int32),
        max_samples=samples,
    )


def _validated(
    rows: pa.Table, ends: npt.NDArray[Any], out: Mask, features: Sequence[Feature], final: Detector,
    options: TrainingOptions,
) -> tuple[Validation | None, str]:  # fmt: skip
    """A detector of the first three quarters of the window ends, tried on the rest; else why there is none."""
    distinct = np.unique(ends)
    if len(distinct) < 2:  # noqa: PLR2004 - before and after
        return None, "all rows have the same window end"
    cut = distinct[max(1, len(distinct) * FIT_QUARTERS // 4)]
    before = ends < cut
    earlier, later = rows.filter(pa.array(before)), rows.filter(pa.array(~before))
    if min(earlier.num_rows - int(out[before].sum()), later.num_rows) < FEWEST:
        return None, f"fewer than {FEWEST} rows before or after {_iso(cut)}"
    try:
        tried = _grown(earlier, features, out[before], options)
    except ModelError:
        return None, f"before {_iso(cut)} all rows agree in every feature"
    score = tried.weigh(later).score
    return Validation(
        first_window_end=_iso(cut),
        fitted_rows=earlier.num_rows - int(out[before].sum()),
        rows=later.num_rows,
        share_above_99=float((score >= 0.99).mean()),  # noqa: PLR2004 - as its name says
        share_above_999=float((score >= 0.999).mean()),  # noqa: PLR2004 - as its name says
        rank_correlation=_rank_correlation(tried.unusual(later), final.unusual(later)),
    ), ""


def _rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's, ties by their mean rank; 0 where either is constant."""

    def ranks(values: Floats) -> Floats:
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        mean: Floats = (np.cumsum(counts) - counts / 2)[place]
        return np.asarray(mean - mean.mean(), np.float64)

    x, y = ranks(a), ranks(b)
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / size) if size else 0.0


def _iso(moment: Any) -> str:
    return f"{np.datetime_as_string(np.datetime64(moment), unit='s')}Z"


def _libraries() -> dict[str, str]:
    import sklearn  # noqa: PLC0415 - slow to import

    return {"numpy": np.__version__, "pyarrow": pa.__version__, "scikit-learn": str(sklearn.__version__)}
