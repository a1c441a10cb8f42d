"""What every lake does, wherever it is kept."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ndr.engine import Files
from ndr.errors import LakeBusyError, NdrError, UsageError
from ndr.lake import LocalLake, part_path
from ndr.table import PartKey
from ndr.tables import TABLES
from stores.conftest import Stores

PLACE = "delta/dt=2026-03-04/hh=10/mm=15/B1.v1.parquet"


def put(store: Any, place: str, content: bytes) -> str:
    Path(store.stage(place)).write_bytes(content)
    return store.publish(place)


def test_what_is_published_can_be_read_and_has_its_checksum(store: Any) -> None:
    assert not store.has(PLACE)
    assert put(store, PLACE, b"one") == hashlib.sha256(b"one").hexdigest()
    assert store.has(PLACE)
    assert store.fetch(PLACE).read_bytes() == b"one"


def test_what_is_staged_is_not_there_yet(store: Any) -> None:
    Path(store.stage(PLACE)).write_bytes(b"half")
    assert not store.has(PLACE)


def test_publishing_again_replaces(store: Any) -> None:
    put(store, PLACE, b"one")
    put(store, PLACE, b"two")
    assert store.fetch(PLACE).read_bytes() == b"two"
    assert not Path(store.stage(PLACE)).exists()


def test_places_of_one_name_are_staged_apart(store: Any) -> None:
    first, second = store.stage("a/b=1/x.parquet"), store.stage("a/b=2/x.parquet")
    assert first != second


def test_removing_touches_nothing_else_and_what_is_gone_may_be_removed_again(store: Any) -> None:
    beside = PLACE.replace("mm=15", "mm=30")
    put(store, PLACE, b"one")
    put(store, beside, b"two")
    store.remove(PLACE)
    assert not store.has(PLACE)
    assert store.has(beside)
    store.remove(beside)
    store.remove(beside)
    assert not store.has(beside)


def test_removing_leaves_no_empty_folders(tmp_path: Path) -> None:
    store = LocalLake(tmp_path / "lake")
    put(store, PLACE, b"one")
    put(store, PLACE.replace("mm=15", "mm=30"), b"two")
    store.remove(PLACE)
    assert not Path(store.path(PLACE)).parent.exists()
    store.remove(PLACE.replace("mm=15", "mm=30"))
    assert not Path(store.path("delta")).exists()


def test_what_is_not_there_is_fetched_as_a_file_that_is_not_there(store: Any) -> None:
    assert not store.fetch(PLACE).exists()
    put(store, PLACE, b"one")
    store.fetch(PLACE)
    store.remove(PLACE)
    assert not store.fetch(PLACE).exists()


def test_what_others_publish_and_remove_is_seen(stores: Stores) -> None:
    mine, other = stores.open(), stores.open()
    beside = PLACE.replace("mm=15", "mm=30")
    put(mine, PLACE, b"one")
    assert mine.has(PLACE)
    assert not mine.has(beside)
    put(other, beside, b"two")
    assert mine.has(beside)
    assert mine.fetch(beside).read_bytes() == b"two"
    put(other, PLACE, b"three")
    assert mine.fetch(PLACE).read_bytes() == b"three"
    other.remove(PLACE)
    with mine.writing(0):  # whoever may write knows how things stand
        assert not mine.has(PLACE)


def test_files_of_one_folder_are_fetched_into_one_folder(store: Any) -> None:
    for name in ("manifest.json", "forest.parquet"):
        put(store, f"models/forest/abc/{name}", name.encode())
    folder = store.fetch("models/forest/abc/manifest.json").parent
    store.fetch("models/forest/abc/forest.parquet")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "manifest.json": "manifest.json", "forest.parquet": "forest.parquet",
    }  # fmt: skip


def test_a_small_file_is_amended(store: Any) -> None:
    store.amend("folder/small.json", lambda before: b"one" if before is None else b"wrong")
    store.amend("folder/small.json", lambda before: (before or b"") + b" two")
    assert store.fetch("folder/small.json").read_bytes() == b"one two"
    assert store.has("folder/small.json")


def test_a_change_that_fails_changes_nothing(store: Any) -> None:
    store.amend("small.json", lambda _: b"one")
    with pytest.raises(ZeroDivisionError):
        store.amend("small.json", lambda _: bytes(1 // 0))
    assert store.fetch("small.json").read_bytes() == b"one"
    store.amend("small.json", lambda _: b"two")


def test_no_change_is_lost_when_two_amend_at_once(stores: Stores) -> None:
    lakes = [stores.open() for _ in range(2)]

    def count(lake: Any) -> None:
        for _ in range(4):
            lake.amend("count.txt", lambda before: str(int(before or b"0") + 1).encode())

    with ThreadPoolExecutor(len(lakes)) as threads:
        for done in [threads.submit(count, lake) for lake in lakes]:
            done.result()
    assert stores.open().fetch("count.txt").read_bytes() == b"8"


@pytest.mark.parametrize(
    "place",
    [
        "fg_b/host/feature_spec_version=1.10/baseline_horizon=30d/publication=20260304T000000/0123456789abcdef.parquet",
        "predictions/model_version=v1 (copy)/dt=2026-03-04/B1&b=2 'ü' 100%.parquet",
        "delta/dt=2026-03-04/hh=23/mm=45/a+b%20c=#d,e;f:@$.v1.10.parquet",
    ],
)
def test_an_engine_reads_what_is_published_and_reads_anew_what_took_its_place(stores: Stores, place: str) -> None:
    lake, engine = stores.open(), stores.engine()
    files = Files({"number": "int64", "version": "string"}, [lake.path(place)], [{"version": "1.10"}])
    for numbers in ([1, 2], [3, 4], list(range(1000)), [5]):
        pq.write_table(pa.table({"number": pa.array(numbers, pa.int64())}), lake.stage(place))
        lake.publish(place)
        assert lake.has(place)
        (row,) = engine.fetch("SELECT sum(number) AS total, max(version) AS version FROM rows", {"rows": files})
        assert row == {"total": sum(numbers), "version": "1.10"}


def test_an_engine_tells_the_files_apart(stores: Stores) -> None:
    lake, engine = stores.open(), stores.engine()
    places = [f"delta/dt=2026-03-04/hh=10/mm={minute}/B 1='x'.v1.parquet" for minute in ("00", "15")]
    for number, place in enumerate(places):
        pq.write_table(pa.table({"number": [number]}), lake.stage(place))
        lake.publish(place)
    known = [{"mini_batch_id": name} for name in ("early", "late")]
    files = Files({"number": "int64", "mini_batch_id": "string"}, [lake.path(place) for place in places], known)
    rows = engine.fetch("SELECT * FROM rows ORDER BY number", {"rows": files})
    assert rows == [{"number": 0, "mini_batch_id": "early"}, {"number": 1, "mini_batch_id": "late"}]


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
    with pytest.raises(UsageError, match="is no folder"):
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
