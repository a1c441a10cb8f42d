"""Pipelines of SageMaker, generated from the declarations of jobs: what AWS's own SDK would render, without it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ndr.aws.names import pipeline_name
from ndr.errors import SpecError, UnknownNameError
from ndr.jobs import PIPELINES, Job, Pipeline
from ndr.specs import Config, PipelineDefaults

VERSION = "2020-12-01"
MODES = ("REGULAR", "BACKFILL")
AUTO = "auto"
"""A runtime argument that the job finds out by itself, from the end of its batch."""

SPECS_VARIABLE = "ML_PROJECTS_PARAMETERS_TABLE_NAME"
LEDGER_VARIABLE = "NDR_LEDGER_TABLE_NAME"
REGION_VARIABLE = "AWS_DEFAULT_REGION"
"""What boto3 reads; SageMaker does not promise to set it in the containers of others."""

ENTRYPOINTS: Mapping[str, tuple[str, ...]] = {
    "duckdb": ("ndr", "job"),
    "spark": ("smspark-submit", "/opt/ndr/start.py", "job"),
}
"""Engine -> how its container starts a job, whose name follows."""

RETRIES = (
    {
        "ExceptionType": ["Step.SERVICE_FAULT", "Step.THROTTLING"],
        "IntervalSeconds": 10,
        "BackoffRate": 2.0,
        "MaxAttempts": 3,
    },
    {
        "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR"],
        "IntervalSeconds": 30,
        "BackoffRate": 2.0,
        "MaxAttempts": 3,
    },
)
"""Failures of the platform, not of a job: a step that is started again makes only what is missing."""


@dataclass(frozen=True)
class PipelineDefinition:
    """One pipeline as SageMaker is to know it; without a region its jobs use that of their image, as SageMaker must."""

    pipeline: Pipeline
    config: Config
    region: str | None = None

    @property
    def name(self) -> str:
        """The name of the pipeline at SageMaker, which knows letters, digits and single hyphens.

        Raises:
            SpecError: nothing is left of the name of the project.
        """
        return pipeline_name(self.config.project_name, self.pipeline.name)

    @property
    def role_arn(self) -> str:
        """The role that the steps and the pipeline run as.

        Raises:
            SpecError: the configuration names none.
        """
        return _said(self.config.pipeline_defaults.role_arn, "role_arn", "the role that steps run as")

    def definition(self) -> dict[str, Any]:
        """The definition, equal to what the SDK renders for the same steps.

        Raises:
            SpecError: the configuration does not say who runs the steps, or where they find their specs.
        """
        jobs = self.pipeline.steps(self.config)
        steps = [self._step(job, after) for job, after in zip(jobs, (None, *jobs), strict=False)]
        return {
            "Version": VERSION,
            "Metadata": {},
            "Parameters": _parameters(self.pipeline, self.config),
            # An experiment would get one more trial with every execution, and hold a few hundred.
            "PipelineExperimentConfig": None,
            "Steps": steps,
        }

    def definition_json(self) -> str:
        """The definition as SageMaker takes it.

        Raises:
            SpecError: as ``definition``.
        """
        return json.dumps(self.definition())

    def _step(self, job: Job, after: Job | None) -> dict[str, Any]:
        defaults = self.config.pipeline_defaults
        resources = {
            "InstanceType": _get("ProcessingInstanceType"),
            "InstanceCount": _get("ProcessingInstanceCount"),
            "VolumeSizeInGB": defaults.volume_size_gb,
        }
        step = {
            "Name": job.name,
            "Type": "Processing",
            "Arguments": {
                "ProcessingResources": {"ClusterConfig": resources},
                "AppSpecification": {
                    "ImageUri": _get("ProcessingImageUri"),
                    "ContainerEntrypoint": [*ENTRYPOINTS[defaults.engine], job.name],
                    "ContainerArguments": _arguments(job, defaults),
                },
                "RoleArn": self.role_arn,
                "Environment": _environment(defaults, self.region),
                "StoppingCondition": {"MaxRuntimeInSeconds": defaults.max_runtime_seconds},
            },
            "RetryPolicies": [dict(policy) for policy in RETRIES],
        }
        return step | ({"DependsOn": [after.name]} if after else {})


def build_15m_streaming_pipeline(config: Config) -> PipelineDefinition:
    """What hosts did in a quarter hour, and how far off they are."""
    return pipeline_definition("15m_streaming", config)


def build_fg_b_baseline_pipeline(config: Config) -> PipelineDefinition:
    """What is normal, as of a reference time; with a model, where the configuration has the job ``model_training``."""
    return pipeline_definition("fg_b_baseline", config)


def build_machine_inventory_unload_pipeline(config: Config) -> PipelineDefinition:
    """The machines of a month, from Redshift."""
    return pipeline_definition("machine_inventory_unload", config)


def build_inference_predictions_pipeline(config: Config) -> PipelineDefinition:
    """How unusual each host is."""
    return pipeline_definition("inference_predictions", config)


def build_prediction_feature_join_pipeline(config: Config) -> PipelineDefinition:
    """Predictions with their features, to other systems."""
    return pipeline_definition("prediction_feature_join", config)


def pipeline_definition(name: str, config: Config, region: str | None = None) -> PipelineDefinition:
    """The pipeline of a name, such as ``15m_streaming``; ``region`` where the image does not tell it.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in PIPELINES:
        raise UnknownNameError("pipeline", name, PIPELINES)
    return PipelineDefinition(PIPELINES[name], config, region)


