"""Apache Spark as an engine: it computes, and what it found is sorted and written here like everything else.

Spark writes the rows of a query, unsorted, as Parquet files into an exchange; the embedded engine sorts them into the
files of parts. So a part has the same layout, order and bytes whoever made it, and comes to its place in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import uuid4

import ibis.expr.types as ir
import pyarrow as pa

from ndr.arrow import arrow_schema
from ndr.engine import Files, Judge, Output, Rows
from ndr.engines.duckdb import DuckDB
from ndr.engines.exchange import Exchange
from ndr.engines.spark_session import Session
from ndr.engines.spark_sql import Stage, compiled, stages
from ndr.errors import AdapterError, NdrError, shown
from ndr.table import Columns

_PLAIN = {
    "string": "string", "boolean": "boolean", "int8": "tinyint", "int16": "smallint", "int32": "int",
    "int64": "bigint", "float32": "float", "float64": "double", "date": "date", "timestamp(6)": "timestamp_ntz",
}  # fmt: skip
_OURS = {theirs: ours for ours, theirs in _PLAIN.items()}
_NAMES = re.compile(r"\b(tinyint|smallint|int|bigint|float|double|timestamp_ntz)\b")
_PATH, _METADATA = "file_path", "_metadata.file_path"
_QUOTED = re.compile(r"""[\x00-\x20"#%<>?\[\\\]^`{|}\x7f-\x9f]|\s""")
_PARTITION_BYTES = 16 << 20
"""Of compressed input, about ten times as much in memory, what one task sorts or sums up."""
_ADAPTIVE_BYTES = 64 << 20
"""Of compressed input, from where on Spark is to look at what it shuffles before it goes on, a job for every stage."""
_JOB_GROUP = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")
_BROADCAST_BYTES = 10 << 20
_RESULT = "result"
_ALL = f"SELECT * FROM {_RESULT}"  # noqa: S608 - a name of ours


def spark_type(declared: str) -> str:
    """A declared type as one of Spark."""
    plain = _PLAIN.get(declared)
    return plain or re.sub(r"\bfloat64\b", "double", declared.replace(" ", ""))


def our_type(theirs: str) -> str:
    """A type of Spark as it is declared here; of what nobody declares, Spark's own name."""
    return _OURS.get(theirs) or _NAMES.sub(lambda name: _OURS[name[1]], theirs).replace(":", ": ").replace(",", ", ")


