"""State machines of the template, run by an interpreter of their language against SageMaker's stand-in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.sagemaker.models import SageMakerModelBackend
from standins.credentials import ACCOUNT, environment

from aws.deployed import WIDE, resources, told
from ndr.aws.deployment.chains import BASELINES, BATCHES, RETRIES
from ndr.aws.pipelines import pipeline_name

ROLE = f"arn:aws:iam::{ACCOUNT}:role/x"
TIME = "2026-03-02T10:20:00Z"
NAMES = {name: pipeline_name(WIDE.project_name, name) for name in (*BATCHES, *BASELINES)}
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


class Account:
    """The pipelines and state machines of the template; ``ends`` says how the next executions of a pipeline end."""

    def __init__(self) -> None:
        self.sagemaker, self.states = boto3.client("sagemaker"), boto3.client("stepfunctions")
        self.ends: dict[str, list[str]] = {}
        self.started: list[tuple[str, dict[str, str], str]] = []
        known = {}
        for name, each in resources(WIDE, "AWS::SageMaker::Pipeline").items():
            self.sagemaker.create_pipeline(
                PipelineName=each["PipelineName"], RoleArn=ROLE, ClientRequestToken="a" * 32, PipelineDefinition="{}"
            )
            known[name] = each["PipelineName"]
        self.machines = {name: self._machine(resources(WIDE)[name], known) for name in ("Batches", "Baselines")}

    def _machine(self, each: dict[str, Any], known: dict[str, str]) -> str:
        text = told(each["DefinitionString"], known)
        quick = text.replace('"Seconds":20', '"Seconds":0').replace('"IntervalSeconds":60', '"IntervalSeconds":1')
        assert quick.count('"Seconds":0') == quick.count('"Type":"Wait"')
        made = self.states.create_state_machine(name=each["StateMachineName"], definition=quick, roleArn=ROLE)
        return str(made["stateMachineArn"])

    def run(self, machine: str, **given: Any) -> dict[str, Any]:
        text = json.dumps(given)
        begun = self.states.start_execution(stateMachineArn=self.machines[machine], name="one", input=text)
        until = time.monotonic() + 15
        while time.monotonic() < until:
            seen = self.states.describe_execution(executionArn=begun["executionArn"])
            if seen["status"] in ENDED:
                return dict(seen)
            time.sleep(0.05)
        raise AssertionError(self.states.get_execution_history(executionArn=begun["executionArn"])["events"][-3:])


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    start = SageMakerModelBackend.start_pipeline_execution
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        made = Account()

        def starting(self: Any, *asked: Any) -> Any:
            answer = start(self, *asked)
            name, _, parameters, _, _, token = asked
            given = {each["Name"]: each["Value"] for each in parameters}
            made.started.append((name, given, token))
            ends = made.ends.get(name) or ["Succeeded"]
            execution = self.pipelines[name].pipeline_executions[answer["PipelineExecutionArn"]]
            execution.pipeline_execution_status = ends.pop(0)
            return answer

        monkeypatch.setattr(SageMakerModelBackend, "start_pipeline_execution", starting)
        yield made


def test_a_batch_is_made_scored_and_joined_in_order_with_one_time(account: Account) -> None:
    assert account.run("Batches", time=TIME)["status"] == "SUCCEEDED"
    assert [(name, given) for name, given, _ in account.started] == [
        (NAMES[name], {"BatchEndTsIso": TIME}) for name in BATCHES
    ]


def test_machines_come_before_baselines(account: Account) -> None:
    assert account.run("Baselines", time=TIME)["status"] == "SUCCEEDED"
    assert [(name, given) for name, given, _ in account.started] == [
        (NAMES["machine_inventory_unload"], {"ReferenceMonthIso": TIME}),
        (NAMES["fg_b_baseline"], {"ReferenceTimeIso": TIME}),
    ]


def test_an_event_of_s3_has_the_time_where_a_schedule_has_it(account: Account) -> None:
    event = {"source": "aws.s3", "time": TIME, "detail": {"object": {"key": "firewall/1/_SUCCESS"}}}
    assert account.run("Batches", **event)["status"] == "SUCCEEDED"
    assert account.started[0][1] == {"BatchEndTsIso": TIME}


def test_a_pipeline_that_fails_once_is_started_again_as_another_execution(account: Account) -> None:
    account.ends[NAMES[BATCHES[0]]] = ["Failed"]
    assert account.run("Batches", time=TIME)["status"] == "SUCCEEDED"
    assert [name for name, _, _ in account.started] == [NAMES[BATCHES[0]], *(NAMES[name] for name in BATCHES)]
    tokens = [token for _, _, token in account.started]
    assert len(set(tokens)) == len(tokens)
    assert all(32 <= len(token) <= 128 for token in tokens)


def test_nothing_comes_after_a_pipeline_that_keeps_failing(account: Account) -> None:
    account.ends[NAMES[BATCHES[1]]] = ["Failed"] * 9
    seen = account.run("Batches", time=TIME)
    assert (seen["status"], seen["error"]) == ("FAILED", "PipelineFailed")
    assert f"pipeline/{NAMES[BATCHES[1]]}/execution/" in seen["cause"]
    assert [name for name, _, _ in account.started] == [NAMES[BATCHES[0]], *[NAMES[BATCHES[1]]] * (RETRIES + 1)]


def test_a_pipeline_that_somebody_stops_stays_stopped(account: Account) -> None:
    account.ends[NAMES[BATCHES[0]]] = ["Stopped"]
    seen = account.run("Batches", time=TIME)
    assert (seen["status"], seen["error"]) == ("FAILED", "PipelineStopped")
    assert len(account.started) == 1


def test_a_pipeline_that_runs_is_waited_for(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    describe = SageMakerModelBackend.describe_pipeline_execution

    def looking(self: Any, pipeline_execution_arn: str) -> Any:
        answer = describe(self, pipeline_execution_arn)
        looks.append(pipeline_execution_arn)
        return answer | ({"PipelineExecutionStatus": "Executing"} if len(looks) < 3 else {})

    monkeypatch.setattr(SageMakerModelBackend, "describe_pipeline_execution", looking)
    assert account.run("Batches", time=TIME)["status"] == "SUCCEEDED"
    assert len(looks) == len(BATCHES) + 2
    assert len(account.started) == len(BATCHES)
