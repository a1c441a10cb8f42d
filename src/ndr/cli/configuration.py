"""Which configuration a command works with: a file or folder, or the JobSpecs of DynamoDB."""

from __future__ import annotations

import argparse

from ndr.errors import UsageError
from ndr.spec_files import config_at
from ndr.spec_store import config_from
from ndr.specs import Config

_EITHER = "give --config FILE, or --project-name and --feature-spec-version of JobSpecs in DynamoDB."


def add_configuration_options(command: argparse.ArgumentParser, *, file: bool = True) -> None:
    """``--config`` (where the command has it not already), and the names of JobSpecs."""
    if file:
        command.add_argument(
            "--config",
            metavar="FILE",
            help="configuration, YAML or JSON, or a folder of specs; or JobSpecs of DynamoDB:",
        )
    command.add_argument("--project-name", metavar="NAME", help="project of the JobSpecs")
    command.add_argument("--feature-spec-version", metavar="VERSION", help="version of the JobSpecs")
    command.add_argument("--table", metavar="NAME", help="DynamoDB table of the JobSpecs")


def configuration(options: argparse.Namespace, *, required: bool = True) -> Config:
    """The configuration that the options name; where none need be named, the defaults.

    Of JobSpecs the pipelines' defaults name their table.

    Raises:
        UsageError: neither is named, or both.
        SpecError: it cannot be read, or breaks a rule.
    """
    stored = (options.project_name, options.feature_spec_version, options.table)
    if options.config and any(stored):
        raise UsageError(f"a file or JobSpecs, not both: {_EITHER}")
    if options.config or not (required or any(stored)):
        return config_at(options.config)
    if not (options.project_name and options.feature_spec_version):
        raise UsageError(_EITHER)
    from ndr.aws.spec_store import DynamoStore, table_name  # noqa: PLC0415 - needs an extra

    table = table_name(options.table)
    config = config_from(DynamoStore(table), options.project_name, options.feature_spec_version)
    defaults = config.pipeline_defaults
    named = defaults.model_copy(update={"table_name": defaults.table_name or table})
    return config.model_copy(update={"pipeline_defaults": named})
