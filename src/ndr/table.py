"""What a table is: its recipe, and the declarations that planner, ledger, catalogue and checks follow from.

A table exists in *parts*. A part is one interval of the table together with the moment it was known: a table that
keeps arrivals apart (``arrived``) has one part per interval and arrival, any other has one part per interval, known at
its end. A part may read only what was known when it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir

from ndr.errors import DeclarationError
from ndr.time import DAY, Interval, ceil, floor

Columns = Mapping[str, str]
"""Column name -> Ibis type."""


@dataclass(frozen=True, order=True)
class PartKey:
    """Which part of a table: the start of its interval, and when it was known."""

    start: datetime
    known_at: datetime


@dataclass(frozen=True)
class Given:
    """A small table that is computed, not stored: from settings, spec, the parts to make and the named batches."""

    columns: Columns
    rows: Callable[[Context], Sequence[tuple[Any, ...]]]


@dataclass(frozen=True)
class Context:
    """What a :class:`Given` may ask: the settings, the table's spec, the parts to be made, explicit batches by end."""

    settings: Any
    spec: Any
    parts: Sequence[PartKey]
    batches: Mapping[datetime, str]


@dataclass(frozen=True)
class Reach:
    """A stored table over an interval that depends on the interval that is made."""

    table: Table
    over: Callable[[Interval], Interval]


@dataclass(frozen=True, eq=False)
class Table:
    """One dataset: what a row is, where it comes from, how it is kept."""

    name: str
    keys: tuple[str, ...]
    columns: Columns
    every: timedelta
    at: str
    """Column with the time that says to which part a row belongs."""
    recipe: Callable[..., ir.Table] | None = None
    reads: Mapping[str, Reach | Given] = field(default_factory=dict)
    spec: type[Any] | None = None
    settings: tuple[str, ...] = ()
    """Names of the project settings that the recipe depends on."""
    arrived: str | None = None
    """Column with the arrival of a part; null for tables that see what was known at the end of their interval."""
    at_end: bool = False
    """Whether ``at`` holds the end of the interval instead of its start."""
    partitions: tuple[str, ...] = ()
    job: str | None = None

    @property
    def doc(self) -> str:
        """What one row is, from the recipe's docstring."""
        return (self.recipe.__doc__ or "").strip() if self.recipe else (self.spec.__doc__ or "").strip()

    @property
    def stored_columns(self) -> Columns:
        """The columns that the files hold: partition columns are in the path alone, or readers would see them twice."""
        return {name: dtype for name, dtype in self.columns.items() if name not in self.partitions}

    @property
    def parents(self) -> tuple[Table, ...]:
        """The stored tables that it reads."""
        return tuple(dict.fromkeys(read.table for read in self.reads.values() if isinstance(read, Reach)))

    def now(self) -> Reach:
        """The same interval."""
        return Reach(self, lambda interval: Interval(floor(interval.start, self.every), ceil(interval.end, self.every)))

    def past(self, length: timedelta) -> Reach:
        """The ``length`` that ends with the interval."""
        return Reach(self, lambda interval: Interval(interval.end - length, interval.end))

    def before(self, far: timedelta, near: timedelta) -> Reach:
        """From ``far`` to ``near`` before the end of the interval."""
        return Reach(self, lambda interval: Interval(interval.end - far, interval.end - near))

    def part_of(self, key: PartKey) -> PartKey:
        """The part that a parent's part goes into; for tables that keep arrivals apart."""
        return PartKey(floor(key.start, self.every), ceil(key.known_at, self.every))

    def interval(self, key: PartKey) -> Interval:
        """The interval of a part."""
        return Interval(key.start, key.start + self.every)

    def at_value(self, key: PartKey) -> datetime:
        """The value of the ``at`` column in a part."""
        return key.start + self.every if self.at_end else key.start

    def unbound(self, name: str) -> ir.Table:
        """The table's shape, without data."""
        return ibis.table(dict(self.columns), name=name)

    def expression(self, spec: Any, settings: Any, version: str) -> ir.Table:
        """The recipe applied to the declared shapes, its columns in the declared order and types.

        Raises:
            DeclarationError: the recipe yields other columns than declared.
        """
        if self.recipe is None:
            raise DeclarationError(f"table {self.name} has no recipe: it is filled by the sources.")
        inputs = {
            name: read.table.unbound(name) if isinstance(read, Reach) else ibis.table(dict(read.columns), name=name)
            for name, read in self.reads.items()
        }
        made = self.recipe(**inputs, spec=spec, settings=settings, version=version)
        if set(made.columns) != set(self.columns):
            raise DeclarationError(
                f"table {self.name}: its recipe yields {sorted(set(made.columns) - set(self.columns))} undeclared and "
                f"lacks {sorted(set(self.columns) - set(made.columns))}."
            )
        return made.select(**{name: made[name].cast(dtype) for name, dtype in self.columns.items()})


def table(
    *, keys: Sequence[str], columns: Columns, every: timedelta, at: str, **declared: Any
) -> Callable[[Callable[..., ir.Table]], Table]:
    """Declare the table that the decorated recipe makes; its name is the recipe's.

    Raises:
        DeclarationError: a key or time column is not among the columns, or a day is no multiple of ``every``.
    """

    def declare(recipe: Callable[..., ir.Table]) -> Table:
        made = Table(recipe.__name__, tuple(keys), dict(columns), every, at, recipe, **declared)
        missing = {*keys, at, *filter(None, [made.arrived])} - set(columns)
        if missing or DAY % every:
            raise DeclarationError(f"table {made.name}: undeclared columns {sorted(missing)} or odd step {every}.")
        return made

    return declare
