"""What every store of specifications does: a file, a folder, and a table of DynamoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from standins.credentials import environment
from standins.dynamodb import make_spec_table
from standins.moto import SERVICES, forget, moto
from standins.specs import TABLE

from ndr.aws.spec_store import DynamoStore
from ndr.errors import SpecError
from ndr.spec_files import ConfigFile, SpecFolder
from ndr.spec_store import (
    Change,
    ChangedSpecError,
    MissingSpecError,
    SpecStore,
    StoredSpec,
    config_from,
    differences,
)

FG_B = {"horizons": ["7d"], "support_min": {"sessions_cnt": 20}, "anomaly_capping": {"z_max": 12.5}}
INFERENCE = {"alert_share": 0.1, "model": {"timeout_seconds": 5.0, "max_workers": 4, "endpoint_name": None}}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def table(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty table of specifications."""
    for name, value in environment(**dict.fromkeys(SERVICES, server)).items():
        monkeypatch.setenv(name, value)
    forget(server)
    make_spec_table()
    return TABLE


STORES: dict[str, Callable[[Path], Any]] = {
    "yaml file": lambda folder: ConfigFile(folder / "specs.yaml"),
    "json file": lambda folder: ConfigFile(folder / "specs.json"),
    "folder": lambda folder: SpecFolder(folder / "specs"),
    "dynamodb": lambda folder: DynamoStore(TABLE),
}
SEVERAL = ["folder", "dynamodb"]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "dynamodb":
        request.getfixturevalue("table")
    return STORES[request.param](tmp_path)


def put(store: SpecStore, job: str, spec: Any, version: str = "1", old: Any = None, **more: Any) -> None:
    before = None if old is None else StoredSpec(old)
    store.put("ndr", version, {job: Change(before, StoredSpec(spec, more))})


def test_what_is_put_comes_back_with_the_same_values_and_types(store: SpecStore) -> None:
    put(store, "fg_b_builder", FG_B)
    put(store, "inference_predictions", INFERENCE)
    assert store.get("ndr", "fg_b_builder", "1").spec == FG_B
    found = store.get("ndr", "inference_predictions", "1").spec
    assert found == INFERENCE
    assert type(found["model"]["max_workers"]) is int
    assert type(found["alert_share"]) is float


@pytest.mark.parametrize("number", [0, -1, 10**37, 0.1, 1e-7, -2.5e-130, 1 / 3, 123456789012345678, 2**53 + 1, 2.5])
def test_numbers_come_back_exactly(store: SpecStore, number: float) -> None:
    put(store, "non_persistent_prefixes", {})
    put(store, "project_parameters", {}, sources={"zeek": {}}, pipeline_defaults={})
    assert differences(StoredSpec({"n": number}), StoredSpec({"n": number})) == []
    if not isinstance(store, ConfigFile):  # whose keys are checked
        put(store, "another", {"n": number, "flag": True})
        found = store.get("ndr", "another", "1").spec
        assert repr(found["n"]) == repr(number)
        assert found["flag"] is True


def test_texts_come_back_as_they_are(store: SpecStore) -> None:
    prefixes = ["VDI-", "ключ", "1.10", "true", "null", "2026-03-01", "x: y", "#z", "'"]
    put(store, "non_persistent_prefixes", {"prefixes": prefixes})
    assert store.get("ndr", "non_persistent_prefixes", "1").spec == {"prefixes": prefixes}


def test_what_is_missing_is_named_with_the_versions_that_exist(store: SpecStore) -> None:
    put(store, "fg_b_builder", FG_B)
    with pytest.raises(MissingSpecError) as raised:
        store.get("ndr", "fg_b_builder", "1.10")
    for word in ("'ndr'", "'fg_b_builder'", "'1.10'", store.place, "Versions that exist: 1."):
        assert word in str(raised.value)
    with pytest.raises(MissingSpecError, match="Did you mean 'fg_b_builder'"):
        store.get("ndr", "fg_b_bilder", "1")
    with pytest.raises(MissingSpecError, match="Nothing of this project"):
        store.get("other", "fg_b_builder", "1")


def test_a_version_that_exists_is_not_written_over_unseen(store: SpecStore) -> None:
    put(store, "fg_b_builder", FG_B)
    with pytest.raises(ChangedSpecError, match="fg_b_builder"):
        put(store, "fg_b_builder", {})
    with pytest.raises(ChangedSpecError):
        put(store, "fg_b_builder", {}, old={"horizons": ["30d"]})
    assert store.get("ndr", "fg_b_builder", "1").spec == FG_B
    put(store, "fg_b_builder", {"horizons": ["30d"]}, old=FG_B)
    assert store.get("ndr", "fg_b_builder", "1").spec == {"horizons": ["30d"]}


