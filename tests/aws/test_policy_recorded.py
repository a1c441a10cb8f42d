"""What jobs ask of AWS, noted on the wire, is what their policy allows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from standins.account import deploy
from standins.batches import delivered
from standins.credentials import ACCOUNT, REGION, environment
from standins.permissions import Call, idle, refused
from standins.recording import Recording, recording
from standins.requests import Answer, Request, calls_of
from standins.s3 import client, make_bucket

from aws.deployed import HERE
from ndr.aws.deployment import template
from ndr.aws.policy import policy
from ndr.cli import main
from ndr.jobs import PIPELINES
from ndr.specs import config_of
from ndr.time import iso

BUCKET, LOGS, SPECS, LEDGER = "recorded-ndr", "recorded-logs", "recorded-specs", "recorded-ledger"
CONFIG = {
    "project_name": "recorded",
    "project_parameters": {"lake_s3_prefix": f"s3://{BUCKET}/lake"},
    "pipeline_defaults": {"table_name": SPECS, "ledger_table_name": LEDGER},
    "jobs": {
        "delta_builder": {"input": {"s3_prefix": f"s3://{LOGS}/palo"}},
        "fg_a_builder": {"fg_a_output": {"s3_prefix": f"s3://{BUCKET}/features/fg_a"}},
    },
}
JOBS = PIPELINES["15m_streaming"].jobs[:3]
SILENT = {
    "LakeFiles s3:AbortMultipartUpload": "an upload in parts that breaks off",
    "LakeFiles s3:DeleteObject": "files of parts that nobody wants any more",
}
"""What a short run allows and does not need, and when it is needed."""


@pytest.fixture
def told(aws: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """An empty account, reached through recording proxies."""
    with recording({"s3": s3_server, "dynamodb": aws}) as made:
        for name, value in environment(**made.endpoints).items():
            monkeypatch.setenv(name, value)
        yield made


def ndr(*arguments: object) -> None:
    assert main([str(each) for each in arguments]) == 0


def test_a_batch_needs_what_the_policy_allows_and_little_less(
    told: Recording, tmp_path: Path, s3_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(template(config_of(CONFIG)), s3_server)
    config = tmp_path / "specs.json"
    config.write_text(json.dumps(CONFIG))
    ndr(
        "simulate",
        tmp_path / "logs",
        "--hosts",
        3,
        "--days",
        1,
        "--sessions-per-host-day",
        40,
        "--formats",
        "palo_alto",
        "--attacks",
    )
    past, batch = delivered(tmp_path / "logs" / "palo_alto", tmp_path / "in", 1)
    del past
    with closing(client(s3_server)) as s3:
        s3.upload_file(str(tmp_path / "in" / batch.name / "traffic.json"), LOGS, f"palo/{batch.name}/traffic.json")
    ndr("spec", "push", "--config", config, "--table", SPECS)
    told.calls.clear()
    for job in JOBS:
        ndr(
            "job", job, "--project-name", "recorded", "--feature-spec-version", "1", "--mini-batch-id", batch.name,
            "--batch-start-ts-iso", iso(batch.interval.start), "--batch-end-ts-iso", iso(batch.interval.end),
            "--table", SPECS, "--ledger-table", LEDGER,
        )  # fmt: skip
    capsys.readouterr()
    statements = policy(config_of(CONFIG), JOBS, HERE)
    assert told.calls
    assert refused(told.distinct(), statements) == []
    ours = [
        statement for statement in statements if statement["Sid"].startswith(("Lake", "Logs", "JobSpecs", "Ledger"))
    ]
    assert set(idle(told.distinct(), ours)) == set(SILENT)
    tighter = [statement for statement in statements if statement["Sid"] != "LogsFiles"]
    assert {call.action for call in refused(told.distinct(), tighter)} == {"s3:GetObject"}


def test_calls_come_through_as_they_are_and_are_noted(told: Recording, tmp_path: Path, s3_server: str) -> None:
    bucket = make_bucket(s3_server, "noted-ndr")
    told.file = tmp_path / "calls.jsonl"
    big = bytes(range(256)) * 40_000
    with closing(boto3.client("s3")) as s3:
        s3.put_object(Bucket=bucket, Key="a b/ü=1.txt", Body=big)
        assert s3.get_object(Bucket=bucket, Key="a b/ü=1.txt")["Body"].read() == big
        assert s3.head_object(Bucket=bucket, Key="a b/ü=1.txt")["ContentLength"] == len(big)
        with (tmp_path / "x").open("wb") as file:
            file.write(big)
        s3.upload_file(str(tmp_path / "x"), bucket, "x")
        with pytest.raises(s3.exceptions.NoSuchKey):
            s3.get_object(Bucket=bucket, Key="missing")
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "x"}]})
        assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix="a b")["Contents"]] == ["a b/ü=1.txt"]
    place = f"arn:aws:s3:::{bucket}"
    seen = [tuple(json.loads(line).values()) for line in told.file.read_text().splitlines()]
    assert ("s3:PutObject", f"{place}/a b/ü=1.txt", {}) in seen
    assert ("s3:DeleteObject", f"{place}/x", {}) in seen
    assert ("s3:ListBucket", place, {"s3:prefix": "a b"}) in seen
    assert seen[[action for action, _, _ in seen].index("s3:ListBucket") - 1][1] == f"{place}/missing"


def asked(service: str, target: str = "", path: str = "/", method: str = "POST", **said: Any) -> list[Call]:
    request = Request(service, method, path, {"x-amz-target": target}, json.dumps(said).encode())
    return calls_of(request, Answer(), {})


def test_a_transaction_asks_for_each_of_its_actions() -> None:
    items = [{"Put": {"TableName": "t"}}, {"ConditionCheck": {"TableName": "t"}}, {"Delete": {"TableName": "u"}}]
    assert asked("dynamodb", "DynamoDB_20120810.TransactWriteItems", TransactItems=items) == [
        Call("dynamodb:ConditionCheckItem", HERE.arn("dynamodb", "table/t")),
        Call("dynamodb:DeleteItem", HERE.arn("dynamodb", "table/u")),
        Call("dynamodb:PutItem", HERE.arn("dynamodb", "table/t")),
    ]


def test_records_and_endpoints_are_known_by_their_paths() -> None:
    group = HERE.arn("sagemaker", "feature-group/my-group")
    assert asked("sagemaker_featurestore_runtime", path="/FeatureGroup/My-Group", method="PUT") == [
        Call("sagemaker:PutRecord", group)
    ]
    entries = [{"FeatureGroupName": "My-Group"}] * 2
    assert asked("sagemaker_featurestore_runtime", path="/BatchWriteRecord", Entries=entries) == [
        Call("sagemaker:BatchWriteRecord", group)
    ]
    assert asked("sagemaker_runtime", path="/endpoints/My-Model/invocations") == [
        Call("sagemaker:InvokeEndpoint", HERE.arn("sagemaker", "endpoint/my-model"))
    ]
    assert asked("sagemaker", "SageMaker.DescribeFeatureGroup", FeatureGroupName="My-Group") == [
        Call("sagemaker:DescribeFeatureGroup", group)
    ]


def test_a_session_of_redshift_is_that_of_its_cluster() -> None:
    sessions: dict[str, str] = {}

    def execute(answer: dict[str, Any], **said: Any) -> list[Call]:
        body = json.dumps(said).encode()
        request = Request("redshift_data", "POST", "/", {"x-amz-target": "RedshiftData.ExecuteStatement"}, body)
        return calls_of(request, Answer(200, json.dumps(answer).encode()), sessions)

    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:x"
    statement = Call("redshift-data:ExecuteStatement", HERE.arn("redshift", "cluster:dwh"))
    assert execute({"SessionId": "s"}, ClusterIdentifier="dwh", SecretArn=secret) == [
        statement,
        Call("secretsmanager:GetSecretValue", secret),
    ]
    assert execute({}, SessionId="s") == [statement]
    assert execute({}, SessionId="other") != [statement]
