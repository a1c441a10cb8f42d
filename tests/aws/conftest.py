"""A service on the loopback address, and an AWS configuration that leads to it and to nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.postgres import Postgres, postgres

from aws.service import SECRET, Service, running
from aws.warehouse import Warehouse, warehouse_of


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of AWS."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def service(nowhere: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """An endpoint that is reached as AWS's own configuration says."""
    with running() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", service.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDNOBODY")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        yield service


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A real PostgreSQL; every test makes its tables in the schemas of its warehouse."""
    with postgres() as server:
        yield server


@pytest.fixture
def warehouse(
    aws: str, s3_server: str, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """A Redshift without tables of ours, and a bucket that it writes to."""
    with warehouse_of(postgres_server, s3_server) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL_REDSHIFT_DATA", found.service.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
        yield found
