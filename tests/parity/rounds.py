"""Recipes run on both engines over the same files, and what they made compared cell by cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laws.keeping_time import LENIENT, Beacons
from laws.pipeline import Pipeline, Tables
from laws.pipeline import _midnights as midnights
from laws.publishing import Press
from ndr.arrow import arrow_schema
from ndr.engine import Engine, Files, Output, Rows
from ndr.engines.duckdb import DuckDB
from ndr.engines.spark import Spark
from ndr.parity.cells import unequal
from ndr.parity.pairing import paired
from ndr.specs import Config
from ndr.table import Context, PartKey, Reach, Table
from ndr.tables import TABLES
from ndr.time import SLICE
from oracle import OracleConfig
from oracle_baselines import BaselineConfig, Row
from worlds import config_of


class Round:
    """A recipe at a time, on DuckDB and on Spark; what DuckDB made is what the next recipe reads on both."""

    def __init__(self, spark: Spark, folder: Path, config: Config) -> None:
        self._spark, self._folder, self._config = spark, folder, config
        self._number = 0
        self.cells = 0
        """How many were compared."""
        self.rows: dict[str, int] = {}
        """How many each table had at last."""

    def run(self, table: Table, inputs: Mapping[str, pa.Table], context: Context) -> pa.Table:
        """What both made.

        Raises:
            AssertionError: it is not the same.
        """
        self._number += 1
        offered = {name: self._offered(name, read, inputs.get(name), context) for name, read in table.reads.items()}
        config = self._config
        expression = table.expression(config.spec(table), config.project_parameters, config.feature_spec_version)
        with closing(DuckDB(str(self._folder), memory_limit="2GB", threads=2)) as duckdb:
            one, other = (
                self._made(engine, table, engine.compile(expression), offered) for engine in (duckdb, self._spark)
            )
        told = differences(one, other, [key for key in table.order or table.keys if key in one.column_names])
        assert not told, f"{table.name}: {len(told)} kinds of differences\n" + "\n".join(told[:12])
        self.cells += one.num_rows * one.num_columns
        self.rows[table.name] = one.num_rows
        return one

    def _made(self, engine: Engine, table: Table, query: str, inputs: Mapping[str, Files | Rows]) -> pa.Table:
        if table.judged:
            batches = list(engine.batches(query, inputs))
            assert batches, f"{table.name} is empty"
            return pa.Table.from_batches(batches)
        path = self._folder / f"{self._number}-{engine.name}.parquet"
        order = table.order or table.keys
        (count,) = engine.write(query, inputs, table.columns, order, [Output({}, str(path))], table.apart)
        assert path.exists() == bool(count)
        return pq.read_table(path) if count else arrow_schema(table.columns).empty_table()

    def _offered(self, name: str, read: Any, content: pa.Table | None, context: Context) -> Files | Rows:
        """An input as a run offers it: files, some of whose columns are in their paths alone."""
        if not isinstance(read, Reach):
            return Rows(read.columns, read.rows(context))
        assert content is not None
        columns, arrived = read.table.columns, read.table.arrived if read.table.recipe is None else None
        beside = [c for c in columns if c in read.table.partitions or c == arrived]
        content = content.select(list(columns))
        if not beside:
            parts: list[Row] = [{}]
        else:
            parts = content.select(beside).group_by(beside).aggregate([]).to_pylist()
        paths = [self._written(f"{self._number}-{name}-{n}", content, part) for n, part in enumerate(parts)]
        return Files(columns, paths, parts if beside else ())

    def _written(self, name: str, content: pa.Table, part: Row) -> str:
        for column, value in part.items():
            held = content.column(column)
            content = content.filter(pc.is_null(held) if value is None else pc.equal(held, value))
        path = self._folder / f"{name} ä.parquet"
        pq.write_table(content.drop_columns(list(part)), path)
        return str(path)


def differences(one: pa.Table, other: pa.Table, keys: Sequence[str]) -> list[str]:
    """Where two tables are not the same, an example for each column; their rows are paired by keys."""
    if one.schema.names != other.schema.names or one.schema.types != other.schema.types:
        return [f"{one.schema} and {other.schema}"]
    mine, theirs = paired(one.select(keys), other.select(keys))
    told = []
    for side, (table, rows) in enumerate(((one, mine), (other, theirs))):
        lone = np.setdiff1d(np.arange(table.num_rows), rows)
        if len(lone):
            told.append(
                f"{len(lone)} rows on {('DuckDB', 'Spark')[side]} alone: {table.slice(int(lone[0]), 1).to_pylist()}"
            )
    one, other = one.take(pa.array(mine)), other.take(pa.array(theirs))
    for name in one.column_names:
        wrong, _ = unequal(one.column(name).combine_chunks(), other.column(name).combine_chunks())
        if wrong.any():
            row = int(wrong.argmax())
            values = [table.column(name)[row].as_py() for table in (one, other)]
            told.append(f"{int(wrong.sum())} of {name}: {values} of {one.select(keys).slice(row, 1).to_pylist()}")
    return told


class Slices(Pipeline):
    """From sessions to FG-A, each recipe on both engines, and once for all window ends."""

    def __init__(self, oracle: OracleConfig, spark: Spark, folder: Path) -> None:
        self.config = config_of(oracle)
        self.round = Round(spark, folder, self.config)

    def windows(self, sliced: Tables, ends: Iterable[datetime], batches: Mapping[datetime, str]) -> Tables:
        """What follows from delta and pair_counts, for all ends together."""
        parts = [PartKey(end - SLICE, end) for end in sorted(ends)]
        made = {**sliced, "pair_days": self._run(TABLES["pair_days"], sliced, [], batches)}
        made["pair_history"] = self._run(TABLES["pair_history"], made, midnights([parts]), batches)
        return {**made, "fg_a": self._chunk(made, parts, batches)}

    def _run(self, table: Table, inputs: Tables, parts: Sequence[PartKey], batches: Mapping[Any, str]) -> pa.Table:
        context = Context(self.config.project_parameters, self.config.spec(table), parts, batches)
        return self.round.run(table, inputs, context)


class Rhythms(Beacons):
    """From sessions to beacons, each recipe on both engines."""

    def __init__(self, oracle: OracleConfig, spark: Spark, folder: Path) -> None:
        jobs = {"beacons": dict(LENIENT), "slow_beacons": dict(LENIENT)}
        self.config = config_of(oracle).model_copy(update={"jobs": jobs})
        self.round = Round(spark, folder, self.config)

    _run = Slices._run


class Baselines(Press):
    """From FG-A to predictions, each recipe on both engines."""

    def __init__(self, config: BaselineConfig, spark: Spark, folder: Path) -> None:
        super().__init__(config)
        self.round = Round(spark, folder, self.config)

    def run(self, name: str, inputs: Mapping[str, list[Row]], parts: Any, publications: Any) -> list[Row]:
        """One table from the rows it reads."""
        table = TABLES[name]
        context = Context(self.config.project_parameters, self.config.spec(table), parts, {}, publications)
        read = {
            argument: pa.Table.from_pylist(inputs[reach.table.name], arrow_schema(reach.table.columns))
            for argument, reach in table.reads.items()
            if isinstance(reach, Reach)
        }
        return list(self.round.run(table, read, context).to_pylist())
