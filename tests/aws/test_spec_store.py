"""Specifications in DynamoDB: where they are looked for, what an item may hold, and who wins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from standins.credentials import environment
from standins.dynamodb import make_spec_table
from standins.moto import SERVICES, forget, moto
from standins.specs import TABLE

from migration.keeping import keep
from ndr.aws.attributes import decoded, encoded
from ndr.aws.clients import ServiceBusyError, ServiceError
from ndr.aws.spec_store import DynamoStore, load_job_spec
from ndr.errors import SpecError, UsageError
from ndr.spec_store import Change, ChangedSpecError, MissingSpecError, RestlessSpecsError, StoredSpec, config_from

NEW, OLD = "ML_PROJECTS_PARAMETERS_TABLE_NAME", "JOB_SPEC_DDB_TABLE_NAME"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in environment(**dict.fromkeys(SERVICES, server)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(NEW, raising=False)
    monkeypatch.delenv(OLD, raising=False)
    forget(server)
    return make_spec_table()


def item(key: str, payload: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"project_name": {"S": "ndr"}, "job_name": {"S": key}, **payload, **more}


def spec(**values: Any) -> dict[str, Any]:
    return {"spec": encoded(values, "")}


def test_a_spec_is_loaded_by_its_promised_name(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_spec_table("an-older-table")
    keep(client, [item("fg_b_builder#1", spec(horizons=["7d"]))])
    keep(client, [item("fg_b_builder#1", spec(horizons=["30d"]))], "an-older-table")
    with pytest.raises(UsageError, match=f"table_name.*{NEW}"):
        load_job_spec("ndr", "fg_b_builder", "1")
    with pytest.raises(UsageError, match=f"give --table, or set {NEW}"):
        DynamoStore()
    monkeypatch.setenv(OLD, "an-older-table")
    assert load_job_spec("ndr", "fg_b_builder", "1") == {"horizons": ["30d"]}
    monkeypatch.setenv(NEW, TABLE)
    assert load_job_spec("ndr", "fg_b_builder", "1") == {"horizons": ["7d"]}
    assert load_job_spec("ndr", "fg_b_builder", "1", table_name="an-older-table") == {"horizons": ["30d"]}


def test_a_missing_spec_names_all_that_is_needed_to_find_it(client: Any) -> None:
    keep(client, [item(f"fg_b_builder#{version}", spec()) for version in ("1", "1.10", "2")])
    with pytest.raises(MissingSpecError) as raised:
        load_job_spec("ndr", "fg_b_builder", "3", TABLE)
    for word in ("'ndr'", "'fg_b_builder'", "'3'", TABLE, "1, 1.10, 2"):
        assert word in str(raised.value)


def test_an_unversioned_item_is_the_last_resort(client: Any) -> None:
    keep(client, [item("fg_b_builder", spec(horizons=["30d"])), item("fg_b_builder#1", spec(horizons=["7d"]))])
    assert load_job_spec("ndr", "fg_b_builder", "1", TABLE) == {"horizons": ["7d"]}
    assert load_job_spec("ndr", "fg_b_builder", "2", TABLE) == {"horizons": ["30d"]}


def test_project_parameters_may_have_their_payload_under_parameters(client: Any) -> None:
    payload = {"parameters": encoded({"project_name": "ndr", "port_sets": {"admin": [22]}}, "")}
    keep(client, [item("project_parameters", payload)])
    assert config_from(DynamoStore(TABLE), "ndr", "1").project_parameters.ports()["admin"] == (22,)
    old = DynamoStore(TABLE).get("ndr", "project_parameters", "1")
    keep(client, [item("project_parameters#1", payload)])
    DynamoStore(TABLE).put("ndr", "1", {"project_parameters": Change(old, StoredSpec({"segments": {}}))})
    kept = client.get_item(TableName=TABLE, Key=item("project_parameters#1", {}))["Item"]
    assert kept.keys() == {"project_name", "job_name", "spec"}
    keep(client, [item("project_parameters#1", payload | spec(segments={}))])
    with pytest.raises(SpecError, match="both spec and parameters"):
        load_job_spec("ndr", "project_parameters", "1", TABLE)
    keep(client, [item("fg_b_builder#1", payload)])
    with pytest.raises(SpecError, match="has no map spec"):
        load_job_spec("ndr", "fg_b_builder", "1", TABLE)


def test_numbers_are_int_or_float_exactly(client: Any) -> None:
    numbers = {"0": 0, "-7": -7, "5.0": 5, "1E+2": 100, "0.1": 0.1, "2.5E-130": 2.5e-130, "9007199254740993": 2**53 + 1}
    payload = {"spec": {"M": {name: {"N": name} for name in numbers}}}
    keep(client, [item("other#1", payload)])
    found = load_job_spec("ndr", "other", "1", TABLE)
    assert found == numbers
    assert {name: type(value) for name, value in found.items()} == {n: type(value) for n, value in numbers.items()}


HOSTILE: dict[str, Any] = {
    "a set of texts": {"SS": ["a"]},
    "a set of numbers": {"NS": ["1"]},
    "binary data": {"B": b"x"},
    "more digits than a float has": {"N": "0.1234567890123456789012345"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_spec_can_hold_is_refused_with_its_place(client: Any, name: str) -> None:
    keep(client, [item("fg_b_builder#1", {"spec": {"M": {"horizons": {"L": [{"S": "7d"}, HOSTILE[name]]}}}})])
    with pytest.raises(SpecError, match=r"'fg_b_builder'.*spec\.horizons\[1\]"):
        load_job_spec("ndr", "fg_b_builder", "1", TABLE)


@pytest.mark.parametrize(
    "attribute",
    [{"N": "NaN"}, {"N": "Infinity"}, {"N": "1E+999999"}, {"N": "x"}, {"X": 1}, {}, {"S": "a", "N": "1"}, "text", None],
    ids=repr,
)
def test_what_no_service_should_send_is_refused(attribute: Any) -> None:
    with pytest.raises(SpecError, match="here"):
        decoded({"M": {"key": attribute}}, "here")


def test_what_is_nested_without_end_is_refused() -> None:
    deep: Any = {"S": "x"}
    for _ in range(5_000):
        deep = {"L": [deep]}
    with pytest.raises(SpecError, match="nested deeper"):
        decoded(deep, "here")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e126, 1e-131, 10**38, -(10**38)], ids=repr)
def test_numbers_that_dynamodb_cannot_keep_are_refused(number: float) -> None:
    with pytest.raises(SpecError, match=r"here\.key"):
        encoded({"key": number}, "here")


def test_an_item_that_would_be_too_large_is_refused_before_it_is_sent(client: Any) -> None:
    large = StoredSpec({"prefixes": ["x" * 100] * 4_100})
    with pytest.raises(SpecError, match="400 KiB"):
        DynamoStore(TABLE).put("ndr", "1", {"non_persistent_prefixes": Change(None, large)})
    almost = StoredSpec({"prefixes": ["x" * 100] * 3_800})
    DynamoStore(TABLE).put("ndr", "1", {"non_persistent_prefixes": Change(None, almost)})
    assert load_job_spec("ndr", "non_persistent_prefixes", "1", TABLE) == almost.spec


def test_a_project_of_many_large_items_is_listed_to_its_end(client: Any) -> None:
    """A page of DynamoDB ends after a megabyte."""
    keep(client, [item(f"job_{n}#1", spec(text="x" * 350_000)) for n in range(7)])
    assert len(DynamoStore(TABLE).listing("ndr")) == 7


def test_of_two_pushes_that_saw_the_same_one_wins(client: Any) -> None:
    one, other = DynamoStore(TABLE), DynamoStore(TABLE)
    one.put("ndr", "1", {"fg_b_builder": Change(None, StoredSpec({"horizons": ["7d"]}))})
    seen = one.get("ndr", "fg_b_builder", "1")
    one.put("ndr", "1", {"fg_b_builder": Change(seen, StoredSpec({"horizons": ["30d"]}))})
    with pytest.raises(ChangedSpecError):
        other.put("ndr", "1", {"fg_b_builder": Change(seen, StoredSpec({"horizons": ["14d"]}))})
    assert load_job_spec("ndr", "fg_b_builder", "1", TABLE) == {"horizons": ["30d"]}


def test_a_configuration_is_never_half_of_a_push(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def push(horizon: str, at: str) -> None:
        stored = {
            job: StoredSpec({"horizons": [horizon]}, {"updated_at": at}) for job in ("fg_b_builder", "fg_c_builder")
        }
        there = {job: get(store, "ndr", job, "1") for job in stored} if store.listing("ndr") else {}
        store.put("ndr", "1", {job: Change(there.get(job), item) for job, item in stored.items()})

    def get_and_be_overtaken(own: DynamoStore, project: str, job: str, version: str) -> StoredSpec:
        found = get(own, project, job, version)
        if pushes:
            push(*pushes.pop())
        return found

    store, get = DynamoStore(TABLE), DynamoStore.get
    pushes: list[tuple[str, str]] = []
    push("7d", "2026-01-01T00:00:00Z")
    pushes.append(("30d", "2026-01-01T00:00:01Z"))
    monkeypatch.setattr(DynamoStore, "get", get_and_be_overtaken)
    jobs = config_from(store, "ndr", "1").jobs
    assert jobs["fg_b_builder"] == jobs["fg_c_builder"] == {"horizons": ["30d"]}
    pushes += [(f"{day}d", f"2026-01-02T00:00:{day:02}Z") for day in range(1, 20)]
    with pytest.raises(RestlessSpecsError) as raised:
        config_from(store, "ndr", "1")
    assert raised.value.retryable


def test_what_a_push_does_not_know_stays(client: Any) -> None:
    keep(client, [item("fg_b_builder#1", spec(), tags={"SS": ["a", "b"]}, cost_centre={"N": "7"})])
    store = DynamoStore(TABLE)
    old = store.get("ndr", "fg_b_builder", "1")
    store.put("ndr", "1", {"fg_b_builder": Change(old, StoredSpec({"horizons": ["7d"]}, {"owner": "me"}))})
    kept = client.get_item(TableName=TABLE, Key=item("fg_b_builder#1", {}))["Item"]
    assert sorted(kept["tags"]["SS"]) == ["a", "b"]
    assert (kept["cost_centre"], kept["owner"]) == ({"N": "7"}, {"S": "me"})


def test_what_is_no_longer_said_of_pipelines_goes(client: Any) -> None:
    store = DynamoStore(TABLE)
    first = StoredSpec({}, {"pipeline_defaults": {"volume_size_gb": 50}, "sources": {"zeek": {}}})
    store.put("ndr", "1", {"project_parameters": Change(None, first)})
    seen = store.get("ndr", "project_parameters", "1")
    assert seen.more["pipeline_defaults"] == {"volume_size_gb": 50}
    store.put("ndr", "1", {"project_parameters": Change(seen, StoredSpec({}, {"sources": {"zeek": {}}}))})
    assert store.get("ndr", "project_parameters", "1").more == {"sources": {"zeek": {}}}


@pytest.mark.parametrize("name", ["", "a#1", "x" * 600])
def test_names_that_would_lead_to_another_item_are_refused(client: Any, name: str) -> None:
    for names in ((name, "fg_b_builder", "1"), ("ndr", name, "1"), ("ndr", "fg_b_builder", name or "#")):
        with pytest.raises((UsageError, SpecError)):
            load_job_spec(*names, table_name=TABLE)


@pytest.mark.parametrize("table", ["a", "a b", "../table", "x" * 300])
def test_a_table_of_no_possible_name_is_refused(table: str) -> None:
    with pytest.raises(UsageError, match="no name of a table"):
        DynamoStore(table)


def test_a_table_that_is_not_there_is_named(client: Any) -> None:
    with pytest.raises(ServiceError, match=r"no-such-table.*ResourceNotFoundException") as raised:
        load_job_spec("ndr", "fg_b_builder", "1", "no-such-table")
    assert not raised.value.retryable


def test_a_service_that_cannot_be_reached_may_be_asked_again(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ServiceBusyError, match=TABLE) as raised:
        load_job_spec("ndr", "fg_b_builder", "1", TABLE)
    assert raised.value.retryable
