"""Baselines and deviations made in memory: each recipe compiled once per configuration, fed rows of FG-A as dicts.

What a recipe reads is cut as a plan would cut it: behaviour by the bounds of a horizon, pairs by what was known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

import oracle_baselines as naive
from laws.comparing import keyed
from ndr.arrow import arrow_schema
from ndr.engines.duckdb import DuckDB
from ndr.specs import Config
from ndr.table import Context, Given, PartKey, Publication, Reach, Table
from ndr.tables import TABLES
from oracle_baselines import DAY, QUARTER, BaselineConfig, Published, Row
from oracle_deviations import Publication as NaivePublication
from oracle_deviations import in_force
from strategies_baselines import CONFIGS, Case

HOST = ("host_ip", "segment_id", "time_band", "window_label")
KEYS = {
    "fg_b_host": HOST,
    "fg_b_segment": HOST[1:],
    "fg_b_global": HOST[2:],
    "fg_b_ip_metadata": ("host_ip", "window_label"),
    "fg_b_pair_host": ("src_ip", "dst_ip", "dst_port"),
    "fg_b_pair_segment": ("segment_id", "dst_ip", "dst_port"),
}
"""The tables of a publication that FG-C reads, and what tells rows apart within one horizon."""
FG_C_KEYS = ("host_ip", "window_label", "window_end_ts", "baseline_horizon")
Made = dict[str, list[Row]]


def config_of(config: BaselineConfig, **project: Any) -> Config:
    """The product's configuration that says what the oracle's says."""
    names = [name for name, measure in config.metrics.items() if measure.outbound]
    baselines = {
        "baseline_metrics": names,
        "baseline_required_metrics": list(config.required),
        "support_min": {name: config.least(name) for name in names},
        "anomaly_capping": {"key_metrics": list(config.key_metrics), "z_max": config.capping_z_max},
        "pair_counts": {"rarity_threshold": config.rarity_threshold},
        "safety_gaps": {horizon: {"tail_days": tail} for horizon, tail in config.tails.items()},
        "non_persistent_machine_prefixes": list(config.prefixes),
    }
    deviations = {"z_max": config.z_max, "band_share_min": config.band_share_min, "metrics": names}
    jobs = {"fg_b_builder": baselines, "fg_c_builder": deviations}
    return Config.model_validate({"jobs": jobs, "project_parameters": project})


@dataclass(frozen=True)
class Result:
    """What the program made of a case: per publication and horizon the baselines, and the deviations."""

    baselines: Mapping[tuple[datetime, str], Made]
    deviations: list[Row]


class Press:
    """The tables from FG-A to FG-C under one configuration."""

    def __init__(self, config: BaselineConfig) -> None:
        self.naive, self.config = config, config_of(config)
        self._databases: dict[str, duckdb.DuckDBPyConnection] = {}

    def make(self, case: Case) -> Result:
        """Every publication of the case, and FG-C of its window ends, day by day."""
        publications = [self.publication(*each) for each in case.publications]
        made = {
            (p.reference, horizon): self.baselines(case, p, horizon) for p in publications for horizon in p.horizons
        }
        days = sorted({(end - QUARTER).date() for end in case.ends})
        together = [[end for end in case.ends if (end - QUARTER).date() == day] for day in days]
        return Result(made, [row for ends in together for row in self.deviations(case, publications, made, ends)])

    def publication(self, reference: datetime, provisional: bool, horizons: Sequence[str]) -> Publication:  # noqa: FBT001 - a row of PUBLICATIONS
        spec = self.config.spec(TABLES["fg_b_host"])
        found: Publication = spec.publication(reference, tuple(horizons), provisional=provisional)  # type: ignore[attr-defined]
        return found

    def baselines(self, case: Case, publication: Publication, horizon: str) -> Made:
        """The tables of one horizon."""
        bounds, reference = publication.horizons[horizon], publication.reference
        made: Made = {
            "fg_a": [row for row in case.past if bounds.contains(row["window_end_ts"] - QUARTER)],
            "pair_days": [
                row for row in case.days if bounds.contains(row["day_start_ts"]) and row["known_ts"] <= reference
            ],
            "machines": [row for row in case.machines if row["snapshot_month"] <= f"{reference:%Y-%m}"],
        }
        for name in ("fg_b_capping", *KEYS):
            made[name] = self.run(name, made, [PartKey(reference, reference, horizon)], [publication])
        return made

    def deviations(
        self,
        case: Case,
        publications: Sequence[Publication],
        made: Mapping[tuple[datetime, str], Made],
        ends: Sequence[datetime],
    ) -> list[Row]:
        """FG-C of these window ends, together."""
        used = {end: in_force(_plain(publications), end) for end in ends}
        parts = [PartKey(end - QUARTER, end, horizon) for end, p in used.items() if p for horizon in p.horizons]
        if not parts:
            return []
        references = {p.reference for p in used.values() if p}
        first, last = min(ends), max(ends)
        inputs: Made = {
            name: [row for (reference, _), each in made.items() if reference in references for row in each[name]]
            for name in KEYS
        }
        inputs["fg_a"] = [row for row in case.now if row["window_end_ts"] in used]
        inputs["pair_counts"] = [
            row
            for row in case.pair_counts
            if first - DAY <= row["slice_start_ts"] < last and row["batch_end_ts"] <= last
        ]
        inputs["beacons"] = [row for row in case.beacons if row["beacon_end_ts"] in _steps(ends, timedelta(hours=1))]
        inputs["slow_beacons"] = [row for row in case.slow_beacons if row["beacon_end_ts"] in _steps(ends, DAY)]
        return self.run("fg_c", inputs, sorted(parts), publications)

    def run(
        self, name: str, inputs: Mapping[str, list[Row]], parts: Sequence[PartKey], publications: Sequence[Publication]
    ) -> list[Row]:
        """One table from the rows it reads."""
        table = TABLES[name]
        context = Context(self.config.project_parameters, self.config.spec(table), parts, {}, publications)
        con = self._database(table)
        for argument, read in table.reads.items():
            if isinstance(read, Reach):
                rows = inputs[read.table.name]
            else:
                rows = [dict(zip(read.columns, row, strict=True)) for row in read.rows(context)]
            con.execute(f'DELETE FROM "{argument}"')  # noqa: S608 - the arguments of our own recipes
            con.from_arrow(pa.Table.from_pylist(rows, arrow_schema(_columns(read)))).insert_into(argument)
        return list(con.execute("EXECUTE made").to_arrow_table().to_pylist())

    def _database(self, table: Table) -> duckdb.DuckDBPyConnection:
        """A database with empty tables for the recipe's arguments, and its query over them."""
        if table.name not in self._databases:
            con = duckdb.connect(":memory:", config={"threads": 1})
            con.execute("SET disabled_optimizers = 'statistics_propagation'")  # it would learn that tables are empty
            for argument, read in table.reads.items():
                con.from_arrow(arrow_schema(_columns(read)).empty_table()).create(argument)
            version = self.config.feature_spec_version
            expression = table.expression(self.config.spec(table), self.config.project_parameters, version)
            con.execute(f"PREPARE made AS {_engine().compile(expression)}")
            self._databases[table.name] = con
        return self._databases[table.name]


