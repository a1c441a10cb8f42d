"""Roles: who may do what; what jobs may do follows from the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ndr.aws.deployment.parts import Resources, job_role
from ndr.aws.deployment.services import copied, offline_store
from ndr.aws.names import pipeline_name
from ndr.aws.policy import Account, Statement, allow, destination, particular, shared
from ndr.jobs import PIPELINES
from ndr.specs import Config

_VERSION = "2012-10-17"


def roles(config: Config) -> Resources:
    """Roles for the jobs of each pipeline, for the pipelines, the state machines and what starts those.

    Raises:
        SpecError: a spec breaks a rule.
    """
    here = Account()
    found: Resources = {"JobPolicy": _managed("What every job may do", shared(config, here))}
    for name, pipeline in PIPELINES.items():
        jobs = [job.name for job in pipeline.steps(config)]
        made = role_of("sagemaker", f"the jobs of {name}", particular(config, jobs, here))
        made["Properties"]["ManagedPolicyArns"] = ["${JobPolicy}"]
        found[job_role(name)] = made
    if destination(config).type == "iceberg":
        more = {"Fn::If": ["HasIcebergPolicy", {"Ref": "IcebergPolicyArn"}, {"Ref": "AWS::NoValue"}]}
        found[job_role("prediction_feature_join")]["Properties"]["ManagedPolicyArns"].append(more)
    found["PipelineRole"] = role_of("sagemaker", "the pipelines", _pipelines(here))
    found["ChainRole"] = role_of("states", "the state machines", _pipeline_runs(config, here))
    starts = [allow("Start", ["states:StartExecution"], ["${Batches}", "${Baselines}"])]
    found["ScheduleRole"] = role_of("scheduler", "the schedules", starts)
    if offline := offline_store(config, here):
        found["FeatureStoreRole"] = role_of("sagemaker", "the offline store of Feature Store", offline)
    for i, (role, statements) in enumerate(copied(config, here).items(), 1):
        text = f"What {role.rpartition('/')[2]} of Redshift needs on S3; attach it to that role"
        found[f"RedshiftFiles{i}"] = _managed(text, statements)
    return found


def _managed(text: str, statements: Sequence[Statement]) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"Description": text, "PolicyDocument": _document(statements)},
    }


def role_of(service: str, purpose: str, statements: Sequence[Statement]) -> dict[str, Any]:
    """A role that a service of AWS may take on, for this account only."""
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "Description": f"ndr: {purpose}",
            "AssumeRolePolicyDocument": {
                "Version": _VERSION,
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": f"{service}.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                        "Condition": {"StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}},
                    }
                ],
            },
            **({"Policies": [{"PolicyName": "own", "PolicyDocument": _document(statements)}]} if statements else {}),
        },
    }


def _document(statements: Sequence[Statement]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": [dict(each) for each in statements]}


def _pipelines(here: Account) -> list[Statement]:
    """Pipelines begin processing jobs, whose names SageMaker begins with ``pipelines-``, as the roles of the jobs."""
    started = ["sagemaker:CreateProcessingJob", "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"]
    passed = [f"${{{job_role(name)}.Arn}}" for name in PIPELINES]
    return [
        allow("Steps", [*started, "sagemaker:AddTags"], [here.arn("sagemaker", "processing-job/pipelines-*")]),
        allow("StepRoles", ["iam:PassRole"], passed, StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"}),
    ]


def _pipeline_runs(config: Config, here: Account) -> list[Statement]:
    known = [arn for name in PIPELINES for arn in here.named("pipeline", pipeline_name(config.project_name, name))]
    return [
        allow("Start", ["sagemaker:StartPipelineExecution"], known),
        allow("Look", ["sagemaker:DescribePipelineExecution"], [f"{arn}/execution/*" for arn in known]),
    ]