class Spark:
    """A session of Spark, opened when it is first needed; what it makes is sorted and written by ``embedded``.

    Raises:
        AdapterError: Spark fails; its own words are the cause.
    """

    name = "spark"

    def __init__(self, opening: Callable[[], Session], exchange: Exchange, embedded: DuckDB) -> None:
        self._opening = opening
        self._exchange, self._embedded = exchange, embedded
        self._spent: dict[str, int] = {}

    @cached_property
    def _session(self) -> Session:
        """Spark takes seconds to start, which nobody waits for who has nothing to make."""
        return self._opening()

    @property
    def _spark(self) -> Any:
        return self._session.spark

    def close(self) -> None:
        """Stop Spark if it was started here, and clear the exchange."""
        self._exchange.close()
        self._embedded.close()
        if "_session" in self.__dict__:
            self._session.close()

    def compile(self, expression: ir.Table) -> str:
        """The expression as SQL of Spark, in stages."""
        return compiled(expression)

    def write(
        self, query: str, inputs: Mapping[str, Files | Rows], columns: Columns, order: Sequence[str],
        outputs: Sequence[Output], apart: Mapping[str, Sequence[str]] | None = None, through: Judge | None = None,
    ) -> list[int]:  # fmt: skip
        """Write each output's rows, sorted by ``order``; see :class:`ndr.engine.Engine`."""
        del apart  # Spark divides the rows itself
        with self._made(query, inputs) as made:
            return self._embedded.write(_ALL, made, columns, order, outputs, None, through)

    def batches(self, query: str, inputs: Mapping[str, Files | Rows]) -> Iterator[pa.RecordBatch]:
        """The rows of a large result, in no order."""
        with self._made(query, inputs) as made:
            yield from self._embedded.batches(_ALL, made)

    def fetch(self, query: str, inputs: Mapping[str, Files | Rows]) -> list[dict[str, Any]]:
        """The rows of a small result."""
        with self._made(query, inputs) as made:
            return self._embedded.fetch(_ALL, made)

    def spent(self) -> dict[str, int]:
        """Jobs, stages and tasks of the last query, and bytes shuffled; nothing where Spark is on a server."""
        return self._spent

    @contextmanager
    def _made(self, query: str, inputs: Mapping[str, Files | Rows]) -> Iterator[dict[str, Files]]:
        """What the query makes of the inputs, as files; they go with the context."""
        views: list[str] = []
        catalog = self._spark.catalog  # opens the session: that none can be had is no failure of Spark's
        try:
            with self._translated(), self._counted():
                self._dimension(inputs)
                for name, content in inputs.items():
                    self._offer(name, content)
                    views.append(name)
                made = Files({}, [])
                for stage in stages(query):
                    made = self._stage(stage)
                    views.append(stage.name)
            yield {_RESULT: made}
        finally:
            with self._translated():
                for view in filter(None, views):
                    catalog.dropTempView(view)
            self._exchange.clear()

    def _stage(self, stage: Stage) -> Files:
        """Compute a stage, and let those after it read it; nothing of it is computed twice, whoever reads it."""
        name = stage.name or _RESULT
        folder = self._exchange.folder(name)
        frame = _zoneless(self._spark.sql(stage.query))
        frame.write.parquet(self._exchange.url(folder))
        if stage.name:
            written = self._spark.read.schema(frame.schema).parquet(self._exchange.url(folder))
            written.createOrReplaceTempView(stage.name)
        columns = {field.name: our_type(field.dataType.simpleString()) for field in frame.schema.fields}
        if not stage.name:
            arrow_schema(columns)  # of types that can be handed on
        return Files(columns, self._exchange.files(name))

    def _dimension(self, inputs: Mapping[str, Files | Rows]) -> None:
        """Plan by what is read, where nobody said how: small inputs need few pieces, and no jobs for small tables."""
        if self._session.remote:
            return
        read = [path for content in inputs.values() if isinstance(content, Files) for path in content.paths]
        size = self._exchange.size(read)
        if size is None:
            return
        context, large = self._spark.sparkContext, size >= _ADAPTIVE_BYTES
        pieces = max(2 * context.defaultParallelism, min(4096, size // _PARTITION_BYTES))
        for name, value in (
            ("spark.sql.shuffle.partitions", pieces),
            ("spark.sql.adaptive.enabled", str(large).lower()),
            ("spark.sql.autoBroadcastJoinThreshold", _BROADCAST_BYTES if large else -1),
        ):
            if not context.getConf().contains(name):
                self._spark.conf.set(name, value)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from py4j.protocol import Py4JError  # noqa: PLC0415 - an extra
        from pyspark.errors import PySparkException  # noqa: PLC0415

        try:
            yield
        except NdrError:
            raise
        except (Py4JError, PySparkException, OSError) as error:
            raise AdapterError(f"Spark failed: {shown(_first_words(error), 500)}") from error

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Note what Spark does meanwhile."""
        self._spent = {}
        if self._session.remote:
            yield
            return
        context = self._spark.sparkContext
        group = uuid4().hex
        before = {name: context.getLocalProperty(name) for name in _JOB_GROUP}
        context.setJobGroup(group, "ndr")
        try:
            yield
        finally:
            for name, value in before.items():
                context.setLocalProperty(name, value)
            self._spent = _counts(context, group)

    def _offer(self, name: str, content: Files | Rows) -> None:
        if isinstance(content, Rows) or not content.paths:
            rows = content.rows if isinstance(content, Rows) else ()
            schema = arrow_schema(content.columns)
            arrays = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
            data = [pa.array(values, field.type) for values, field in zip(arrays, schema, strict=True)]
            path = self._exchange.put(f"input_{name}", pa.Table.from_arrays(data, schema=schema))
            content = Files(content.columns, [path])
        self._files(name, content).createOrReplaceTempView(name)

    def _files(self, name: str, content: Files) -> Any:
        """Files as a frame of the declared columns; nothing is inferred, of values or of paths."""
        from pyspark.sql import functions  # noqa: PLC0415 - an extra

        fixed = list(content.constants or [{}] * len(content.paths))
        held = {column: declared for column, declared in content.columns.items() if column not in fixed[0]}
        frame = self._read(content.paths, held)
        if all(values == fixed[0] for values in fixed):
            types = {column: spark_type(content.columns[column]) for column in content.columns}
            known = {c: functions.lit(_plain(value)).cast(types[c]) for c, value in fixed[0].items() if c in types}
        else:
            frame = self._beside(name, frame, content)
            known = {}
        frame = frame.select(*(known[c].alias(c) if c in known else frame[c] for c in content.columns))
        for column, values in content.only.items():
            frame = frame.where(frame[column].isin(list(values)))
        if content.within:
            column, start, end = content.within
            bounds = [functions.lit(str(moment)).cast("timestamp_ntz") for moment in (start, end)]
            frame = frame.where((frame[column] >= bounds[0]) & (frame[column] < bounds[1]))
        return frame

    def _read(self, paths: Sequence[str], columns: Columns) -> Any:
        schema = ", ".join(f"`{column}` {spark_type(declared)}" for column, declared in columns.items())
        return self._spark.read.schema(schema).parquet(*(self._exchange.url(path) for path in paths))

    def _beside(self, name: str, frame: Any, content: Files) -> Any:
        """The frame with the columns that its files do not hold, by the path of each row's file."""
        from pyspark.sql import functions  # noqa: PLC0415 - an extra

        columns = {c: declared for c, declared in content.columns.items() if c in content.constants[0]}
        values = {c: [fixed[c] for fixed in content.constants] for c in columns}
        schema = arrow_schema({_PATH: "string", **columns})
        paths = [_said(self._exchange.url(path)) for path in content.paths]
        known = pa.table({_PATH: paths, **values}, schema=schema)
        beside = self._read([self._exchange.put(f"beside_{name}", known)], {_PATH: "string", **columns})
        located = frame.withColumn(_PATH, functions.expr(f"regexp_replace({_METADATA}, '^file:/+', '/')"))
        found = located.join(functions.broadcast(beside.withColumn("known", functions.lit(1))), _PATH, "left")
        lost = functions.expr(f"if(known is null, raise_error('a file was read under another name: ' || {_PATH}), 1)")
        return found.where(lost == 1)


def _said(url: str) -> str:
    """A path as Spark tells it of a row: what may not stand in a URI of Java is written in percent."""
    path = re.sub("^file:/+", "/", url)  # versions of Spark do not agree on how many
    return _QUOTED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), path)


