"""Pipelines as SageMaker has them: what differs from ours, and bringing them up to date."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ndr.aws.clients import ServiceError, code_of, translated
from ndr.aws.pipelines import PipelineDefinition
from ndr.errors import SpecError, shown

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"
# DescribePipeline answers either way for a name that nothing carries.
_MISSING = frozenset(("ResourceNotFound", "ValidationException"))
# CreatePipeline, where somebody else was faster.
_TAKEN = frozenset(("ConflictException", "ValidationException"))


@dataclass(frozen=True)
class StandingPipeline:
    """A pipeline that SageMaker knows."""

    definition: str
    role_arn: str
    description: str


def standing(name: str, sagemaker: Any) -> StandingPipeline | None:
    """The pipeline of that name at SageMaker, asked through a client of boto3; None if there is none.

    Raises:
        ServiceError: SageMaker cannot be asked.
    """
    try:
        with translated(f"pipeline {name}"):
            said = sagemaker.describe_pipeline(PipelineName=name)
    except ServiceError as error:
        if error.__cause__ is not None and code_of(error.__cause__) in _MISSING:
            return None
        raise
    return StandingPipeline(
        said.get("PipelineDefinition") or "", said.get("RoleArn") or "", said.get("PipelineDescription") or ""
    )


def difference(ours: PipelineDefinition, sagemaker: Any) -> list[str]:
    """What pushing would change, as the lines of a unified diff; none where SageMaker has the same.

    Raises:
        SpecError: the configuration is not enough for a definition, or the pipeline is another project's.
        ServiceError: SageMaker cannot be asked.
    """
    theirs = _of_project(ours, standing(ours.name, sagemaker))
    before = [] if theirs is None else _told(theirs)
    return list(difflib.unified_diff(before, _told(_wanted(ours)), f"SageMaker: {ours.name}", "here", n=3, lineterm=""))


def push(ours: PipelineDefinition, sagemaker: Any) -> str:
    """Create the pipeline or bring it up to date; says ``created``, ``updated`` or ``unchanged``.

    A second push of the same changes nothing; of two at once one creates and the other finds it there. A create whose
    answer is lost is sent again with the same token, which botocore makes, and creates nothing twice.

    Raises:
        SpecError: the configuration is not enough for a definition, or the pipeline is another project's.
        ServiceError: SageMaker refuses, or cannot be asked.
    """
    wanted, theirs = _wanted(ours), _of_project(ours, standing(ours.name, sagemaker))
    if theirs is None:
        try:
            _send(sagemaker.create_pipeline, ours, wanted)
        except ServiceError as error:
            if error.__cause__ is None or code_of(error.__cause__) not in _TAKEN:
                raise
            theirs = _of_project(ours, standing(ours.name, sagemaker))
            if theirs is None:
                raise
        else:
            return CREATED
    if _told(theirs) == _told(wanted):
        return UNCHANGED
    _send(sagemaker.update_pipeline, ours, wanted)
    return UPDATED


def _of_project(ours: PipelineDefinition, theirs: StandingPipeline | None) -> StandingPipeline | None:
    """The standing pipeline, unless it is that of a project whose name SageMaker cannot tell from ours.

    Raises:
        SpecError: it is.
    """
    try:
        parameters = json.loads(theirs.definition)["Parameters"] if theirs else []
        owners = [each.get("DefaultValue") for each in parameters if each["Name"] == "ProjectName"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return theirs  # nobody's definition of ours
    project = ours.config.project_name
    if owners and owners[0] not in {None, project}:
        raise SpecError(
            f"project_name: pipeline {ours.name} at SageMaker is that of project {shown(str(owners[0]))!r}, and "
            f"{shown(project)!r} would have the same names there; choose another name."
        )
    return theirs


def _wanted(ours: PipelineDefinition) -> StandingPipeline:
    return StandingPipeline(ours.definition_json(), ours.role_arn, ours.pipeline.doc)


def _send(call: Callable[..., Any], ours: PipelineDefinition, wanted: StandingPipeline) -> None:
    with translated(f"pipeline {ours.name}"):
        call(
            PipelineName=ours.name,
            PipelineDefinition=wanted.definition,
            PipelineDescription=wanted.description,
            RoleArn=wanted.role_arn,
        )


def _told(pipeline: StandingPipeline) -> list[str]:
    """A pipeline as lines to compare; a definition of someone else's may be no JSON."""
    try:
        definition: Any = json.loads(pipeline.definition)
    except ValueError:
        definition = pipeline.definition
    whole = {"description": pipeline.description, "role": pipeline.role_arn, "definition": definition}
    return json.dumps(whole, indent=2, sort_keys=True).splitlines()
