"""Lakes to measure on: opened as the command line opens them, filled without reading logs, emptied between runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from ndr.cli.lakes import LEDGER, OpenLake
from ndr.cli.logs import source_specs
from ndr.engine import Engine, Files, Judge, Output, Rows
from ndr.engines.duckdb import DuckDB
from ndr.lake import STAGING, LocalLake, part_path
from ndr.ledger import Part
from ndr.local_ledger import SqliteLedger
from ndr.model.detector import Scorer
from ndr.news import settled_by
from ndr.plan import Planner, Step
from ndr.queries import QueryCache
from ndr.run import Workshop, run
from ndr.scoring import LakeModels
from ndr.sources.imports import Importer, publish_unit
from ndr.specs import Config
from ndr.table import Columns, PartKey, Table
from ndr.tables import TABLES
from ndr.tables.inference import Inference
from ndr.time import Interval, stamp

MEMORY_LIMIT = "4GB"


@dataclass
class Watched:
    """An engine that notes how long its queries take: alone, and with sorting and writing."""

    engine: Engine
    probing: bool = False
    """Whether to run each query once more without writing, to see what it takes alone."""
    queries: float = 0.0
    writes: float = 0.0
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.engine.name

    def close(self) -> None:
        """It belongs to the lake."""

    def spent(self) -> Mapping[str, int]:
        return self.engine.spent()

    def compile(self, expression: ir.Table) -> str:
        return self.engine.compile(expression)

    def fetch(self, query: str, inputs: Mapping[str, Files | Rows]) -> list[dict[str, Any]]:
        return self.engine.fetch(query, inputs)

    def batches(self, query: str, inputs: Mapping[str, Files | Rows]) -> Iterator[pa.RecordBatch]:
        return self.engine.batches(query, inputs)

    def write(
        self, query: str, inputs: Mapping[str, Files | Rows], columns: Columns, order: Sequence[str],
        outputs: Sequence[Output], apart: Mapping[str, Sequence[str]] | None = None, through: Judge | None = None,
    ) -> list[int]:  # fmt: skip
        start = time.perf_counter()
        if self.probing:
            self.fetch(f"SELECT bit_xor(hash(made)) AS digest FROM ({query}) AS made", inputs)  # noqa: S608 - our own query
        probed = time.perf_counter()
        rows = self.engine.write(query, inputs, columns, order, outputs, apart, through)
        self.queries += probed - start
        self.writes += time.perf_counter() - probed
        return rows


def no_endpoint(spec: Inference) -> Scorer:
    """No benchmark asks an endpoint."""
    raise AssertionError(spec)


class Ground:
    """A lake in a folder."""

    def __init__(self, root: Path, jobs: Mapping[str, Any] | None = None, memory_limit: str = MEMORY_LIMIT) -> None:
        self.root = root
        self.lake = LocalLake(root)
        self.ledger = SqliteLedger(root / LEDGER)
        self._engine = DuckDB(str(root / STAGING), memory_limit=memory_limit)
        queries = root.parent / "queries"
        queries.mkdir(exist_ok=True)
        config = Config.model_validate({"jobs": dict(jobs or {})})
        models = LakeModels(self.lake, config, no_endpoint)
        shop = Workshop(config, self.ledger, self.lake, self._engine, QueryCache(queries), in_force=models.in_force)
        self.opened = OpenLake(self.lake, self.ledger, shop, models, self.lake.root)

    def close(self) -> None:
        self._engine.close()
        self.ledger.close()

    @property
    def shop(self) -> Workshop:
        return self.opened.shop

    def watched(self, *, probing: bool) -> tuple[Workshop, Watched]:
        """The workshop with its engine watched."""
        engine = Watched(self._engine, probing)
        return replace(self.shop, engine=engine), engine

    def importer(self) -> Importer:
        config = self.shop.config
        return Importer(self.lake, self.ledger, source_specs(config), config.project_parameters.clock)

    def take(self, sessions: Path) -> None:
        """Take a sessions file into the lake as it stands."""
        staged = f"{sessions.stem}.parquet"
        shutil.copy(sessions, self.lake.stage(staged))
        about = {
            "path": sessions.name, "source": "benchmark", "content_bytes": sessions.stat().st_size,
            "content_sha256": sessions.name, "head_sha256": "", "from_byte": 0,
        }  # fmt: skip
        clock = self.shop.config.project_parameters.clock
        self.ledger.import_units([publish_unit(self.lake, self.ledger, staged, about, clock=clock, batch_end=None)], [])

    def give(
        self, table: Table, query: str, inputs: Mapping[str, Files | Rows],
        parts: Mapping[PartKey, Mapping[str, datetime | str]],
    ) -> None:  # fmt: skip
        """Put the rows of a query into the lake as parts of a table, each the rows in which columns have its values."""
        version = self.shop.config.feature_spec_version
        paths = [part_path(table, version, key, stamp(key.start)) for key in parts]
        outputs = [Output(where, self.lake.stage(path)) for where, path in zip(parts.values(), paths, strict=True)]
        counts = self._engine.write(query, inputs, table.stored_columns, table.order or table.keys, outputs)
        made = [
            Part(table.name, version, key, "given", rows, path, self.lake.publish(path))
            for key, rows, path in zip(parts, counts, paths, strict=True)
        ]
        self.ledger.commit(made, [], {})

    def plan(self, names: Iterable[str], interval: Interval, given: Iterable[str] = ()) -> list[Step]:
        """What is missing; ``given`` tables are taken as they are."""
        planner = Planner(self.shop.config, self.ledger, self.lake, [TABLES[name] for name in given])
        return planner.plan([TABLES[name] for name in names], interval)

    def build(
        self, names: Iterable[str], interval: Interval, shop: Workshop | None = None, given: Iterable[str] = ()
    ) -> dict[str, int]:
        """Plan and make what is missing."""
        return run(self.plan(names, interval, given), shop or self.shop)

    def forget(self, names: Iterable[str]) -> None:
        """Take tables out of the lake again."""
        version = self.shop.config.feature_spec_version
        run([Step(TABLES[name], {}, {}, self.ledger.parts(name, version)) for name in names], self.shop)

    def settle(self) -> None:
        """Call the lake finished: the next batch builds its own news only."""
        self.ledger.settle(settled_by(self.shop))

    def files(self, name: str) -> list[str]:
        """The files of a table."""
        parts = self.ledger.parts(name, self.shop.config.feature_spec_version)
        return [self.lake.path(part.path) for part in parts if part.path]

    def sessions(self) -> list[str]:
        """The sessions files."""
        return [self.lake.path(unit.path) for unit in self.ledger.units() if unit.path]
