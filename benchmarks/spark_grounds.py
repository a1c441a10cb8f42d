"""What both engines build side by side: cases of the three dear steps, even and skewed, each in a pair of lakes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import duckdb

from benchmarks import baselines, deviations
from benchmarks.data import SEGMENT_ID, Traffic
from benchmarks.lakes import Ground
from benchmarks.settings import NOON
from benchmarks.spark_watch import Sparked, Spent, watched
from ndr.engine import Files, Rows
from ndr.ledger import Ledger, Part
from ndr.parity import TableParity, compare
from ndr.plan import Step
from ndr.run import Workshop, query_of
from ndr.table import PartKey, Table
from ndr.tables import TABLES
from ndr.time import DAY, SLICE, Interval

FG_A, FG_B, FG_C = "fg_a", "fg_b", "fg_c"
GAP_DAYS = 2
HEAVY = 100
"""How many times the sessions of a host the heavy one has."""
_HEAVY_IP = "10.1.0.77"
_HALF = f"CASE WHEN host % 2 = 0 THEN '10.0.0.0/8' ELSE {SEGMENT_ID} END"


@dataclass(frozen=True)
class Case:
    """One step at one size."""

    step: str
    hosts: int
    density: int
    """Sessions of a host and day, for FG-B days."""
    skew: str = ""

    @property
    def what(self) -> str:
        size = f"{self.hosts:,} hosts"
        more = f"{self.density} days" if self.step == FG_B else f"{self.density:,} sessions a host and day"
        return f"{size}, {more}" + (f", {self.skew}" if self.skew else "")


HEAVY_HOST, HALF_SEGMENT = f"one host with {HEAVY} times the sessions", "half of all hosts in one segment"


class Tilted(Ground):
    """A lake in which one host has many of the sessions, or half of all hosts are in one segment."""

    def __init__(self, root: Path, jobs: Mapping[str, Any] | None, case: Case) -> None:
        super().__init__(root, jobs)
        self._case = case

    def take(self, sessions: Path) -> None:
        if self._case.skew == HEAVY_HOST:
            _tilt(sessions, self._case.hosts)
        super().take(sessions)

    def give(
        self, table: Table, query: str, inputs: Mapping[str, Files | Rows],
        parts: Mapping[PartKey, Mapping[str, datetime | str]],
    ) -> None:  # fmt: skip
        tilted = query.replace(SEGMENT_ID, _HALF) if self._case.skew == HALF_SEGMENT else query
        super().give(table, tilted, inputs, parts)


def _tilt(sessions: Path, hosts: int) -> None:
    """Let one host have sessions of others, so that it has a hundred times as many as they have on average."""
    share = HEAVY / (hosts + HEAVY)
    tilted = sessions.with_suffix(".tilted")
    with duckdb.connect() as con:
        con.execute(
            f"COPY (SELECT * REPLACE (CASE WHEN starts_with(source_ip, '10.') AND hash(event_start, source_ip, "  # noqa: S608 - our own file
            f"source_port) % 10000 < {share * 10000:.0f} THEN '{_HEAVY_IP}' ELSE source_ip END AS source_ip) "
            f"FROM '{sessions}') TO '{tilted}' (FORMAT parquet, COMPRESSION zstd)"
        )
    tilted.replace(sessions)


def fill(case: Case, folder: Path) -> Ground:
    """A lake with what the step of a case reads."""
    horizon = {"fg_b_builder": {"horizons": (f"{case.density}d",)}} if case.step == FG_B else None
    ground = Tilted(folder / "lake", horizon, case)
    if case.step == FG_A:
        day = Traffic(case.hosts * case.density, case.hosts, NOON - DAY, DAY)
        ground.take(day.parquet(folder / "day.parquet"))
        ground.build(("delta", "pair_counts"), Interval(NOON - DAY, NOON))
    elif case.step == FG_B:
        baselines.fill(ground, case.hosts, case.density, GAP_DAYS)
    else:
        deviations.fill(ground, folder, case.hosts, case.hosts * case.density)
    return ground


@dataclass(frozen=True)
class Target:
    """What of a lake is built: tables, those that are taken as they are, and when."""

    names: Sequence[str]
    given: Sequence[str]
    when: Interval


TARGETS = {
    FG_A: Target((FG_A,), (), Interval(NOON - SLICE, NOON)),
    FG_B: Target(baselines.MADE, baselines.GIVEN, Interval(baselines.REFERENCE, baselines.REFERENCE + DAY)),
    FG_C: Target((FG_C,), deviations.GIVEN, Interval(deviations.NOON - SLICE, deviations.NOON)),
}


class Pair:
    """Two lakes with the same inputs, one for each engine; the second has the files of the first by another name."""

    def __init__(self, case: Case, folder: Path, spark: Sparked) -> None:
        folder.mkdir()
        self._folder, self.target, self._spark = folder, TARGETS[case.step], spark
        self.rows: dict[str, dict[str, int]] = {}
        """Table that is built -> table that it reads -> rows."""
        self._first = fill(case, folder)
        twin = folder / "twin"
        shutil.copytree(self._first.root, twin, copy_function=_linked)
        horizon = {"fg_b_builder": {"horizons": (f"{case.density}d",)}} if case.step == FG_B else None
        self._second = Ground(twin, horizon)
        self._shops = (self._first.shop, replace(self._second.shop, engine=spark.engine))
        for shop in self._shops:  # once for a configuration, and kept: no part of what a build costs
            for name in self.target.names:
                query_of(TABLES[name], shop)

    def close(self) -> None:
        self._first.close()
        self._second.close()

    def remove(self) -> None:
        shutil.rmtree(self._folder)

    def round(self) -> tuple[dict[str, Spent], dict[str, Spent]]:
        """Build once with each engine, afresh; by table what it took."""
        return self._built(self._first, self._shops[0], None), self._built(self._second, self._shops[1], self._spark)

    def _built(self, ground: Ground, shop: Workshop, spark: Sparked | None) -> dict[str, Spent]:
        ground.forget(self.target.names)
        found = {}
        for name in self.target.names:
            self.rows[name] = _read(ground, ground.plan([name], self.target.when, self.target.given))

            def build(name: str = name) -> None:
                made = ground.build([name], self.target.when, shop, self.target.given)
                if list(made) != [name]:
                    raise AssertionError(f"made {made} instead of {name}")

            spent = watched(build, spark)
            found[name] = replace(spent, rows_out=sum(part.rows for part in self._parts(ground, name)))
        return found

    def _parts(self, ground: Ground, name: str) -> list[Part]:
        return ground.ledger.parts(name, ground.shop.config.feature_spec_version)

    def compared(self) -> TableParity:
        """What both engines made, cell by cell, all tables together."""
        config = self._first.shop.config
        ledgers = [cast("Ledger", _Made(ground.ledger, self.target.names)) for ground in (self._first, self._second)]
        found = compare(self._first.lake, ledgers[0], self._second.lake, ledgers[1], config)
        whole = TableParity()
        for told in found.values():
            whole.cells += told.cells
            whole.different += told.different + told.parts_missing + told.ids_differ
            whole.worst_relative = max(whole.worst_relative, told.worst_relative)
            whole.examples += told.examples
        return whole


class _Made:
    """A ledger that tells of some tables only."""

    def __init__(self, ledger: Ledger, names: Sequence[str]) -> None:
        self._ledger, self._names = ledger, names

    def parts(self, name: str, version: str) -> list[Part]:
        return self._ledger.parts(name, version) if name in self._names else []


def _read(ground: Ground, steps: Sequence[Step]) -> dict[str, int]:
    """Rows of the tables that a plan reads, each part once."""
    keys: dict[str, set[PartKey]] = {}
    for step in steps:
        for inputs in step.inputs.values():
            for _, table, read in inputs:
                keys.setdefault(table.name, set()).update(read)
    version = ground.shop.config.feature_spec_version
    return {
        name: sum(part.rows for part in ground.ledger.parts(name, TABLES[name].version(version)) if part.key in read)
        for name, read in keys.items()
        if TABLES[name].recipe
    }


def _linked(source: str, target: str) -> None:
    """Parts never change, so both lakes may have the same file; a ledger does."""
    if source.endswith(".parquet"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)
