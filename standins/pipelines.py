"""Pipelines: executions of what was pushed, each step's command line in this process instead of a container."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from ndr.aws.clients import client
from ndr.cli import main


class StepError(RuntimeError):
    """A step failed; its last words are in the message."""


@dataclass(frozen=True)
class Done:
    """A step that was done, and what it said."""

    name: str
    told: dict[str, Any]


def execute(name: str, **parameters: str) -> list[Done]:
    """Every step of a pipeline that was pushed, in order.

    Raises:
        StepError: one failed; those after it were not started.
    """
    with closing(client("sagemaker")) as sagemaker:
        described = sagemaker.describe_pipeline(PipelineName=name)
    definition = json.loads(described["PipelineDefinition"])
    values = {each["Name"]: each.get("DefaultValue") for each in definition["Parameters"]} | parameters
    return [_step(step, values) for step in definition["Steps"]]


def _step(step: Mapping[str, Any], values: Mapping[str, Any]) -> Done:
    container = step["Arguments"]["AppSpecification"]
    line = [_value(each, values) for each in (*container["ContainerEntrypoint"], *container["ContainerArguments"])]
    more = {name: str(_value(value, values)) for name, value in step["Arguments"].get("Environment", {}).items()}
    before = dict(os.environ)
    os.environ.update(more)
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(line[1:])
    finally:
        os.environ.clear()
        os.environ.update(before)
    if code:
        raise StepError(f"{step['Name']}: exit code {code}: {err.getvalue().strip().splitlines()[-1]}")
    return Done(step["Name"], json.loads(out.getvalue()))


def _value(said: Any, values: Mapping[str, Any]) -> str:
    """An argument; a parameter of the pipeline by its value."""
    if isinstance(said, Mapping):
        return str(values[said["Get"].removeprefix("Parameters.")])
    return str(said)
