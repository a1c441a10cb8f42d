"""Pipelines are created at SageMaker once, brought up to date when they differ, and left alone otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import Any

import pytest
from standins.credentials import environment
from standins.moto import forget, moto

from aws.service import Reply, Service, running, said
from house.rooms import ROOT
from ndr.aws import pipelines_service
from ndr.aws.clients import ServiceBusyError, ServiceError, client
from ndr.aws.pipelines import pipeline_definition
from ndr.aws.pipelines_service import difference, push, standing
from ndr.cli import main
from ndr.errors import SpecError
from ndr.jobs import PIPELINES
from ndr.specs import load_config

FILE = str(ROOT / "docs" / "aws" / "pipelines" / "config.yaml")
CONFIG = load_config(FILE)
LONGER = CONFIG.model_copy(
    update={"pipeline_defaults": CONFIG.pipeline_defaults.model_copy(update={"max_runtime_seconds": 7_200})}
)
NAME = "15m_streaming"
OURS, NEWER = pipeline_definition(NAME, CONFIG), pipeline_definition(NAME, LONGER)
NO_SUCH = said({"__type": "ResourceNotFound", "Message": "does not exist"}, status=400)
TAKEN = said({"__type": "ValidationException", "Message": "Pipeline names must be unique"}, status=400)
MADE = said({"PipelineArn": "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/office-15m-streaming"})


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def sagemaker(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """SageMaker without any pipelines."""
    forget(server)
    for variable, value in environment(sagemaker=server, dynamodb=server).items():
        monkeypatch.setenv(variable, value)
    with closing(client("sagemaker")) as asked:
        yield asked


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A SageMaker that answers as it is told."""
    with running() as service:
        for variable, value in environment(sagemaker=service.url).items():
            monkeypatch.setenv(variable, value)
        yield service


def push_to(service: Service) -> str:
    """Push to a SageMaker that answers as it is told."""
    del service  # the environment leads there
    with closing(client("sagemaker")) as sagemaker:
        return push(OURS, sagemaker)


def asked(service: Service) -> list[str]:
    return [call.headers["x-amz-target"].removeprefix("SageMaker.") for call in service.calls]


def answers(**by_call: Callable[[int], Reply]) -> Callable[[Any], Reply]:
    """Answers by the name of the call, and by how often it came before."""
    seen: dict[str, int] = {}

    def answer(call: Any) -> Reply:
        name = call.headers["x-amz-target"].removeprefix("SageMaker.")
        seen[name] = seen.get(name, -1) + 1
        return by_call[name](seen[name])

    return answer


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pushed_pipeline_is_the_rendered_one(name: str, sagemaker: Any) -> None:
    ours = pipeline_definition(name, CONFIG)
    assert push(ours, sagemaker) == "created"
    there = sagemaker.describe_pipeline(PipelineName=ours.name)
    assert json.loads(there["PipelineDefinition"]) == ours.definition()
    assert (there["RoleArn"], there["PipelineDescription"]) == (ours.role_arn, ours.pipeline.doc)
    assert difference(ours, sagemaker) == []


def test_the_same_again_changes_nothing(sagemaker: Any) -> None:
    push(OURS, sagemaker)
    before = sagemaker.describe_pipeline(PipelineName=OURS.name)
    assert push(OURS, sagemaker) == "unchanged"
    assert sagemaker.describe_pipeline(PipelineName=OURS.name)["LastModifiedTime"] == before["LastModifiedTime"]


def test_another_definition_takes_its_place(sagemaker: Any) -> None:
    push(OURS, sagemaker)
    lines = difference(NEWER, sagemaker)
    assert any(line.startswith("-") and "3600" in line for line in lines)
    assert any(line.startswith("+") and "7200" in line for line in lines)
    assert push(NEWER, sagemaker) == "updated"
    assert difference(NEWER, sagemaker) == []
    assert len(sagemaker.list_pipelines()["PipelineSummaries"]) == 1


def test_another_role_is_a_difference_too(sagemaker: Any) -> None:
    push(OURS, sagemaker)
    sagemaker.update_pipeline(PipelineName=OURS.name, RoleArn="arn:aws:iam::123456789012:role/somebody-else")
    assert any("somebody-else" in line for line in difference(OURS, sagemaker))
    assert push(OURS, sagemaker) == "updated"
    assert sagemaker.describe_pipeline(PipelineName=OURS.name)["RoleArn"] == OURS.role_arn


def test_spaces_and_the_order_of_keys_are_no_difference(sagemaker: Any) -> None:
    push(OURS, sagemaker)
    turned = json.dumps(dict(reversed(OURS.definition().items())), indent=4)
    sagemaker.update_pipeline(PipelineName=OURS.name, PipelineDefinition=turned)
    assert push(OURS, sagemaker) == "unchanged"


def test_a_definition_that_is_no_json_is_replaced(sagemaker: Any) -> None:
    push(OURS, sagemaker)
    sagemaker.update_pipeline(PipelineName=OURS.name, PipelineDefinition="written by hand")
    assert any("written by hand" in line for line in difference(OURS, sagemaker))
    assert push(OURS, sagemaker) == "updated"