def test_several_jobs_are_stored_together_or_not_at_all(store: SpecStore) -> None:
    put(store, "fg_b_builder", FG_B)
    changes = {"fg_a_builder": Change(None, StoredSpec({})), "fg_b_builder": Change(None, StoredSpec({}))}
    with pytest.raises(ChangedSpecError):
        store.put("ndr", "1", changes)
    assert [entry.job for entry in store.listing("ndr")] == ["fg_b_builder"]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {"a"}, b"binary", complex(1), {1: "a"}, {"": "a"}], ids=repr
)
def test_what_no_spec_holds_is_refused(store: SpecStore, value: Any) -> None:
    with pytest.raises(SpecError, match="horizons"):
        put(store, "fg_b_builder", {"horizons": [value]})
    assert store.listing("ndr") == []


def test_what_is_nested_without_end_is_refused(store: SpecStore) -> None:
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    with pytest.raises(SpecError, match="nested deeper"):
        put(store, "fg_b_builder", {"horizons": deep})


def test_a_configuration_is_made_of_all_jobs(store: SpecStore) -> None:
    put(
        store,
        "project_parameters",
        {"calendar": {"time_zone": "Europe/Berlin", "holidays": ["2026-12-25"]}, "port_sets": {"admin": [22]}},
        pipeline_defaults={"processing_instance_count": 2},
        sources={"palo_alto_syslog": {"time_zone": "Europe/Berlin"}},
    )
    put(store, "fg_b_builder", FG_B)
    put(store, "non_persistent_prefixes", {"prefixes": ["VDI-"]})
    config = config_from(store, "ndr", "1")
    assert (config.project_name, config.feature_spec_version) == ("ndr", "1")
    assert config.project_parameters.calendar.time_zone == "Europe/Berlin"
    assert config.project_parameters.non_persistent_prefixes == ("VDI-",)
    assert config.pipeline_defaults.processing_instance_count == 2
    assert config.sources == {"palo_alto_syslog": {"time_zone": "Europe/Berlin"}}
    assert config.jobs["fg_b_builder"] == FG_B


def test_a_wrong_key_in_a_store_is_named_with_its_place(store: SpecStore) -> None:
    if isinstance(store, ConfigFile):
        store._path.write_text('{"project_name": "ndr", "jobs": {"fg_b_builder": {"horizon": ["7d"]}}}')
    else:
        put(store, "fg_b_builder", {"horizon": ["7d"]})
    with pytest.raises(SpecError, match=r"fg_b_builder\.horizon: unknown key\. Did you mean 'horizons'"):
        config_from(store, "ndr", "1")


def test_a_configuration_of_nothing_is_missing(store: SpecStore) -> None:
    put(store, "fg_b_builder", FG_B)
    with pytest.raises(MissingSpecError, match=r"'ndr'.*'2'"):
        config_from(store, "ndr", "2")


@pytest.mark.parametrize("store", SEVERAL, indirect=True)
def test_versions_lie_side_by_side(store: SpecStore) -> None:
    for version in ("1.1", "1.10", "2"):
        put(store, "fg_b_builder", FG_B | {"horizons": [f"{len(version)}d"]}, version, owner=f"of {version}")
    assert store.get("ndr", "fg_b_builder", "1.10").spec["horizons"] == ["4d"]
    assert [(e.version, e.owner) for e in store.listing("ndr")] == [
        ("1.1", "of 1.1"),
        ("1.10", "of 1.10"),
        ("2", "of 2"),
    ]


@pytest.mark.parametrize("store", SEVERAL, indirect=True)
def test_an_unversioned_spec_serves_versions_that_have_none(store: SpecStore) -> None:
    put(store, "fg_b_builder", {"horizons": ["30d"]}, "1")
    legacy(store, "fg_b_builder", FG_B)
    legacy(store, "fg_a_builder", {"high_risk_segments": ["payment"]})
    assert store.get("ndr", "fg_b_builder", "1").version == "1"
    found = store.get("ndr", "fg_b_builder", "7")
    assert (found.version, found.spec) == ("", FG_B)
    assert config_from(store, "ndr", "1").jobs == {
        "fg_a_builder": {"high_risk_segments": ["payment"]},
        "fg_b_builder": {"horizons": ["30d"]},
    }
    put(store, "fg_b_builder", {}, "7")  # beside the unversioned one, which stays
    assert store.get("ndr", "fg_b_builder", "8").spec == FG_B


@pytest.mark.parametrize("store", SEVERAL, indirect=True)
def test_jobs_of_other_systems_are_left_alone(store: SpecStore) -> None:
    put(store, "churn_model", {"anything": {"goes": [1]}})
    put(store, "fg_b_builder", FG_B)
    assert set(config_from(store, "ndr", "1").jobs) == {"fg_b_builder"}


def legacy(store: SpecStore, job: str, spec: Any) -> None:
    """An unversioned specification, as nothing of ours writes it."""
    if isinstance(store, SpecFolder):
        put(store, job, spec, "old")
        (store._root / "ndr" / f"{job}#old.yaml").rename(store._root / "ndr" / f"{job}.yaml")
    else:
        put(store, job, spec, "old")
        client = boto3.client("dynamodb")
        key = {"project_name": {"S": "ndr"}, "job_name": {"S": f"{job}#old"}}
        item = client.get_item(TableName=TABLE, Key=key)["Item"]
        client.put_item(TableName=TABLE, Item=item | {"job_name": {"S": job}})
        client.delete_item(TableName=TABLE, Key=key)
