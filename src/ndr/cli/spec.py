"""``ndr spec``: the configuration as it is understood, what in it deserves a word, and its way to DynamoDB and back."""

from __future__ import annotations

import argparse
import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from ndr.cli.lakes import add_format_option
from ndr.cli.logs import source_specs
from ndr.cli.output import write_rows
from ndr.errors import SpecError, UsageError, shown
from ndr.lint import KINDS, Remark, remarks, stored_remarks
from ndr.spec_files import config_at, file_store
from ndr.spec_store import (
    Change,
    MissingSpecError,
    SpecStore,
    StoredSpec,
    config_from,
    differences,
    stored_jobs,
)
from ndr.specs import JOBS, Config
from ndr.time import iso


def add_commands(commands: Any) -> None:
    """``spec`` and the actions below it."""
    spec = commands.add_parser("spec", help="the configuration: show, check and compare it, push it to DynamoDB")
    actions = spec.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, what, text in (
        ("show", _show, "the whole configuration, defaults included"),
        ("lint", _lint, "check a configuration and say what differs from the previous platform"),
    ):
        command = actions.add_parser(name, help=text)
        _add_places(command)
        command.add_argument("--format", choices=("yaml", "json"), default="yaml", help="default yaml")
        command.set_defaults(run=what)
        if name == "lint":
            command.add_argument(
                "--exit-code", nargs="?", const=KINDS[-1], choices=KINDS,
                help="exit 1 when there are remarks of this kind or a graver one (alone: any)",
            )  # fmt: skip
    for name, what, text in (
        ("push", _push, "store the specs of a file or folder in DynamoDB, all of them or none"),
        ("pull", _pull, "write the specs in DynamoDB to a file or folder"),
        ("diff", _diff, "the keys in which a file or folder and DynamoDB differ"),
        ("versions", _versions, "which specs of a project are in DynamoDB"),
    ):
        command = actions.add_parser(name, help=text)
        _add_places(command)
        add_format_option(command)
        command.set_defaults(run=what)
        if name in {"push", "pull"}:
            command.add_argument("--replace", action="store_true", help="also specs that are there and differ")
        if name == "push":
            command.add_argument("--owner", metavar="NAME", help="who answers for them (default: as before, else you)")
        if name == "diff":
            command.add_argument("--exit-code", action="store_true", help="exit 1 when there are differences")