def test_a_pipeline_of_a_project_that_would_be_called_the_same_is_left_alone(sagemaker: Any) -> None:
    """SageMaker cannot tell a.b from a_b."""
    one, other = (
        pipeline_definition(NAME, CONFIG.model_copy(update={"project_name": name})) for name in ("a.b", "a_b")
    )
    assert push(one, sagemaker) == "created"
    for ask in (push, difference):
        with pytest.raises(SpecError, match=r"pipeline a-b-15m-streaming at SageMaker is that of project 'a\.b'"):
            ask(other, sagemaker)
    assert push(one, sagemaker) == "unchanged"


def test_a_pipeline_that_is_not_there_is_all_difference(sagemaker: Any) -> None:
    assert standing(OURS.name, sagemaker) is None
    lines = difference(OURS, sagemaker)
    assert all(line.startswith(("+", "@@", "--- ")) for line in lines)
    assert not sagemaker.list_pipelines()["PipelineSummaries"]


def test_of_two_pushes_at_once_both_succeed(sagemaker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    both, look = Barrier(2), pipelines_service.standing
    first: list[str] = []

    def together(name: str, sagemaker: Any) -> Any:
        found = look(name, sagemaker)
        if len(first) < 2:
            first.append(name)
            both.wait(timeout=20)
        return found

    monkeypatch.setattr(pipelines_service, "standing", together)
    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(push, (OURS, OURS), (sagemaker, sagemaker)))
    assert outcomes == ["created", "unchanged"]
    assert len(sagemaker.list_pipelines()["PipelineSummaries"]) == 1


def test_a_lost_answer_creates_nothing_twice(scripted: Service) -> None:
    lost = Reply(b"", 504)
    scripted.answer = answers(DescribePipeline=lambda _: NO_SUCH, CreatePipeline=lambda n: MADE if n else lost)
    assert push_to(scripted) == "created"
    assert asked(scripted) == ["DescribePipeline", "CreatePipeline", "CreatePipeline"]
    one, other = (json.loads(call.body)["ClientRequestToken"] for call in scripted.calls[1:])
    assert one == other


def test_a_refusal_is_told_as_it_is(scripted: Service) -> None:
    """A name that is taken, by nobody we may see, is no reason to update."""
    scripted.answer = answers(DescribePipeline=lambda _: NO_SUCH, CreatePipeline=lambda _: TAKEN)
    with pytest.raises(ServiceError, match=r"office-15m-streaming.*must be unique") as told:
        push_to(scripted)
    assert not told.value.retryable
    assert "UpdatePipeline" not in asked(scripted)


def test_who_may_not_look_creates_nothing(scripted: Service) -> None:
    denied = said({"__type": "AccessDeniedException", "Message": "not for you"}, status=400)
    scripted.answer = answers(DescribePipeline=lambda _: denied)
    with pytest.raises(ServiceError, match="AccessDeniedException"):
        push_to(scripted)
    assert asked(scripted) == ["DescribePipeline"]


def test_a_busy_service_may_be_asked_again_later(scripted: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    busy = said({"__type": "ThrottlingException", "Message": "slowly"}, status=400)
    scripted.answer = answers(DescribePipeline=lambda _: busy)
    with pytest.raises(ServiceBusyError):
        push_to(scripted)


def test_the_commands_tell_what_they_did(sagemaker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pipelines", "diff", "all", "--config", FILE]) == 1
    assert "+++ here" in capsys.readouterr().out
    for outcome in ("created", "unchanged"):
        assert main(["pipelines", "push", "all", "--config", FILE]) == 0
        told = capsys.readouterr().out.splitlines()
        assert told == [f"office-{name.replace('_', '-')}: {outcome}" for name in PIPELINES]
    assert main(["pipelines", "diff", "all", "--config", FILE]) == 0
    assert not capsys.readouterr().out


def test_nothing_is_pushed_when_one_of_several_cannot_be_rendered(sagemaker: Any, tmp_path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("pipeline_defaults:\n  table_name: specs\n", encoding="utf-8")
    assert main(["pipelines", "push", "all", "--config", str(file)]) == 3
    assert not sagemaker.list_pipelines()["PipelineSummaries"]


def test_pipelines_of_stored_specs_lead_their_containers_to_the_same_table(
    sagemaker: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("project_name", "job_name")]
    keys = [{"AttributeName": "project_name", "KeyType": "HASH"}, {"AttributeName": "job_name", "KeyType": "RANGE"}]
    with closing(client("dynamodb")) as dynamo:
        dynamo.create_table(
            TableName="their-specs", AttributeDefinitions=attributes, KeySchema=keys, BillingMode="PAY_PER_REQUEST"
        )
        item = {
            "project_name": {"S": "office"},
            "job_name": {"S": "project_parameters#7"},
            "spec": {"M": {}},
            "pipeline_defaults": {"M": {"role_arn": {"S": OURS.role_arn}, "ProcessingInstanceCount": {"N": "1"}}},
        }
        dynamo.put_item(TableName="their-specs", Item=item)
    words = ["--project-name", "office", "--feature-spec-version", "7", "--table", "their-specs"]
    assert main(["pipelines", "render", "inference_predictions", *words]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["Parameters"][1]["DefaultValue"] == "7"
    environment_of_step = made["Steps"][0]["Arguments"]["Environment"]
    assert environment_of_step == {"ML_PROJECTS_PARAMETERS_TABLE_NAME": "their-specs"}
