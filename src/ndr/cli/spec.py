"""``ndr spec``: the configuration as it is understood, and what in it deserves a word."""

from __future__ import annotations

import argparse
import json
from typing import Any

import yaml

from ndr.cli.running import source_specs
from ndr.specs import JOBS, Config, inert_keys, load_config


def add_commands(commands: Any) -> None:
    """``spec show`` and ``spec lint``."""
    spec = commands.add_parser("spec", help="the configuration: show it with its defaults, or check it")
    actions = spec.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, what, text in (
        ("show", _show, "the whole configuration, defaults included"),
        ("lint", _lint, "check a configuration and say what has no meaning here"),
    ):
        command = actions.add_parser(name, help=text)
        command.add_argument("--config", metavar="FILE", help="configuration, YAML or JSON; without it the defaults")
        command.add_argument("--format", choices=("yaml", "json"), default="yaml", help="default yaml")
        command.set_defaults(run=what)


def _whole(config: Config) -> dict[str, Any]:
    values = config.model_dump(mode="json")
    values["project_parameters"]["port_sets"] = {k: list(v) for k, v in config.project_parameters.ports().items()}
    values["jobs"] = {
        name: config.spec(table).model_dump(mode="json", exclude_none=True) for name, table in JOBS.items()
    }
    values["sources"] = {name: spec.model_dump(mode="json") for name, spec in source_specs(config).items()}
    return values


def _show(options: argparse.Namespace) -> int:
    values = _whole(load_config(options.config))
    if options.format == "json":
        print(json.dumps(values, indent=2))
    else:
        print(yaml.safe_dump(values, sort_keys=False), end="")
    return 0


def _lint(options: argparse.Namespace) -> int:
    config = load_config(options.config)
    source_specs(config)
    remarks = [
        {"key": f"jobs.{name}.{key}", "remark": f"accepted, and does nothing here: {instead}"}
        for name, table in JOBS.items()
        for key, instead in inert_keys(config.spec(table)).items()
    ]
    if options.format == "json":
        print(json.dumps({"valid": True, "remarks": remarks}, indent=2))
        return 0
    for remark in remarks:
        print(f"{remark['key']}: {remark['remark']}")
    print("the configuration is valid")
    return 0
