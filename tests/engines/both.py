"""The same query on Spark and on DuckDB, over the same small files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from ndr.arrow import arrow_schema
from ndr.engine import Engine, Files, Rows
from ndr.engines.duckdb import DuckDB
from ndr.engines.exchange import LocalExchange
from ndr.engines.spark import Spark
from ndr.engines.spark_session import Where, opened
from ndr.table import Columns

Row = dict[str, Any]
Inputs = Mapping[str, Files | Rows]


def shaped(content: Files | Rows, name: str = "rows") -> ir.Table:
    """An input as recipes see it."""
    return ibis.table(dict(content.columns), name=name)


def asked(engine: Engine, expression: ir.Table, inputs: Inputs) -> list[Row]:
    """The rows of an expression, in an order of their own."""
    return sorted(engine.fetch(engine.compile(expression), inputs), key=repr)


def read(engine: Engine, content: Files | Rows) -> list[Row]:
    """All rows of an input, as the engine sees them."""
    return asked(engine, shaped(content), {"rows": content})


def alike(spark: Spark, expression: ir.Table, inputs: Inputs) -> list[Row]:
    """The rows that both engines find, which are the same."""
    with closing(DuckDB("")) as duckdb:
        wanted = asked(duckdb, expression, inputs)
    found = asked(spark, expression, inputs)
    assert found == wanted, f"{found[:5]} and not {wanted[:5]}"
    return found


def file(path: Path, columns: Columns, rows: Sequence[tuple[Any, ...]]) -> str:
    """A Parquet file with these rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    schema = arrow_schema(columns)
    data = [pa.array(values, each.type) for values, each in zip(arrays, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(data, schema=schema), path)
    return str(path)


@contextmanager
def beside(spark: Spark, folder: Path) -> Iterator[Spark]:
    """Another engine on the Spark that runs, with an exchange of its own in ``folder``."""
    spark.fetch(spark.compile(ibis.table({"n": "int64"}, name="rows")), {"rows": Rows({"n": "int64"}, [])})
    exchange = LocalExchange(str(folder))
    with closing(Spark(lambda: opened(Where()), exchange, DuckDB(str(folder / "spill")))) as other:
        yield other
