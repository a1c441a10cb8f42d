"""Chains: state machines that run pipelines one after the other, with the same time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ndr.aws.deployment.parts import Resources, pipeline_resource
from ndr.aws.names import stack_name
from ndr.jobs import PIPELINES
from ndr.specs import Config

BATCHES = ("15m_streaming", "inference_predictions", "prediction_feature_join")
BASELINES = ("machine_inventory_unload", "fg_b_baseline")
MOVING = {
    **dict.fromkeys(BATCHES, "BatchEndTsIso"),
    "machine_inventory_unload": "ReferenceMonthIso",
    "fg_b_baseline": "ReferenceTimeIso",
}
"""Pipeline -> the parameter that is the time at which a chain was to start; jobs find quarter, day and month in it."""
POLL_SECONDS = 20
RETRIES = 2
"""How often a pipeline that failed is started again in its chain; it makes only what is missing then."""
_HOUR = 3_600
_SAGEMAKER = "arn:${AWS::Partition}:states:::aws-sdk:sagemaker"
_AGAIN = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "MaxAttempts": 5, "BackoffRate": 2}]


def chains(config: Config) -> Resources:
    """The state machine of a quarter hour, and that of inventory and baselines."""
    baselines = [name for name in BASELINES if name != "machine_inventory_unload" or name in config.jobs]
    return {
        "Batches": _machine(stack_name(config.project_name, "batches"), chain(BATCHES, 4 * _HOUR)),
        "Baselines": _machine(stack_name(config.project_name, "baselines"), chain(baselines, 48 * _HOUR)),
    }


def chain(names: Sequence[str], seconds: int) -> dict[str, Any]:
    """Runs pipelines in order, each with the time of the input; events of EventBridge have theirs in the same place."""
    states = {name: _link(name, after) for name, after in zip(names, [*names[1:], None], strict=True)}
    return {
        "Comment": ", then ".join(PIPELINES[name].doc for name in names),
        "StartAt": names[0],
        "TimeoutSeconds": seconds,
        "States": states,
    }


def _link(name: str, after: str | None) -> dict[str, Any]:
    """One pipeline: a single branch, for only a whole branch can be tried again. Who stops a pipeline means it."""
    return {
        "Type": "Parallel",
        "Branches": [_to_its_end(name)],
        "ResultPath": None,
        "Retry": [{"ErrorEquals": ["PipelineFailed"], "IntervalSeconds": 60, "MaxAttempts": RETRIES, "BackoffRate": 2}],
        **({"Next": after} if after else {"End": True}),
    }


def _to_its_end(name: str) -> dict[str, Any]:
    """Starts a pipeline, looks until it has ended, and ends as it did; Step Functions itself cannot wait for one."""
    status = "$.seen.PipelineExecutionStatus"
    wait, look, done = f"wait for {name}", f"look at {name}", f"{name} is done"
    going = [{"Variable": status, "StringEquals": each, "Next": wait} for each in ("Executing", "Stopping")]
    states = {
        f"start {name}": _start(name, wait),
        wait: {"Type": "Wait", "Seconds": POLL_SECONDS, "Next": look},
        look: {
            "Type": "Task",
            "Resource": f"{_SAGEMAKER}:describePipelineExecution",
            "Parameters": {"PipelineExecutionArn.$": "$.started.PipelineExecutionArn"},
            "ResultPath": "$.seen",
            "Retry": _AGAIN,
            "Next": f"has {name} ended",
        },
        f"has {name} ended": {
            "Type": "Choice",
            "Choices": [{"Variable": status, "StringEquals": "Succeeded", "Next": done}, *going],
            "Default": f"{name} failed",
        },
        done: {"Type": "Succeed"},
        f"{name} failed": {
            "Type": "Fail",
            "ErrorPath": f"States.Format('Pipeline{{}}', {status})",
            "CausePath": "States.Format('See what the steps of {} say', $.started.PipelineExecutionArn)",
        },
    }
    return {"StartAt": f"start {name}", "States": states}


def _start(name: str, after: str) -> dict[str, Any]:
    """The token is the same for every try of one start, so that an answer that was lost starts nothing twice."""
    entered = "$$.Execution.Id, $$.State.EnteredTime"
    return {
        "Type": "Task",
        "Resource": f"{_SAGEMAKER}:startPipelineExecution",
        "Parameters": {
            "PipelineName": f"${{{pipeline_resource(name)}}}",
            "PipelineParameters": [{"Name": MOVING[name], "Value.$": "$.time"}],
            "ClientRequestToken.$": f"States.Hash(States.Format('{{}} {{}}', {entered}), 'SHA-256')",
        },
        "ResultPath": "$.started",
        "Retry": _AGAIN,
        "Next": after,
    }


def _machine(name: str, definition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": name,
            "StateMachineType": "STANDARD",
            "RoleArn": "${ChainRole.Arn}",
            "DefinitionString": {"Fn::Sub": json.dumps(definition, separators=(",", ":"))},
        },
    }
