"""The tables chained in memory: each recipe compiled once, then fed what the one before it gave.

No lake, no plan, no files: a few dozen milliseconds an example, so that thousands fit into a test run. The inputs of
FG-A are cut to the reaches that its declaration states, as a plan would cut them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from ndr.table import Context, Given, PartKey, Reach, Table
from ndr.tables import TABLES
from ndr.time import DAY, SLICE, Interval, ceil, floor
from oracle import OracleConfig
from strategies import CONFIGS
from strategies import session_table as as_arrow
from worlds import config_of

Row = dict[str, Any]
Tables = dict[str, pa.Table]
_AMOUNTS = ("z", "value", "baseline")
ARROW = {
    "string": pa.string(), "boolean": pa.bool_(), "int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64(),
    "timestamp(6)": pa.timestamp("us"),
    "array<struct<metric: string, z: float64, value: float64, baseline: float64, source: string>>": pa.list_(
        pa.struct([("metric", pa.string()), *((n, pa.float64()) for n in _AMOUNTS), ("source", pa.string())])
    ),
    "array<struct<feature: string, contribution: float64, value: float64, baseline: float64, source: string, "
    "technique: string>>": pa.list_(
        pa.struct(
            [
                ("feature", pa.string()), *((n, pa.float64()) for n in ("contribution", *_AMOUNTS[1:])),
                ("source", pa.string()), ("technique", pa.string()),
            ]
        )
    ),
}  # fmt: skip


class Pipeline:
    """The tables of a configuration, made from sessions in one in-memory database.

    The queries are prepared once over empty tables, so what DuckDB infers from statistics is left out of their plans;
    the worlds of the other tests run the plans as users do.
    """

    def __init__(self, oracle: OracleConfig) -> None:
        self.config = config_of(oracle)
        self._databases = {table.name: self._prepared(table) for table in made_tables()}

    def _prepared(self, table: Table) -> duckdb.DuckDBPyConnection:
        """A database with empty tables for the recipe's arguments, and its query over them."""
        con = duckdb.connect(":memory:", config={"threads": 1})
        con.execute("SET disabled_optimizers = 'statistics_propagation'")
        for name, read in table.reads.items():
            columns = read.table.columns if isinstance(read, Reach) else read.columns
            nothing = pa.schema([(column, ARROW[dtype]) for column, dtype in columns.items()]).empty_table()
            con.from_arrow(nothing).create(name)
        expression = table.expression(
            self.config.spec(table), self.config.project_parameters, self.config.feature_spec_version
        )
        con.execute(f"PREPARE made AS {ibis.to_sql(expression, dialect='duckdb')}")
        return con

    def make(self, rows: Sequence[Row], ends: Iterable[datetime]) -> Tables:
        """Every table over these sessions; FG-A for the window ends, chunk by chunk."""
        sliced = self.slices(rows)
        return {**sliced, **self.windows(sliced, ends, batches_of(rows))}

    def slices(self, rows: Sequence[Row]) -> Tables:
        """The sessions, delta and pair_counts."""
        clock = self.config.project_parameters.clock
        made = {"sessions": as_arrow(rows)}
        parts = sorted({_part(row, clock) for row in rows})
        for name in ("delta", "pair_counts"):
            made[name] = self._run(TABLES[name], made, parts, batches_of(rows))
        return made

    def windows(self, sliced: Tables, ends: Iterable[datetime], batches: Mapping[datetime, str]) -> Tables:
        """What follows from delta and pair_counts."""
        made = {**sliced, "pair_days": self._run(TABLES["pair_days"], sliced, [], batches)}
        chunks = _by_day(ends)
        made["pair_history"] = self._run(TABLES["pair_history"], made, _midnights(chunks), batches)
        made["fg_a"] = pa.concat_tables([self._chunk(made, chunk, batches) for chunk in chunks])
        return made

    def _chunk(self, made: Tables, parts: Sequence[PartKey], batches: Mapping[datetime, str]) -> pa.Table:
        """FG-A for window ends of one day."""
        fg_a = TABLES["fg_a"]
        inputs = {
            name: _within(made[reach.table.name], reach, [fg_a.interval(part) for part in parts])
            for name, reach in fg_a.reads.items()
            if isinstance(reach, Reach)
        }
        return self._run(fg_a, inputs, parts, batches)

    def _run(self, table: Table, inputs: Tables, parts: Sequence[PartKey], batches: Mapping[datetime, str]) -> pa.Table:
        context = Context(self.config.project_parameters, self.config.spec(table), parts, batches)
        con = self._databases[table.name]
        for name, read in table.reads.items():
            content = _given(read, context) if isinstance(read, Given) else inputs[name]
            columns = read.table.columns if isinstance(read, Reach) else read.columns
            con.execute(f'DELETE FROM "{name}"')  # noqa: S608 - the arguments of our own recipes
            con.from_arrow(content.select(list(columns))).insert_into(name)
        return con.execute("EXECUTE made").to_arrow_table()


@cache
def pipeline_of(index: int) -> Pipeline:
    """One pipeline per configuration of the strategies; making one takes two seconds."""
    return Pipeline(CONFIGS[index])


def made_tables() -> list[Table]:
    """The tables from slices to FG-A."""
    return [TABLES[name] for name in ("delta", "pair_counts", "pair_days", "pair_history", "fg_a")]


def batches_of(rows: Iterable[Row]) -> dict[datetime, str]:
    """The named batches by their ends."""
    return {row["batch_end_ts"]: row["mini_batch_id"] for row in rows if row["batch_end_ts"]}


def _part(row: Row, clock: str) -> PartKey:
    start = floor(row[clock], SLICE)
    return PartKey(start, row["batch_end_ts"] or start + SLICE)


def _by_day(ends: Iterable[datetime]) -> list[list[PartKey]]:
    days: dict[datetime, list[PartKey]] = {}
    for end in sorted(ends):
        days.setdefault(floor(end - SLICE, DAY), []).append(PartKey(end - SLICE, end))
    return list(days.values())


def _midnights(chunks: Iterable[Sequence[PartKey]]) -> list[PartKey]:
    """The parts of the pair history that FG-A reads for these parts."""
    fg_a, history = TABLES["fg_a"], TABLES["pair_history"]
    read = fg_a.reads["pair_history"]
    assert isinstance(read, Reach)
    intervals = [read.over(fg_a.interval(part)) for chunk in chunks for part in chunk]
    starts = {start for interval in intervals for start in _starts(interval, history)}
    return [PartKey(start, start + DAY) for start in sorted(starts)]


def _starts(interval: Interval, table: Table) -> list[datetime]:
    """The parts of a table that start in the interval."""
    found, at = [], ceil(interval.start, table.every)
    while at < interval.end:
        found.append(at)
        at += table.every
    return found


def _within(rows: pa.Table, reach: Reach, intervals: Sequence[Interval]) -> pa.Table:
    """The rows of the parts that the reach of any of the intervals takes in."""
    table, step = reach.table, reach.table.every
    wanted = {start for interval in intervals for start in _starts(reach.over(interval), table)}
    shift = step if table.at_end else 0 * step
    keep = [floor(at - shift, step) in wanted for at in rows.column(table.at).to_pylist()]
    return rows.filter(pa.array(keep, pa.bool_()))


def _given(read: Given, context: Context) -> pa.Table:
    rows = read.rows(context)
    return pa.table(
        {name: pa.array([row[i] for row in rows], ARROW[dtype]) for i, (name, dtype) in enumerate(read.columns.items())}
    )
