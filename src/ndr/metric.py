"""What a metric is: one value that says its name, unit, meaning, how it is measured and how partial values merge.

A metric measured over *sessions* or *minutes* is stored in slices and merged over a window; one measured over *peers*,
*ports* or *pairs* is measured afresh from the pairs of the whole window; one measured over the *host*
is computed from the other metrics of the same row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import ibis.expr.types as ir

from ndr.errors import DeclarationError

Measured = Literal["sessions", "minutes", "peers", "ports", "pairs", "host"]
Merge = Literal["sum", "max", "afresh"]
Kind = Literal["count", "number", "share", "flag"]

INBOUND = "in_"

DTYPES: dict[Kind, str] = {"count": "int64", "number": "float64", "share": "float64", "flag": "int32"}


@dataclass(frozen=True)
class Metric:
    """One measured quantity of a host in one role.

    ``measure`` takes the table named by ``measured`` and gives a value per row (sessions), or an aggregate over the
    host's rows (all others), or a value from the host's other metrics (host). ``stored`` is the column that holds the
    partial value in slices, ``finish`` turns the merged partial into the metric; ``unknown`` metrics are null when
    no session of the host told the value, all other counts are 0 for a host without sessions in the role.
    """

    name: str
    unit: str
    doc: str
    formula: str
    measured: Measured
    measure: Callable[[ir.Table], ir.Value]
    kind: Kind = "count"
    merge: Merge = "afresh"
    floor: float = 1.0
    themes: tuple[str, ...] = ()
    stored: str = ""
    finish: Callable[[ir.Value], ir.Value] | None = None
    unknown: bool = False

    def __post_init__(self) -> None:
        sliced = self.measured in {"sessions", "minutes"}
        if sliced != (self.merge != "afresh"):
            raise DeclarationError(
                f"metric {self.name}: measured over {self.measured} it cannot merge by {self.merge}."
            )
        if self.floor <= 0:
            raise DeclarationError(f"metric {self.name}: its floor is {self.floor}; a floor must be positive.")
        if not (self.doc.endswith(".") and self.unit and self.formula):
            raise DeclarationError(
                f"metric {self.name}: it needs a unit, a formula and a sentence that ends in a stop."
            )
        object.__setattr__(self, "stored", self.stored or self.name)

    @property
    def dtype(self) -> str:
        """Ibis type of the finished value."""
        return DTYPES[self.kind]

    @property
    def zero_when_idle(self) -> bool:
        """Whether a host without a session in the role has 0 here; the others have null."""
        return self.kind in {"count", "flag"} or self.merge != "afresh"

    def merged(self, partial: ir.Column) -> ir.Value:
        """Partial values of slices put together.

        Raises:
            DeclarationError: the metric is measured afresh, so partial values of it mean nothing.
        """
        if self.merge == "afresh":
            raise DeclarationError(f"metric {self.name}: it is measured afresh and never merged.")
        return (partial.sum() if self.merge == "sum" else partial.max()).cast("int64")

    def column(self, role: str) -> str:
        """The metric's column for ``outbound`` (plain) or ``inbound`` (prefix ``in_``)."""
        return INBOUND + self.name if role == "inbound" else self.name


def statistic(column: str, name: str) -> str:
    """The name of a statistic or transform of a metric's column, such as ``sessions_cnt_median``."""
    return f"{column}_{name}"


def by_name(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """Metrics under their names.

    Raises:
        DeclarationError: a name is declared twice.
    """
    found: dict[str, Metric] = {}
    for metric in metrics:
        if metric.name in found:
            raise DeclarationError(f"metric {metric.name} is declared twice.")
        found[metric.name] = metric
    return found
