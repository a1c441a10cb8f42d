"""Chains: state machines that run pipelines one after the other with the same parameters, and each to its end."""

from __future__ import annotations

import json
from typing import Any

from ndr.aws.deployment.parts import Resources, pipeline_resource, stack_name
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


def chains(config: Config) -> Resources:
    """The state machine of one pipeline, that of a quarter hour, and that of inventory and baselines."""
    baselines = [name for name in BASELINES if name != "machine_inventory_unload" or name in config.jobs]
    return {
        "PipelineRun": _machine(stack_name(config, "pipeline"), "PipelineRunRole", pipeline_run()),
        "Batches": _machine(stack_name(config, "batches"), "ChainRole", chain(BATCHES, 2 * _HOUR)),
        "Baselines": _machine(stack_name(config, "baselines"), "ChainRole", chain(baselines, 24 * _HOUR)),
    }


def pipeline_run() -> dict[str, Any]:
    """Starts the pipeline of its input with the parameters there, looks until it has ended, and ends as it did.

    Step Functions itself cannot wait for a pipeline. The token is the same for every try of one start, so that an
    answer that was lost starts nothing twice.
    """
    call = "arn:${AWS::Partition}:states:::aws-sdk:sagemaker:"
    again = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "MaxAttempts": 5, "BackoffRate": 2}]
    status = "$.seen.PipelineExecutionStatus"
    going = [{"Variable": status, "StringEquals": each, "Next": "Wait"} for each in ("Executing", "Stopping")]
    return {
        "Comment": "One pipeline to its end",
        "StartAt": "Start",
        "TimeoutSeconds": 24 * _HOUR,
        "States": {
            "Start": {
                "Type": "Task",
                "Resource": f"{call}startPipelineExecution",
                "Parameters": {
                    "PipelineName.$": "$.pipeline",
                    "PipelineParameters.$": "$.parameters",
                    "ClientRequestToken.$": "States.Hash($$.Execution.Id, 'SHA-256')",
                },
                "ResultPath": "$.started",
                "Retry": again,
                "Next": "Wait",
            },
            "Wait": {"Type": "Wait", "Seconds": POLL_SECONDS, "Next": "Look"},
            "Look": {
                "Type": "Task",
                "Resource": f"{call}describePipelineExecution",
                "Parameters": {"PipelineExecutionArn.$": "$.started.PipelineExecutionArn"},
                "ResultPath": "$.seen",
                "Retry": again,
                "Next": "Ended",
            },
            "Ended": {
                "Type": "Choice",
                "Choices": [{"Variable": status, "StringEquals": "Succeeded", "Next": "Done"}, *going],
                "Default": "Failed",
            },
            "Done": {"Type": "Succeed"},
            "Failed": {
                "Type": "Fail",
                "ErrorPath": f"States.Format('Pipeline{{}}', {status})",
                "CausePath": "States.Format('See the steps of {} and what they say', $.started.PipelineExecutionArn)",
            },
        },
    }


def chain(names: tuple[str, ...] | list[str], seconds: int) -> dict[str, Any]:
    """Runs pipelines in order, each with the time of the input; events of EventBridge have theirs in the same place."""
    states = {name: _link(name, after) for name, after in zip(names, [*names[1:], None], strict=True)}
    return {
        "Comment": ", then ".join(PIPELINES[name].doc for name in names),
        "StartAt": names[0],
        "TimeoutSeconds": seconds,
        "States": states,
    }


def _link(name: str, after: str | None) -> dict[str, Any]:
    moving = [{"Name": MOVING[name], "Value.$": "$.time"}]
    return {
        "Type": "Task",
        "Resource": "arn:${AWS::Partition}:states:::states:startExecution.sync:2",
        "Parameters": {
            "StateMachineArn": "${PipelineRun}",
            "Input": {
                "pipeline": f"${{{pipeline_resource(name)}}}",
                "parameters": moving,
                "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$": "$$.Execution.Id",
            },
        },
        "ResultPath": None,
        "Retry": [
            {"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 60, "MaxAttempts": RETRIES, "BackoffRate": 2}
        ],
        **({"Next": after} if after else {"End": True}),
    }


def _machine(name: str, role: str, definition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": name,
            "StateMachineType": "STANDARD",
            "RoleArn": f"${{{role}.Arn}}",
            "DefinitionString": {"Fn::Sub": json.dumps(definition, separators=(",", ":"))},
        },
    }
