"""A query over large inputs is run in pieces, and nobody can tell from the files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laws.publishing import config_of
from ndr.arrow import arrow_schema
from ndr.engine import Files, Output, Rows
from ndr.engines import division
from ndr.engines import duckdb as embedded
from ndr.engines.division import divided, put_together
from ndr.engines.duckdb import DuckDB
from ndr.table import Reach, Table
from ndr.tables import TABLES
from strategies_baselines import APRIL, CONFIGS, random_case

CONFIG = config_of(CONFIGS[0])
TIMES = {"a": 10, "b": 30, "c": 5, "d": 5}
FOUND = {"rows": {value: {f"{value}.parquet": count} for value, count in TIMES.items()}}
MADE = ["m", "n", "o"]


def pieces(most: int) -> list[tuple[tuple[str, ...], list[str], int]]:
    """The values, the files, and the number of column groups of each piece of ``TIMES``."""
    files = Files({"key": "string"}, ["d.parquet", "c.parquet", "b.parquet", "a.parquet"])
    found = []
    for piece in divided({"rows": files, "small": Rows({}, [])}, "key", FOUND, MADE, most):
        less = piece.inputs["rows"]
        assert isinstance(less, Files)
        assert [column for group in piece.columns for column in group] == MADE
        found.append((tuple(less.only["key"]), list(less.paths), len(piece.columns)))
    return found


def test_values_that_are_few_together_stay_together_in_order() -> None:
    assert pieces(90) == [
        (("a",), ["a.parquet"], 1),
        (("b",), ["b.parquet"], 1),
        (("c", "d"), ["d.parquet", "c.parquet"], 1),
    ]


def test_a_value_that_is_too_much_alone_is_divided_by_columns() -> None:
    assert [columns for *_, columns in pieces(30)] == [1, 3, 1]
    assert [columns for *_, columns in pieces(1)] == [3, 3, 3, 3]


def test_rows_with_other_keys_are_never_put_side_by_side() -> None:
    left, right = pa.table({"k": [1, 2], "x": [3, 4]}), pa.table({"k": [1, 3], "y": [5, 6]})
    with pytest.raises(ValueError, match="differ in k"):
        put_together([left, right], ["k"])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files | Rows]:
    """Some rows of FG-A, in a file for each window end."""
    folder = tmp_path_factory.mktemp("fg_a")
    rng = Random(3)  # noqa: S311 - made-up data, not secrets
    past = random_case(rng.choice, CONFIGS[0], 200).past
    columns = TABLES["fg_a"].columns
    paths = []
    for end in sorted({row["window_end_ts"] for row in past}):
        paths.append(str(folder / f"{end:%Y%m%dT%H%M}.parquet"))
        here = [row for row in past if row["window_end_ts"] == end]
        pq.write_table(pa.Table.from_pylist(here, arrow_schema(columns)), paths[-1])
    reference = TABLES["fg_b_host"].reads["reference"]
    assert not isinstance(reference, Reach)
    return {"fg_a": Files(columns, paths), "reference": Rows(reference.columns, [("20260401T0000Z", APRIL, "7d")])}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDB]:
    made = DuckDB(str(tmp_path_factory.mktemp("scratch")), threads=2)
    yield made
    made.close()


def written(engine: DuckDB, made: Table, inputs: dict[str, Any], path: Path, apart: Any) -> bytes:
    query = engine.compile(made.expression(CONFIG.spec(made), CONFIG.project_parameters, "1"))
    columns = {name: dtype for name, dtype in made.columns.items() if name not in made.partitions}
    assert engine.write(query, inputs, columns, made.keys, [Output({}, str(path))], apart) > [0]
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "cells"), [("fg_b_host", 15_000), ("fg_b_segment", 30_000), ("fg_b_global", 4_000), ("fg_b_global", 10**9)]
)
def test_a_divided_table_is_the_same_file(
    name: str, cells: int, inputs: dict[str, Files | Rows], engine: DuckDB, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """In pieces of so many cells: bands and columns apart, bands apart, windows apart as well, and undivided."""
    monkeypatch.setattr(division, "MOST_GROUPS", 4)
    limits = TABLES["fg_b_capping"]
    written(engine, limits, inputs, tmp_path / "limits.parquet", None)
    there = dict.fromkeys(limits.partitions, "same")
    read = {**inputs, "fg_b_capping": Files(limits.columns, [str(tmp_path / "limits.parquet")], [there])}
    whole = written(engine, TABLES[name], read, tmp_path / "whole.parquet", None)
    monkeypatch.setattr(embedded, "_CELL_BYTES", engine.memory_bytes // cells)
    assert written(engine, TABLES[name], read, tmp_path / "pieces.parquet", TABLES[name].apart) == whole
