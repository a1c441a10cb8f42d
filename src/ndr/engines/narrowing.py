"""Narrowing: a query cut down to some of its columns, also inside the subqueries that the engine keeps whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ndr.engine import Files, Rows


def narrowed(query: str, inputs: Mapping[str, Files | Rows], columns: Sequence[str], dialect: str) -> str:
    """The query with these columns alone, and nothing in it that only others need.

    An engine drops what nobody reads by itself, but not from a subquery that is read twice and therefore kept.
    """
    from sqlglot import exp  # noqa: PLC0415 - slow to load, and small inputs need it not
    from sqlglot.optimizer.pushdown_projections import pushdown_projections  # noqa: PLC0415
    from sqlglot.optimizer.qualify import qualify  # noqa: PLC0415

    schema: dict[str, object] = {name: dict.fromkeys(content.columns, "unknown") for name, content in inputs.items()}
    wanted = exp.select(*(exp.column(column, quoted=True) for column in columns))
    whole = wanted.from_(exp.maybe_parse(query, into=exp.Select, dialect=dialect).subquery("whole"))
    known = qualify(whole, dialect=dialect, schema=schema, infer_schema=False, validate_qualify_columns=False)
    return pushdown_projections(known, schema=schema).sql(dialect=dialect)
