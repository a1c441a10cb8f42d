"""A template beside what is there already: other projects, stacks that were deleted, names of every kind."""

from __future__ import annotations

import json
import logging
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from standins.credentials import environment

from aws.deployed import SMALL, lint, resources
from house.rooms import ROOT
from ndr.aws.clients import client
from ndr.aws.deployment import template
from ndr.aws.deployment.alarms import refusal_pattern
from ndr.aws.deployment.storage import Existing, bucket_resource
from ndr.aws.names import stack_name
from ndr.aws.policy import workgroup_parameter
from ndr.cli import main
from ndr.errors import UsageError
from ndr.log import log, start_logging

ALL_THERE = Existing(("office-ndr", "office-logs"), ("ndr-job-specs", "ndr-ledger"), ("office-ndr",))
"""What a stack of SMALL leaves behind when it is deleted."""


def test_what_is_there_is_not_made_and_everything_still_names_it(tmp_path: Path) -> None:
    """So a second project, or the stack again after it was deleted, can be deployed."""
    before, made = template(SMALL), template(SMALL, ALL_THERE)
    gone = {name: each["Type"] for name, each in before["Resources"].items() if name not in made["Resources"]}
    left = {each["Type"] for each in made["Resources"].values() if each.get("DeletionPolicy") == "Retain"}
    assert left == {"AWS::Logs::LogGroup"}, "MakeLogGroup=false leaves that out"
    assert {"JobSpecTable", "LedgerTable", "Repository"} <= set(gone)
    assert {name: each for name, each in before["Resources"].items() if name not in gone} == made["Resources"]
    assert before["Outputs"] == made["Outputs"]
    (tmp_path / "made.json").write_text(json.dumps(made))
    assert lint(tmp_path / "made.json") == (0, "")


@pytest.mark.parametrize(
    ("existing", "fact"),
    [
        (Existing(buckets=("ofice-logs",)), "Did you mean 'office-logs'"),
        (Existing(tables=("ndr-job-spec",)), "Did you mean 'ndr-job-specs'"),
        (Existing(repositories=("ofice-ndr",)), "Did you mean 'office-ndr'"),
    ],
)
def test_what_is_not_used_cannot_exist_already(existing: Existing, fact: str) -> None:
    with pytest.raises(UsageError, match=fact):
        template(SMALL, existing)


def test_every_bucket_has_a_name_of_its_own_in_the_template() -> None:
    names = ["a-bc.lake", "a.bc-lake", "a-bc-lake", "abc-lake", "a--bc-lake", "a-1", "a1", "lake", "lake-policy", "1a"]
    made = [bucket_resource(name) for name in names]
    assert all(re.fullmatch("[A-Za-z0-9]{1,255}", each) for each in made)
    assert len({*made, *(f"{each}Policy" for each in made)}) == 2 * len(names)
    assert len({workgroup_parameter(name) for name in names}) == len(names)


LONGEST = "p" + "_long" * 12 + "__z"


@pytest.mark.parametrize("name", [LONGEST, LONGEST[:-1] + "y", "x" * 64, "7"])
def test_names_are_as_long_as_aws_allows(name: str, tmp_path: Path) -> None:
    made = template(SMALL.model_copy(update={"project_name": name}))
    (tmp_path / "long.json").write_text(json.dumps(made))
    assert lint(tmp_path / "long.json") == (0, "")
    for each in made["Resources"].values():
        if each["Type"] in {"AWS::Scheduler::Schedule", "AWS::Events::Rule"}:
            assert re.fullmatch("[a-z0-9A-Z-]{1,64}", each["Properties"]["Name"])


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert len(LONGEST) == 64
    assert stack_name(LONGEST, "batches") != stack_name(LONGEST[:-1] + "y", "batches")


def test_refused_logs_are_counted_by_the_line_that_jobs_write(capsys: pytest.CaptureFixture[str]) -> None:
    """Steps of pipelines end with 0 then."""
    start_logging(verbose=True)
    log("refused", level=logging.WARNING, job="delta_builder", refused={"a.json": "cut short"}, failed=None)
    log("imported", job="delta_builder", refused=0)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    pattern = refusal_pattern("office")
    assert [matches(pattern, line) for line in lines] == [True, False]
    assert matches(pattern, lines[0] | {"project": "office"})
    assert not matches(pattern, lines[0] | {"project": "other"})
    assert 'log("refused", level=logging.WARNING' in (ROOT / "src" / "ndr" / "cli" / "jobs.py").read_text()
    made = resources(SMALL)
    assert made["RefusedMetric"]["FilterPattern"] == pattern
    (counted,) = made["RefusedMetric"]["MetricTransformations"]
    metric = made["RefusedAlarm"]["Metrics"][1]["MetricStat"]["Metric"]
    assert (metric["Namespace"], metric["MetricName"]) == (counted["MetricNamespace"], counted["MetricName"])


def matches(pattern: str, line: dict[str, Any]) -> bool:
    """What CloudWatch makes of a pattern, as far as ours go."""
    clauses = pattern.strip("{} ").split(" && ")
    return all(any(holds(term.strip("() "), line) for term in clause.split(" || ")) for clause in clauses)


def holds(term: str, line: dict[str, Any]) -> bool:
    key, _, rest = term.removeprefix("$.").partition(" ")
    return key not in line if rest == "NOT EXISTS" else rest == f'= "{line.get(key)}"'


FILE = "{project_name: %s, project_parameters: {lake_s3_prefix: s3://office-ndr/lake}}"


def rendered(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, Any], str]:
    assert main(["deploy", "render", *words]) == 0
    said = capsys.readouterr()
    return yaml.safe_load(said.out)["Resources"], said.err


def test_the_command_is_told_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ndr.yaml"
    file.write_text(FILE % "office")
    for option, name, resource in (
        ("--existing-bucket", "office-ndr", "BucketOfficeNdr"),
        ("--existing-table", "ndr-ledger", "LedgerTable"),
        ("--existing-repository", "office-ndr", "Repository"),
    ):
        assert resource in rendered(capsys, "--config", str(file))[0]
        assert resource not in rendered(capsys, "--config", str(file), option, name)[0]


@pytest.fixture
def specs(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A table that holds the JobSpecs of project office."""
    for name, value in environment(dynamodb=aws).items():
        monkeypatch.setenv(name, value)
    with closing(client("dynamodb")) as dynamodb:
        wanted = ("TableName", "BillingMode", "AttributeDefinitions", "KeySchema")
        made = resources(SMALL)["JobSpecTable"] | {"TableName": "specs-of-all"}
        dynamodb.create_table(**{name: made[name] for name in wanted})
    file = tmp_path / "ndr.yaml"
    file.write_text(FILE % "office")
    assert main(["spec", "push", "--config", str(file), "--table", "specs-of-all"]) == 0
    return "specs-of-all"


def test_a_table_that_specs_were_read_from_is_there(specs: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    words = ("--project-name", "office", "--feature-spec-version", "1", "--table", specs)
    made, _ = rendered(capsys, *words)
    assert "JobSpecTable" not in made
    assert "LedgerTable" in made
    assert f"table/{specs}" in json.dumps(made["JobPolicy"])


def test_a_project_that_could_be_taken_for_another_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ndr.yaml"
    for name, told in (("office-west", False), ("office_west", True), ("office.west", True), ("office--west", True)):
        file.write_text(FILE % name)
        assert ("is called office-west at AWS" in rendered(capsys, "--config", str(file))[1]) == told
