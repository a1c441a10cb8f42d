"""What was written to a table of Iceberg reads back equal, and its columns grow."""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from ndr.arrow import arrow_schema
from ndr.errors import DataError
from ndr.sinks.iceberg_batches import IcebergError
from ndr.tables.prediction_feature_join import prediction_feature_join
from sinks.icebergs import COLUMNS, SPEC, T, catalog, configured, later, put, rows, stored


@pytest.fixture(autouse=True)
def _catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, tmp_path)


def test_what_was_written_reads_back_cell_by_cell() -> None:
    given = pa.concat_tables(
        [
            rows("10.0.0.1", "10.0.0.2"),
            rows("10.0.0.3", sessions_cnt=None, prediction_score=None, is_cold_start=None, top_deviations=None),
            rows("10.0.0.4", prediction_score=math.inf, top_deviations=[], sessions_cnt=-(2**31)),
            rows("10.0.0.5", prediction_score=-0.1 - 0.2, top_deviations=[{"metric": None, "z": None}]),
            rows("10.0.0.6", model_version="ö' OR 1=1 --", top_deviations=[{"metric": "a\n\"b'"}, {"z": 1e308}]),
        ]
    )
    put(given)
    assert stored().to_pylist() == given.to_pylist()
    assert [str(kind) for kind in stored().schema.types[:3]] in (
        ["string", "timestamp[us]", "int32"],
        ["large_string", "timestamp[us]", "int32"],
    )


def test_a_score_that_is_not_a_number_stays_one() -> None:
    put(rows("10.0.0.1", prediction_score=math.nan))
    assert math.isnan(stored()["prediction_score"][0].as_py())


def test_the_table_is_partitioned_by_day_and_versions() -> None:
    put(rows("10.0.0.1"))
    with catalog() as opened:
        table = opened.load_table(SPEC.table)
        fields = [(field.name, str(field.transform)) for field in table.spec().fields]
        ids = [field.field_id for field in table.schema().fields]
    assert fields == [
        ("window_end_ts_day", "day"), ("feature_spec_version", "identity"), ("model_version", "identity"),
    ]  # fmt: skip
    assert len(set(ids)) == len(COLUMNS)


def test_columns_are_added_and_widened_and_old_ones_stay() -> None:
    put(rows("10.0.0.1", "10.0.0.2"))
    grown = {name: kind for name, kind in COLUMNS.items() if name != "is_cold_start"}
    grown |= {"sessions_cnt": "int64", "peer_cnt": "int64"}
    grown["top_deviations"] = grown["top_deviations"].replace("metric: string", "metric: string, tier: string")
    deviations = [{"metric": "deny_cnt", "tier": "global", "z": 1.0}]
    put(rows("10.0.0.3", at=later(1), columns=grown, sessions_cnt=2**40, peer_cnt=5, top_deviations=deviations),
        at=later(1), columns=grown)  # fmt: skip
    found = stored()
    assert found["is_cold_start"].to_pylist() == [False, True, None]
    assert found["sessions_cnt"].to_pylist() == [0, 7, 2**40]
    assert found["peer_cnt"].to_pylist() == [None, None, 5]
    assert [cell[0]["tier"] for cell in found["top_deviations"].to_pylist()] == [None, None, "global"]


def test_a_batch_of_narrower_columns_fits_into_a_wider_table() -> None:
    wide = {**COLUMNS, "sessions_cnt": "int64"}
    put(rows("10.0.0.1", columns=wide, sessions_cnt=2**40), columns=wide)
    put(rows("10.0.0.2", at=later(1), sessions_cnt=5), at=later(1))
    assert stored()["sessions_cnt"].to_pylist() == [2**40, 5]


def test_a_column_that_cannot_become_another_type_is_refused_by_name() -> None:
    put(rows("10.0.0.1"))
    other = {**COLUMNS, "sessions_cnt": "string"}
    with pytest.raises(IcebergError, match=r"sessions_cnt.*name another table") as caught:
        put(rows("10.0.0.1", columns=other, sessions_cnt="many"), columns=other, part="p2")
    assert not caught.value.retryable
    assert stored()["sessions_cnt"].to_pylist() == [0]


def test_rows_with_other_columns_than_declared_are_refused() -> None:
    with pytest.raises(DataError, match="is_cold_start"):
        put(rows("10.0.0.1").drop_columns(["is_cold_start"]))


def test_other_readers_of_the_files_see_the_same() -> None:
    given = pa.concat_tables(
        [
            rows("10.0.0.1"),
            rows("10.0.0.2", top_deviations=None),
            rows("10.0.0.3", top_deviations=[], prediction_score=None),
            rows("10.0.0.4", top_deviations=[None, {"metric": "x"}]),
        ]
    )
    put(given)
    with catalog() as opened:
        files = [
            task.file.file_path.removeprefix("file://") for task in opened.load_table(SPEC.table).scan().plan_files()
        ]
    with duckdb.connect() as connection:
        found = connection.read_parquet(files).order("host_ip").select(*COLUMNS).to_arrow_table()
    assert found.to_pylist() == given.to_pylist()


def test_rows_of_others_keep_their_nulls_when_a_shared_file_is_written_anew() -> None:
    put(rows("10.0.0.1", top_deviations=None))
    put(rows("10.0.0.2", at=later(1)), at=later(1))
    with catalog() as opened:
        table = opened.load_table(SPEC.table)
        table.overwrite(table.scan().to_arrow())
    put(rows("10.0.0.3", at=later(1)), at=later(1), part="p2")
    assert stored()["top_deviations"].to_pylist()[0] is None


def test_the_table_of_joined_predictions_fits_with_all_its_columns() -> None:
    columns = prediction_feature_join.columns
    schema = arrow_schema(columns)
    given = pa.table([pa.nulls(2, kind) for kind in schema.types], schema=schema)
    known = {"window_end_ts": T, "feature_spec_version": "1.10", "model_version": "forest-1"}
    for name, value in known.items():
        column = pa.array([value] * 2, schema.field(name).type)
        given = given.set_column(schema.get_field_index(name), schema.field(name), column)
    put(given, columns=columns)
    found = stored()
    assert found.column_names == list(columns)
    assert found.to_pylist() == given.to_pylist()