@cache
def _engine() -> DuckDB:
    return DuckDB("")


def _columns(read: Reach | Given) -> Mapping[str, str]:
    return read.table.columns if isinstance(read, Reach) else read.columns


def _plain(publications: Iterable[Publication]) -> list[NaivePublication]:
    return [NaivePublication(p.reference, dict.fromkeys(p.horizons), p.provisional) for p in publications]  # type: ignore[arg-type]


def _steps(ends: Iterable[datetime], step: timedelta) -> set[datetime]:
    return {end - (end - datetime(1970, 1, 1)) % step for end in ends}


@cache
def press_of(index: int) -> Press:
    """One press per configuration of the strategies; making one takes seconds."""
    return Press(CONFIGS[index])


def oracle_of(case: Case, config: BaselineConfig) -> list[NaivePublication]:
    """The publications of a case as the oracle makes them."""
    found = []
    for reference, provisional, horizons in case.publications:
        names = naive.machine_names(case.machines, reference)
        tables = {}
        for horizon in horizons:
            start, end = naive.bounds(reference, horizon, config, provisional=provisional)
            days = [d for d in case.days if start <= d["day_start_ts"] < end and d["known_ts"] <= reference]
            tables[horizon] = naive.published(naive.in_bounds(case.past, start, end), days, names, config)
        found.append(NaivePublication(reference, tables, provisional))
    return found


def alike(got: object, wanted: object) -> bool:
    """Equal; floats but for what rounding does to them, also where two nearly equal ones were subtracted."""
    if isinstance(wanted, float) and isinstance(got, float | int):
        return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-11)
    return got == wanted and (got is None) == (wanted is None)


def expect_rows(got: Mapping[Any, Row], wanted: Mapping[Any, Row]) -> None:
    """The same keys and, in every column that is wanted, the same cells."""
    missing, surplus = list(set(wanted) - set(got)), list(set(got) - set(wanted))
    assert not missing, f"missing {missing[:3]}"
    assert not surplus, f"surplus {surplus[:3]}"
    different = [
        f"{key} {column}: got {got[key].get(column, 'no such column')}, wanted {value}"
        for key, row in wanted.items()
        for column, value in row.items()
        if not column.startswith("_") and not alike(got[key].get(column, "no such column"), value)
    ]
    assert not different, "\n".join([f"{len(different)} cells differ", *different[:12]])


def expect_baselines(made: Made, wanted: Published) -> None:
    """All tables of a publication and horizon that FG-C reads."""
    by_name = dict(zip(KEYS, vars(wanted).values(), strict=True))
    for name, rows in by_name.items():
        expect_rows(keyed(made[name], KEYS[name]), rows)
