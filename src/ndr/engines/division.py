"""Division: how a query over large inputs is run as several small ones.

Exact quantiles hold every value in memory, whatever memory the engine was allowed. So they are given fewer rows at a
time, and where these are still too many, fewer columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from ndr.engine import Files, Rows

Found = Mapping[str, Mapping[str, Mapping[str, int]]]
"""Input -> value of the column -> file -> rows."""


MOST_GROUPS = 16
"""Into how many groups of columns rows are divided before they are divided again, which reads every column anew."""


@dataclass(frozen=True)
class Piece:
    """Some of the rows: the values they have, the inputs they are made of, the columns that are made together."""

    values: Sequence[str]
    inputs: Mapping[str, Files | Rows]
    columns: Sequence[Sequence[str]]

    @property
    def large(self) -> bool:
        """Whether it has so many rows that even a few columns of them are much, and one value that can be divided."""
        return len(self.values) == 1 and len(self.columns) > MOST_GROUPS


def divided(
    inputs: Mapping[str, Files | Rows], column: str, found: Found, columns: Sequence[str], most: int
) -> Iterator[Piece]:
    """The pieces in the order of the column's values, each of neighbouring values.

    A piece has at most ``most`` cells, rows that it reads times columns that it makes, where this can be had.
    """
    rows: dict[str, int] = {}
    for by_value in found.values():
        for value, by_file in by_value.items():
            rows[value] = rows.get(value, 0) + sum(by_file.values())
    together: list[str] = []
    for value in sorted(rows):
        if together and sum(rows[v] for v in (*together, value)) * len(columns) > most:
            yield _piece(inputs, column, found, together, _beside(columns, sum(rows[v] for v in together), most))
            together = []
        together.append(value)
    if together:
        yield _piece(inputs, column, found, together, _beside(columns, sum(rows[v] for v in together), most))


def _beside(columns: Sequence[str], rows: int, most: int) -> list[Sequence[str]]:
    """The columns in as many equal groups as it takes."""
    size = max(1, len(columns) // -(-len(columns) * rows // most) if rows else len(columns))
    return [columns[at : at + size] for at in range(0, len(columns), size)]


def _piece(
    inputs: Mapping[str, Files | Rows], column: str, found: Found, values: Sequence[str], groups: list[Sequence[str]]
) -> Piece:
    less = dict(inputs)
    for name, by_value in found.items():
        files = inputs[name]
        assert isinstance(files, Files)  # noqa: S101 - only files are looked into
        wanted = {path for value in values for path in by_value.get(value, {})}
        kept = [place for place, path in enumerate(files.paths) if path in wanted]
        less[name] = replace(
            files,
            paths=[files.paths[place] for place in kept],
            constants=[files.constants[place] for place in kept] if files.constants else (),
            only={**files.only, column: tuple(values)},
        )
    return Piece(values, less, groups)


def put_together(tables: Sequence[pa.Table], keys: Sequence[str]) -> pa.Table:
    """Tables with the same keys in the same order, as one.

    Raises:
        ValueError: they have other keys.
    """
    whole = tables[0]
    for table in tables[1:]:
        if not table.select(keys).equals(whole.select(keys)):
            raise ValueError(f"the parts of one query differ in {', '.join(keys)}")
        for name in table.column_names:
            if name not in keys:
                whole = whole.append_column(name, table[name])
    return whole
