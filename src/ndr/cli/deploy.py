"""``ndr deploy``: what an account needs to run the pipelines, as one template."""

from __future__ import annotations

import argparse
import json
from typing import Any

import yaml

from ndr.aws.deployment import template
from ndr.cli.configuration import add_configuration_options, configuration


def add_commands(commands: Any) -> None:
    """``deploy render``."""
    room = commands.add_parser("deploy", help="what an account needs, as a template of CloudFormation")
    inner = room.add_subparsers(dest="what", metavar="WHAT", required=True)
    render = inner.add_parser("render", help="print the template that follows from a configuration")
    add_configuration_options(render)
    render.add_argument(
        "--existing-bucket", action="append", default=[], metavar="NAME", help="a bucket that the template leaves alone"
    )
    render.add_argument("--format", choices=("yaml", "json"), default="yaml", help="default yaml")
    render.set_defaults(run=_render)


def _render(options: argparse.Namespace) -> int:
    made = template(configuration(options), options.existing_bucket)
    if options.format == "json":
        print(json.dumps(made, separators=(",", ":")))
    else:
        print(yaml.dump(made, Dumper=_Whole, sort_keys=False, width=120), end="")
    return 0


class _Whole(yaml.SafeDumper):
    """YAML without aliases, which CloudFormation does not take."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True
