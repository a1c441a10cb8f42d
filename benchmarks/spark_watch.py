"""What a build costs on either engine: seconds, CPU and memory of this process and of Java, and what Spark counts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Cost, cost
from ndr.engine import Files, Judge, Output, Rows
from ndr.engines.duckdb import DuckDB
from ndr.engines.exchange import LocalExchange
from ndr.engines.spark import Spark
from ndr.engines.spark_session import Session, Where, opened
from ndr.table import Columns

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_MEDIAN_AND_LONGEST = (0.5, 1.0)


@dataclass(frozen=True)
class Spent:
    """One build of one table, on one engine; what does not apply is 0."""

    seconds: float
    cpu: float
    """Seconds of all threads of this process."""
    java_cpu: float
    """The same of Spark's process: its tasks, its garbage collection, its compiler."""
    peak: int
    """Most memory of this process, bytes."""
    java_peak: int
    rows_out: int = 0
    last_seconds: float = 0.0
    """Of ``seconds``, sorting and writing what Spark found."""
    last_cpu: float = 0.0
    spent: Mapping[str, int] = field(default_factory=dict)
    """What the engine counted: jobs, stages, tasks, bytes shuffled."""
    read_bytes: int = 0
    spilled_bytes: int = 0
    task_seconds: float = 0.0
    task_cpu: float = 0.0
    """Core-seconds of the tasks alone, without garbage collection and Java's compiler."""
    longest: float = 0.0
    """Longest task of the largest stage, seconds."""
    middle: float = 0.0
    """Median task of that stage."""
    largest: str = ""
    """Tasks of that stage and its share of all time in tasks."""

    @property
    def all_cpu(self) -> float:
        return self.cpu + self.java_cpu

    @property
    def all_peak(self) -> int:
        """Both processes together; their peaks need not fall into the same moment."""
        return self.peak + self.java_peak

    def facts(self) -> dict[str, Any]:
        return asdict(self)


class Timed(DuckDB):
    """The engine that sorts and writes what Spark found, with a clock."""

    seconds = 0.0
    cpu = 0.0

    def write(
        self, query: str, inputs: Mapping[str, Files | Rows], columns: Columns, order: Sequence[str],
        outputs: Sequence[Output], apart: Mapping[str, Sequence[str]] | None = None, through: Judge | None = None,
    ) -> list[int]:  # fmt: skip
        start, cpu = time.perf_counter(), time.process_time()
        try:
            return super().write(query, inputs, columns, order, outputs, apart, through)
        finally:
            self.seconds, self.cpu = time.perf_counter() - start, time.process_time() - cpu


