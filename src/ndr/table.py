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
from ndr.time import DAY, END_OF_TIME, EPOCH, Interval, ceil, floor

Columns = Mapping[str, str]
"""Column name -> Ibis type."""


@dataclass(frozen=True, order=True)
class PartKey:
    """Which part of a table: the start of its interval, and when it was known."""

    start: datetime
    known_at: datetime
    horizon: str = ""
    """The baseline horizon, or the version of the model, for tables that have one part for each."""


@dataclass(frozen=True)
class Publication:
    """The baselines of one reference time, a UTC midnight: the interval that each horizon looks at.

    A provisional one was made with less history than its horizons need, and leaves no safety gap.
    """

    reference: datetime
    horizons: Mapping[str, Interval]
    provisional: bool = False

    def keys(self) -> list[PartKey]:
        """The parts of a published table."""
        return [PartKey(self.reference, self.reference, horizon) for horizon in self.horizons]


SERVICE = timedelta(days=92)
"""How long baselines serve at most: what was normal a season ago says little."""


def in_force(known: Sequence[Publication], moment: datetime) -> Publication | None:
    """The publication that a moment is compared with, by reference times at most a season away.

    The latest regular one not after the moment, else the latest provisional one not after it, else the earliest
    provisional one, which then looks back; None when there is none.
    """
    for provisional in (False, True):
        past = [p for p in known if p.provisional is provisional and moment - SERVICE <= p.reference <= moment]
        if past:
            return past[-1]
    return next((p for p in known if p.provisional and moment < p.reference <= moment + SERVICE), None)


@dataclass(frozen=True)
class Given:
    """A small table that is computed, not stored: from settings, spec, the parts to make and the named batches."""

    columns: Columns
    rows: Callable[[Context], Sequence[tuple[Any, ...]]]


@dataclass(frozen=True)
class Context:
    """What a :class:`Given` may ask: settings, spec, the parts to be made, named batches by end, the publications."""

    settings: Any
    spec: Any
    parts: Sequence[PartKey]
    batches: Mapping[datetime, str]
    publications: Sequence[Publication] = ()


@dataclass(frozen=True)
class Reach:
    """A stored table over an interval that depends on the interval that is made.

    Of a published table it means the publication in force at the end of the interval, and for another published table
    the same publication and horizon. Without the parts of a ``needed`` reach nothing is made.
    """

    table: Table
    over: Callable[[Interval], Interval]
    needed: bool = False


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
    published: bool = False
    """Whether it exists once per publication of baselines and horizon, instead of once per interval."""
    by_horizon: bool = False
    """Whether each interval has a part for every horizon of the publication in force."""
    by_model: bool = False
    """Whether each interval has a part for every model that was in force when it was made."""
    judged: Columns = field(default_factory=dict)
    """The columns that the model adds to the rows of the recipe, which yields besides what the model looks at."""
    folder: str = ""
    """Where its files lie below the lake; its name where nothing is said."""
    order: tuple[str, ...] = ()
    """How its files are sorted; by its keys where nothing is said."""
    apart: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Key columns and their values, for tables whose rows of each value can be made apart; the first of the order."""

    @property
    def doc(self) -> str:
        """What one row is, from the recipe's docstring."""
        return (self.recipe.__doc__ or "").strip() if self.recipe else (self.spec.__doc__ or "").strip()

    @property
    def module(self) -> str:
        """The module of its declaration, without its package."""
        return self.recipe.__module__.rpartition(".")[2] if self.recipe else self.name

    @property
    def stored_columns(self) -> Columns:
        """The columns that the files hold: partition columns are in the path alone, or readers would see them twice."""
        return {name: dtype for name, dtype in self.columns.items() if name not in self.partitions}

    @property
    def parents(self) -> tuple[Table, ...]:
        """The stored tables that it reads."""
        return tuple(dict.fromkeys(read.table for read in self.reads.values() if isinstance(read, Reach)))

    def now(self, *, needed: bool = False) -> Reach:
        """The same interval."""

        def same(interval: Interval) -> Interval:
            return Interval(floor(interval.start, self.every), ceil(interval.end, self.every))

        return Reach(self, same, needed)

    def latest(self, *, needed: bool = False) -> Reach:
        """The last whole interval that ended by the end of the interval; of a published table, the one in force."""

        def last(interval: Interval) -> Interval:
            end = floor(interval.end, self.every)
            return Interval(end - self.every, end)

        return Reach(self, last, needed)

    def past(self, length: timedelta, *, needed: bool = False) -> Reach:
        """The ``length`` that ends with the interval."""
        return Reach(self, lambda interval: Interval(interval.end - length, interval.end), needed)

    def before(self, far: timedelta, near: timedelta) -> Reach:
        """From ``far`` to ``near`` before the end of the interval."""
        return Reach(self, lambda interval: Interval(interval.end - far, interval.end - near))

    def always(self) -> Reach:
        """Everything that was ever known; a part made of it sees what was known when it was."""
        return Reach(self, lambda _: Interval(EPOCH, END_OF_TIME))

    def part_of(self, key: PartKey) -> PartKey:
        """The part that a parent's part goes into; for tables that keep arrivals apart."""
        return PartKey(floor(key.start, self.every), ceil(key.known_at, self.every))

    def interval(self, key: PartKey) -> Interval:
        """The interval of a part."""
        return Interval(key.start, key.start + self.every)

    def at_value(self, key: PartKey) -> datetime:
        """The value of the ``at`` column in a part."""
        return key.start + self.every if self.at_end else key.start

    def version(self, feature_spec_version: str) -> str:
        """The version under which its parts are known; what imports fill has none."""
        return feature_spec_version if self.recipe else ""

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
        declared = {name: dtype for name, dtype in self.columns.items() if name not in self.judged}
        undeclared = [name for name in made.columns if name not in declared]
        if set(declared) - set(made.columns) or (undeclared and not self.judged):
            raise DeclarationError(
                f"table {self.name}: its recipe yields {sorted(undeclared)} undeclared and "
                f"lacks {sorted(set(declared) - set(made.columns))}."
            )
        fed = dict.fromkeys(undeclared, "float64")
        return made.select(**{name: made[name].cast(dtype) for name, dtype in (declared | fed).items()})


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
