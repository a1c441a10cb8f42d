"""``ndr spec``: specs to DynamoDB and back, what differs, and what lint says of a place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from standins.credentials import environment
from standins.dynamodb import make_spec_table
from standins.moto import SERVICES, forget, moto
from standins.specs import TABLE

from day.lakes import ndr
from migration.keeping import items, keep
from ndr.aws.spec_store import DynamoStore
from ndr.spec_store import config_from
from ndr.specs import load_config

NAMED = ("--project-name", "ndr", "--feature-spec-version", "1")
CONFIG: dict[str, Any] = {
    "project_name": "ndr",
    "feature_spec_version": "1",
    "project_parameters": {"calendar": {"time_zone": "Europe/Berlin", "holidays": ["2026-12-25"]}},
    "jobs": {"fg_b_builder": {"horizons": ["7d"]}, "non_persistent_prefixes": {"prefixes": ["VDI-"]}},
    "sources": {"palo_alto_syslog": {"time_zone": "Europe/Berlin"}},
    "pipeline_defaults": {"volume_size_gb": 50},
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in environment(**dict.fromkeys(SERVICES, server)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ML_PROJECTS_PARAMETERS_TABLE_NAME", TABLE)
    forget(server)
    return make_spec_table()


def written(place: Path, **changes: Any) -> Path:
    place.write_text(yaml.safe_dump(CONFIG | changes), encoding="utf-8")
    return place


def outcomes(answer: Any) -> dict[str, str]:
    assert answer.code == 0, answer.err
    return {row["job"]: row["outcome"] for row in answer.data}


def push(config: Path, *more: str) -> Any:
    return ndr("spec", "push", "--config", config, "--format", "json", *more)


def test_what_is_pushed_is_the_configuration_that_jobs_find(client: Any, tmp_path: Path) -> None:
    config = written(tmp_path / "ndr.yaml")
    assert set(outcomes(push(config)).values()) == {"added"}
    assert config_from(DynamoStore(), "ndr", "1") == load_config(config)
    shown = ndr("spec", "show", *NAMED).out
    assert shown == ndr("spec", "show", "--config", config).out


def test_a_second_push_of_the_same_changes_nothing(client: Any, tmp_path: Path) -> None:
    config = written(tmp_path / "ndr.yaml")
    push(config)
    before = client.scan(TableName=TABLE)["Items"]
    assert set(outcomes(push(config)).values()) == {"unchanged"}
    assert client.scan(TableName=TABLE)["Items"] == before


def test_a_version_that_differs_is_replaced_only_when_that_is_asked_for(client: Any, tmp_path: Path) -> None:
    config = written(tmp_path / "ndr.yaml")
    push(config, "--owner", "analytics")
    written(config, jobs={"fg_b_builder": {"horizons": ["30d"]}, "fg_a_builder": {}})
    answer = push(config)
    assert (answer.code, answer.out) == (3, "")
    assert "fg_b_builder" in answer.err
    assert "--replace" in answer.err
    assert config_from(DynamoStore(), "ndr", "1").jobs["fg_b_builder"] == {"horizons": ["7d"]}
    assert outcomes(push(config, "--replace")) == {
        "fg_a_builder": "added",
        "fg_b_builder": "replaced",
        "project_parameters": "unchanged",
        "non_persistent_prefixes": "only there",
    }
    assert {entry.owner for entry in DynamoStore().listing("ndr") if entry.job == "fg_b_builder"} == {"analytics"}


def test_a_configuration_that_breaks_a_rule_is_not_pushed(client: Any, tmp_path: Path) -> None:
    for jobs, sources in (({"fg_b_builder": {"horizon": ["7d"]}}, {}), ({}, {"zeke": {}})):
        answer = push(written(tmp_path / "ndr.yaml", jobs=jobs, sources=sources))
        assert answer.code == 3
        assert "Did you mean" in answer.err
    assert DynamoStore().listing("ndr") == []


@pytest.mark.parametrize("place", ["pulled.yaml", "pulled.json", "folder"])
def test_what_is_pulled_is_what_was_pushed(client: Any, tmp_path: Path, place: str) -> None:
    push(written(tmp_path / "ndr.yaml"))
    there = tmp_path / place
    answer = ndr("spec", "pull", "--config", there, *NAMED, "--format", "json")
    assert set(outcomes(answer).values()) == {"added"}
    pulled = ndr("spec", "show", "--config", there, *NAMED)
    assert pulled.out == ndr("spec", "show", *NAMED).out
    assert ndr("spec", "diff", "--config", there, *NAMED, "--exit-code").code == 0
    assert set(outcomes(push(there, *NAMED)).values()) == {"unchanged"}


def test_a_pull_does_not_write_over_a_file_unasked(client: Any, tmp_path: Path) -> None:
    config = written(tmp_path / "ndr.yaml")
    push(config)
    written(config, jobs={"fg_b_builder": {"horizons": ["30d"]}})
    before = config.read_bytes()
    assert ndr("spec", "pull", "--config", config).code == 3
    assert config.read_bytes() == before
    assert ndr("spec", "pull", "--config", config, "--replace").code == 0
    assert load_config(config).jobs == CONFIG["jobs"]


def test_a_file_of_another_project_is_not_pulled_into(client: Any, tmp_path: Path) -> None:
    push(written(tmp_path / "ndr.yaml"))
    other = written(tmp_path / "other.yaml", project_name="other")
    answer = ndr("spec", "pull", "--config", other, *NAMED, "--replace")
    assert answer.code == 3
    assert "'other'" in answer.err
    assert yaml.safe_load(other.read_text())["project_name"] == "other"


def test_diff_names_each_key_that_differs(client: Any, tmp_path: Path) -> None:
    config = written(tmp_path / "ndr.yaml")
    push(config)
    assert ndr("spec", "diff", "--config", config, "--exit-code").code == 0
    written(config, jobs={"fg_b_builder": {"horizons": ["7d"], "anomaly_capping": {"z_max": 9}}, "fg_c_builder": {}})
    answer = ndr("spec", "diff", "--config", config, "--format", "json", "--exit-code")
    assert answer.code == 1
    assert {(row["job"], row["key"], row["here"], row["there"]) for row in answer.data} == {
        ("fg_b_builder", "anomaly_capping.z_max", "9", None),
        ("fg_c_builder", "(all)", "{}", None),
        ("non_persistent_prefixes", "prefixes", None, '["VDI-"]'),
    }
    assert ndr("spec", "diff", "--config", config).code == 0


def test_versions_tell_what_there_is(client: Any, tmp_path: Path) -> None:
    push(written(tmp_path / "one.yaml"), "--owner", "me")
    push(written(tmp_path / "two.yaml", feature_spec_version="1.10"))
    rows = ndr("spec", "versions", "--project-name", "ndr", "--format", "json").data
    assert {(row["job"], row["version"]) for row in rows} >= {("fg_b_builder", "1"), ("fg_b_builder", "1.10")}
    assert {row["owner"] for row in rows if row["version"] == "1"} == {"me"}
    assert all(row["updated_at"].endswith("Z") for row in rows)
    assert ndr("spec", "versions", "--project-name", "nobody", "--format", "json").data == []


def placed(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items with the one key more that they need where outputs share nothing but a bucket."""
    for item in found:
        if item["job_name"]["S"] == "project_parameters#1":
            item["spec"]["M"]["lake_s3_prefix"] = {"S": "s3://ndr-features/lake"}
    return found


