"""The embedded engine: DuckDB in this process, no server, memory bounded by configuration, spilling to disk."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import duckdb
import ibis.expr.types as ir
import pyarrow as pa
import sqlglot.expressions as sge

from ndr.arrow import arrow_schema, arrow_type
from ndr.engine import Files, Judge, Output, Rows
from ndr.engines.division import Piece, divided, put_together
from ndr.engines.httpfs import Access, Remote
from ndr.engines.narrowing import narrowed
from ndr.engines.parquet import write_parts
from ndr.errors import AdapterError, NdrError, shown
from ndr.features.suspicion import DEVIATION
from ndr.model.reasons import EXPLANATION
from ndr.table import Columns

_SQL = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "date": "DATE",
    "timestamp(6)": "TIMESTAMP",
    DEVIATION: "STRUCT(metric VARCHAR, z DOUBLE, value DOUBLE, baseline DOUBLE, source VARCHAR)[]",
    EXPLANATION: (
        "STRUCT(feature VARCHAR, contribution DOUBLE, value DOUBLE, baseline DOUBLE, source VARCHAR, "
        "technique VARCHAR)[]"
    ),
}
_BATCH_ROWS = 100_000
_CELL_BYTES = 7
"""Memory for every row that is read and column that is made; baselines take about 5 (docs/performance.md)."""
_PATH = "filename"
_BESIDE = "beside_"
"""Prefix of the small table that says, per file, what the files of a table do not hold."""
_GENERATED = re.compile(r"t\d+")
"""Names that the compiler makes up for expressions that it could also write out twice."""


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _said(value: object) -> str:
    """A value as an SQL expression."""
    return str(sge.convert(value).sql("duckdb"))


def _read(content: Files, **options: bool) -> str:
    """The files as a table of SQL, with the path of each row's file.

    Text, and none of DuckDB's relations: each step of those looks at the files again, while no other thread may run.
    """
    more = "".join(f", {name} = {str(value).lower()}" for name, value in options.items())
    return f"read_parquet([{', '.join(map(_said, content.paths))}], filename = true{more})"


def _kept(content: Files) -> list[str]:
    """Conditions of the rows with the values that are wanted."""
    return [
        f"{quoted(column)} IN ({', '.join(map(_said, values))})" if values else "false"
        for column, values in content.only.items()
    ]


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


class DuckDB:
    """One in-memory database; tables are files, nothing is kept in it. ``s3`` tells how files on S3 are reached.

    Raises:
        AdapterError: DuckDB fails; its own words are the cause.
    """

    name = "duckdb"

    def __init__(
        self, scratch: str, *, memory_limit: str = "4GB", threads: int | None = None, s3: Access | None = None
    ) -> None:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "temp_directory": scratch,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        if threads:
            settings["threads"] = threads
        try:
            self._con = duckdb.connect(":memory:", config=settings)
            self._con.execute("SET enable_progress_bar = false")  # it would go to stdout, among the data
            self._con.execute("SET parquet_metadata_cache = true")
            self._con.execute("SET enable_external_file_cache = false")  # the system keeps files in memory that is free
            (self.memory_bytes,) = self._con.execute(
                "SELECT parse_formatted_bytes(current_setting('memory_limit'))"
            ).fetchone() or (0,)
        except duckdb.Error as error:
            raise AdapterError(f"DuckDB does not start with {settings}: {shown(str(error), 300)}") from error
        self._remote = Remote(self._con, s3)

    def close(self) -> None:
        """Give the memory back."""
        self._con.close()

    def compile(self, expression: ir.Table) -> str:
        """The expression as DuckDB SQL; what a recipe gave a name (``alias``) and reads twice is computed once."""
        from ibis.backends.sql.compilers import DuckDBCompiler  # noqa: PLC0415 - slow, and kept queries need it not

        query = DuckDBCompiler().to_sqlglot(expression)
        read = Counter(source.name for source in query.find_all(sge.Table))
        for shared in query.find_all(sge.CTE):
            if not _GENERATED.fullmatch(shared.alias) and read[shared.alias] > 1:
                shared.set("materialized", True)  # noqa: FBT003 - the value of an attribute
        return str(query.sql(dialect="duckdb"))

    def write(
        self, query: str, inputs: Mapping[str, Files | Rows], columns: Columns, order: Sequence[str],
        outputs: Sequence[Output], apart: Mapping[str, Sequence[str]] | None = None, through: Judge | None = None,
    ) -> list[int]:  # fmt: skip
        """Write each output's rows, sorted by ``order``; see :class:`ndr.engine.Engine`."""
        split = list(outputs[0].where)
        sorting = list(dict.fromkeys((*split, *order) if len(outputs) > 1 else (c for c in order if c not in split)))
        made = [column for column in columns if column not in sorting]
        pieces = self._pieces(Piece((), inputs, [made]), made, list((apart or {}).items()))
        with closing(batch for piece in pieces for batch in self._made(query, piece, sorting)) as batches:
            judged = (through(batch) for batch in batches) if through else batches
            return write_parts(judged, arrow_schema(columns), outputs)

    def _pieces(self, whole: Piece, made: Sequence[str], apart: Sequence[tuple[str, Sequence[str]]]) -> Iterator[Piece]:
        """How a query is divided by the values of the first column, and where this is not enough by the next."""
        most = self.memory_bytes // _CELL_BYTES
        found = self._found(whole.inputs, *apart[0], most // len(made)) if apart else {}
        if not found:
            yield whole
            return
        for piece in divided(whole.inputs, apart[0][0], found, made, most):
            if piece.large:
                yield from self._pieces(piece, made, apart[1:])
            else:
                yield piece

    def _found(
        self, inputs: Mapping[str, Files | Rows], column: str, values: Sequence[str], most: int
    ) -> dict[str, dict[str, dict[str, int]]]:
        """Input -> value of the column -> file -> rows; nothing when there are no more rows than ``most``."""
        read = {
            name: _read(files) + _where(_kept(files))
            for name, files in inputs.items()
            if isinstance(files, Files) and files.paths and column in files.columns
        }
        with self._translated(inputs):
            counts = [self._con.execute(f"SELECT count(*) FROM {rows}").fetchall() for rows in read.values()]  # noqa: S608 - quoted
            if sum(count for ((count,),) in counts) <= most:
                return {}
            found = {name: self._by_value(rows, column) for name, rows in read.items()}
        return found if all(value in values for by_value in found.values() for value in by_value) else {}

    def _by_value(self, rows: str, column: str) -> dict[str, dict[str, int]]:
        """Value of the column -> file -> rows."""
        found: dict[str, dict[str, int]] = {}
        counted = f"SELECT {_PATH}, {quoted(column)}, count(*) FROM {rows} GROUP BY ALL"  # noqa: S608 - quoted
        for path, value, count in self._con.execute(counted).fetchall():
            found.setdefault(value, {})[path] = count
        return found

    def _made(self, query: str, piece: Piece, sorting: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of a piece, in order."""
        order = f" ORDER BY {', '.join(map(quoted, sorting))}" if sorting else ""
        with self._offered(piece.inputs), self._held_back(2 if piece.values else 1):
            if len(piece.columns) == 1:
                yield from self._con.sql(f"FROM ({query}){order}").to_arrow_reader(_BATCH_ROWS)
                return
            beside = []
            for group in piece.columns:
                part = narrowed(query, piece.inputs, [*sorting, *group], self.name)
                beside.append(self._con.sql(f"FROM ({part}){order}").to_arrow_table())
        yield from put_together(beside, sorting).to_batches(_BATCH_ROWS)

    @contextmanager
    def _held_back(self, parts: int) -> Iterator[None]:
        """Leave a part of the memory alone to DuckDB: what it cannot put aside takes the rest."""
        self._con.execute(f"SET memory_limit = '{self.memory_bytes // parts}B'")
        try:
            yield
        finally:
            self._con.execute(f"SET memory_limit = '{self.memory_bytes}B'")

    def batches(self, query: str, inputs: Mapping[str, Files | Rows]) -> Iterator[pa.RecordBatch]:
        """The rows of a large result, in no order."""
        with self._offered(inputs):
            yield from self._con.sql(query).to_arrow_reader(_BATCH_ROWS)

    def fetch(self, query: str, inputs: Mapping[str, Files | Rows]) -> list[dict[str, Any]]:
        """The rows of a small result."""
        with self._offered(inputs):
            return list(self._con.sql(query).to_arrow_table().to_pylist())

    def spent(self) -> dict[str, int]:
        """Nothing is counted: it is one process, whose time is told."""
        return {}

    @contextmanager
    def _translated(self, inputs: Mapping[str, Files | Rows]) -> Iterator[None]:
        """The inputs within reach, and DuckDB's errors as ours."""
        self._remote.reach(path for content in inputs.values() if isinstance(content, Files) for path in content.paths)
        try:
            yield
        except NdrError:
            raise
        except (duckdb.Error, pa.ArrowException, OSError) as error:  # the latter two while rows are handed over
            raise self._remote.error(error) from error

    @contextmanager
    def _offered(self, inputs: Mapping[str, Files | Rows]) -> Iterator[None]:
        """The inputs as views under their names, and DuckDB's errors as ours."""
        try:
            with self._translated(inputs):
                for name, content in inputs.items():
                    self._offer(name, content)
                yield
        finally:
            for name, content in inputs.items():
                if isinstance(content, Rows):
                    self._con.unregister(name)
                else:
                    self._con.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
                    self._con.unregister(_BESIDE + name)

    def _offer(self, name: str, content: Files | Rows) -> None:
        if isinstance(content, Rows):
            schema = arrow_schema(content.columns)
            arrays = list(zip(*content.rows, strict=True)) if content.rows else [()] * len(schema)
            data = [pa.array(values, field.type) for values, field in zip(arrays, schema, strict=True)]
            self._con.register(name, pa.Table.from_arrays(data, schema=schema))
            return
        if not content.paths:
            nothing = ", ".join(f"NULL::{_SQL[dtype]} AS {quoted(c)}" for c, dtype in content.columns.items())
            self._con.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS SELECT {nothing} WHERE false")
            return
        self._con.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS {self._files(name, content)}")

    def _files(self, name: str, content: Files) -> str:
        """A query of the files as one table, with the columns that they do not hold."""
        fixed = list(content.constants or [{}] * len(content.paths))
        same = fixed[0] if all(values == fixed[0] for values in fixed) else {}
        rows = _read(content, hive_partitioning=False)
        if fixed[0] and not same:
            names = [column for column in content.columns if column in fixed[0]]
            columns = [
                pa.array([values[column] for values in fixed], arrow_type(content.columns[column])) for column in names
            ]
            beside = pa.Table.from_arrays([pa.array(content.paths), *columns], [_PATH, *names])
            self._con.register(_BESIDE + name, beside)
            rows += f" JOIN {quoted(_BESIDE + name)} USING ({_PATH})"
        made = ", ".join(
            f"CAST({_said(same[column]) if column in same else quoted(column)} AS {_SQL[dtype]}) AS {quoted(column)}"
            for column, dtype in content.columns.items()
        )
        wanted = _kept(content)
        if content.within:
            column, start, end = content.within
            wanted += [f"{quoted(column)} >= {_said(start)}", f"{quoted(column)} < {_said(end)}"]
        return f"SELECT * FROM (SELECT {made} FROM {rows}) AS files{_where(wanted)}"  # noqa: S608 - quoted, every part
