"""One CloudFormation template with everything that an account needs to run the pipelines of a configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ndr.aws.deployment.alarms import alarms
from ndr.aws.deployment.chains import chains
from ndr.aws.deployment.definitions import pipelines, repository
from ndr.aws.deployment.parts import Resources, filled, workgroups
from ndr.aws.deployment.roles import roles
from ndr.aws.deployment.schedules import schedules
from ndr.aws.deployment.services import offline_store
from ndr.aws.deployment.storage import buckets, storage, tables
from ndr.aws.policy import destination, raw_logs, workgroup_parameter
from ndr.errors import UsageError, near_miss, shown
from ndr.specs import Config

ON_SCHEDULE, ON_MARKER = "Schedule", "Marker"


def template(config: Config, existing: Collection[str] = ()) -> dict[str, Any]:
    """The template; buckets named in ``existing`` are there already and stay as they are.

    Raises:
        SpecError: the configuration breaks a rule, or does not say where the lake lies.
        UsageError: a bucket is called existing that the configuration does not use.
    """
    used = buckets(config)
    for name in existing:
        if name not in used:
            raise UsageError(
                f"the configuration has no prefix in the bucket {shown(name)!r}.{near_miss(name, used)} "
                f"It uses {', '.join(used)}."
            )
    resources: Resources = {
        **storage(config, existing),
        **repository(config),
        **roles(config),
        **pipelines(config),
        **chains(config),
        **schedules(config),
        **alarms(config),
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"ndr: features, baselines and scores of project {config.project_name}",
        "Parameters": _parameters(config),
        "Conditions": _conditions(config),
        "Resources": filled(resources),
        "Outputs": filled(_outputs(config)),
    }


def _parameters(config: Config) -> dict[str, Any]:
    found: dict[str, Any] = {
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


def _conditions(config: Config) -> dict[str, Any]:
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


def _outputs(config: Config) -> Mapping[str, Any]:
    specs, ledger = tables(config)
    found = {
        "JobSpecTable": ("where ndr spec push puts the configuration", specs),
        "LedgerTable": ("where jobs remember what they made", ledger),
        "Batches": ("state machine of a quarter hour", "${Batches}"),
        "Baselines": ("state machine of inventory and baselines", "${Baselines}"),
        "Alarms": ("topic that alarms are sent to", "${AlarmTopic}"),
    }
    if not config.pipeline_defaults.processing_image_uri:
        found["Image"] = ("where to push the image of jobs", "${Repository.RepositoryUri}:${ImageTag}")
    if offline_store(config):
        found["FeatureStoreRole"] = ("write it to jobs.feature_store_ingest.role_arn", "${FeatureStoreRole.Arn}")
    return {name: {"Description": text, "Value": value} for name, (text, value) in found.items()}