def test_lint_refuses_a_lake_that_would_be_a_whole_bucket(client: Any) -> None:
    named = ("--project-name", "ndr-prod", "--feature-spec-version", "1", "--exit-code", "refused", "--format", "json")
    keep(client, items("versioned"))
    answer = ndr("spec", "lint", *named)
    refused = [remark["key"] for remark in answer.data["remarks"] if remark["kind"] == "refused"]
    assert (answer.code, refused) == (1, ["project_parameters.lake_s3_prefix"])
    keep(client, placed(items("versioned")))
    assert ndr("spec", "lint", *named).code == 0


def test_lint_reads_a_table_and_its_threshold_makes_the_exit_code(client: Any) -> None:
    keep(client, placed(items("versioned")))
    named = ("--project-name", "ndr-prod", "--feature-spec-version", "1")
    answer = ndr("spec", "lint", "--table", TABLE, *named, "--format", "json")
    kinds = {remark["key"]: remark["kind"] for remark in answer.data["remarks"]}
    assert (answer.code, kinds["jobs.fg_c_builder.eps"]) == (0, "differs")
    assert kinds["pipeline_defaults.spark_executor_memory"] == "ignored"
    codes = {kind: ndr("spec", "lint", *named, "--exit-code", kind).code for kind in ("refused", "differs", "ignored")}
    assert codes == {"refused": 0, "differs": 1, "ignored": 1}
    assert ndr("spec", "lint", *named, "--exit-code").code == 1
    text = ndr("spec", "lint", *named).out
    assert "jobs.fg_c_builder.eps [differs]: " in text
    assert text.endswith("the configuration is valid\n")


