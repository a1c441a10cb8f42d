"""Exact quantiles of large groups on Spark: values are counted, put in order and added up, by many tasks and on disk.

Spark's own ``percentile`` holds every distinct value of a group, of all columns at once, in the memory of one task.
That is little for a host; of a large segment, and of everybody, no machine has enough.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot as sg
import sqlglot.expressions as sge

_PERCENTILE = "percentile"
_READ = ("from_", "joins", "laterals", "where")
"""The parts of a select that say what it reads."""
_SMALL = frozenset(("host_ip", "pair"))
"""Groups by one of these are many and small: to count their values would only cost."""
_LOCATED = """
SELECT {keys}, MAP_FROM_ENTRIES(COLLECT_LIST(STRUCT(place, found))) AS quantiles FROM (
  SELECT {keys}, place, {found} AS found FROM (
    SELECT {keys}, place, value,
      SUM(IF(value IS NULL, 0, times)) OVER (PARTITION BY {keys}, place ORDER BY value
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS up_to,
      SUM(IF(value IS NULL, 0, times)) OVER (PARTITION BY {keys}, place) - 1 AS last
    FROM (
      SELECT {keys}, place, value, COUNT(*) AS times
      FROM (SELECT {keys}, POSEXPLODE(all_values) AS (place, value) FROM source) AS each
      GROUP BY {keys}, place, value
    ) AS counted
  ) AS ordered GROUP BY {keys}, place, last
) AS located GROUP BY {keys}
"""
"""Of each group a map: the place of a column among those asked for -> its quantiles; null for one without values."""
_BETWEEN = "IF({low} = {high}, {low}, (CEIL({at}) - {at}) * {low} + ({at} - FLOOR({at})) * {high})"
"""Type 7 of Hyndman and Fan (1996), in the order in which Spark's own computes it."""


def spread(select: sge.Select) -> None:
    """Rewrite a select that takes quantiles of groups, where these may be large; what it finds is the same."""
    asked = [node for node in select.find_all(sge.Anonymous)
             if node.this == _PERCENTILE and node.find_ancestor(sge.Select) is select]  # fmt: skip
    grouped = select.args["group"].expressions if select.args.get("group") else []
    keys = [select.expressions[int(place.this) - 1] for place in grouped]
    shares = {node.expressions[1] for node in asked}
    if len(shares) != 1 or not keys or not _SMALL.isdisjoint(key.alias_or_name for key in keys):
        return
    values = sge.Array(expressions=[sge.cast(node.expressions[0].copy(), "double") for node in asked])
    located = _located(len(keys), shares.pop())
    read = next(table for table in located.find_all(sge.Table))
    read.replace(_source(select, keys, [sge.alias_(values, "all_values")]).subquery("source"))
    _read(select, asked, keys, located)


def _located(keys: int, share: sge.Expr) -> sge.Select:
    """The query that finds the quantiles, of one share or of several, by so many keys."""
    shares = share.expressions if isinstance(share, sge.Array) else [share]
    found = []
    for n in range(len(shares)):
        at = f"(last * share_{n})"
        low, high = (f"MIN(IF(up_to > {end}({at}), value, NULL))" for end in ("FLOOR", "CEIL"))
        found.append(_BETWEEN.format(low=low, high=high, at=at))
    text = f"ARRAY({', '.join(found)})" if isinstance(share, sge.Array) else found[0]
    names = ", ".join(f"key_{n}" for n in range(keys))
    query = sg.parse_one(_LOCATED.format(keys=names, found=text), dialect="spark", into=sge.Select)
    for column in list(query.find_all(sge.Column)):
        if column.name.startswith("share_"):
            column.replace(sge.cast(shares[int(column.name.removeprefix("share_"))].copy(), "double"))
    return query


def _source(select: sge.Select, keys: Sequence[sge.Expr], others: Sequence[sge.Expr]) -> sge.Select:
    """Of what a select reads its keys, numbered, and others."""
    read = sge.Select(**{part: select.args.get(part) for part in _READ}).copy()
    numbered = [sge.alias_(key.unalias().copy(), f"key_{n}") for n, key in enumerate(keys)]
    return read.select(*numbered, *(each.copy() for each in others))


def _read(select: sge.Select, asked: Sequence[sge.Anonymous], keys: Sequence[sge.Expr], located: sge.Select) -> None:
    """Let a select read its quantiles, and what else it makes of each group."""
    holding = [node.find_ancestor(sge.Alias) for node in asked]
    kept = [each for each in select.expressions if not any(each is held for held in (*keys, *holding))]
    summed = _source(select, keys, kept).group_by(*map(sge.convert, range(1, len(keys) + 1)))
    for n, node in enumerate(asked):
        place = [sg.column("quantiles", "located"), sge.convert(n)]
        node.replace(sge.Anonymous(this="element_at", expressions=place))
    told = {id(key): sg.column(f"key_{n}", "located") for n, key in enumerate(keys)}
    told |= {id(each): sg.column(each.alias, "summed", quoted=True) for each in kept}
    names = [each.alias_or_name for each in select.expressions]
    read = [sge.alias_(told[id(each)], name, quoted=True) if id(each) in told else each
            for name, each in zip(names, select.expressions, strict=True)]  # fmt: skip
    for part in (*_READ, "group"):
        select.set(part, None)
    select.set("expressions", read)
    select.from_(located.subquery("located"), copy=False)
    if kept:
        same = [sge.NullSafeEQ(this=sg.column(f"key_{n}", "located"), expression=sg.column(f"key_{n}", "summed"))
                for n in range(len(keys))]  # fmt: skip
        select.join(summed.subquery("summed"), on=sg.and_(*same), copy=False)
