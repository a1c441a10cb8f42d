"""``ndr deploy``: what an account needs to run the pipelines, as one template."""

from __future__ import annotations

import argparse
import json
from typing import Any

import yaml

from ndr.aws.deployment import template
from ndr.errors import UsageError
from ndr.spec_store import config_from
from ndr.specs import Config, load_config


def add_commands(commands: Any) -> None:
    """``deploy render``."""
    room = commands.add_parser("deploy", help="what an account needs, as a template of CloudFormation")
    inner = room.add_subparsers(dest="what", metavar="WHAT", required=True)
    render = inner.add_parser("render", help="print the template that follows from a configuration")
    render.add_argument("--config", metavar="FILE", help="configuration, YAML or JSON; else JobSpecs of DynamoDB:")
    render.add_argument("--project-name", metavar="NAME", help="project of the JobSpecs")
    render.add_argument("--feature-spec-version", metavar="VERSION", help="version of the JobSpecs")
    render.add_argument("--table", metavar="NAME", help="DynamoDB table of the JobSpecs")
    render.add_argument(
        "--existing-bucket", action="append", default=[], metavar="NAME", help="a bucket that the template leaves alone"
    )
    render.add_argument("--format", choices=("yaml", "json"), default="yaml", help="default yaml")
    render.set_defaults(run=_render)


def _render(options: argparse.Namespace) -> int:
    made = template(_config(options), options.existing_bucket)
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


def _config(options: argparse.Namespace) -> Config:
    """The configuration in the file, else that of the JobSpecs, whose table is then that of the template.

    Raises:
        UsageError: neither is named, or both.
    """
    if options.config:
        if options.project_name or options.feature_spec_version or options.table:
            raise UsageError("give --config FILE, or the JobSpecs of DynamoDB; not both.")
        return load_config(options.config)
    if not (options.project_name and options.feature_spec_version):
        raise UsageError("give --config FILE, or --project-name and --feature-spec-version of JobSpecs in DynamoDB.")
    from ndr.aws.spec_store import DynamoStore, table_name  # noqa: PLC0415 - needs an extra

    table = table_name(options.table)
    config = config_from(DynamoStore(table), options.project_name, options.feature_spec_version)
    defaults = config.pipeline_defaults
    named = defaults.model_copy(update={"table_name": defaults.table_name or table})
    return config.model_copy(update={"pipeline_defaults": named})
