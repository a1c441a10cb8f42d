"""The pipelines, and the repository of the image that their jobs run in."""

from __future__ import annotations

import json

from ndr.aws.deployment.parts import Resources, job_role, pipeline_resource
from ndr.aws.deployment.storage import Existing, tables
from ndr.aws.names import repository_name
from ndr.aws.pipelines import pipeline_definition
from ndr.jobs import PIPELINES
from ndr.specs import Config

_UNTAGGED = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {
                "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 30,
            },
            "action": {"type": "expire"},
        }
    ]
}  # fmt: skip


def deployed(config: Config, pipeline: str) -> Config:
    """The configuration with the role, image and tables that the template gives to a pipeline.

    They are texts that CloudFormation fills in, which no configuration may hold, and so they are not checked again.
    """
    specs, ledger = tables(config)
    given = {"role_arn": f"${{{job_role(pipeline)}.Arn}}", "table_name": specs, "ledger_table_name": ledger}
    if not config.pipeline_defaults.processing_image_uri:
        given["processing_image_uri"] = image(config)
    return config.model_copy(update={"pipeline_defaults": config.pipeline_defaults.model_copy(update=given)})


def pipelines(config: Config) -> Resources:
    """Every pipeline, whose steps run as the role of their jobs.

    Raises:
        SpecError: the configuration does not make a pipeline.
    """
    found: Resources = {}
    for name, pipeline in PIPELINES.items():
        made = pipeline_definition(name, deployed(config, name), "${AWS::Region}")
        body = json.dumps(made.definition(), separators=(",", ":"))
        found[pipeline_resource(name)] = {
            "Type": "AWS::SageMaker::Pipeline",
            "Properties": {
                "PipelineName": made.name,
                "PipelineDescription": pipeline.doc,
                "RoleArn": "${PipelineRole.Arn}",
                "PipelineDefinition": {"PipelineDefinitionBody": {"Fn::Sub": body}},
            },
        }
    return found


def image(config: Config) -> str:
    """The image in the repository of the template, which may have been there before it."""
    host = "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}"
    return f"{host}/{repository_name(config.project_name)}:${{ImageTag}}"


def repository(config: Config, existing: Existing) -> Resources:
    """Where the image is kept, unless the configuration names one, or it is there already."""
    name = repository_name(config.project_name)
    if config.pipeline_defaults.processing_image_uri or name in existing.repositories:
        return {}
    return {
        "Repository": {
            "Type": "AWS::ECR::Repository",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "RepositoryName": name,
                "ImageScanningConfiguration": {"ScanOnPush": True},
                "EncryptionConfiguration": {"EncryptionType": "AES256"},
                "LifecyclePolicy": {"LifecyclePolicyText": json.dumps(_UNTAGGED)},
            },
        }
    }
