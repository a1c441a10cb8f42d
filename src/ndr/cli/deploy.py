"""``ndr deploy``: what an account needs to run the pipelines, as one template."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import yaml

from ndr.aws.deployment import template
from ndr.aws.deployment.storage import Existing, tables
from ndr.aws.names import shared_name
from ndr.cli.configuration import add_configuration_options, configuration
from ndr.specs import Config


def add_commands(commands: Any) -> None:
    """``deploy render``."""
    room = commands.add_parser("deploy", help="what an account needs, as a template of CloudFormation")
    inner = room.add_subparsers(dest="what", metavar="WHAT", required=True)
    render = inner.add_parser("render", help="print the template that follows from a configuration")
    add_configuration_options(render)
    for what in ("bucket", "table", "repository"):
        render.add_argument(
            f"--existing-{what}", action="append", default=[], metavar="NAME", help=f"a {what} that is left as it is"
        )
    render.add_argument("--format", choices=("yaml", "json"), default="yaml", help="default yaml")
    render.set_defaults(run=_render)


def _render(options: argparse.Namespace) -> int:
    config = configuration(options)
    made = template(config, _existing(options, config))
    if remark := shared_name(config.project_name):
        print(remark, file=sys.stderr)
    if options.format == "json":
        print(json.dumps(made, separators=(",", ":")))
    else:
        print(yaml.dump(made, Dumper=_Whole, sort_keys=False, width=120), end="")
    return 0


def _existing(options: argparse.Namespace, config: Config) -> Existing:
    """What is said to be there, and the table that the JobSpecs were read from."""
    known = list(options.existing_table)
    if not options.config:
        from ndr.aws.spec_store import table_name  # noqa: PLC0415 - needs an extra

        known += [name for name in tables(config) if name == table_name(options.table)]
    return Existing(tuple(options.existing_bucket), tuple(known), tuple(options.existing_repository))


class _Whole(yaml.SafeDumper):
    """YAML without aliases, which CloudFormation does not take."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True
