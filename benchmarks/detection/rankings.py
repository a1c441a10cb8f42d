"""Rankings: what each way of scoring says of the same windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ndr.evaluation import Scored
from ndr.metrics import METRICS, ROLES
from ndr.model.detector import Detector
from ndr.model.kinds import KINDS
from ndr.model.matrix import numbers
from ndr.model.training import train
from ndr.run import Workshop
from ndr.scoring import training_matrix
from ndr.summary import stored
from ndr.tables.fg_a import WINDOWS, fg_a
from ndr.tables.predictions import FEATURES
from ndr.time import DAY

Scores: TypeAlias = npt.NDArray[np.float64]

SINGLE = (
    "failed_cnt", "failed_ratio", "bytes_asymmetry_ratio", "bytes_src_sum", "sessions_cnt", "peer_ip_nunique",
    "new_pair_cnt_lookback30d",
)  # fmt: skip
"""Numbers of FG-A that somebody might rank hosts by."""
_KEYS = ("host_ip", "window_label", "window_end_ts")
_COLUMNS = [metric.column(role) for metric in METRICS for role in ROLES if metric.kind != "flag"]
_EVERYTHING = 10**9
_ORDER = [(key, "ascending") for key in _KEYS]
"""Engines and joins give rows in no order, and a forest draws them by their places."""
TITLES = {
    **{name: f"`{name}` alone" for name in SINGLE},
    "fg_a_same": "forest over FG-A, trained on the scored windows",
    "fg_a_before": "forest over FG-A, trained on all windows before",
    "present": "greatest of the raw scores (before there was a model)",
    **{kind: f"evidence of {each.title} alone" for kind, each in KINDS.items()},
    "max": "greatest evidence",
    "second": "sum of the two greatest evidences",
    "root": "root of the sum of squared evidence",
    "no_forest": "sum of evidence without the forest",
    "sum": "**sum of evidence (ours)**",
}


def windows(matrix: pa.Table) -> Scored:
    """The windows of the matrix, without scores."""
    ends = matrix["window_end_ts"].to_numpy().astype("datetime64[us]")
    lengths = np.array([np.timedelta64(WINDOWS[label]) for label in matrix["window_label"].to_pylist()])
    return Scored(np.array(matrix["host_ip"].to_pylist(), object), ends - lengths, ends, np.zeros(len(ends)))


def scored_matrix(shop: Workshop, own: pa.Table) -> pa.Table:
    """The rows that are scored, each with all of FG-A and what the model sees."""
    matrix = training_matrix(shop, None, _EVERYTHING)
    kept = own.select([*_KEYS, *(c for c in _COLUMNS if c not in matrix.column_names)])
    nested = [field.name for field in matrix.schema if pa.types.is_nested(field.type)]
    return matrix.drop_columns(nested).join(kept, list(_KEYS), join_type="inner").sort_by(_ORDER)


def behaviour(shop: Workshop) -> pa.Table:
    """All of FG-A."""
    rows = fg_a.unbound("rows").select(*_KEYS, *_COLUMNS)
    found = pa.Table.from_batches(shop.engine.batches(shop.engine.compile(rows), {"rows": stored(fg_a, shop)}))
    return found.sort_by(_ORDER)


def all_rankings(own: pa.Table, matrix: pa.Table) -> dict[str, Scores]:
    """What every way of ranking says of the rows of the matrix; ``own`` is all of FG-A."""
    detector, _ = train(matrix, FEATURES)
    first = matrix["window_end_ts"].to_numpy().min()
    past = own.filter(pc.less(own["window_end_ts"], pa.scalar(first, own.schema.field("window_end_ts").type)))
    return {
        **{name: np.nan_to_num(numbers(matrix, name)) for name in SINGLE},
        "fg_a_same": plain_forest(matrix, matrix),
        "fg_a_before": plain_forest(past, matrix),
        "present": present(matrix),
        **combinations(detector, matrix),
    }


def present(matrix: pa.Table) -> Scores:
    """The ranking of hosts by their deviations alone; a beacon counts five times."""
    raw = {kind.column: np.nan_to_num(numbers(matrix, kind.column)) for kind in KINDS.values() if kind.column}
    chosen = [
        raw[f"{name}"] for name in ("anomaly_strength_core", "exfiltration_suspicion_score", "lateral_movement_score")
    ]
    found: Scores = np.max([*chosen, 5 * raw["beacon_suspicion_score"]], axis=0)
    return found


def combinations(detector: Detector, matrix: pa.Table) -> dict[str, Scores]:
    """Every kind of evidence alone, and ways to put them together."""
    found = detector.weigh(matrix)
    kinds = np.sort([found.kinds[kind] for kind in found.kinds], axis=0)
    return {
        **{kind: found.kinds[kind] for kind in KINDS if kind in found.kinds},
        "max": kinds[-1],
        "second": kinds[-2:].sum(axis=0),
        "root": np.sqrt((kinds**2).sum(axis=0)),
        "no_forest": found.evidence - found.kinds["forest"],
        "sum": found.evidence,
    }


def plain_forest(known: pa.Table, judged: pa.Table) -> Scores:
    """A forest over the features of behaviour, as one would make it without baselines."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 - slow to load

    forest = IsolationForest(n_estimators=200, max_samples=512, random_state=0, n_jobs=1)
    found: Scores = -forest.fit(_plain(known)).score_samples(_plain(judged))
    return found


def _plain(rows: pa.Table) -> npt.NDArray[np.float32]:
    """Logarithms of all numbers of FG-A, unknown as 0, and which window it is."""
    labels = np.array(rows["window_label"].to_pylist())
    columns: Sequence[Any] = [np.log1p(np.nan_to_num(numbers(rows, c))) for c in _COLUMNS]
    return np.stack([*columns, *(labels == label for label in WINDOWS)], axis=1).astype(np.float32)


def out_of_sample(matrix: pa.Table) -> dict[str, tuple[pa.Table, Scores]]:
    """The last day as judged by a model of itself and the day before, of itself, and of the quiet day before alone."""
    ends = matrix["window_end_ts"].to_numpy()
    late = ends > ends.max() - np.timedelta64(DAY)
    judged = matrix.filter(pa.array(late))
    known = {"both": matrix, "itself": judged, "before": matrix.filter(pa.array(~late))}
    return {name: (judged, train(rows, FEATURES)[0].weigh(judged).evidence) for name, rows in known.items()}
