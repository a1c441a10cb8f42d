"""Parameters of the template, and the conditions that follow from them."""

from __future__ import annotations

from typing import Any

from ndr.aws.deployment.parts import workgroups
from ndr.aws.policy import destination, raw_logs, workgroup_parameter
from ndr.specs import Config

ON_SCHEDULE, ON_MARKER = "Schedule", "Marker"
_USUAL: dict[str, Any] = {
    "DelayMinutes": {
        "Type": "Number", "Default": 5, "MinValue": 0, "MaxValue": 14,
        "Description": "Minutes after each quarter hour at which its batch starts; its logs must have come by then",
    },
    "BaselineSchedule": {
        "Type": "String", "Default": "cron(30 2 1 * ? *)",
        "Description": "When the inventory and then the baselines are made, as EventBridge Scheduler takes it, UTC",
    },
    "Running": {
        "Type": "String", "Default": "true", "AllowedValues": ["true", "false"],
        "Description": "false: nothing starts by itself, for setting up and for repairs",
    },
    "AlarmEmail": {"Type": "String", "Default": "", "Description": "Who is told of alarms; empty for nobody"},
    "LogRetentionDays": {
        "Type": "Number", "Default": 30, "AllowedValues": [7, 14, 30, 60, 90, 180, 365],
        "Description": "How long the words of jobs are kept",
    },
    "MakeLogGroup": {
        "Type": "String", "Default": "true", "AllowedValues": ["true", "false"],
        "Description": "false where the account has the log group of processing jobs already",
    },
}  # fmt: skip


def parameters(config: Config) -> dict[str, Any]:
    """What who makes the stack may choose, or has to say.

    Raises:
        SpecError: a spec breaks a rule.
    """
    found: dict[str, Any] = dict(_USUAL)
    if raw_logs(config):
        found["Trigger"] = {
            "Type": "String", "Default": ON_SCHEDULE, "AllowedValues": [ON_SCHEDULE, ON_MARKER],
            "Description": "What starts a batch: the clock, or an object that is written when its logs are complete",
        }  # fmt: skip
        found["MarkerName"] = {
            "Type": "String", "Default": "_SUCCESS", "AllowedPattern": "[A-Za-z0-9_.-]+",
            "Description": "How the key of that object ends",
        }  # fmt: skip
    if not config.pipeline_defaults.processing_image_uri:
        found["ImageTag"] = {
            "Type": "String", "Default": "latest", "AllowedPattern": "[A-Za-z0-9_][A-Za-z0-9_.-]*",
            "Description": "Tag of the image that jobs run in, in the repository of this stack",
        }  # fmt: skip
    for name in workgroups(config):
        found[workgroup_parameter(name)] = {
            "Type": "String", "AllowedPattern": "[a-f0-9-]{36}",
            "Description": f"Id of the Redshift workgroup {name}, the end of its ARN",
        }  # fmt: skip
    if destination(config).type == "iceberg":
        found["IcebergPolicyArn"] = {
            "Type": "String", "Default": "",
            "Description": "Policy that lets the join write the Iceberg table, its catalog and its files",
        }  # fmt: skip
    return found


def conditions(config: Config) -> dict[str, Any]:
    """What in the template hangs on parameters.

    Raises:
        SpecError: a spec breaks a rule.
    """
    running: dict[str, Any] = {"Fn::Equals": [{"Ref": "Running"}, "true"]}
    found: dict[str, Any] = {
        "IsRunning": running,
        "HasAlarmEmail": {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmEmail"}, ""]}]},
        "MakesLogGroup": {"Fn::Equals": [{"Ref": "MakeLogGroup"}, "true"]},
    }
    if raw_logs(config):
        for condition, trigger in (("OnSchedule", ON_SCHEDULE), ("OnMarker", ON_MARKER)):
            found[condition] = {"Fn::And": [running, {"Fn::Equals": [{"Ref": "Trigger"}, trigger]}]}
    if destination(config).type == "iceberg":
        found["HasIcebergPolicy"] = {"Fn::Not": [{"Fn::Equals": [{"Ref": "IcebergPolicyArn"}, ""]}]}
    return found
