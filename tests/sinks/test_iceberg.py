"""A batch is one commit to a table of Iceberg, and reads back as it was."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ndr.errors import DataError
from ndr.sinks.iceberg import Patience
from ndr.sinks.iceberg_batches import IcebergBusyError, IcebergError
from ndr.tables.destinations import IcebergTable
from ndr.time import SLICE
from sinks.icebergs import COLUMNS, SPEC, T, catalog, configured, history, later, put, rows, stored


@pytest.fixture(autouse=True)
def _catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, tmp_path)


def hosts(table: pa.Table) -> list[str]:
    return table["host_ip"].to_pylist()


def test_a_batch_replaces_its_own_rows_and_no_others() -> None:
    put(rows("10.0.0.1", "10.0.0.2"))
    put(rows("10.0.0.1", at=later(1)), at=later(1))
    put(rows("10.0.0.1", model_version="forest-2"), part="other model")
    put(rows("10.0.0.1", feature_spec_version="1.1"), part="other version")
    put(rows("10.0.0.9"), part="p2")
    assert sorted((row["host_ip"], row["window_end_ts"], row["model_version"], row["feature_spec_version"])
                  for row in stored().to_pylist()) == [
        ("10.0.0.1", T, "forest-1", "1.1"),
        ("10.0.0.1", T, "forest-2", "1.10"),
        ("10.0.0.1", later(1), "forest-1", "1.10"),
        ("10.0.0.9", T, "forest-1", "1.10"),
    ]  # fmt: skip


def test_a_long_name_of_a_version_is_told_from_one_that_begins_alike() -> None:
    name = "a-forest-with-a-long-name-of-"
    put(rows("10.0.0.1", model_version=name + "march"), part="a")
    put(rows("10.0.0.2", model_version=name + "may"), part="b")
    put(rows("10.0.0.3", model_version=name + "march"), part="c")
    assert hosts(stored()) == ["10.0.0.2", "10.0.0.3"]


def test_a_retry_of_the_same_parts_changes_nothing() -> None:
    first = put(rows("10.0.0.1", "10.0.0.2"))
    put(rows("10.0.0.1", at=later(1)), at=later(1))
    again = put(rows("10.0.0.1", "10.0.0.2"))
    assert (first.fresh, again.fresh) == (True, False)
    assert again.snapshot == first.snapshot
    assert len(history()) == 2


def test_parts_that_came_back_are_written_again() -> None:
    put(rows("10.0.0.1"), part="a")
    put(rows("10.0.0.2"), part="b")
    assert put(rows("10.0.0.1"), part="a").fresh
    assert hosts(stored()) == ["10.0.0.1"]


def test_a_batch_whose_rows_somebody_deleted_is_written_again() -> None:
    put(rows("10.0.0.1", "10.0.0.2"))
    with catalog() as opened:
        opened.load_table(SPEC.table).delete("host_ip = '10.0.0.1'")
    assert put(rows("10.0.0.1", "10.0.0.2")).fresh
    assert hosts(stored()) == ["10.0.0.1", "10.0.0.2"]


def test_a_batch_that_a_rollback_took_away_is_written_again() -> None:
    before = put(rows("10.0.0.1"))
    put(rows("10.0.0.1", at=later(1)), at=later(1))
    with catalog() as opened:
        opened.load_table(SPEC.table).manage_snapshots().rollback_to_snapshot(before.snapshot).commit()
    assert put(rows("10.0.0.1", at=later(1)), at=later(1)).fresh
    assert stored().num_rows == 2


def test_a_snapshot_names_its_batch_and_its_parts() -> None:
    put(rows("10.0.0.1"), part="5f3a", properties={"feature_spec_version": "1.10", "code": "0.1.0"})
    told = history()[-1]
    assert told["ndr.batch"] == "mb-1015"
    assert told["ndr.parts"] == '{"joined": "5f3a"}'
    assert told["ndr.code"] == "0.1.0"


def test_a_batch_that_lost_all_its_rows_empties_its_place() -> None:
    put(rows("10.0.0.1"), part="a")
    put(rows("10.0.0.1", at=later(1)), at=later(1))
    assert put(rows(), part="none").fresh
    assert stored()["window_end_ts"].to_pylist() == [later(1)]
    assert not put(rows(), part="none").fresh


def test_a_batch_without_rows_makes_no_table() -> None:
    written = put(rows(), properties={"feature_spec_version": "1.10", "model_version": "forest-1"})
    assert (written.snapshot, written.rows, written.fresh) == (None, 0, False)
    with catalog() as opened:
        assert not opened.table_exists(SPEC.table)


def test_a_commit_is_one_change_of_the_table() -> None:
    put(rows("10.0.0.1"), part="a")
    with catalog() as opened:
        before = len(opened.load_table(SPEC.table).metadata.metadata_log)
    wider = {**COLUMNS, "sessions_cnt": "int64", "alert_cnt": "int64"}
    put(rows("10.0.0.2", columns=wider, alert_cnt=1), part="b", columns=wider)
    with catalog() as opened:
        assert len(opened.load_table(SPEC.table).metadata.metadata_log) == before + 1


def test_rows_that_share_a_file_with_others_are_found_too() -> None:
    put(rows("10.0.0.1", "10.0.0.2"))
    put(rows("10.0.0.3", at=later(1)), at=later(1))
    with catalog() as opened:  # as a compaction does
        table = opened.load_table(SPEC.table)
        table.overwrite(table.scan().to_arrow())
        assert len(list(table.scan().plan_files())) == 1
    put(rows("10.0.0.9"), part="p2")
    assert hosts(stored()) == ["10.0.0.9", "10.0.0.3"]


@pytest.mark.parametrize("moment", [T - SLICE, later(1)])
def test_rows_outside_the_interval_are_refused(moment: datetime) -> None:
    with pytest.raises(DataError, match="outside"):
        put(rows("10.0.0.1", at=moment))


@pytest.mark.parametrize("column", ["window_end_ts", "model_version", "feature_spec_version"])
def test_rows_that_no_later_write_would_find_are_refused(column: str) -> None:
    with pytest.raises(DataError, match=f"{column} is null in 1 rows"):
        put(rows("10.0.0.1", **{column: None}))


def test_a_catalog_that_nobody_configured_is_told_with_what_to_do() -> None:
    with pytest.raises(IcebergError, match="PYICEBERG_CATALOG__ELSEWHERE__TYPE"):
        put(rows("10.0.0.1"), spec=IcebergTable(catalog="elsewhere", table="soc.joined"))


@pytest.mark.parametrize("name", ["soc_lake", "soc-lake"])
def test_a_catalog_with_a_name_of_two_words_is_found_in_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__SOC_LAKE__URI", f"sqlite:///{tmp_path}/catalog.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__SOC_LAKE__WAREHOUSE", f"file://{tmp_path}/warehouse")
    assert put(rows("10.0.0.1"), spec=IcebergTable(catalog=name, table="soc.joined")).fresh


def test_secrets_of_a_catalog_are_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, tmp_path, URI="postgresql+nothing://ndr:hunter2@nowhere/x", TOKEN="hunter3")  # noqa: S106 - a secret that opens nothing
    with pytest.raises(IcebergError) as caught:
        put(rows("10.0.0.1"))
    assert "hunter" not in str(caught.value)
    assert "soc.joined" in str(caught.value)


def test_a_catalog_that_does_not_answer_is_asked_again_and_then_told_as_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__HERE__TYPE", "rest")
    monkeypatch.setenv("PYICEBERG_CATALOG__HERE__URI", "http://127.0.0.1:9")
    waits: list[float] = []
    with pytest.raises(IcebergBusyError, match="Tried 3 times") as caught:
        put(rows("10.0.0.1"), patience=Patience(attempts=3, sleep=waits.append))
    assert caught.value.retryable
    assert len(waits) == 2


def test_without_pyiceberg_the_error_names_the_extra() -> None:
    script = """