def test_a_missing_version_is_told_with_those_that_exist(client: Any, tmp_path: Path) -> None:
    push(written(tmp_path / "ndr.yaml"))
    answer = ndr("spec", "show", "--project-name", "ndr", "--feature-spec-version", "9")
    assert answer.code == 3
    for word in ("'ndr'", "'9'", TABLE, "Versions that exist: 1."):
        assert word in answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("push",),
        ("pull", "--config", "specs"),
        ("versions",),
        ("lint", "--project-name", "ndr"),
        ("show", "--config", "ndr.yaml", "--table", TABLE),
        ("show", "--config", "two"),
        ("show", "--config", "two", "--project-name", "ndr"),
        ("push", "--config", "two", "--feature-spec-version", "1"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(client: Any, tmp_path: Path, monkeypatch, arguments: Any) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "ndr.yaml")
    for name in ("ndr/fg_b_builder#1", "ndr/fg_b_builder#2", "other/fg_b_builder#1"):
        (tmp_path / "two" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "two" / f"{name}.yaml").write_text("{}")
    answer = ndr("spec", *arguments)
    assert answer.code == 2, answer.err
    assert "Traceback" not in answer.err


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    answer = ndr("spec", "show", "--config", written(tmp_path / "ndr.yaml"), "--feature-spec-version", "2")
    assert answer.code == 3
    assert "'2' is asked for" in answer.err


def test_without_a_table_the_variable_is_named(client: Any, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("ML_PROJECTS_PARAMETERS_TABLE_NAME")
    answer = push(written(tmp_path / "ndr.yaml"))
    assert answer.code == 2
    assert "ML_PROJECTS_PARAMETERS_TABLE_NAME" in answer.err


HOSTILE = {
    "alias": "spec: {a: &a [1], b: *a}",
    "tag": "spec: !!python/object/apply:os.system ['touch owned']",
    "set": "spec: {horizons: !!set {7d, 30d}}",
    "not a number": "spec: {anomaly_capping: {z_max: .nan}}",
    "no map": "spec: [1]",
    "deep": "spec: " + "[" * 40 + "]" * 40,
    "very deep": "spec: " + "[" * 20_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_is_refused(client: Any, tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "specs" / "ndr"
    folder.mkdir(parents=True)
    (folder / "fg_b_builder#1.yaml").write_text(HOSTILE[name], encoding="utf-8")
    answer = push(tmp_path / "specs", *NAMED)
    assert answer.code == 3
    assert "fg_b_builder" in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "owned").exists()
    assert DynamoStore().listing("ndr") == []


def test_a_folder_is_not_left_by_a_name(client: Any, tmp_path: Path) -> None:
    keep(client, [item | {"project_name": {"S": "../outside"}} for item in items("versioned")[:1]])
    named = ("--project-name", "../outside", "--feature-spec-version", "1")
    answer = ndr("spec", "pull", "--config", tmp_path / "specs", *named)
    assert answer.code == 3
    assert "no name of a file" in answer.err
    assert not (tmp_path / "outside").exists()


def test_json_in_a_folder_is_read_as_well(client: Any, tmp_path: Path) -> None:
    folder = tmp_path / "specs" / "ndr"
    folder.mkdir(parents=True)
    (folder / "fg_b_builder.json").write_text(json.dumps({"horizons": ["7d"]}), encoding="utf-8")
    shown = ndr("spec", "show", "--config", tmp_path / "specs", *NAMED, "--format", "json")
    assert shown.data["jobs"]["fg_b_builder"]["horizons"] == ["7d"]
    (folder / "fg_b_builder#2.json").write_text(json.dumps({"spec": {"horizons": ["30d"]}, "owner": "me"}))
    alone = ndr("spec", "show", "--config", tmp_path / "specs", "--format", "json")  # the only project and version
    assert (alone.data["project_name"], alone.data["feature_spec_version"]) == ("ndr", "2")
    assert alone.data["jobs"]["fg_b_builder"]["horizons"] == ["30d"]
