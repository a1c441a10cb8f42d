"""Feature groups follow from the declarations of tables; what cannot be is told before anything is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError
from standins.credentials import environment
from standins.feature_store import Store, feature_store

from ndr.aws.clients import ServiceError
from ndr.aws.feature_store_groups import create, diff, request
from ndr.aws.feature_store_records import shape_of
from ndr.errors import DeclarationError, SpecError
from ndr.metrics import METRICS, ROLES
from ndr.tables import TABLES
from ndr.tables.feature_groups import STORED, FeatureStore

ROLE = "arn:aws:iam::123456789012:role/feature-store"
SHAPES = {name: shape_of(TABLES[name]) for name in STORED}
BOTH = {"stores": ["online", "offline"], "offline_s3_prefix": "s3://features/offline", "role_arn": ROLE}


@pytest.fixture
def store(nowhere: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A service without feature groups."""
    with feature_store() as made:
        for name, value in environment(sagemaker=made.url).items():
            monkeypatch.setenv(name, value)
        yield made


def spec(**values: Any) -> FeatureStore:
    return FeatureStore.model_validate(values)


def now(_: float) -> None:
    """Wait for nothing."""


@pytest.mark.parametrize("table", STORED)
def test_a_definition_keeps_the_rules_of_the_service(table: str) -> None:
    shape = SHAPES[table]
    assert 1 <= len(shape.features) <= 2_500
    assert set(TABLES[table].columns) <= set(shape.features)
    assert set(shape.features.values()) <= {"Integral", "Fractional", "String"}
    for name in shape.features:
        assert re.fullmatch(r"[a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63}", name)
        assert len(name) <= 64
        assert name not in {"is_deleted", "write_time", "api_invocation_time"}
    assert shape.features[shape.identifier] == shape.features[shape.event_time] == "String"


def test_types_are_those_of_the_metrics() -> None:
    kinds = {"int64": "Integral", "int32": "Integral", "float64": "Fractional"}
    for metric in METRICS:
        for role in ROLES:
            assert SHAPES["fg_a"].features[metric.column(role)] == kinds[metric.dtype]
    assert SHAPES["fg_c"].features["top_deviations"] == "String"


def test_records_are_told_apart_by_all_keys_of_their_table() -> None:
    assert [SHAPES[name].identifier for name in STORED] == ["record_id", "record_key", "record_id"]
    assert SHAPES["fg_c"].beyond == ("baseline_horizon",)
    assert SHAPES["predictions"].apart == ("feature_spec_version", "model_version")


@pytest.mark.parametrize("table", ["delta", "machines", "fg_b_host"])
def test_rows_without_a_record_id_are_no_records(table: str) -> None:
    with pytest.raises(DeclarationError, match=f"table {table}: its rows have no record_id"):
        shape_of(TABLES[table])


@pytest.mark.parametrize("table", STORED)
def test_a_group_is_made_once(store: Store, table: str) -> None:
    shape = SHAPES[table]
    assert [d.what for d in diff(spec(), "g", shape)] == ["feature group"]
    assert create(spec(), "g", shape, pause=now) == "created"
    assert create(spec(), "g", shape, pause=now) == "unchanged"
    assert store.calls.count("CreateFeatureGroup") == 1
    assert diff(spec(), "g", shape) == []


def test_both_stores_are_asked_for_with_their_key_and_time_to_live(store: Store) -> None:
    both = spec(**BOTH, kms_key_id="alias/ndr", ttl_days=30)
    asked = request(both, "g", SHAPES["fg_a"], None)
    assert asked["OnlineStoreConfig"] == {
        "EnableOnlineStore": True, "SecurityConfig": {"KmsKeyId": "alias/ndr"},
        "TtlDuration": {"Unit": "Days", "Value": 30},
    }  # fmt: skip
    assert asked["OfflineStoreConfig"] == {
        "S3StorageConfig": {"S3Uri": "s3://features/offline", "KmsKeyId": "alias/ndr"}, "TableFormat": "Glue",
    }  # fmt: skip
    assert create(both, "g", SHAPES["fg_a"], pause=now) == "created"
    assert diff(both, "g", SHAPES["fg_a"]) == []
    assert [d.what for d in diff(spec(**BOTH | {"offline_s3_prefix": "s3://other"}), "g", SHAPES["fg_a"])] == [
        "offline store"
    ]


