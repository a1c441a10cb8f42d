"""What runs recipes: a protocol of a few methods, and what goes in and out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeAlias

import ibis.expr.types as ir
import pyarrow as pa

from ndr.table import Columns

Judge: TypeAlias = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class Files:
    """Parquet files of one stored table, each with the values of columns that the files do not hold."""

    columns: Columns
    paths: Sequence[str]
    constants: Sequence[Mapping[str, Any]] = ()
    within: tuple[str, datetime, datetime] | None = None
    """Column, start and end: only rows of this time are wanted."""
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Column -> values: only rows with one of these values are wanted."""


@dataclass(frozen=True)
class Rows:
    """A small table that was computed."""

    columns: Columns
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class Output:
    """One file to write: the rows in which the columns have these values."""

    where: Mapping[str, datetime | str]
    path: str


class Engine(Protocol):
    """What runs a recipe: expressions in, Parquet files out."""

    name: str

    def close(self) -> None:
        """Give back what it holds."""

    def compile(self, expression: ir.Table) -> str:
        """The expression in the engine's language."""

    def write(
        self, query: str, inputs: Mapping[str, Files | Rows], columns: Columns, order: Sequence[str],
        outputs: Sequence[Output], apart: Mapping[str, Sequence[str]] | None = None, through: Judge | None = None,
    ) -> list[int]:  # fmt: skip
        """Write each output's rows, sorted, and return their numbers; an output without rows leaves no file.

        ``apart`` names the first columns of the order, whose rows of each value are made of the rows with that value in
        the inputs, and the values they may have: the query may be run piece by piece. The files are the same.
        What is given as ``through`` makes the rows that are written of those of the query, batch by batch.
        """

    def batches(self, query: str, inputs: Mapping[str, Files | Rows]) -> Iterator[pa.RecordBatch]:
        """The rows of a large result, in no order."""

    def fetch(self, query: str, inputs: Mapping[str, Files | Rows]) -> list[dict[str, Any]]:
        """The rows of a small result."""

    def spent(self) -> Mapping[str, int]:
        """What the last query cost where it ran, such as jobs and bytes shuffled; empty where nobody counts."""
