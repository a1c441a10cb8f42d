"""What starts the chains: the clock, or an object that says that the logs of a batch are complete."""

from __future__ import annotations

import json
from typing import Any

from ndr.aws.deployment.parts import Resources
from ndr.aws.deployment.roles import role_of
from ndr.aws.names import stack_name
from ndr.aws.policy import raw_logs
from ndr.specs import Config

_TIME = json.dumps({"time": "<aws.scheduler.scheduled-time>"})
"""The time that a start was planned for, however late it comes: the same batch, whoever tries it again."""


def schedules(config: Config) -> Resources:
    """Every quarter hour a batch, at longer times inventory and baselines; by a marker instead, where logs are told.

    Raises:
        SpecError: the prefix of the logs is none.
    """
    condition = "OnSchedule" if raw_logs(config) else "IsRunning"
    found: Resources = {
        "BatchSchedule": _schedule(
            stack_name(config.project_name, "batches"), "cron(${DelayMinutes}/15 * * * ? *)", "Batches", condition
        ),
        "BaselinesSchedule": _schedule(
            stack_name(config.project_name, "baselines"), "${BaselineSchedule}", "Baselines", "IsRunning"
        ),
    }
    if raw_logs(config):
        start = {"Effect": "Allow", "Action": ["states:StartExecution"], "Resource": ["${Batches}"]}
        found["MarkerRole"] = role_of("events", "the rule of markers", [start])
        found["MarkerRule"] = _rule(stack_name(config.project_name, "marker"), raw_logs(config))
    return found


def _schedule(name: str, when: str, machine: str, condition: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "Name": name,
            "ScheduleExpression": when,
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": {"Fn::If": [condition, "ENABLED", "DISABLED"]},
            "Target": {
                "Arn": f"${{{machine}}}",
                "RoleArn": "${ScheduleRole.Arn}",
                "Input": _TIME,
                "RetryPolicy": {"MaximumRetryAttempts": 20, "MaximumEventAgeInSeconds": 3_600},
            },
        },
    }


def _rule(name: str, places: list[str]) -> dict[str, Any]:
    split = [place.removeprefix("s3://").partition("/") for place in places]
    keys = [{"wildcard": f"{prefix}/*${{MarkerName}}" if prefix else "*${MarkerName}"} for _, _, prefix in split]
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "Name": name,
            "Description": "The logs of a batch are complete",
            "State": {"Fn::If": ["OnMarker", "ENABLED", "DISABLED"]},
            "EventPattern": {
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {"bucket": {"name": sorted({bucket for bucket, _, _ in split})}, "object": {"key": keys}},
            },
            "Targets": [{"Id": "batches", "Arn": "${Batches}", "RoleArn": "${MarkerRole.Arn}"}],
        },
    }
