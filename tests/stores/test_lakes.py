"""What every lake does, wherever it is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ndr.errors import LakeBusyError, NdrError, UsageError
from ndr.lake import LocalLake, part_path
from ndr.table import PartKey
from ndr.tables import TABLES

LAKES: dict[str, Callable[[Path], Any]] = {"local": lambda folder: LocalLake(folder / "lake")}
PLACE = "delta/dt=2026-03-04/hh=10/mm=15/B1.v1.parquet"


@pytest.fixture(params=LAKES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return LAKES[request.param](tmp_path)


def put(store: Any, place: str, content: bytes) -> str:
    Path(store.stage(place)).write_bytes(content)
    return store.publish(place)


def test_what_is_published_can_be_read_and_has_its_checksum(store: Any) -> None:
    assert not store.has(PLACE)
    assert put(store, PLACE, b"one") == hashlib.sha256(b"one").hexdigest()
    assert store.has(PLACE)
    assert Path(store.path(PLACE)).read_bytes() == b"one"


def test_what_is_staged_is_not_there_yet(store: Any) -> None:
    Path(store.stage(PLACE)).write_bytes(b"half")
    assert not store.has(PLACE)


def test_publishing_again_replaces(store: Any) -> None:
    put(store, PLACE, b"one")
    put(store, PLACE, b"two")
    assert Path(store.path(PLACE)).read_bytes() == b"two"
    assert not Path(store.stage(PLACE)).exists()


def test_places_of_one_name_are_staged_apart(store: Any) -> None:
    first, second = store.stage("a/b=1/x.parquet"), store.stage("a/b=2/x.parquet")
    assert first != second


def test_removing_leaves_no_empty_folders_and_nothing_else_is_touched(store: Any) -> None:
    beside = PLACE.replace("mm=15", "mm=30")
    put(store, PLACE, b"one")
    put(store, beside, b"two")
    store.remove(PLACE)
    assert not store.has(PLACE)
    assert store.has(beside)
    assert not Path(store.path(PLACE)).parent.exists()
    store.remove(beside)
    assert not Path(store.path("delta")).exists()
    store.remove(beside)
    assert not store.has(beside)


def test_what_was_never_staged_cannot_be_published(store: Any) -> None:
    with pytest.raises(NdrError):
        store.publish(PLACE)


def test_there_is_one_writer(store: Any) -> None:
    with store.writing(0):
        with pytest.raises(LakeBusyError, match="another run") as raised, store.writing(0.2):
            pass
        assert raised.value.retryable
    with store.writing(0):
        pass


def test_a_writer_that_fails_lets_the_next_one_in(store: Any) -> None:
    with pytest.raises(ZeroDivisionError), store.writing(0):
        raise ZeroDivisionError
    with store.writing(0):
        pass


def test_leftovers_of_a_killed_writer_are_cleared(store: Any) -> None:
    Path(store.stage(PLACE)).write_bytes(b"half")
    with store.writing(0):
        assert not Path(store.stage(PLACE)).exists()
        put(store, PLACE, b"one")
    assert store.has(PLACE)


@pytest.mark.parametrize("root", ["s3://bucket/lake", "gs://bucket", "http://host/lake"])
def test_a_lake_of_another_kind_is_refused(root: str) -> None:
    with pytest.raises(UsageError, match="only local lakes"):
        LocalLake(root)


def test_a_file_is_no_lake(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file")
    with pytest.raises(UsageError, match="cannot be made"):
        LocalLake(tmp_path / "lake")


def test_parts_lie_where_the_contract_says() -> None:
    key = PartKey(datetime(2026, 3, 4, 23, 45), datetime(2026, 3, 5))
    day = PartKey(datetime(2026, 3, 4), datetime(2026, 3, 5))
    assert part_path(TABLES["delta"], "1.10", key, "B1") == "delta/dt=2026-03-04/hh=23/mm=45/B1.v1.10.parquet"
    pairs = part_path(TABLES["pair_counts"], "1.10", key, "B1")
    assert pairs == "pair_counts/dt=2026-03-04/hh=23/mm=45/feature_spec_version=1.10/B1.parquet"
    assert part_path(TABLES["fg_a"], "1", key, "B1") == "fg_a/feature_spec_version=1/dt=2026-03-04/B1.parquet"
    assert part_path(TABLES["pair_days"], "1", day, "x").startswith("pair_days/feature_spec_version=1/dt=2026-03-04/")


def test_parts_of_different_keys_batches_or_versions_never_share_a_place() -> None:
    start = datetime(2026, 3, 4)
    keys = [PartKey(start + n * timedelta(minutes=15), start + timedelta(days=1)) for n in range(3)]
    for name in ("delta", "pair_counts"):
        places = [part_path(TABLES[name], v, key, b) for v in ("1", "2") for key in keys for b in ("A", "B")]
        assert len(set(places)) == len(places)
