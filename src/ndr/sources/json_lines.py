"""JSON lines, read by name: flat names, and dotted names that may stand for nested objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence


def json_objects(head: str) -> Iterator[dict[str, object]]:
    """The JSON objects on the lines of a head; a line that is none is passed over."""
    for line in head.split("\n"):
        if line.lstrip().startswith("{"):
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                continue
            yield found


def has(record: Mapping[str, object], name: str) -> bool:
    """Whether the record has the field, flat or, by the dots of its name, nested."""
    if name in record:
        return True
    outer, dot, inner = name.partition(".")
    below = record.get(outer)
    return bool(dot) and isinstance(below, dict) and has(below, inner)


def flat_sql(columns: Mapping[str, Sequence[str]], lines: str = "lines") -> str:
    """A query over ``lines`` (line, text): ``line``, one text column per name, and ``fault``.

    A column takes the first of its fields that is there. ``fault`` is ``unparsable`` for text that is not a JSON object
    and ``not_a_value`` where a field that must be one value is a list or an object. Types are only asked for where the
    text holds a bracket, or a brace that closes before the end: searching for a rare byte costs next to nothing.
    """
    fields = dict.fromkeys(name for names in columns.values() for name in names)
    structure = json.dumps(_structure(fields)).replace("'", "''")
    values = ",\n".join(
        f"COALESCE({', '.join(ref for name in names for ref in _references(name))}) AS {column}"
        for column, names in columns.items()
    )
    paths = "', '".join(path.replace("'", "''") for name in fields for path in _paths(name))
    return f"""
      SELECT line, {values},
        CASE WHEN j IS NULL OR NOT (starts_with(text, '{{') OR starts_with(ltrim(text), '{{')) THEN 'unparsable'
          WHEN (contains(text, '[') OR contains(text, '}}}}') OR contains(text, '}},') OR contains(text, '}} '))
            AND list_has_any(json_type(text, ['{paths}']), ['ARRAY', 'OBJECT']) THEN 'not_a_value' END AS fault
      FROM (SELECT line, text, TRY(from_json(text, '{structure}')) AS j FROM {lines})"""  # noqa: S608 - names are quoted


def _structure(fields: Iterable[str]) -> dict[str, object]:
    """The JSON structure to read: every name flat and, where it has dots, nested too.

    A flat name that is also the object of a nested one is read as that object.
    """
    tree: dict[str, object] = {}
    for name in fields:
        if not isinstance(tree.get(name), dict):
            tree[name] = "VARCHAR"
        at = tree
        *outer, last = name.split(".")
        for step in outer:
            below = at.get(step)
            if not isinstance(below, dict):
                below = at[step] = {}
            at = below
        if outer:
            at.setdefault(last, "VARCHAR")
    return tree


def _references(name: str) -> list[str]:
    flat = f"j.{_quoted(name)}"
    steps = name.split(".")
    return [flat] if len(steps) == 1 else [flat, "j." + ".".join(map(_quoted, steps))]


def _paths(name: str) -> list[str]:
    steps = name.split(".")
    flat = f"$.{json.dumps(name, ensure_ascii=False)}"
    nested = "$" + "".join(f".{json.dumps(step, ensure_ascii=False)}" for step in steps)
    return [flat] if len(steps) == 1 else [flat, nested]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
