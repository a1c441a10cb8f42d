"""Rows go into the offline store in bulk, in its own layout; the same rows again change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from standins.credentials import ACCOUNT, REGION, environment
from standins.feature_store import Store, feature_store
from standins.s3 import client, make_bucket

from aws.test_feature_store import END, PREDICTIONS, QUARTER, rows
from ndr.aws.clients import ServiceError
from ndr.aws.feature_store_groups import create
from ndr.aws.feature_store_offline import forget_offline, write_offline
from ndr.aws.feature_store_records import shape_of
from ndr.errors import DataError, SpecError
from ndr.tables.feature_groups import FeatureStore

GROUP = "ndr-soc-predictions"
ROLE = "arn:aws:iam::123456789012:role/feature-store"


@pytest.fixture
def place(nowhere: None, moto_server: str, monkeypatch: pytest.MonkeyPatch, request: Any) -> Iterator[str]:
    """A bucket of the test's own on moto, and a service whose group writes there."""
    bucket = make_bucket(moto_server, f"features-{abs(hash(request.node.name))}")
    with feature_store() as store:
        for name, value in environment(sagemaker=store.url, s3=moto_server).items():
            monkeypatch.setenv(name, value)
        prefix = f"s3://{bucket}/offline"
        create(spec(prefix), GROUP, shape_of(PREDICTIONS), pause=lambda _: None)
        request.node.store = store
        yield prefix


def spec(prefix: str, **values: Any) -> FeatureStore:
    return FeatureStore.model_validate(
        {"stores": ["online", "offline"], "offline_s3_prefix": prefix, "role_arn": ROLE, **values}
    )


def stored(moto_server: str, prefix: str) -> dict[str, list[dict[str, Any]]]:
    """Key below the data of the group -> rows."""
    import io  # noqa: PLC0415

    bucket, _, start = prefix.removeprefix("s3://").partition("/")
    s3 = client(moto_server)
    try:
        found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        bodies = {each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}
    finally:
        s3.close()
    data = f"{start}/{ACCOUNT}/sagemaker/{REGION}/offline-store/{GROUP}-"
    assert all(key.startswith(data) for key in bodies)
    return {
        key.partition("/data/")[2]: pq.ParquetFile(io.BytesIO(body)).read().to_pylist() for key, body in bodies.items()
    }


def test_files_lie_by_the_hour_of_the_event(place: str, moto_server: str) -> None:
    batches = [rows(40), rows(30, end=END + QUARTER), rows(20, end=END + timedelta(hours=14)), rows(5, end=END)]
    done = write_offline(spec(place), "soc", PREDICTIONS, iter(batches[:3]))
    assert (done.rows, done.files) == (90, 3)
    found = stored(moto_server, place)
    assert sorted(key.rpartition("_")[0] for key in found) == [
        "year=2026/month=03/day=04/hour=10/20260304T101500Z", "year=2026/month=03/day=04/hour=10/20260304T103000Z",
        "year=2026/month=03/day=05/hour=00/20260305T001500Z",
    ]  # fmt: skip
    assert all(len(key.rpartition("_")[2]) == len("0123456789abcdef.parquet") for key in found)
    assert sum(map(len, found.values())) == 90


def test_rows_have_the_types_of_their_features_and_what_the_store_adds(place: str, moto_server: str) -> None:
    before = datetime.now()  # noqa: DTZ005 - a bound only
    odd = rows(3, prediction_score=[float("nan"), None, 0.25], techniques=["", None, "T1046"])
    write_offline(spec(place), "soc", PREDICTIONS, [odd])
    (found,) = stored(moto_server, place).values()
    assert [row["prediction_score"] for row in found] == [None, None, 0.25]
    assert [row["techniques"] for row in found] == [None, None, "T1046"]
    assert [row["is_cold_start"] for row in found] == [0, 1, 0]
    assert {row["window_end_ts"] for row in found} == {"2026-03-04T10:15:00Z"}
    assert {row["is_deleted"] for row in found} == {False}
    assert all(abs(row["write_time"] - before) < timedelta(days=1) for row in found)
    assert list(found[0])[-3:] == ["write_time", "api_invocation_time", "is_deleted"]


def test_the_same_rows_again_take_the_place_of_the_old(place: str, moto_server: str) -> None:
    for score in (0.1, 0.9):
        write_offline(spec(place), "soc", PREDICTIONS, [rows(10, prediction_score=[score] * 10)])
    (found,) = stored(moto_server, place).values()
    assert [row["prediction_score"] for row in found] == [0.9] * 10


def test_a_part_that_lost_its_rows_leaves_no_file(place: str, moto_server: str) -> None:
    write_offline(spec(place), "soc", PREDICTIONS, [rows(3)])
    (name,) = stored(moto_server, place)
    values = {"feature_spec_version": "1", "model_version": rows(1).column("model_version")[0].as_py()}
    forget_offline(spec(place), "soc", PREDICTIONS, [(END - QUARTER, values)])
    assert list(stored(moto_server, place)) == [name], "that of another window stays"
    forget_offline(spec(place), "soc", PREDICTIONS, [(END, values), (END, values)])
    assert stored(moto_server, place) == {}


def test_no_call_is_made_for_a_row(place: str, moto_server: str, request: Any) -> None:
    store: Store = request.node.store
    store.calls.clear()
    write_offline(spec(place), "soc", PREDICTIONS, [rows(2_000)])
    assert store.calls == ["DescribeFeatureGroup"]


def test_rows_that_cannot_be_read_leave_nothing(place: str, moto_server: str) -> None:
    def broken() -> Iterator[Any]:
        yield rows(5)
        raise DataError("the file is gone")

    with pytest.raises(DataError, match="the file is gone"):
        write_offline(spec(place), "soc", PREDICTIONS, broken())
    assert stored(moto_server, place) == {}


def test_a_prefix_other_than_that_of_the_group_is_told(place: str) -> None:
    with pytest.raises(SpecError, match=r"offline_s3_prefix is s3://elsewhere/.* lies in s3://features-"):
        write_offline(spec("s3://elsewhere"), "soc", PREDICTIONS, [rows(1)])


def test_a_group_in_iceberg_is_not_written_behind_its_back(place: str, request: Any) -> None:
    request.node.store.groups.found(GROUP)["OfflineStoreConfig"]["TableFormat"] = "Iceberg"
    with pytest.raises(SpecError, match="table format is Iceberg instead of Glue"):
        write_offline(spec(place), "soc", PREDICTIONS, [rows(1)])


def test_a_bucket_that_is_gone_is_told(place: str, moto_server: str) -> None:
    s3 = client(moto_server)
    s3.delete_bucket(Bucket=place.removeprefix("s3://").partition("/")[0])
    s3.close()
    with pytest.raises(ServiceError, match=r"hour=10/.*NoSuchBucket"):
        write_offline(spec(place), "soc", PREDICTIONS, [rows(1)])
