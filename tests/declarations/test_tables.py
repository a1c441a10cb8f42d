"""Every table says what it is, and its recipe yields what it declares from what it declares to read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis.config import Config as Options

from handmade import session
from laws.pipeline import ARROW
from ndr.catalog import table_entries
from ndr.errors import DeclarationError
from ndr.specs import Config
from ndr.table import Reach, Table, table
from ndr.tables import TABLES
from ndr.tables.settings import Spec
from ndr.time import DAY, SLICE, Interval, ceil
from strategies import ANCHORS, CONFIGS, random_sessions
from worlds import World, config_of, span_of

each = pytest.mark.parametrize("made", TABLES.values(), ids=lambda t: t.name)
each_recipe = pytest.mark.parametrize("made", [t for t in TABLES.values() if t.recipe], ids=lambda t: t.name)
NULLABLE_KEYS = {"dst_port"}
"""Null where the protocol has no ports."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[pa.Table]]]:
    """The files of every table, made of a few dozen sessions and of some that keep time."""
    jobs = {"fg_b_builder": {"horizons": ["1d"], "safety_gaps": {"1d": {"tail_days": 0}}}}
    world = World(tmp_path_factory.mktemp("lake"), config_of(CONFIGS[0]).model_copy(update={"jobs": jobs}))
    world.put(random_sessions(Random(4), 60))  # noqa: S311 - made-up data, not secrets
    reference = ceil(ANCHORS[0], DAY)
    world.put(
        _calls(reference, timedelta(minutes=10), 30, 443) + _calls(reference, timedelta(hours=8), 41, 53), "calls"
    )
    world.build(["fg_a"], span_of([ANCHORS[0]]))
    world.ledger.ask_publication("1", reference, provisional=True)
    judged = ("fg_c", "predictions", "prediction_feature_join")
    world.build([name for name in TABLES if name not in judged], Interval(reference, reference + DAY))
    world.build(["fg_c"], Interval(reference - DAY, reference))
    world.learn(trees=5)
    world.build(judged, span_of([ANCHORS[0]]))
    yield {
        name: [pq.ParquetFile(world.lake.path(part.path)).read() for part in world.ledger.parts(name, "1") if part.path]
        for name in TABLES
    }
    world.close()


def _calls(until: datetime, every: timedelta, count: int, port: int) -> list[dict[str, Any]]:
    nothing = dict.fromkeys((*TABLES["sessions"].columns, "mini_batch_id", "batch_end_ts"))
    ends = [until - every * n - timedelta(minutes=1) for n in range(count)]
    return [{**nothing, **session(end, destination_port=port)} for end in ends]


class SparkOptions(Options):
    treat_nan_as_null: bool = False


def _expression(made: Table) -> Any:
    config = Config()
    return made.expression(config.spec(made), config.project_parameters, config.feature_spec_version)


@each
def test_a_table_says_what_one_row_is(made: Table) -> None:
    assert made.doc.startswith("One row per ")
    (entry,) = [e for e in table_entries() if e.name == made.name]
    assert entry.row.startswith("One row per ")
    assert entry.columns


@each
def test_the_keys_and_times_of_a_table_are_columns(made: Table) -> None:
    assert {*made.keys, made.at, *filter(None, [made.arrived])} <= set(made.columns)
    assert DAY % made.every == timedelta(0)
    assert set(made.columns.values()) <= set(ARROW)


@each
def test_a_table_reads_only_tables_before_it(made: Table) -> None:
    order = list(TABLES.values())
    assert all(order.index(parent) < order.index(made) for parent in made.parents)


@each_recipe
def test_a_recipe_takes_what_the_table_reads(made: Table) -> None:
    assert made.recipe is not None
    names = made.recipe.__code__.co_varnames[: made.recipe.__code__.co_argcount]
    assert names == tuple(made.reads)


def test_a_column_name_has_one_type_across_tables() -> None:
    types: dict[str, set[str]] = {}
    for made in TABLES.values():
        shapes = [made.columns, *(read.columns for read in made.reads.values() if not isinstance(read, Reach))]
        for columns in shapes:
            for name, dtype in columns.items():
                types.setdefault(name, set()).add(dtype)
    assert {name: found for name, found in types.items() if len(found) > 1} == {}


def test_no_two_columns_differ_in_case_alone() -> None:
    for made in TABLES.values():
        assert len({name.lower() for name in made.columns}) == len(made.columns)


@each_recipe
def test_a_recipe_fed_its_declared_shapes_yields_its_declared_shape(made: Table) -> None:
    yielded = {name: str(dtype) for name, dtype in _expression(made).schema().items()}
    declared = {name: dtype for name, dtype in made.columns.items() if name not in made.judged}
    fed = {name: dtype for name, dtype in yielded.items() if name not in declared}
    assert {name: yielded[name] for name in declared} == declared
    assert bool(fed) is bool(made.judged), "what a model looks at is no column"
    assert set(fed.values()) <= {"float64"}


@each_recipe
@pytest.mark.parametrize("dialect", ["duckdb", "pyspark"])
def test_a_recipe_compiles_for_both_engines(made: Table, dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ibis.options, "pyspark", SparkOptions())  # Ibis has them only where pyspark is installed
    assert str(ibis.to_sql(_expression(made), dialect=dialect)).lstrip().upper().startswith(("SELECT", "WITH"))


@each_recipe
def test_the_files_of_a_table_have_its_declared_shape(made: Table, built: dict[str, list[pa.Table]]) -> None:
    """Partition columns are in the path alone."""
    held = [(name, ARROW[dtype]) for name, dtype in made.columns.items() if name not in made.partitions]
    assert built[made.name]
    for file in built[made.name]:
        assert [(field.name, field.type) for field in file.schema] == held


@each_recipe
def test_keys_are_known_and_unique_in_built_data(made: Table, built: dict[str, list[pa.Table]]) -> None:
    inside = [key for key in made.keys if key not in made.partitions]
    found = [(place, row) for place, file in enumerate(built[made.name]) for row in file.to_pylist()]
    rows = [tuple(row[key] for key in inside) for _, row in found]
    apart = [place if len(inside) < len(made.keys) else 0 for place, _ in found]  # a partition is part of the key
    assert len(set(zip(apart, rows, strict=True))) == len(rows) > 0
    for place, key in enumerate(inside):
        assert key in NULLABLE_KEYS or all(row[place] is not None for row in rows)


def test_a_table_cannot_be_declared_without_its_key_columns() -> None:
    with pytest.raises(DeclarationError, match="undeclared columns \\['missing'\\]"):
        table(keys=("missing",), columns={"at": "timestamp(6)"}, every=SLICE, at="at")(lambda: None)


def test_a_table_cannot_be_declared_at_a_step_that_splits_no_day() -> None:
    with pytest.raises(DeclarationError, match="odd step"):
        table(keys=("at",), columns={"at": "timestamp(6)"}, every=timedelta(minutes=7), at="at")(lambda: None)


def test_a_recipe_that_yields_other_columns_than_declared_is_refused() -> None:
    @table(keys=("at",), columns={"at": "timestamp(6)", "wanted": "int64"}, every=SLICE, at="at", spec=Spec)
    def wrong(*, spec: Spec, settings: object, version: str) -> Any:
        return ibis.table({"at": "timestamp(6)", "other": "int64"}, name="read")

    with pytest.raises(DeclarationError, match="yields \\['other'\\] undeclared and lacks \\['wanted'\\]"):
        wrong.expression(Spec(), None, "1")
