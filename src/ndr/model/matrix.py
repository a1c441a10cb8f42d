"""The matrix of a model: from columns of FG-A and FG-C to the numbers that a forest looks at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ndr.errors import ModelError, near_miss
from ndr.metric import statistic
from ndr.model.forest import Ints, Matrix
from ndr.model.tails import Closed, Floats, Names

KEYS = ("host_ip", "window_label", "window_end_ts")
WINDOW = "window_label"
"""It joins the features as one column of 0 and 1 per label."""
VALUE, BASELINE = "value_", "baseline_"
"""How columns begin that tell the value of a metric, and the median that it was held against."""
DEVIATIONS = ("z_mad_clipped", "log_ratio")
"""Statistics that are about a metric, and are explained as such."""
Rows: TypeAlias = pa.Table | pa.RecordBatch


class Feature(Closed):
    """One column of the matrix and how it becomes a number of the usual size.

    The column is transformed, its training median taken off, divided by its training spread (IQR / 1.349, else 1),
    cut off at ± ``clip``; what is unknown becomes ``fill``, 0 being the median. Explanations tell a deviation as the
    ``metric`` that it is about, with the metric's value and baseline; all else as itself, beside its median.
    """

    column: str = Field(min_length=1, max_length=200)
    transform: Literal["identity", "log1p"] = "identity"
    metric: str = Field(default="", max_length=200)
    center: float = 0.0
    scale: float = Field(default=1.0, gt=0)
    clip: float = Field(default=10.0, gt=0)
    fill: float = 0.0

    @property
    def told(self) -> str:
        """What explanations call it."""
        return self.metric or self.column

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it needs, its own first."""
        return (self.column, VALUE + self.metric, BASELINE + self.metric) if self.metric else (self.column,)

    def facts(self, rows: Rows) -> tuple[Floats, Floats]:
        """Value and baseline as explanations tell them; unknown is NaN."""
        if self.metric:
            return numbers(rows, VALUE + self.metric), numbers(rows, BASELINE + self.metric)
        return numbers(rows, self.column), np.full(rows.num_rows, self.usual)

    def transformed(self, rows: Rows) -> Floats:
        """The column, transformed only; unknown is NaN."""
        values = numbers(rows, self.column)
        return np.sign(values) * np.log1p(np.abs(values)) if self.transform == "log1p" else values

    def fitted(self, rows: Rows) -> Feature | None:
        """The feature with the median and the spread of these rows; None when they know but one value of it."""
        values = self.transformed(rows)
        values = values[np.isfinite(values)]
        if not len(values) or values.min() == values.max():
            return None
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        return self.model_copy(update={"center": float(middle), "scale": float(high - low) / 1.349 or 1.0})

    @property
    def usual(self) -> float:
        """The training median, as the column has it."""
        return float(np.sign(self.center) * np.expm1(abs(self.center))) if self.transform == "log1p" else self.center

    def scaled(self, rows: Rows) -> Matrix:
        """The column as the forest sees it."""
        values = (self.transformed(rows) - self.center) / self.scale
        values = np.where(np.isnan(values), self.fill, np.clip(values, -self.clip, self.clip))
        return np.asarray(values, np.float32)


def features_of(rows: Rows, columns: Iterable[str]) -> list[Feature]:
    """The named columns as features: whole numbers are taken as logarithms, deviations know their metric.

    Raises:
        ModelError: a column is no number.
    """
    known = [name.removeprefix(VALUE) for name in rows.schema.names if name.startswith(VALUE)]
    metrics = {statistic(metric, name): metric for metric in known for name in DEVIATIONS}
    found = []
    for column in dict.fromkeys(columns):
        kind = rows.schema.field(column).type
        whole = pa.types.is_integer(kind)
        numeric = whole or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
        if not numeric and not pa.types.is_decimal(kind):
            raise ModelError(f"the feature {column!r} is of type {kind}: a model looks at numbers only; leave it out.")
        found.append(Feature(column=column, transform="log1p" if whole else "identity", metric=metrics.get(column, "")))
    return found


def numbers(rows: Rows, column: str) -> Floats:
    """A column as floats, NaN where it is null."""
    values = rows.column(column)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return np.array(pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def labels_of(rows: Rows) -> Names:
    """The window label of each row."""
    return np.array(rows.column(WINDOW).to_pylist(), np.str_)


def scaled(features: Sequence[Feature], labels: Sequence[str], rows: Rows) -> Matrix:
    """One column per feature, then one per window label that is 1 for its rows."""
    own = labels_of(rows)
    columns = [feature.scaled(rows) for feature in features]
    columns += [(own == label).astype(np.float32) for label in labels]
    return np.stack(columns, axis=1)


def groups(features: Sequence[Feature], labels: Sequence[str]) -> tuple[list[Feature], Ints]:
    """The features as they are told, one for each name, and which of them each column of the matrix is.

    Columns of window labels belong to a last group that has no feature.
    """
    first: dict[str, int] = {}
    for feature in features:
        first.setdefault(feature.told, len(first))
    told = {feature.told: feature for feature in reversed(features)}
    places = [first[feature.told] for feature in features] + [len(first)] * len(labels)
    return [told[name] for name in first], np.array(places, np.int32)


def insist(rows: Rows, columns: Iterable[str]) -> None:
    """Stop when columns are missing.

    Raises:
        ModelError: one is, by name.
    """
    known = rows.schema.names
    for column in columns:
        if column not in known:
            raise ModelError(
                f"the rows have no column {column!r}, which the model needs.{near_miss(column, known)} "
                "Score rows of the same feature version that the model was trained on, or train again."
            )
