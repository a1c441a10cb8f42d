"""Alarms: what somebody has to be told."""

from __future__ import annotations

from typing import Any

from ndr.aws.deployment.parts import Resources
from ndr.aws.deployment.storage import tables
from ndr.aws.names import stack_name
from ndr.aws.policy import LOG_GROUP
from ndr.specs import Config

_ENDS = ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")


def alarms(config: Config) -> Resources:
    """A topic, and alarms for what failed, for logs that were refused, for an hour without a batch, for throttling.

    Raises:
        SpecError: nothing can be named after the project.
    """
    _, ledger = tables(config)
    return {
        "AlarmTopic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"TopicName": stack_name(config.project_name, "alarms")},
        },
        "AlarmTopicPolicy": _topic_policy(),
        "AlarmSubscription": {
            "Type": "AWS::SNS::Subscription",
            "Condition": "HasAlarmEmail",
            "Properties": {"TopicArn": {"Ref": "AlarmTopic"}, "Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}},
        },
        **{
            f"{machine}Alarm": _alarm(
                stack_name(config.project_name, f"{machine.lower()}-failed"),
                f"{machine}: an execution failed, took too long or was stopped; see it in Step Functions",
                _sum("AWS/States", _ENDS, "StateMachineArn", f"${{{machine}}}"),
            )
            for machine in ("Batches", "Baselines")
        },
        "QuietAlarm": _alarm(
            stack_name(config.project_name, "quiet"),
            "No batch was finished for an hour",
            _sum("AWS/States", ("ExecutionsSucceeded",), "StateMachineArn", "${Batches}", seconds=3_600),
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
            ActionsEnabled={"Fn::If": ["IsRunning", True, False]},
        ),
        "LedgerAlarm": _alarm(
            stack_name(config.project_name, "ledger-throttled"),
            f"The table {ledger} refuses calls for want of throughput",
            _sum("AWS/DynamoDB", ("ReadThrottleEvents", "WriteThrottleEvents"), "TableName", ledger),
        ),
        **_refusals(config),
    }


def refusal_pattern(project: str) -> str:
    """The lines of logs that tell of refused files or records; a line that names no project may be this one's."""
    mine = f'(($.project = "{project}") || ($.project NOT EXISTS))'
    return f'{{ ($.event = "refused") && ($.level = "warning") && {mine} }}'


def _refusals(config: Config) -> Resources:
    """Steps of pipelines go on without what they refuse and end with 0; only their logs tell of it."""
    space, metric = stack_name(config.project_name, "jobs"), "Refused"
    group = {"Fn::If": ["MakesLogGroup", {"Ref": "LogGroup"}, LOG_GROUP]}
    return {
        "RefusedMetric": {
            "Type": "AWS::Logs::MetricFilter",
            "Properties": {
                "LogGroupName": group,
                "FilterPattern": refusal_pattern(config.project_name),
                "MetricTransformations": [{"MetricNamespace": space, "MetricName": metric, "MetricValue": "1"}],
            },
        },
        "RefusedAlarm": _alarm(
            stack_name(config.project_name, "refused"),
            f"A job refused files or records and went on; its line with event refused in {LOG_GROUP} names it",
            _sum(space, (metric,)),
        ),
    }


def _alarm(name: str, text: str, metrics: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    usual = {"ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching"}
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": name,
            "AlarmDescription": text,
            "Metrics": metrics,
            "Threshold": 1,
            "EvaluationPeriods": 1,
            "AlarmActions": [{"Ref": "AlarmTopic"}],
            **usual,
            **more,
        },
    }


def _sum(
    namespace: str, names: tuple[str, ...], dimension: str = "", value: str = "", *, seconds: int = 300
) -> list[dict[str, Any]]:
    """The sum of metrics, of which any may have no data."""
    parts = [
        {
            "Id": f"m{i}",
            "ReturnData": False,
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": name,
                    "Dimensions": [{"Name": dimension, "Value": value}] if dimension else [],
                },
                "Period": seconds,
                "Stat": "Sum",
            },
        }
        for i, name in enumerate(names)
    ]
    whole = " + ".join(f"FILL(m{i}, 0)" for i in range(len(names)))
    return [{"Id": "all", "Label": names[0], "Expression": whole, "ReturnData": True}, *parts]


def _topic_policy() -> dict[str, Any]:
    topic = {"Ref": "AlarmTopic"}
    return {
        "Type": "AWS::SNS::TopicPolicy",
        "Properties": {
            "Topics": [topic],
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "Alarms",
                        "Effect": "Allow",
                        "Principal": {"Service": "cloudwatch.amazonaws.com"},
                        "Action": "sns:Publish",
                        "Resource": topic,
                        "Condition": {"StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}},
                    },
                    {
                        "Sid": "TlsOnly",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "sns:Publish",
                        "Resource": topic,
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                ],
            },
        },
    }