class Sparked:
    """Spark on this machine as the command line opens it, one session for all lakes, and what can be asked of it."""

    def __init__(self, scratch: Path, memory: int, master: str) -> None:
        scratch.mkdir()
        start = time.perf_counter()
        self._session = opened(Where(master, None, memory // 4 * 3, str(scratch)))
        self.started = time.perf_counter() - start
        self.last = Timed(str(scratch), memory_limit=f"{memory // 4}B")
        self.engine = Spark(self._lent, LocalExchange(str(scratch)), self.last)
        self._seen = -1

    def _lent(self) -> Session:
        return self._session

    def close(self) -> None:
        self.engine.close()

    @property
    def versions(self) -> str:
        java = self._session.spark.sparkContext._jvm.System.getProperty("java.version")  # noqa: SLF001 - not told to Python
        return f"Spark {self._session.spark.version}, Java {java}"

    def tidy(self) -> None:
        """Let Java give back what it does not use."""
        self._session.spark.sparkContext._jvm.System.gc()  # noqa: SLF001

    def stages(self) -> list[Any]:
        """The stages that ran since this was asked last."""
        context = self._session.spark.sparkContext
        gateway, store = context._gateway, context._jsc.sc().statusStore()  # noqa: SLF001
        none = gateway.new_array(gateway.jvm.double, 0), gateway.jvm.java.util.ArrayList()
        every = store.stageList(None, False, False, *none)  # noqa: FBT003 - Java has no names for them
        found = [every.apply(i) for i in range(every.size())]
        ran = [each for each in found if each.stageId() > self._seen and each.numCompleteTasks()]
        self._seen = max([self._seen, *(each.stageId() for each in found)])
        return ran

    def tasks(self, stage: Any) -> tuple[float, float]:
        """Median and longest task of a stage, seconds."""
        context = self._session.spark.sparkContext
        gateway, store = context._gateway, context._jsc.sc().statusStore()  # noqa: SLF001
        places = gateway.new_array(gateway.jvm.double, len(_MEDIAN_AND_LONGEST))
        for i, place in enumerate(_MEDIAN_AND_LONGEST):
            places[i] = place
        told = store.taskSummary(stage.stageId(), stage.attemptId(), places)
        if not told.isDefined():
            return 0.0, 0.0
        times = told.get().executorRunTime()
        return times.apply(0) / 1e3, times.apply(1) / 1e3


def watched(work: Callable[[], object], spark: Sparked | None = None) -> Spent:
    """What a piece of work costs this process; with ``spark``, Spark too."""
    if spark is None:
        done = cost(work)
        return Spent(done.seconds, done.cpu_seconds, 0.0, done.peak_bytes, 0)
    spark.stages()
    spark.tidy()
    spark.last.seconds = spark.last.cpu = 0.0
    with _children() as java:
        done = cost(work)
    return _with_stages(_beside(done, java, spark), spark)


def _beside(done: Cost, java: Cost, spark: Sparked) -> Spent:
    return Spent(
        done.seconds, done.cpu_seconds, java.cpu_seconds, done.peak_bytes, java.peak_bytes,
        last_seconds=spark.last.seconds, last_cpu=spark.last.cpu, spent=dict(spark.engine.spent()),
    )  # fmt: skip


def _with_stages(spent: Spent, spark: Sparked) -> Spent:
    stages = spark.stages()
    if not stages:
        return spent
    whole = sum(each.executorRunTime() for each in stages) / 1e3
    largest = max(stages, key=lambda each: each.executorRunTime())
    middle, longest = spark.tasks(largest)
    share = largest.executorRunTime() / 1e3 / whole if whole else 0.0
    return replace(
        spent, read_bytes=sum(each.inputBytes() for each in stages), task_seconds=whole,
        task_cpu=sum(each.executorCpuTime() for each in stages) / 1e9,
        spilled_bytes=sum(each.diskBytesSpilled() for each in stages), longest=longest, middle=middle,
        largest=f"{largest.numCompleteTasks()} tasks, {share:.0%} of all",
    )  # fmt: skip


@dataclass
class _Sum:
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


@contextmanager
def _children() -> Iterator[Any]:
    """What the processes below this one take meanwhile."""
    pids = descendants(os.getpid())
    for pid in pids:
        with suppress(OSError):
            (_PROC / str(pid) / "clear_refs").write_text("5")
    before = sum(map(_cpu, pids))
    told = _Sum()
    yield told
    told.cpu_seconds = sum(map(_cpu, pids)) - before
    told.peak_bytes = sum(map(partial(_memory, what="VmHWM"), pids))


def descendants(pid: int) -> list[int]:
    """The processes below one, theirs included."""
    found = []
    for tasks in (_PROC / str(pid) / "task").glob("*/children"):
        with suppress(OSError):
            found += [int(each) for each in tasks.read_text().split()]
    return found + [below for child in found for below in descendants(child)]


def _cpu(pid: int) -> float:
    with suppress(OSError):
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0


def _memory(pid: int, what: str) -> int:
    with suppress(OSError):
        for entry in (_PROC / str(pid) / "status").read_text().splitlines():
            if entry.startswith(f"{what}:"):
                return int(entry.split()[1]) * 1024
    return 0