def parameter(argument: str) -> str:
    """What a pipeline calls a runtime argument of a job.

    >>> parameter("batch_start_ts_iso")
    'BatchStartTsIso'
    """
    return "".join(word.capitalize() for word in argument.split("_"))


def _get(name: str) -> dict[str, str]:
    return {"Get": f"Parameters.{name}"}


def _parameters(pipeline: Pipeline, config: Config) -> list[dict[str, Any]]:
    defaults = config.pipeline_defaults
    told: dict[str, dict[str, Any]] = {
        "mini_batch_id": {"DefaultValue": AUTO},
        "batch_start_ts_iso": {"DefaultValue": AUTO},
        "mode": {"DefaultValue": MODES[0], "EnumValues": list(MODES)},
    }
    image = {"DefaultValue": defaults.processing_image_uri} if defaults.processing_image_uri else {}
    return [
        {"Name": "ProjectName", "Type": "String", "DefaultValue": config.project_name},
        {"Name": "FeatureSpecVersion", "Type": "String", "DefaultValue": config.feature_spec_version},
        *({"Name": parameter(each), "Type": "String", **told.get(each, {})} for each in pipeline.arguments),
        {"Name": "ProcessingImageUri", "Type": "String", **image},
        {"Name": "ProcessingInstanceType", "Type": "String", "DefaultValue": defaults.processing_instance_type},
        {"Name": "ProcessingInstanceCount", "Type": "Integer", "DefaultValue": defaults.processing_instance_count},
    ]


def _arguments(job: Job, defaults: PipelineDefaults) -> list[Any]:
    """The command line after the name of the job; values that a scheduler gives are parameters of the pipeline."""
    named = ("project_name", "feature_spec_version", *job.arguments)
    pairs = [[f"--{each.replace('_', '-')}", _get(parameter(each))] for each in named]
    return [*(word for pair in pairs for word in pair), "--accept-refused", "--engine", defaults.engine]


def _environment(defaults: PipelineDefaults, region: str | None) -> dict[str, str]:
    found = re.search(r"\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.", defaults.processing_image_uri or "")
    named = {
        SPECS_VARIABLE: _said(defaults.table_name, "table_name", "in which table the containers find their JobSpecs"),
        LEDGER_VARIABLE: defaults.ledger_table_name,
        REGION_VARIABLE: region or (found and found.group(1)),
    }
    return {**{name: value for name, value in named.items() if value}, **defaults.environment}


def _said(value: str | None, key: str, what: str) -> str:
    if value is None:
        raise SpecError(
            f"pipeline_defaults.{key}: nothing says {what}, and a pipeline cannot do without; write it there."
        )
    return value
