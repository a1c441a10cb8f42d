"""The monthly job brings machines to the prefix that others read and to the lake, and each gets what it lacks."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from aws.warehouse import Warehouse
from ndr.aws.clients import ServiceError
from ndr.cli.lakes import OpenLake, open_lake
from ndr.cli.reference_jobs import unload_machines
from ndr.errors import SpecError
from ndr.sources.inventory import import_inventory, known_machines, understood
from ndr.sources.listing import Entry
from ndr.specs import config_of

MARCH, APRIL = datetime(2026, 3, 1), datetime(2026, 4, 1)


@pytest.fixture
def assets(warehouse: Warehouse) -> Warehouse:
    rows = (("10.0.0.1", "alpha"), ("10.0.0.2", "beta"), ("10.0.0.3", "gamma"))
    warehouse.table("cmdb.assets", "ip VARCHAR(64), host VARCHAR(200)", *rows)
    return warehouse


@contextmanager
def lake_of(warehouse: Warehouse, folder: Path, **output: Any) -> Iterator[OpenLake]:
    unload = {
        "redshift": warehouse.access,
        "query": {"schema": "cmdb", "table": "assets", "ip_column": "ip", "name_column": "host"},
        "output": {"s3_prefix": f"s3://{warehouse.bucket}/inventory", **output},
    }
    options = Namespace(lake=str(folder / "lake"), config=None, memory_limit="1GB", threads=1, verbose=False)
    config = config_of({"jobs": {"machine_inventory_unload": unload}})
    with open_lake(options, existing=False, writes=True, config=config) as opened:
        yield opened


def known(opened: Any, month: datetime) -> dict[str, tuple[str, str]]:
    found = known_machines(opened.lake, opened.ledger, month)
    return {ip: (machine.machine_name, machine.snapshot_month) for ip, machine in found.items()}


def snapshot(warehouse: Warehouse, month: str) -> list[tuple[Any, ...]]:
    keys = [key for key in warehouse.keys(f"inventory/snapshot_month={month}/") if key.endswith(".parquet")]
    return sorted(tuple(row.values()) for key in keys for row in warehouse.read(key))


def previous(warehouse: Warehouse, month: str, *machines: tuple[str, str], columns: Any = None) -> None:
    names = columns or ("ip_address", "machine_name")
    rows = pa.table(dict(zip(names, map(list, zip(*machines, strict=True)), strict=True)))
    warehouse.put(f"inventory/snapshot_month={month}/part-00000-of-spark.snappy.parquet", rows)


def test_machines_that_the_previous_platform_left_in_the_prefix_are_known_here(
    assets: Warehouse, tmp_path: Path
) -> None:
    previous(assets, "2026-01", ("10.0.0.1", "alpha"), ("10.0.0.2", "old"), ("10.0.0.9", "gone"))
    previous(assets, "2026-02", ("10.0.0.2", "beta"))
    with lake_of(assets, tmp_path) as opened:
        told = unload_machines(opened, MARCH)
        assert (told["rows"], told["adopted"]) == (1, ["2026-01", "2026-02"])
        assert snapshot(assets, "2026-03") == [("10.0.0.3", "gamma")]
        assert known(opened, MARCH) == {
            "10.0.0.1": ("alpha", "2026-01"), "10.0.0.2": ("beta", "2026-02"), "10.0.0.9": ("gone", "2026-01"),
            "10.0.0.3": ("gamma", "2026-03"),
        }  # fmt: skip
        again = unload_machines(opened, APRIL)
        assert (again["rows"], "adopted" in again) == (0, False)
        assert snapshot(assets, "2026-04") == []


def test_each_machine_lies_once_in_the_prefix_whatever_its_columns_are_called(
    assets: Warehouse, tmp_path: Path
) -> None:
    columns = {"ip_output_column": "address", "name_output_column": "host"}
    previous(assets, "2026-02", ("10.0.0.1", "alpha"), columns=tuple(columns.values()))
    with lake_of(assets, tmp_path, **columns) as opened:
        for _ in range(2):
            unload_machines(opened, MARCH)
            assert snapshot(assets, "2026-03") == [("10.0.0.2", "beta"), ("10.0.0.3", "gamma")]
        assert {name for name, _ in known(opened, MARCH).values()} == {"alpha", "beta", "gamma"}


def test_what_was_added_to_the_lake_and_not_published_comes_again(
    assets: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lake_of(assets, tmp_path) as opened:
        with monkeypatch.context() as patched:
            patched.setattr("ndr.aws.inventory_unload.publish", lambda *_: (_ for _ in ()).throw(ServiceError("no")))
            with pytest.raises(ServiceError):
                unload_machines(opened, MARCH)
        assert len(known(opened, MARCH)) == 3
        assert snapshot(assets, "2026-03") == []
        told = unload_machines(opened, MARCH)
        assert (told["rows"], told["new"]) == (3, 0)
        assert len(snapshot(assets, "2026-03")) == 3


def test_a_name_that_somebody_mended_in_the_lake_stays(assets: Warehouse, tmp_path: Path) -> None:
    with lake_of(assets, tmp_path) as opened:
        unload_machines(opened, MARCH)
        mended = understood("by hand", [Entry(1, "10.0.0.1", "mended", "")])
        import_inventory(opened.lake, opened.ledger, mended, MARCH)
        told = unload_machines(opened, APRIL)
        assert (told["rows"], "adopted" in told) == (0, False)
        assert known(opened, APRIL)["10.0.0.1"] == ("mended", "2026-03")


def test_snapshots_among_the_files_of_the_lake_are_refused(
    assets: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lake_of(assets, tmp_path) as opened:
        for root in ("inventory", "inventory/lake/x"):
            monkeypatch.setattr(opened.lake, "path", lambda name, at=root: f"s3://{assets.bucket}/{at}/{name}")
            with pytest.raises(SpecError, match=r"output\.s3_prefix"):
                unload_machines(opened, MARCH)
    assert assets.keys() == []
