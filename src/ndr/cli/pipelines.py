"""``ndr pipelines``: the definitions of SageMaker pipelines."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ndr.aws.clients import client
from ndr.aws.pipelines import PipelineDefinition, pipeline_definition
from ndr.aws.pipelines_service import difference, push
from ndr.cli.configuration import add_configuration_options, configuration
from ndr.errors import UnknownNameError, UsageError
from ndr.jobs import PIPELINES

DIFFERENT = 1


def add_commands(commands: Any) -> None:
    """``pipelines render``, ``diff`` and ``push``."""
    room = commands.add_parser("pipelines", help="the pipelines of SageMaker, generated from the declarations of jobs")
    inner = room.add_subparsers(dest="what", metavar="WHAT", required=True)
    render = inner.add_parser("render", help="print the definition of a pipeline, or write several as files")
    diff = inner.add_parser("diff", help="what pushing would change at SageMaker; exit code 1 if anything")
    push = inner.add_parser("push", help="create pipelines at SageMaker, or bring them up to date")
    for command, what in ((render, _render), (diff, _diff), (push, _push)):
        command.add_argument("names", nargs="+", metavar="NAME", help=f"all, or some of {', '.join(PIPELINES)}")
        add_configuration_options(command)
        command.set_defaults(run=what)
    render.add_argument("--output", metavar="DIR", help="write NAME.json of each into this folder")


def _definitions(options: argparse.Namespace) -> dict[str, PipelineDefinition]:
    names = list(PIPELINES) if options.names == ["all"] else list(dict.fromkeys(options.names))
    for name in names:
        if name not in PIPELINES:
            raise UnknownNameError("pipeline", name, (*PIPELINES, "all"))
    config = configuration(options)
    return {name: pipeline_definition(name, config) for name in names}


def _render(options: argparse.Namespace) -> int:
    found = {name: json.dumps(each.definition(), indent=2) for name, each in _definitions(options).items()}
    if options.output is None:
        if len(found) > 1:
            raise UsageError("give --output DIR to render several pipelines, each into a file of its own.")
        print(*found.values())
        return 0
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in found.items():
        (folder / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    return 0


def _diff(options: argparse.Namespace) -> int:
    definitions, sagemaker = _definitions(options), client("sagemaker")
    lines = [line for each in definitions.values() for line in difference(each, sagemaker)]
    for line in lines:
        print(line)
    return DIFFERENT if lines else 0


def _push(options: argparse.Namespace) -> int:
    definitions = _definitions(options)
    for each in definitions.values():
        each.definition()
    sagemaker = client("sagemaker")
    for each in definitions.values():
        print(f"{each.name}: {push(each, sagemaker)}", flush=True)
    return 0
