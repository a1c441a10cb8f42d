"""Machines of Redshift that are not known yet reach S3, whole and once."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aws.warehouse import Warehouse
from ndr.aws.clients import ServiceBusyError, ServiceError
from ndr.aws.inventory_unload import Unloaded, publish, published, snapshots, unload
from ndr.aws.redshift import StatementError
from ndr.errors import AdapterError
from ndr.sources.inventory import understood
from ndr.sources.listing import Wanted, read_listing
from ndr.tables.inventory_unload import InventoryUnload

MARCH = datetime(2026, 3, 1)
ROWS = (
    ("10.0.0.1", "alpha", True),
    ("10.0.0.2", "beta", True),
    (" 10.0.0.3 ", " gamma ", True),
    ("10.0.0.4", "delta", False),
    ("10.0.0.5", None, True),
    (None, "nobody", True),
    ("10.0.0.6", "Zeta", True),
    ("10.0.0.6", "eta", True),
    ("10.0.0.6", "eta", True),
    ("FE80::1", "six", True),
    ("10.0.0.7", """a "quoted" 'name', with \\ and ; -- and ä😀""", True),
)
WAYS = {"unload": "", "fallback": "CREATE TEMPORARY TABLE"}


def fast(seconds: float) -> None:
    time.sleep(min(seconds, 0.02))


def spec_of(warehouse: Warehouse, query: dict[str, Any] | None = None, **output: Any) -> InventoryUnload:
    given = {"schema": "cmdb", "table": "assets", "ip_column": "ip", "name_column": "host", "active_filter": "active"}
    prefix = f"s3://{warehouse.bucket}/inventory"
    return InventoryUnload.model_validate(
        {"redshift": warehouse.access, "query": query or given, "output": {"s3_prefix": prefix, **output}}
    )


@pytest.fixture
def assets(warehouse: Warehouse) -> Warehouse:
    warehouse.table("cmdb.assets", "ip VARCHAR(64), host VARCHAR(200), active BOOLEAN", *ROWS)
    return warehouse


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, assets: Warehouse) -> str:
    """Either way: the fallback is taken where nobody may make temporary tables."""
    if WAYS[request.param]:
        assets.service.fails(WAYS[request.param], "ERROR: permission denied to create temporary tables", times=99)
    return request.param


def known_in(spec: InventoryUnload, folder: Path) -> dict[str, str]:
    return published(snapshots(spec, folder))


def rows_of(unloaded: Unloaded) -> list[tuple[str, str]]:
    return sorted(tuple(row.values()) for path in unloaded.files for row in pq.read_table(path).to_pylist())


FRESH = sorted(
    [("10.0.0.1", "alpha"), ("10.0.0.2", "beta"), ("10.0.0.3", "gamma"), ("10.0.0.6", "eta"), ("fe80::1", "six"),
     ("10.0.0.7", ROWS[-1][1])]
)  # fmt: skip


def test_each_machine_is_unloaded_once(assets: Warehouse, way: str, tmp_path: Path) -> None:
    found = unload(spec_of(assets), MARCH, {}, tmp_path, fast)
    assert found.way == way
    assert rows_of(found) == FRESH
    assert found.rows == len(FRESH)
    facts = {key: found.manifest[key] for key in ("read", "named", "machines", "known")}
    assert facts == {"read": 10, "named": 8, "machines": 6, "known": 0}
    assert sum(each["rows"] for each in found.manifest["files"]) == found.rows


def test_what_is_known_stays_away_and_what_changed_comes(assets: Warehouse, way: str, tmp_path: Path) -> None:
    known = dict(FRESH) | {"10.0.0.2": "old", "10.9.9.9": "gone", "10.0.0.4": "delta"}
    found = unload(spec_of(assets), MARCH, known, tmp_path, fast)
    assert found.way == way
    assert rows_of(found) == [("10.0.0.2", "beta")]
    assert found.manifest["known"] == 5


def test_without_news_nothing_is_written(assets: Warehouse, way: str, tmp_path: Path) -> None:
    found = unload(spec_of(assets), MARCH, dict(FRESH), tmp_path, fast)
    assert (found.files, found.rows, found.way) == ((), 0, way)
    assert not any(sql.startswith("UNLOAD") for sql in assets.service.ran)
    publish(spec_of(assets), MARCH, found)
    assert assets.keys() == ["inventory/snapshot_month=2026-03/_SUCCESS"]


def test_an_empty_inventory_is_empty(assets: Warehouse, way: str, tmp_path: Path) -> None:
    assets.sql("DELETE FROM cmdb.assets")
    found = unload(spec_of(assets), MARCH, {}, tmp_path, fast)
    assert (found.rows, found.manifest["read"], found.way) == (0, 0, way)


def test_a_snapshot_is_published_under_its_month(assets: Warehouse, way: str, tmp_path: Path) -> None:
    spec = spec_of(assets, ip_output_column="IP", name_output_column="host")
    found = unload(spec, MARCH, {}, tmp_path, fast)
    place = publish(spec, MARCH, found)
    assert place == f"s3://{assets.bucket}/inventory/snapshot_month=2026-03/"
    success, *files = assets.keys("inventory/")
    assert success == "inventory/snapshot_month=2026-03/_SUCCESS"
    assert [sorted(map(tuple, (row.items() for row in assets.read(key)))) for key in files] == [
        sorted((("ip", ip), ("host", name)) for ip, name in FRESH)
    ]
    assert publish(spec, MARCH, found) == place
    assert assets.keys("inventory/") == [success, *files]
    assert found.way == way


def test_what_lies_there_already_is_not_published_again(assets: Warehouse, tmp_path: Path) -> None:
    spec = spec_of(assets)
    found = unload(spec, MARCH, {}, tmp_path, fast)
    month = "inventory/snapshot_month=2026-03"
    assets.put(f"{month}/earlier.parquet", pa.table({"ip_address": [FRESH[0][0]], "machine_name": [FRESH[0][1]]}))
    assets.put(f"{month}/_committed", b"of another writer")
    publish(spec, MARCH, found)
    made = assets.keys(f"{month}/new-")
    assert [sorted(tuple(row.values()) for row in assets.read(key)) for key in made] == [FRESH[1:]]
    publish(spec, MARCH, unload(spec, MARCH, {}, tmp_path, fast))
    assert assets.keys(f"{month}/new-") == made


def test_success_is_written_last(assets: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = unload(spec_of(assets), MARCH, {}, tmp_path, fast)
    with monkeypatch.context() as patched:
        patched.setattr("ndr.aws.redshift_files.Files.put", lambda *_: (_ for _ in ()).throw(ServiceError("no")))
        with pytest.raises(ServiceError):
            publish(spec_of(assets), MARCH, found)
    assert not assets.keys("inventory/snapshot_month=")


def test_snapshots_are_what_is_known_the_next_time(assets: Warehouse, tmp_path: Path) -> None:
    spec = spec_of(assets)
    publish(spec, MARCH, unload(spec, MARCH, {}, tmp_path, fast))
    assert known_in(spec, tmp_path) == dict(FRESH)
    assets.sql("UPDATE cmdb.assets SET host = 'renamed' WHERE ip = '10.0.0.1'")
    april = datetime(2026, 4, 1)
    found = unload(spec, april, known_in(spec, tmp_path), tmp_path, fast)
    assert rows_of(found) == [("10.0.0.1", "renamed")]
    publish(spec, april, found)
    assert known_in(spec, tmp_path) == dict(FRESH) | {"10.0.0.1": "renamed"}


def test_snapshots_of_others_with_other_columns_are_told(assets: Warehouse, tmp_path: Path) -> None:
    spec = spec_of(assets)
    publish(spec, MARCH, unload(spec, MARCH, {}, tmp_path, fast))
    with pytest.raises(AdapterError, match="ip_output_column"):
        known_in(spec_of(assets, ip_output_column="address"), tmp_path)


def test_only_snapshots_of_months_are_read(assets: Warehouse, tmp_path: Path) -> None:
    spec = spec_of(assets)
    odd = pa.table({"x": [1]})
    for place in ("a.parquet", "snapshot_month=2026-13/a", "snapshot_month=2026-03/_a", "snapshot_month=2026-03/b/c"):
        assets.put(f"inventory/{place}", odd)
    assets.put("inventory/lake/snapshot_month=2026-03/a.parquet", odd)
    kept = pa.table({"machine_name": [" Old "], "ip_address": [" FE80::2 "], "active": [True]})
    assets.put("inventory/snapshot_month=2025-12/part-0000.snappy.parquet", kept)
    assert known_in(spec, tmp_path) == {"fe80::2": "Old"}


def test_the_import_understands_what_is_unloaded(assets: Warehouse, way: str, tmp_path: Path) -> None:
    spec = spec_of(assets, ip_output_column="a", name_output_column="b")
    found = unload(spec, MARCH, {}, tmp_path, fast)
    inventory = understood("redshift", read_listing(found.files[0], Wanted("a", "b", None)))
    assert {ip: machine.machine_name for ip, machine in inventory.machines.items()} == dict(FRESH)
    assert found.way == way


def test_a_query_and_its_filters_are_both_held(assets: Warehouse, way: str, tmp_path: Path) -> None:
    query = {
        "sql": "SELECT ip AS addr, host, active FROM cmdb.assets -- all of them",
        "ip_column": "addr", "name_column": "host", "active_filter": "active = TRUE",
        "additional_filters": ["host LIKE '%a' OR host = 'six'", "NOT addr IN ('10.0.0.1')"],
    }  # fmt: skip
    found = unload(spec_of(assets, query), MARCH, {}, tmp_path, fast)
    assert rows_of(found) == [("10.0.0.2", "beta"), ("10.0.0.6", "eta"), ("fe80::1", "six")]
    assert found.way == way


def test_hostile_names_and_values_are_only_names_and_values(assets: Warehouse, tmp_path: Path) -> None:
    assets.sql("""CREATE TABLE cmdb."order" ("select" VARCHAR, "from" VARCHAR)""")
    assets.sql("""INSERT INTO cmdb."order" VALUES ('10.0.0.1', '''; DROP TABLE cmdb.assets; --')""")
    query = {
        "schema": "cmdb", "table": "order", "ip_column": "select", "name_column": "from",
        "active_filter": "\"from\" <> 'it''s'') TO ''s3://elsewhere/'''",
    }  # fmt: skip
    found = unload(spec_of(assets, query), MARCH, {"10.0.0.9": "'); DROP TABLE cmdb.assets"}, tmp_path, fast)
    assert rows_of(found) == [("10.0.0.1", "'; DROP TABLE cmdb.assets; --")]
    assert found.way == "unload"
    assert assets.sql("SELECT COUNT(*) FROM cmdb.assets") == [(len(ROWS),)]