def _add_places(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", metavar="FILE", help="configuration, YAML or JSON, or a folder of specs")
    command.add_argument("--table", metavar="NAME", help="DynamoDB table of the JobSpecs")
    command.add_argument("--project-name", metavar="NAME", help="project of the JobSpecs")
    command.add_argument("--feature-spec-version", metavar="VERSION", help="version of the JobSpecs")


def _table(options: argparse.Namespace) -> SpecStore:
    from ndr.aws.spec_store import DynamoStore  # noqa: PLC0415 - needs an extra

    return DynamoStore(options.table)


def _named(options: argparse.Namespace) -> tuple[str, str]:
    """Project and version, as asked for, else as the file says that is given.

    Raises:
        UsageError: neither says.
    """
    project, version = options.project_name, options.feature_spec_version
    if not (project and version) and options.config and Path(options.config).exists():
        config = config_at(options.config, project, version)
        project, version = config.project_name, config.feature_spec_version
    if not project or not version:
        raise UsageError("give --project-name and --feature-spec-version.")
    return project, version


def _understood(options: argparse.Namespace) -> tuple[Config, list[Remark]]:
    """The configuration that the options name, and what is to be said about how it is stored.

    Raises:
        SpecError: it cannot be read, or breaks a rule.
    """
    in_table = options.table or (options.project_name and not options.config)
    if in_table and options.config:
        raise UsageError("--config and --table are two places; name one of them.")
    if not in_table:
        config = config_at(options.config, options.project_name, options.feature_spec_version)
        if not options.config or Path(options.config).is_file():
            return config, []
    store = _table(options) if in_table else file_store(options.config)
    project, version = _named(options) if in_table else (config.project_name, config.feature_spec_version)
    stored = stored_jobs(store, project, version)
    about = stored_remarks(stored, project, version, store.listing(project))
    return config_from(store, project, version), about


def _whole(config: Config) -> dict[str, Any]:
    values = config.model_dump(mode="json")
    values["project_parameters"]["port_sets"] = {k: list(v) for k, v in config.project_parameters.ports().items()}
    values["jobs"] = {
        name: config.spec(table).model_dump(mode="json", exclude_none=True) for name, table in JOBS.items()
    }
    values["sources"] = {name: spec.model_dump(mode="json") for name, spec in source_specs(config).items()}
    return values


def _show(options: argparse.Namespace) -> int:
    values = _whole(_understood(options)[0])
    if options.format == "json":
        print(json.dumps(values, indent=2))
    else:
        print(yaml.safe_dump(values, sort_keys=False), end="")
    return 0


def _lint(options: argparse.Namespace) -> int:
    config, about_store = _understood(options)
    source_specs(config)
    found = [*about_store, *remarks(config)]
    if options.format == "json":
        print(json.dumps({"valid": True, "remarks": [remark._asdict() for remark in found]}, indent=2))
    else:
        for remark in found:
            print(f"{shown(remark.key, 200)} [{remark.kind}]: {shown(remark.remark, 1_000)}")
        print("the configuration is valid")
    grave = KINDS[: KINDS.index(options.exit_code) + 1] if options.exit_code else ()
    return int(any(remark.kind in grave for remark in found))


def _given(options: argparse.Namespace) -> SpecStore:
    if not options.config:
        raise UsageError("give --config, a file of configuration or a folder of specs.")
    return file_store(options.config)


def _push(options: argparse.Namespace) -> int:
    given = _given(options)
    project, version = _named(options)
    source_specs(config_from(given, project, version))
    return _copy(given, _table(options), (project, version), options, owner=options.owner)


def _pull(options: argparse.Namespace) -> int:
    given = _given(options)
    return _copy(_table(options), given, _named(options), options)


def _copy(
    source: SpecStore, target: SpecStore, named: tuple[str, str], options: argparse.Namespace, owner: str | None = None
) -> int:
    """Store in the target what the source has, where it differs; what only the target has stays and is told.

    Raises:
        SpecError: the target has something else, and nobody said that it may be replaced.
    """
    pushed = options.action == "push"
    given, there = stored_jobs(source, *named), _there(target, *named)
    changes, rows = {}, []
    for job, item in given.items():
        old = there.get(job)
        differing = differences(old, item)
        if old is None or differing:
            changes[job] = Change(old, _signed(item, old, owner) if pushed else item)
        rows.append({"job": job, "outcome": "added" if old is None else "replaced" if differing else "unchanged"})
    replaced = [job for job, change in changes.items() if change.old]
    if replaced and not options.replace:
        raise SpecError(
            f"{target.place} has other specs of project {named[0]!r}, version {named[1]!r}: {', '.join(replaced)}; "
            "nothing was written. Look with ndr spec diff; give them another version, or --replace."
        )
    target.put(*named, changes)
    rows += [{"job": job, "outcome": "only there"} for job in there if job not in given]
    write_rows([row | {"version": named[1]} for row in rows], options.format)
    return 0


def _there(store: SpecStore, project: str, version: str) -> dict[str, StoredSpec]:
    """What a store has of exactly this version."""
    try:
        found = stored_jobs(store, project, version)
    except MissingSpecError:
        return {}
    return {job: item for job, item in found.items() if item.version == version}


def _signed(item: StoredSpec, old: StoredSpec | None, owner: str | None) -> StoredSpec:
    """The specification with the time of now, and who answers for it."""
    who = owner or item.more.get("owner") or (old and old.more.get("owner")) or _user()
    now = iso(datetime.now(UTC).replace(tzinfo=None))
    return StoredSpec(item.spec, {**item.more, "updated_at": now, **({"owner": who} if who else {})}, item.version)


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without users
        return None


def _diff(options: argparse.Namespace) -> int:
    given, named = _given(options), _named(options)
    here, there = _there(given, *named), _there(_table(options), *named)
    rows = [
        {"job": job, "key": each.key or "(all)", "here": each.left, "there": each.right}
        for job in dict.fromkeys([*here, *there])
        for each in differences(here.get(job), there.get(job))
    ]
    rows += [
        {"job": job, "key": "(all)", "here": "{}" if job in here else None, "there": "{}" if job in there else None}
        for job in {*here} ^ {*there}
        if not differences(here.get(job), there.get(job))
    ]
    write_rows(rows, options.format)
    return int(bool(rows) and options.exit_code)


def _versions(options: argparse.Namespace) -> int:
    if options.config and not options.project_name:
        options.project_name = _named(options)[0]
    if not options.project_name:
        raise UsageError("give --project-name.")
    entries = _table(options).listing(options.project_name)
    rows = [entry._asdict() for entry in entries if options.feature_spec_version in {None, entry.version}]
    write_rows(rows, options.format)
    return 0
