"""Recipes as SQL of Spark: the same expressions, in stages where DuckDB would keep a subquery.

What a recipe gave a name (``alias``) or sums up, and reads twice, is a stage of its own. Spark would write such a
subquery out wherever it is read, compute it as often, and plan for longer than it computes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import ibis.expr.operations as ops
import ibis.expr.types as ir
import sqlglot.expressions as sge
from ibis.backends.sql.compilers import PySparkCompiler
from ibis.backends.sql.compilers.base import SQLGlotCompiler

from ndr.engines.spark_quantiles import spread

_GENERATED = re.compile(r"t\d+")
"""Names that the compiler makes up for expressions that it could also write out twice."""
_MARK = "-- stage "
RESULT = ""
"""The name of the last stage."""


class Stage(NamedTuple):
    """One query of several: its name, under which those after it read it, and its text."""

    name: str
    query: str


class _Compiler(PySparkCompiler):  # type: ignore[misc]  # of a package without types
    """Ibis's own, with what is slow or depends on the environment said otherwise."""

    __slots__ = ()

    def visit_NonNullLiteral(self, op: ops.Literal, *, value: Any, dtype: Any) -> Any:  # noqa: N802 - Ibis's name
        """A float as one: what has a point and no exponent would be a decimal number to Spark."""
        if dtype.is_floating():
            return self.cast(sge.convert(repr(float(value))), dtype)
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_Field(self, op: ops.Field, *, rel: Any, name: str) -> Any:  # noqa: N802
        """A column as it is; we store no NaN."""
        return SQLGlotCompiler.visit_Field(self, op, rel=rel, name=name)

    def visit_IsNull(self, op: ops.IsNull, *, arg: Any) -> Any:  # noqa: N802
        """Null alone; we store no NaN."""
        return SQLGlotCompiler.visit_IsNull(self, op, arg=arg)

    def visit_NotNull(self, op: ops.NotNull, *, arg: Any) -> Any:  # noqa: N802
        """Not null; we store no NaN."""
        return SQLGlotCompiler.visit_NotNull(self, op, arg=arg)

    def visit_IntervalFromInteger(self, op: ops.IntervalFromInteger, *, arg: Any, unit: Any) -> Any:  # noqa: N802
        """Seconds as an interval of days to seconds, made of the number and not of a text of it."""
        if unit.short != "s":
            return super().visit_IntervalFromInteger(op, arg=arg, unit=unit)
        return self.f.anon.make_dt_interval(0, 0, 0, arg)


def compiled(expression: ir.Table) -> str:
    """The stages of an expression as one text."""
    query = _Compiler().to_sqlglot(expression)
    parts = {cte.alias: cte.this for cte in _taken_out(query)}
    summed = {name for name, part in parts.items() if part.args.get("group")}
    whole = (*parts.values(), query)
    for select in [select for part in whole for select in part.find_all(sge.Select)]:
        if select.args.get("order") and not select.args.get("limit"):
            select.set("order", None)  # a hint to DuckDB, to Spark a sample of the rows and a sort of them all
        spread(select)
    read = Counter(source.name for part in whole for source in part.find_all(sge.Table))
    kept = {name for name in parts if read[name] > 1 and (name in summed or not _GENERATED.fullmatch(name))}
    stages = [Stage(name, _with(parts[name], parts, kept)) for name in parts if name in kept]
    stages.append(Stage(RESULT, _with(query, parts, kept)))
    return "\n".join(f"{_MARK}{stage.name}\n{stage.query}" for stage in stages)


def stages(text: str) -> Iterator[Stage]:
    """The stages of a compiled text, each after those that it reads."""
    for part in text.removeprefix(_MARK).split(f"\n{_MARK}"):
        name, _, query = part.partition("\n")
        yield Stage(name, query)


def _taken_out(query: sge.Query) -> list[sge.CTE]:
    """The common table expressions of a query, in the order in which they read each other; it has none afterwards."""
    clause = query.args.get("with_")
    query.set("with_", None)
    return list(clause.expressions) if clause else []


def _with(query: sge.Query, parts: dict[str, sge.Query], kept: set[str]) -> str:
    """The text of a query with the parts that it needs and that are no stages."""
    needed: set[str] = set()
    waiting = [query]
    while waiting:
        found = {source.name for source in waiting.pop().find_all(sge.Table)} & set(parts) - kept - needed
        needed |= found
        waiting += [parts[name] for name in found]
    ctes = [f"{sge.to_identifier(name, quoted=True).sql(dialect='spark')} AS ({parts[name].sql(dialect='spark')})"
            for name in parts if name in needed]  # fmt: skip
    return (f"WITH {', '.join(ctes)} " if ctes else "") + query.sql(dialect="spark")
