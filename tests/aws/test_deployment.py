"""The template has what an account needs, and CloudFormation understands it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws.deployed import CONFIGS, ICEBERG, SMALL, WIDE, lint, plain, resources
from house.rooms import ROOT
from ndr.aws.deployment import template
from ndr.aws.deployment.chains import BASELINES, BATCHES
from ndr.aws.deployment.storage import Existing
from ndr.aws.pipelines import pipeline_definition, pipeline_name
from ndr.cli import main
from ndr.jobs import PIPELINES
from ndr.specs import Config, config_of

NAMED = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def test_cfn_lint_finds_nothing(tmp_path: Path) -> None:
    for name, config in CONFIGS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(template(config)))
    assert lint(*tmp_path.iterdir()) == (0, "")


def test_cfn_lint_would_find_something(tmp_path: Path) -> None:
    made = template(SMALL)
    role = made["Resources"]["ChainRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    role["Statement"][0]["Resource"] = [{"Fn::Sub": "${NoSuchPipeline}"}]
    (tmp_path / "wrong.json").write_text(json.dumps(made))
    assert "NoSuchPipeline" in lint(tmp_path / "wrong.json")[1]


@NAMED
def test_what_is_stored_outlives_the_stack(config: Config) -> None:
    stored = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::ECR::Repository", "AWS::Logs::LogGroup")
    found = [each for each in template(config)["Resources"].values() if each["Type"] in stored]
    assert len(found) >= 4
    for each in found:
        assert (each["DeletionPolicy"], each["UpdateReplacePolicy"]) == ("Retain", "Retain")


@NAMED
def test_buckets_are_private_encrypted_versioned_and_ask_for_tls(config: Config) -> None:
    buckets = resources(config, "AWS::S3::Bucket")
    policies = {name.removesuffix("Policy"): each for name, each in buckets.items() if name.endswith("Policy")}
    made = {name: each for name, each in buckets.items() if not name.endswith("Policy")}
    assert set(policies) == set(made)
    for name, each in made.items():
        assert set(each["PublicAccessBlockConfiguration"].values()) == {True}
        assert each["VersioningConfiguration"] == {"Status": "Enabled"}
        assert each["BucketEncryption"]
        statement = policies[name]["PolicyDocument"]["Statement"][0]
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{each['BucketName']}/*"} in statement["Resource"]


def test_every_bucket_of_the_configuration_is_made_once() -> None:
    names = [each["BucketName"] for each in resources(WIDE, "AWS::S3::Bucket").values() if "BucketName" in each]
    assert sorted(names) == sorted(set(names))
    assert set(names) == {
        "acme-ndr", "acme-pair", "acme-fg", "acme-inventory", "acme-logs", "acme-features",
    }  # fmt: skip


def test_a_bucket_that_exists_is_left_alone() -> None:
    made = template(SMALL, Existing(buckets=("office-logs",)))["Resources"]
    assert not [name for name in made if "OfficeLogs" in name]
    assert [name for name in made if "OfficeNdr" in name]


def test_tables_have_the_promised_keys_and_can_be_put_back() -> None:
    tables = {each["TableName"]: each for each in resources(WIDE, "AWS::DynamoDB::Table").values()}
    keys = {name: [key["AttributeName"] for key in each["KeySchema"]] for name, each in tables.items()}
    assert keys == {"acme-specs": ["project_name", "job_name"], "acme-ledger": ["pk", "sk"]}
    for each in tables.values():
        assert each["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert each["DeletionProtectionEnabled"] is True


@NAMED
def test_every_pipeline_is_the_one_that_we_render_run_as_the_role_of_its_jobs(config: Config) -> None:
    found = {each["PipelineName"]: each for each in resources(config, "AWS::SageMaker::Pipeline").values()}
    assert set(found) == {pipeline_name(config.project_name, name) for name in PIPELINES}
    for name in PIPELINES:
        body = plain(found[pipeline_name(config.project_name, name)]["PipelineDefinition"]["PipelineDefinitionBody"])
        roles = {step["Arguments"]["RoleArn"] for step in body["Steps"]}
        assert len(roles) == 1
        given = {"role_arn": roles.pop(), "table_name": config.pipeline_defaults.table_name or "ndr-job-specs"}
        given["ledger_table_name"] = config.pipeline_defaults.ledger_table_name or "ndr-ledger"
        image = next(each for each in body["Parameters"] if each["Name"] == "ProcessingImageUri")["DefaultValue"]
        ours = config.pipeline_defaults.model_copy(update=given | {"processing_image_uri": image})
        asked = config.model_copy(update={"pipeline_defaults": ours})
        assert body == pipeline_definition(name, asked, "${AWS::Region}").definition()


def test_every_pipeline_has_a_role_of_its_own() -> None:
    found = resources(WIDE, "AWS::SageMaker::Pipeline").values()
    roles = [
        plain(p["PipelineDefinition"]["PipelineDefinitionBody"])["Steps"][0]["Arguments"]["RoleArn"] for p in found
    ]
    assert len(set(roles)) == len(PIPELINES)


def test_the_machines_of_a_month_come_before_baselines_where_they_are_configured() -> None:
    def order(config: Config) -> list[str]:
        machine = plain(resources(config)["Baselines"]["DefinitionString"])
        names, name = [], machine["StartAt"]
        while name:
            names.append(name)
            name = machine["States"][name].get("Next")
        return names

    assert order(WIDE) == list(BASELINES)
    assert order(SMALL) == ["fg_b_baseline"]


def test_chains_hold_every_pipeline() -> None:
    assert {*BATCHES, *BASELINES} == set(PIPELINES)


def test_a_schedule_hands_on_the_time_that_it_was_planned_for() -> None:
    found = resources(SMALL, "AWS::Scheduler::Schedule")
    assert {json.loads(each["Target"]["Input"])["time"] for each in found.values()} == {
        "<aws.scheduler.scheduled-time>"
    }
    assert found["BatchSchedule"]["ScheduleExpression"] == {"Fn::Sub": "cron(${DelayMinutes}/15 * * * ? *)"}


def test_a_marker_starts_a_batch_only_below_the_prefix_of_the_logs() -> None:
    rule = resources(SMALL, "AWS::Events::Rule")["MarkerRule"]
    assert rule["EventPattern"]["detail"] == {
        "bucket": {"name": ["office-logs"]},
        "object": {"key": [{"wildcard": {"Fn::Sub": "firewall/*${MarkerName}"}}]},
    }
    assert resources(SMALL)["BucketOfficeLogs"]["NotificationConfiguration"]
    assert not resources(ICEBERG, "AWS::Events::Rule")


def test_every_alarm_tells_somebody() -> None:
    found = resources(WIDE, "AWS::CloudWatch::Alarm")
    assert {"BatchesAlarm", "BaselinesAlarm", "QuietAlarm", "LedgerAlarm", "RefusedAlarm"} == set(found)
    assert all(each["AlarmActions"] == [{"Ref": "AlarmTopic"}] for each in found.values())
    assert found["QuietAlarm"]["TreatMissingData"] == "breaching"


def test_an_image_of_our_own_needs_a_repository_and_another_none() -> None:
    assert "Repository" in resources(SMALL)
    assert "Repository" not in resources(WIDE)
    assert "ImageTag" not in template(WIDE)["Parameters"]


def test_redshift_serverless_is_named_by_an_id_that_the_template_is_told() -> None:
    assert "WorkgroupIdDwhMain" in template(WIDE)["Parameters"]
    text = json.dumps(resources(WIDE)["PredictionFeatureJoinJobRole"])
    assert "workgroup/${WorkgroupIdDwhMain}" in text


@NAMED
def test_limits_of_aws_hold(config: Config) -> None:
    assert len(json.dumps(template(config))) < 1 << 20
    for name, each in resources(config, "AWS::IAM::").items():
        documents = [each["PolicyDocument"]] if "PolicyDocument" in each else []
        limit = 6_144 if documents else 10_240
        documents += [policy["PolicyDocument"] for policy in each.get("Policies", [])]
        assert sum(len(json.dumps(document, separators=(",", ":"))) for document in documents) < limit, name
    for name, each in resources(config, "AWS::SageMaker::Pipeline").items():
        assert len(json.dumps(each["PipelineDefinition"])) < 100_000, name


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_page_explains_every_resource_and_parameter(config: Config) -> None:
    page = (ROOT / "docs" / "aws" / "template.md").read_text(encoding="utf-8")
    kinds = [
        (r"Bucket\w+Policy", "Bucket…Policy"), (r"Bucket\w+", "Bucket…"), (r"\w+JobRole", "…JobRole"),
        (r"\w+Pipeline", "…Pipeline"), (r"RedshiftFiles\d", "RedshiftFiles…"), (r"WorkgroupId\w+", "WorkgroupId…"),
    ]  # fmt: skip
    for name in (*template(config)["Resources"], *template(config)["Parameters"]):
        told = next((said for pattern, said in kinds if re.fullmatch(pattern, name)), name)
        assert f"`{told}`" in page, f"docs/aws/template.md does not tell of {name}"


def rendered(capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    assert main(["deploy", "render", *more]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_the_command_prints_the_template_as_yaml_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ndr.yaml"
    file.write_text("{project_name: office, project_parameters: {lake_s3_prefix: s3://office-ndr/lake}}")
    wanted = template(config_of(yaml.safe_load(file.read_text())))
    assert rendered(capsys, "--config", str(file)) == wanted
    assert rendered(capsys, "--config", str(file), "--format", "json") == wanted
    assert (
        "BucketOfficeNdr" not in rendered(capsys, "--config", str(file), "--existing-bucket", "office-ndr")["Resources"]
    )


def test_a_lake_that_nobody_places_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ndr.yaml"
    file.write_text("project_name: office")
    assert main(["deploy", "render", "--config", str(file)]) == 3
    assert "lake_s3_prefix" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--config", "x", "--table", "t"], ["--project-name", "p"]], ids=len)
def test_one_source_of_the_configuration_is_named(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "render", *options]) == 2
    assert "--config FILE" in capsys.readouterr().err