def test_a_table_that_is_not_there_is_told(assets: Warehouse, tmp_path: Path) -> None:
    assets.sql("DROP TABLE cmdb.assets")
    with pytest.raises(StatementError, match=r"cmdb\.assets\W+ does not exist"):
        unload(spec_of(assets), MARCH, {}, tmp_path, fast)
    assert assets.keys() == []


@pytest.mark.parametrize("pattern", ["^COPY", "^UNLOAD"])
def test_a_way_to_s3_that_is_closed_is_gone_around(assets: Warehouse, tmp_path: Path, pattern: str) -> None:
    assets.service.fails(pattern, "ERROR: S3ServiceException:Access Denied,Status 403,Error AccessDenied")
    found = unload(spec_of(assets), MARCH, {"10.0.0.1": "alpha"}, tmp_path, fast)
    assert found.way == "fallback"
    assert "AccessDenied" in found.manifest["reason"]
    assert ("10.0.0.1", "alpha") not in rows_of(found)
    assert found.rows == len(FRESH) - 1
    assert assets.keys() == []


def test_a_conflict_is_no_reason_for_the_fallback(assets: Warehouse, tmp_path: Path) -> None:
    assets.service.fails("^UNLOAD", "ERROR: Query cancelled on user's request")
    with pytest.raises(ServiceBusyError):
        unload(spec_of(assets), MARCH, {}, tmp_path, fast)
    assert assets.keys() == []


