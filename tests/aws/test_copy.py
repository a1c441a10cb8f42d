"""Rows of Parquet files replace those of a table of Redshift: a retry doubles nothing, a failure leaves what was."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from aws.warehouse import Warehouse
from ndr.arrow import arrow_schema
from ndr.aws.clients import ServiceError
from ndr.aws.copy import PartlyLoadedError, copy_rows
from ndr.aws.redshift import StatementError
from ndr.errors import DataError
from ndr.tables.destinations import RedshiftTable, parquet_options
from ndr.tables.prediction_feature_join import prediction_feature_join as joined

NOON = datetime(2026, 3, 2, 12)
KEYS = ("window_end_ts", "model_version")
REASONS = joined.columns["explanation"]
COLUMNS = {
    "host_ip": "string", "window_end_ts": "timestamp(6)", "score": "float64", "cnt": "int64", "hour": "int32",
    "model_version": "string", "explanation": REASONS,
}  # fmt: skip
REASON = {"feature": "a'b", "contribution": 0.5, "value": None, "baseline": 1.0, "source": "segment", "technique": None}


def fast(seconds: float) -> None:
    time.sleep(min(seconds, 0.02))


def rows(*hosts: str, end: datetime = NOON, model: str = "m1", score: float = 0.5) -> pa.Table:
    made = [
        {"host_ip": host, "window_end_ts": end, "score": score, "cnt": place, "hour": None, "model_version": model,
         "explanation": [REASON] if place % 2 else None}
        for place, host in enumerate(hosts)
    ]  # fmt: skip
    return pa.Table.from_pylist(made, arrow_schema(COLUMNS))


def table(warehouse: Warehouse, **options: Any) -> RedshiftTable:
    given = {**warehouse.access, "schema": "detection", "table": "joined", **options}
    return RedshiftTable.model_validate(given)


def file(warehouse: Warehouse, key: str, content: pa.Table, **partitions: str) -> dict[str, Any]:
    uri = warehouse.put(f"lake/{key}.parquet", content)
    return {
        "uri": uri,
        "rows": content.num_rows,
        "partitions": {"dt": "2026-03-02", "model_version": "m1", **partitions},
    }


def load(warehouse: Warehouse, *files: dict[str, Any], **options: Any) -> int:
    return copy_rows(table(warehouse, **options), COLUMNS, KEYS, files, "b1", fast)


def held(warehouse: Warehouse, columns: str = "host_ip, score") -> list[tuple[Any, ...]]:
    return sorted(warehouse.sql(f"SELECT {columns} FROM detection.joined"))  # noqa: S608 - a test's own


def test_a_table_is_made_and_filled(warehouse: Warehouse) -> None:
    assert load(warehouse, file(warehouse, "a", rows("h1", "h2"))) == 2
    found = held(warehouse, "host_ip, window_end_ts, score, cnt, hour, model_version, dt")
    assert found == [("h1", NOON, 0.5, 0, None, "m1", "2026-03-02"), ("h2", NOON, 0.5, 1, None, "m1", "2026-03-02")]
    assert [row[1] for row in held(warehouse, "host_ip, explanation")] == [None, [REASON]]
    assert all("_copies" not in key for key in warehouse.keys())  # noqa: SIM118 - it is no dict


def test_a_retry_doubles_nothing(warehouse: Warehouse) -> None:
    files = [file(warehouse, "a", rows("h1", "h2"))]
    assert [load(warehouse, *files) for _ in range(3)] == [2, 2, 2]
    assert held(warehouse) == [("h1", 0.5), ("h2", 0.5)]


def test_rows_that_are_no_more_go(warehouse: Warehouse) -> None:
    load(warehouse, file(warehouse, "a", rows("h1", "h2", "h3")))
    load(warehouse, file(warehouse, "a", rows("h2", score=0.9)))
    assert held(warehouse) == [("h2", 0.9)]


def test_other_windows_and_models_stay(warehouse: Warehouse) -> None:
    load(warehouse, file(warehouse, "a", rows("h1")))
    load(warehouse, file(warehouse, "b", rows("h1", end=NOON + timedelta(minutes=15), score=0.6)))
    load(warehouse, file(warehouse, "c", rows("h1", model="m2", score=0.7), model_version="m2"))
    load(warehouse, file(warehouse, "a", rows("h9", score=0.8)))
    assert held(warehouse) == [("h1", 0.6), ("h1", 0.7), ("h9", 0.8)]


def test_a_part_that_became_empty_takes_its_rows_away(warehouse: Warehouse) -> None:
    later = NOON + timedelta(minutes=15)
    load(warehouse, file(warehouse, "a", rows("h1")), file(warehouse, "b", rows("h2", end=later)))
    empty = {
        "uri": "",
        "partitions": {"window_end_ts": "2026-03-02 12:00:00", "model_version": "m1", "dt": "2026-03-02"},
    }
    assert load(warehouse, empty) == 0
    assert held(warehouse) == [("h2", 0.5)]
    assert load(warehouse, empty, file(warehouse, "b", rows("h3", end=later))) == 1
    assert held(warehouse) == [("h3", 0.5)]
    assert load(warehouse) == 0
    assert held(warehouse) == [("h3", 0.5)]


def test_files_of_several_partitions_keep_what_their_paths_tell(warehouse: Warehouse) -> None:
    other = rows("h2", end=NOON + timedelta(days=1))
    files = [
        file(warehouse, "a", rows("h1")),
        file(warehouse, "b", other, dt="2026-03-03"),
        file(warehouse, "c", rows("h3")),
    ]
    assert load(warehouse, *files) == 3
    assert held(warehouse, "host_ip, dt") == [("h1", "2026-03-02"), ("h2", "2026-03-03"), ("h3", "2026-03-02")]
    assert sum(sql.startswith("COPY") for sql in warehouse.service.ran) == 2


def test_files_beside_it_whose_names_begin_so_are_not_loaded(warehouse: Warehouse) -> None:
    warehouse.put("lake/a.parquet.old", rows("h8", "h9"))
    assert load(warehouse, file(warehouse, "a", rows("h1"))) == 1
    assert held(warehouse) == [("h1", 0.5)]


def test_files_of_other_versions_fill_the_columns_that_they_have(warehouse: Warehouse) -> None:
    load(warehouse, file(warehouse, "a", rows("h1").drop_columns(["cnt", "hour"])))
    load(warehouse, file(warehouse, "b", rows("h2", end=NOON + timedelta(hours=1)).append_column("extra", [["x"]])))
    assert held(warehouse, "host_ip, cnt, score") == [("h1", None, 0.5), ("h2", 0, 0.5)]


def test_a_table_of_its_owner_is_used_as_it_is(warehouse: Warehouse) -> None:
    warehouse.sql(
        "CREATE TABLE detection.joined (note VARCHAR(10), dt DATE, host_ip VARCHAR(15), explanation VARCHAR(65535), "
        "window_end_ts TIMESTAMP, techniques VARCHAR(4), score DOUBLE PRECISION)"
    )
    columns = {**COLUMNS, "techniques": "string"}
    content = rows("h1", "h2").append_column("techniques", [["T1", "T1021,T1046"]])
    copy_rows(table(warehouse), columns, KEYS, [file(warehouse, "a", content)], "b1", fast)
    found = held(warehouse, "host_ip, dt, note, explanation, techniques, cnt, model_version")
    assert [row[:3] for row in found] == [("h1", NOON.date(), None), ("h2", NOON.date(), None)]
    assert (found[0][3], json.loads(found[1][3])) == (None, [REASON])
    assert [row[4:] for row in found] == [("T1", 0, "m1"), ("T102", 1, "m1")]


def test_statements_before_and_after_are_one_with_the_load(warehouse: Warehouse) -> None:
    warehouse.table("detection.log", "what VARCHAR(20), n INTEGER")
    spec = {
        "pre_sql": "CREATE TABLE IF NOT EXISTS detection.joined (host_ip VARCHAR(64), dt VARCHAR(10)); "
        "INSERT INTO detection.log SELECT 'before', COUNT(*) FROM detection.joined",
        "post_sql": "INSERT INTO detection.log SELECT 'after', COUNT(*) FROM detection.joined;",
    }
    load(warehouse, file(warehouse, "a", rows("h1", "h2")), **spec)
    assert warehouse.sql("SELECT * FROM detection.log ORDER BY n") == [("before", 0), ("after", 2)]
    warehouse.service.fails("'after'", "ERROR: permission denied for relation log")
    with pytest.raises(StatementError, match="permission denied"):
        load(warehouse, file(warehouse, "a", rows("h9")), **spec)
    assert held(warehouse) == [("h1", 0.5), ("h2", 0.5)]
    assert len(warehouse.sql("SELECT * FROM detection.log")) == 2


@pytest.mark.parametrize("pattern", ["^COPY", "^LOCK", "^DELETE", 'INSERT INTO "detection"', "^DROP"])
def test_a_failure_anywhere_leaves_the_table_as_it_was(warehouse: Warehouse, pattern: str) -> None:
    load(warehouse, file(warehouse, "a", rows("h1", "h2")))
    warehouse.service.fails(pattern, "ERROR: no")
    with pytest.raises(StatementError):
        load(warehouse, file(warehouse, "a", rows("h9")))
    assert held(warehouse) == [("h1", 0.5), ("h2", 0.5)]
    assert not [key for key in warehouse.keys() if "_copies" in key]  # noqa: SIM118 - it is no dict
    load(warehouse, file(warehouse, "a", rows("h9")))
    assert held(warehouse) == [("h9", 0.5)]


@pytest.mark.parametrize("operation", ["ExecuteStatement", "BatchExecuteStatement"])
def test_a_lost_answer_doubles_nothing(warehouse: Warehouse, operation: str) -> None:
    warehouse.service.loses(operation, times=3)
    load(warehouse, file(warehouse, "a", rows("h1", "h2")))
    assert held(warehouse) == [("h1", 0.5), ("h2", 0.5)]


def test_a_session_that_is_lost_is_begun_again(warehouse: Warehouse) -> None:
    ended = []

    def pause(seconds: float) -> None:
        if not ended and any(sql.startswith("COPY") for sql in warehouse.service.ran):
            ended.append(1)
            warehouse.service.end_sessions()
        fast(seconds)

    warehouse.service.holds("^COPY", 0.2)
    files = [file(warehouse, "a", rows("h1"))]
    assert copy_rows(table(warehouse), COLUMNS, KEYS, files, "b1", pause) == 1
    assert ended
    assert held(warehouse) == [("h1", 0.5)]


def test_two_at_once_leave_the_rows_of_one(warehouse: Warehouse) -> None:
    load(warehouse, file(warehouse, "a", rows("h0")))
    warehouse.service.holds("^DELETE", 0.3, times=2)
    files = [[file(warehouse, f"a{n}", rows(f"h{n}", "both"))] for n in (1, 2)]
    failed: list[Exception] = []

    def work(some: list[dict[str, Any]]) -> None:
        try:
            load(warehouse, *some)
        except ServiceError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(some,)) for some in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert held(warehouse, "host_ip") in ([("both",), ("h1",)], [("both",), ("h2",)])


def test_rows_that_are_lost_on_the_way_are_missed(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ndr.aws.copy_statements.copied", lambda *_, **__: "SELECT 1")
    with pytest.raises(PartlyLoadedError, match="0 rows of b1 where the files hold 2") as raised:
        load(warehouse, file(warehouse, "a", rows("h1", "h2")))
    assert raised.value.retryable
    assert held(warehouse) == []


def test_what_cannot_be_replaced_is_not_loaded(warehouse: Warehouse) -> None:
    whole = rows("h1", "h2")
    blank = whole.set_column(5, "model_version", pa.array(["m1", None], pa.string()))
    with pytest.raises(DataError, match="1 rows have no window_end_ts or model_version"):
        load(warehouse, file(warehouse, "a", blank))
    with pytest.raises(DataError, match="no column 'record_id'"):
        copy_rows(table(warehouse), COLUMNS, ("record_id",), [file(warehouse, "a", whole)], "b1", fast)
    with pytest.raises(DataError, match="have no keys"):
        copy_rows(table(warehouse), COLUMNS, (), [file(warehouse, "a", whole)], "b1", fast)
    assert held(warehouse) == []


def test_files_that_are_not_as_told_are_refused(warehouse: Warehouse) -> None:
    told = file(warehouse, "a", rows("h1", "h2"))
    with pytest.raises(DataError, match="holds 2 rows, and 3 are told"):
        load(warehouse, told | {"rows": 3})
    with pytest.raises(ServiceError, match="404"):
        load(warehouse, told | {"uri": told["uri"].replace("a.parquet", "b.parquet")})
    warehouse.put("lake/c.parquet", b"no Parquet at all, but long enough to be one")
    with pytest.raises(ServiceError, match="is no Parquet file"):
        load(warehouse, told | {"uri": told["uri"].replace("a.parquet", "c.parquet")})
    with pytest.raises(DataError, match="none of the columns"):
        load(warehouse, file(warehouse, "d", pa.table({"x": [1]})))
    with pytest.raises(DataError, match="time32"):
        load(warehouse, file(warehouse, "e", rows("h1").append_column("t", pa.array([0], pa.time32("s")))))
    assert warehouse.service.calls == []


def test_hostile_values_are_only_values(warehouse: Warehouse) -> None:
    hostile = "m'); DROP TABLE detection.joined; --"
    content = rows("h'1", 'h"2', model=hostile)
    load(warehouse, file(warehouse, "a", content.drop_columns(["model_version"]), model_version=hostile))
    assert held(warehouse, "host_ip, model_version") == [('h"2', hostile), ("h'1", hostile)]
    empty = {"uri": "", "partitions": {"window_end_ts": "2026-03-02 12:00", "model_version": hostile}}
    load(warehouse, empty)
    assert held(warehouse) == []


def test_options_of_the_previous_platform_are_taken_for_what_they_mean_to_parquet(warehouse: Warehouse) -> None:
    options = "FORMAT AS PARQUET TIMEFORMAT 'auto' TRUNCATECOLUMNS COMPUPDATE OFF statupdate off FILLRECORD"
    assert parquet_options(options) == "STATUPDATE OFF FILLRECORD"
    load(warehouse, file(warehouse, "a", rows("h1")), copy_options=options)
    (copy,) = (sql for sql in warehouse.service.ran if sql.startswith("COPY"))
    assert copy.endswith("FORMAT AS PARQUET MANIFEST SERIALIZETOJSON STATUPDATE OFF FILLRECORD")


@pytest.fixture
def wide() -> dict[str, Any]:
    """A row of the real table: all of its columns have a value."""
    values = {
        "string": "x", "int32": 7, "int64": 1 << 40, "float64": 1.5, "timestamp(6)": NOON,
        joined.columns["explanation"]: [REASON],
        joined.columns["top_deviations"]: [{"metric": "m", "z": 1.0, "value": 2.0, "baseline": 3.0, "source": "host"}],
    }  # fmt: skip
    return {name: values[dtype] for name, dtype in joined.columns.items()}


def test_all_columns_of_joined_predictions_go_there_and_are_the_same(
    warehouse: Warehouse, wide: dict[str, Any]
) -> None:
    content = pa.Table.from_pylist([wide, wide | {"host_ip": "y"}], arrow_schema(joined.columns))
    keys = ("window_end_ts", "feature_spec_version", "model_version")
    told = {"dt": "2026-03-02", "feature_spec_version": "x", "model_version": "x"}
    files = [{"uri": warehouse.put("lake/w.parquet", content), "rows": 2, "partitions": told}]
    for _ in range(2):
        assert copy_rows(table(warehouse), joined.columns, keys, files, "b1", fast) == 2
    names = [*wide, "dt"]
    found = warehouse.sql(f"SELECT {', '.join(names)} FROM detection.joined ORDER BY host_ip")  # noqa: S608 - ours
    assert [dict(zip(names, row, strict=True)) for row in found] == [
        wide | {"dt": "2026-03-02"}, wide | {"host_ip": "y", "dt": "2026-03-02"}
    ]  # fmt: skip
    assert max(len(sql) for sql in warehouse.service.ran) < 100_000
