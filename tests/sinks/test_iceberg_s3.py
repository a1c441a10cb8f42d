"""A warehouse on S3, reached as AWS's environment says, and a catalog of Glue."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.credentials import environment
from standins.moto import moto
from standins.s3 import client, make_bucket, seaweedfs

from ndr.sinks import iceberg_catalog
from ndr.sinks.iceberg import Patience
from ndr.sinks.iceberg_batches import IcebergError
from sinks.icebergs import SPEC, catalog, configured, later, put, rows, stored


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with seaweedfs() as url:
        make_bucket(url, "warehouse")
        yield url


@pytest.fixture
def _aws(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(s3=server).items():
        monkeypatch.setenv(name, value)
    configured(monkeypatch, tmp_path, WAREHOUSE=f"s3://warehouse/{tmp_path.name}")


@pytest.mark.usefixtures("_aws")
def test_a_batch_on_s3_reads_back_and_is_replaced() -> None:
    put(rows("10.0.0.1", "10.0.0.2"), part="a")
    given = rows("10.0.0.3", top_deviations=None)
    put(given, part="b")
    assert stored().to_pylist() == given.to_pylist()


@pytest.mark.usefixtures("_aws")
def test_files_lie_in_the_warehouse(server: str, tmp_path: Path) -> None:
    put(rows("10.0.0.1"))
    with catalog() as opened:
        (file,) = opened.load_table(SPEC.table).inspect.files()["file_path"].to_pylist()
    opener = client(server)
    try:
        held = [each["Key"] for each in opener.list_objects_v2(Bucket="warehouse", Prefix=tmp_path.name)["Contents"]]
    finally:
        opener.close()
    assert file.removeprefix("s3://warehouse/") in held


@pytest.mark.usefixtures("_aws")
def test_a_bucket_that_is_not_there_is_no_reason_to_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, tmp_path, WAREHOUSE="s3://nowhere-at-all/x")
    with pytest.raises(IcebergError, match=r"soc\.joined") as caught:
        put(rows("10.0.0.1"), patience=Patience(attempts=2, sleep=lambda _: None))
    assert not caught.value.retryable


@pytest.mark.usefixtures("_aws")
def test_what_a_catalog_says_of_s3_comes_before_the_environment(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert iceberg_catalog.properties("here")["s3.endpoint"] == server
    assert iceberg_catalog.properties("here")["s3.region"] == "eu-central-1"
    monkeypatch.setenv("PYICEBERG_CATALOG__HERE__S3__ENDPOINT", "http://127.0.0.1:1")
    assert iceberg_catalog.properties("here")["s3.endpoint"] == "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def glue() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.mark.usefixtures("_aws")
def test_a_catalog_of_glue_is_reached_as_aws_is_configured(
    glue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(monkeypatch, tmp_path, TYPE="glue", WAREHOUSE=f"s3://warehouse/{tmp_path.name}")
    monkeypatch.delenv("PYICEBERG_CATALOG__HERE__URI")
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", glue)
    put(rows("10.0.0.1", "10.0.0.2"), part="a")
    put(rows("10.0.0.3", at=later(1)), at=later(1))
    put(rows("10.0.0.4"), part="b")
    assert not put(rows("10.0.0.4"), part="b").fresh
    assert stored()["host_ip"].to_pylist() == ["10.0.0.4", "10.0.0.3"]
