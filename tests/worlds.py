"""Small worlds for tests: sessions put into a scratch lake, tables built and read back as dicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ndr.engines.duckdb import DuckDB
from ndr.lake import LocalLake, partition_values
from ndr.local_ledger import SqliteLedger
from ndr.model.detector import Scorer
from ndr.model.training import TrainingOptions
from ndr.plan import Planner
from ndr.run import Workshop, run
from ndr.scoring import LakeModels, Trained, learn
from ndr.sources.imports import publish_unit
from ndr.specs import Config
from ndr.tables import TABLES
from ndr.tables.inference import Inference
from ndr.tables.sessions import SESSION_FIELDS
from ndr.time import SLICE, Interval
from oracle import OracleConfig
from strategies import session_table


def config_of(oracle: OracleConfig) -> Config:
    """The product's configuration that says what the oracle's says."""
    calendar = oracle.calendar
    return Config.model_validate(
        {
            "project_parameters": {
                "internal_networks": [str(n) for n in oracle.internal_networks],
                "segments": {str(k): v for k, v in oracle.segments.items()},
                "port_sets": {
                    name: sorted(oracle.port_sets.get(name, ()))
                    for name in ("high_risk", "admin", "fileshare", "directory", "db")
                },
                "clock": oracle.clock,
                "calendar": {
                    "time_zone": calendar.time_zone,
                    "working_hours": calendar.working_hours,
                    "night_hours": calendar.night_hours,
                    "weekend": sorted(calendar.weekend),
                    "holidays": sorted(calendar.holidays),
                },
            },
            "jobs": {
                "fg_a_builder": {
                    "high_risk_segments": sorted(oracle.high_risk_segments),
                    "lookback30d": {"rare_thresholds": dict(oracle.rare_thresholds)},
                }
            },
        }
    )


class World:
    """A lake in a folder, with a workshop around it."""

    def __init__(self, root: Path, config: Config | None = None) -> None:
        self.root = root
        self.lake = LocalLake(root)
        self.ledger = SqliteLedger(root / "ledger.sqlite")
        engine = DuckDB(str(root / "_staging"), threads=2)
        self.models = LakeModels(self.lake, config or Config(), no_endpoint)
        self.shop = Workshop(config or Config(), self.ledger, self.lake, engine, in_force=self.models.in_force)

    def close(self) -> None:
        self.shop.engine.close()
        self.ledger.close()

    def put(self, rows: Sequence[dict[str, Any]], name: str = "rows") -> None:
        """Import sessions as they stand, one unit per batch."""
        by_batch: dict[Any, list[dict[str, Any]]] = {}
        for row in rows:
            by_batch.setdefault((row["batch_end_ts"], row["mini_batch_id"]), []).append(row)
        for (end, batch), some in by_batch.items():
            if batch:
                self.ledger.name_batch(batch, Interval(end - SLICE, end))
            staged = f"{name}-{batch}.parquet"
            pq.write_table(session_table(some).select(SESSION_FIELDS.names), self.lake.stage(staged))
            report = {
                "path": name,
                "source": "test",
                "content_bytes": len(some),
                "content_sha256": f"{name}{batch}{len(some)}",
                "head_sha256": "",
                "from_byte": 0,
            }
            self.ledger.import_units(
                [
                    publish_unit(
                        self.lake,
                        self.ledger,
                        staged,
                        report,
                        clock=self.shop.config.project_parameters.clock,
                        batch_end=end,
                    )
                ],
                [],
            )

    def build(self, names: Iterable[str], interval: Interval) -> dict[str, int]:
        """Plan and run."""
        model = self.shop.model.version if self.shop.model else ""
        planner = Planner(self.shop.config, self.ledger, self.lake, model=model)
        return run(planner.plan([TABLES[n] for n in names], interval), self.shop)

    def learn(self, **options: Any) -> Trained:
        """Train a model on all deviations there are, and let it be in force."""
        return learn(self.shop, self.models, None, TrainingOptions(**options))

    def read(self, name: str) -> list[dict[str, Any]]:
        """All rows of a table, with the version that may stand in the path alone."""
        version = self.shop.config.feature_spec_version
        found: list[dict[str, Any]] = []
        for part in self.ledger.parts(name, version):
            if part.path:
                rows = pq.ParquetFile(self.lake.path(part.path)).read().to_pylist()
                values = partition_values(version, part.key)
                in_path = {c: values[c] for c in TABLES[name].partitions if c in TABLES[name].columns}
                found += [{"feature_spec_version": version, **in_path, **row} for row in rows]
        return found


def no_endpoint(_: Inference) -> Scorer:
    raise AssertionError("no test of a small world asks an endpoint")


def span_of(ends: Sequence[datetime]) -> Interval:
    """The interval whose fg_a parts include these window ends."""
    return Interval(min(ends) - SLICE, max(ends))