def test_a_session_that_is_lost_is_begun_again(assets: Warehouse, tmp_path: Path) -> None:
    ended = []

    def pause(seconds: float) -> None:
        if not ended and any(sql.startswith("SELECT COUNT") for sql in assets.service.ran):
            ended.append(1)
            assets.service.end_sessions()
        fast(seconds)

    assets.service.holds("^SELECT COUNT", 0.2)
    found = unload(spec_of(assets), MARCH, {}, tmp_path, pause)
    assert ended
    assert (found.way, rows_of(found)) == ("unload", FRESH)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told["entries"][0]["meta"].update(record_count=1), "tells of 1"),
        (lambda told: told["entries"][0]["meta"].update(content_length=7), "in 7"),
        (lambda told: told["entries"].clear(), "holds 0 rows of 6"),
        (lambda told: told["entries"].append(told["entries"][0]), "holds 12 rows of 6"),
        (lambda told: told["entries"][0].update(url="s3://elsewhere/x"), "lies elsewhere"),
        (lambda told: told["entries"][0].update(url=told["entries"][0]["url"] + "/../../x"), "lies elsewhere"),
        (lambda told: told["entries"].append(7), "have no url"),
        (lambda told: told.pop("entries"), "have no url"),
    ],
)
def test_what_the_manifest_does_not_tell_is_not_believed(
    assets: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, said: str
) -> None:
    from ndr.aws.redshift_files import Files  # noqa: PLC0415 - it is changed here

    whole = Files.told

    def told(files: Files, uri: str) -> Any:
        found = whole(files, uri)
        change(found)
        return json.loads(json.dumps(found))

    monkeypatch.setattr(Files, "told", told)
    found = unload(spec_of(assets), MARCH, {}, tmp_path, fast)
    assert found.way == "fallback"
    assert said in found.manifest["reason"]
    assert rows_of(found) == FRESH
    assert assets.keys() == []


def test_many_known_machines_are_staged_in_one_statement(assets: Warehouse, tmp_path: Path) -> None:
    known = {f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}": f"host-{n}" for n in range(1_000, 94_000)}
    assets.sql(
        "INSERT INTO cmdb.assets SELECT '10.' || n / 65536 || '.' || n / 256 % 256 || '.' || n % 256, 'host-' || n, "
        "TRUE FROM generate_series(1000, 94000) AS n"
    )
    started = time.monotonic()
    found = unload(spec_of(assets), MARCH, known, tmp_path, fast)
    assert found.way == "unload"
    assert found.manifest["known"] == 93_000
    assert found.rows == len(FRESH) + 1
    assert len(assets.service.ran) == 7
    assert time.monotonic() - started < 60