import sys
sys.modules["pyiceberg"] = None
from datetime import datetime
import pyarrow as pa
from ndr.errors import AdapterError
from ndr.sinks import iceberg
from ndr.tables.destinations import IcebergTable
from ndr.time import Interval
try:
    iceberg.write(IcebergTable(catalog="c", table="a.b"), {}, pa.table({}), batch="b", parts={}, at="t",
                  within=Interval(datetime(2026, 1, 1), datetime(2026, 1, 2)))
except AdapterError as error:
    print(error)
"""
    command = [sys.executable, "-c", script]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=180)  # noqa: S603 - our own line
    assert "ndr[iceberg]" in told.stdout, told.stderr


def test_nothing_is_unpickled_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        pytest.fail("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refused)
    put(rows("10.0.0.1"), part="a")
    put(rows("10.0.0.2"), part="b")
    assert hosts(stored()) == ["10.0.0.2"]


def test_the_cost_of_a_batch_does_not_grow_with_the_manifests_before_it() -> None:
    put(rows("10.0.0.1"))
    with catalog() as opened, opened.load_table(SPEC.table).transaction() as change:
        change.set_properties({"commit.manifest.min-count-to-merge": "3"})
    for quarter in range(8):
        put(rows("10.0.0.1", "10.0.0.2", at=later(quarter)), at=later(quarter), part="p2")
    put(rows("10.0.0.3", at=later(3)), at=later(3), part="p3")
    with catalog() as opened:
        table = opened.load_table(SPEC.table)
        assert len(table.inspect.manifests()) <= 4
    assert stored().num_rows == 15