def test_an_offline_store_needs_a_place_and_a_role() -> None:
    with pytest.raises(ValidationError, match="no offline_s3_prefix"):
        spec(stores=["offline"])
    without = {name: value for name, value in BOTH.items() if name != "role_arn"}
    with pytest.raises(SpecError, match=r"feature_store_ingest\.role_arn"):
        request(spec(**without), "g", SHAPES["fg_a"], None)
    assert request(spec(**without), "g", SHAPES["fg_a"], ROLE)["RoleArn"] == ROLE


def test_features_that_a_group_lacks_are_added_and_nothing_else_is_touched(store: Store) -> None:
    create(spec(), "g", SHAPES["fg_c"], pause=now)
    group = store.groups.found("g")
    whole = group["FeatureDefinitions"]
    group["FeatureDefinitions"] = [*whole[:400], {"FeatureName": "own", "FeatureType": "String"}]
    found = diff(spec(), "g", SHAPES["fg_c"])
    assert {d.there for d in found[:-1]} == {None}
    assert (found[-1].what, found[-1].declared, found[-1].there) == ("feature own", None, "String")
    assert create(spec(), "g", SHAPES["fg_c"], pause=now) == "extended"
    assert store.calls.count("UpdateFeatureGroup") == 4  # a hundred at once
    assert {f["FeatureName"] for f in group["FeatureDefinitions"]} == {*SHAPES["fg_c"].features, "own"}
    assert create(spec(), "g", SHAPES["fg_c"], pause=now) == "unchanged"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"RecordIdentifierFeatureName": "host_ip"}, "record identifier host_ip, and the declarations say record_id"),
        ({"OnlineStoreConfig": {}}, "online store no, and the declarations say yes"),
        ({"FeatureDefinitions": "Integral"}, "feature host_ip Integral, and the declarations say String"),
    ],
)
def test_what_cannot_be_changed_is_told(store: Store, change: dict[str, Any], said: str) -> None:
    create(spec(), "g", SHAPES["fg_a"], pause=now)
    group = store.groups.found("g")
    if "FeatureDefinitions" in change:
        features = [f for f in group["FeatureDefinitions"] if f["FeatureName"] != "host_ip"]
        change = {"FeatureDefinitions": [*features, {"FeatureName": "host_ip", "FeatureType": "Integral"}]}
    group |= change
    with pytest.raises(SpecError, match=said):
        create(spec(), "g", SHAPES["fg_a"], pause=now)


def test_a_group_that_fails_to_be_made_says_why(store: Store) -> None:
    store.groups.failing = "the role may not write the bucket"
    with pytest.raises(ServiceError, match=r"CreateFailed \(the role may not write the bucket\)"):
        create(spec(), "g", SHAPES["predictions"], pause=now)


def test_names_follow_from_the_project_or_are_given() -> None:
    assert spec().groups("soc") == {t: f"ndr-soc-{t}" for t in STORED}
    assert spec(feature_groups={"fg_a": "mine"}).groups("soc") == {"fg_a": "mine"}
    assert spec(feature_groups={"fg_a": "mine"}).group_of("soc", "fg_c") == "ndr-soc-fg_c"
    for project in ("a.b", "x" * 64):
        with pytest.raises(SpecError, match=r"feature_groups\.fg_a: .* cannot be the name of a feature group"):
            spec().groups(project)
    for name in ("", "-a", "a-", "a b", "a" * 65, "a_" * 40 + "a", "ä"):
        with pytest.raises(ValidationError):
            spec(feature_groups={"fg_a": name})