def _plain(value: Any) -> Any:
    """A value as a literal of any session: a time as text, which no zone moves."""
    return str(value) if isinstance(value, datetime) else value


def _zoneless(frame: Any) -> Any:
    """The frame with times as we keep them: some of Spark's functions give theirs a zone, which is UTC here."""
    zoned = {field.name for field in frame.schema.fields if field.dataType.simpleString() == "timestamp"}
    if not zoned:
        return frame
    return frame.select(*(frame[c].cast("timestamp_ntz").alias(c) if c in zoned else frame[c] for c in frame.columns))


def _first_words(error: BaseException) -> str:
    """What went wrong, without the calls that led to it, and without the jobs that end with it."""
    java = getattr(error, "java_exception", None)
    words = str(java.toString() if java is not None else error).split("\n\tat ", 1)[0].strip()
    causes: list[str] = re.findall(r"^Caused by: (.+)$", str(error), re.MULTILINE)
    return causes[-1] if causes and "Job aborted" in words else words


def _counts(context: Any, group: str) -> dict[str, int]:
    """What the jobs of a group came to."""
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    ids = {stage for job in jobs if job for stage in job.stageIds}
    ran = [info for info in (tracker.getStageInfo(stage) for stage in ids) if info and info.numCompletedTasks]
    store = context._jsc.sc().statusStore()  # noqa: SLF001 - Python is told of no bytes
    shuffled = sum(store.lastStageAttempt(info.stageId).shuffleWriteBytes() for info in ran)
    return {
        "jobs": len(jobs), "stages": len(ran), "tasks": sum(info.numCompletedTasks for info in ran),
        "shuffle_bytes": int(shuffled),
    }  # fmt: skip
