"""The pipelines written down by hand with AWS's own SDK, from CONTRACTS and a configuration, without our code.

Run by the interpreter of ``.venv-sdk``: ``python render.py CONFIG OUTPUT`` writes name -> definition; on
stdout the SDK has words of its own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

BATCH = ("MiniBatchId", "BatchStartTsIso", "BatchEndTsIso")
REFERENCE = ("ReferenceTimeIso", "Mode")
OPTIONS = {
    "ProjectName": "--project-name",
    "FeatureSpecVersion": "--feature-spec-version",
    "MiniBatchId": "--mini-batch-id",
    "BatchStartTsIso": "--batch-start-ts-iso",
    "BatchEndTsIso": "--batch-end-ts-iso",
    "ReferenceTimeIso": "--reference-time-iso",
    "Mode": "--mode",
    "ReferenceMonthIso": "--reference-month-iso",
}
PIPELINES = {
    "15m_streaming": (BATCH, ("delta_builder", "pair_counts_builder", "fg_a_builder", "fg_c_builder")),
    "fg_b_baseline": (REFERENCE, ("fg_b_builder", "model_training")),
    "machine_inventory_unload": (("ReferenceMonthIso",), ("machine_inventory_unload",)),
    "inference_predictions": (BATCH, ("inference_predictions",)),
    "prediction_feature_join": (BATCH, ("prediction_feature_join", "feature_store_ingest")),
}


def rendered(config):
    """Pipeline -> what the SDK makes of it."""
    import boto3  # noqa: PLC0415 - of the SDK's venv, as all below; tests import this file without it
    from sagemaker.workflow.parameters import ParameterInteger, ParameterString  # noqa: PLC0415
    from sagemaker.workflow.pipeline import Pipeline  # noqa: PLC0415
    from sagemaker.workflow.pipeline_context import PipelineSession  # noqa: PLC0415

    nobody = boto3.Session(region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="-")  # noqa: S106
    session = PipelineSession(boto_session=nobody, default_bucket="unused")
    defaults = config["pipeline_defaults"]
    told = {
        "ProjectName": {"default_value": config["project_name"]},
        "FeatureSpecVersion": {"default_value": config["feature_spec_version"]},
        "MiniBatchId": {"default_value": "auto"},
        "BatchStartTsIso": {"default_value": "auto"},
        "Mode": {"default_value": "REGULAR", "enum_values": ["REGULAR", "BACKFILL"]},
        "ProcessingImageUri": {"default_value": defaults["processing_image_uri"]},
        "ProcessingInstanceType": {"default_value": defaults.get("processing_instance_type", "ml.m5.xlarge")},
    }
    found = {}
    for name, (when, jobs) in PIPELINES.items():
        names = ("ProjectName", "FeatureSpecVersion", *when, "ProcessingImageUri", "ProcessingInstanceType")
        parameters = {each: ParameterString(each, **told.get(each, {})) for each in names}
        count = defaults.get("processing_instance_count", 1)
        parameters["ProcessingInstanceCount"] = ParameterInteger("ProcessingInstanceCount", default_value=count)
        asked = [
            each for each in jobs if each not in {"model_training", "feature_store_ingest"} or each in config["jobs"]
        ]
        pipeline = Pipeline(
            name=f"{config['project_name']}-{name.replace('_', '-')}",
            parameters=list(parameters.values()),
            pipeline_experiment_config=None,
            steps=steps(asked, ("ProjectName", "FeatureSpecVersion", *when), parameters, defaults, session),
            sagemaker_session=session,
        )
        found[name] = {"name": pipeline.name, "definition": json.loads(pipeline.definition())}
    return found


def steps(jobs, names, parameters, defaults, session):
    """One processing step per job, each after the one before."""
    from sagemaker.processing import Processor  # noqa: PLC0415
    from sagemaker.workflow.retry import (  # noqa: PLC0415
        SageMakerJobExceptionTypeEnum,
        SageMakerJobStepRetryPolicy,
        StepExceptionTypeEnum,
        StepRetryPolicy,
    )
    from sagemaker.workflow.steps import ProcessingStep  # noqa: PLC0415

    engine = defaults.get("engine", "duckdb")
    start = ["smspark-submit", "/opt/ndr/start.py", "job"] if engine == "spark" else ["ndr", "job"]
    environment = {"ML_PROJECTS_PARAMETERS_TABLE_NAME": defaults["table_name"]}
    if "ledger_table_name" in defaults:
        environment["NDR_LEDGER_TABLE_NAME"] = defaults["ledger_table_name"]
    environment |= defaults.get("environment", {})
    environment["AWS_DEFAULT_REGION"] = defaults["processing_image_uri"].split(".")[3]
    platform = [StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING]
    machines = [SageMakerJobExceptionTypeEnum.INTERNAL_ERROR, SageMakerJobExceptionTypeEnum.CAPACITY_ERROR]
    found = []
    for job in jobs:
        container = Processor(
            role=defaults["role_arn"],
            image_uri=parameters["ProcessingImageUri"],
            instance_count=parameters["ProcessingInstanceCount"],
            instance_type=parameters["ProcessingInstanceType"],
            entrypoint=[*start, job],
            volume_size_in_gb=defaults.get("volume_size_gb", 30),
            max_runtime_in_seconds=defaults.get("max_runtime_seconds", 3600),
            env=environment,
            sagemaker_session=session,
        )
        arguments = [word for name in names for word in (OPTIONS[name], parameters[name])]
        found.append(
            ProcessingStep(
                name=job,
                step_args=container.run(arguments=[*arguments, "--accept-refused", "--engine", engine]),
                depends_on=found[-1:] or None,
                retry_policies=[
                    StepRetryPolicy(exception_types=platform, interval_seconds=10, backoff_rate=2.0, max_attempts=3),
                    SageMakerJobStepRetryPolicy(
                        exception_types=machines, interval_seconds=30, backoff_rate=2.0, max_attempts=3
                    ),
                ],
            )
        )
    return found


if __name__ == "__main__":
    os.environ["SAGEMAKER_SUPPRESS_V2_WARNING"] = "1"
    import yaml

    config, output = map(Path, sys.argv[1:])
    output.write_text(json.dumps(rendered(yaml.safe_load(config.read_text(encoding="utf-8")))), encoding="utf-8")
