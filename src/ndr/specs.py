"""Specs: the configuration, read from YAML or JSON and checked key by key.

A configuration file is treated as hostile: plain data only, no tags, no aliases, bounded size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, model_validator

from ndr.errors import SpecError, near_miss, shown
from ndr.table import Table
from ndr.tables import TABLES
from ndr.tables.feature_groups import FeatureStore
from ndr.tables.inventory_unload import InventoryUnload
from ndr.tables.model_training import ModelTraining
from ndr.tables.settings import INERT, TRANSPORT, Prefix, Settings, Spec

_SIZE_LIMIT = 4 << 20
S = TypeVar("S", bound=BaseModel)
JOBS: dict[str, Table] = {t.job: t for t in TABLES.values() if t.job}
"""Outside names of the tables that can be configured."""


class Prefixes(Spec):
    """Job ``non_persistent_prefixes``: how the names of machines begin that are another machine every day."""

    prefixes: tuple[Prefix, ...] = ()


OTHERS: dict[str, type[Spec]] = {
    "non_persistent_prefixes": Prefixes,
    "machine_inventory_unload": InventoryUnload,
    "feature_store_ingest": FeatureStore,
    "model_training": ModelTraining,
}
"""Jobs that make none of the tables; what non_persistent_prefixes says is part of the settings of all."""


_PRIVATE = re.compile("SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|KEY|AUTHORIZATION|_IMPL")
_HIDDEN = "(not shown)"


def _public(name: str) -> str:
    if _PRIVATE.search(name):
        raise ValueError(
            f"{name!r} would hold a secret, which everybody who sees a pipeline could read, or name code to be run; "
            "let the role of the jobs have access instead"
        )
    return name


def _unless_secret(value: Any) -> Any:
    """The value, where a message about it may be read by everybody."""
    fit = isinstance(value, str) and re.fullmatch(r"[^\x00-\x1f\x7f$]{1,256}", value)
    return value if fit and not re.search("://[^/]*@", value) else _HIDDEN


def _said_openly(value: str) -> str:
    if value == _HIDDEN:
        raise ValueError("a variable is a text of 1 to 256 characters without $, and names no user in an address")
    return value


Variable = Annotated[str, Field(pattern=r"^PYICEBERG_[A-Z0-9_]+$", max_length=200), AfterValidator(_public)]
"""A variable of the environment that containers may be given: how PyIceberg finds its catalogs."""
Open = Annotated[str, AfterValidator(_said_openly), BeforeValidator(_unless_secret)]
"""Its value, which holds no secret, and nothing that CloudFormation would fill in."""


class PipelineDefaults(Spec):
    """What the pipelines of SageMaker are given where nobody says otherwise."""

    role_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[A-Za-z0-9_+=,.@/-]+$")
    processing_image_uri: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9./:@_-]{1,254}$")
    processing_instance_type: str = Field(default="ml.m5.xlarge", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    processing_instance_count: int = Field(default=1, ge=1, le=100)
    volume_size_gb: int = Field(default=30, ge=1, le=16_384)
    max_runtime_seconds: int = Field(default=3_600, ge=60, le=432_000)
    engine: Literal["duckdb", "spark"] = "duckdb"
    table_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{3,255}$", description="of the JobSpecs")
    ledger_table_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{3,255}$")
    environment: dict[Variable, Open] = Field(default_factory=dict, max_length=50, description="of the containers")


class Config(Spec):
    """The configuration of a lake: one file, every key optional."""

    project_name: str = Field(default="default", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    feature_spec_version: str = Field(default="1", pattern=r"^[A-Za-z0-9_.-]{1,32}$")
    project_parameters: Settings = Settings()
    jobs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = Field(default_factory=dict)
    pipeline_defaults: PipelineDefaults = PipelineDefaults()

    @model_validator(mode="before")
    @classmethod
    def _shared(cls, values: Any) -> Any:
        """What the job non_persistent_prefixes says, as a setting that tables share."""
        jobs = values.get("jobs") if isinstance(values, dict) else None
        job = jobs.get("non_persistent_prefixes") if isinstance(jobs, dict) else None
        if not isinstance(job, dict):
            return values
        prefixes = checked(Prefixes, without_names(job), "jobs.non_persistent_prefixes").prefixes
        settings = values.get("project_parameters") or {}
        if not isinstance(settings, dict):
            return values
        both = tuple(dict.fromkeys([*settings.get("non_persistent_prefixes", ()), *prefixes]))
        return values | {"project_parameters": settings | {"non_persistent_prefixes": both}}

    def spec(self, table: Table) -> Spec:
        """The spec of a table, defaults where the configuration says nothing.

        Raises:
            SpecError: a key is unknown or a value breaks its rule.
        """
        values = self.jobs.get(table.job or "", {})
        kind: type[Spec] = table.spec or Spec
        return checked(kind, without_names(values), f"jobs.{table.job}")

    def other(self, job: str) -> Spec | None:
        """The spec of a job that makes no table; None where the configuration does not have it.

        Raises:
            SpecError: a key is unknown, missing, or a value breaks its rule.
        """
        values = self.jobs.get(job)
        return None if values is None else checked(OTHERS[job], without_names(values), f"jobs.{job}")


def without_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a job without the names under which it is stored."""
    return {k: v for k, v in values.items() if k not in {"project_name", "job_name", "feature_spec_version"}}


def without_nulls(value: Any) -> Any:
    """A value without the keys in it that are null: of a spec, those say what it says without them."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list | tuple) else value


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, which a small file could blow up a machine with; versions stay text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise SpecError(f"line {mark.line + 1}: YAML aliases are not read here; write the value out.")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as PyYAML has it
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise SpecError(f"line {key.start_mark.line + 1}: {shown(str(key.value))} stands there twice.")
            seen.add(key.value if isinstance(key.value, str) else repr(key.value))
        return super().construct_mapping(node, deep)


def _known(kind: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """The keys that are known where a path leads; steps that are no keys are places in a list or names in a map."""
    for step in path[:-1]:
        if field := {f.alias or name: f for name, f in kind.model_fields.items()}.get(step):
            inner = _model_in(field.annotation)
            if inner is None:
                return []
            kind = inner
    return sorted(field.alias or name for name, field in kind.model_fields.items())


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def checked(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """The values as a spec.

    Raises:
        SpecError: names the key, the value seen and the rule, with the nearest valid name of an unknown key.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        unknown_first = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
        first = unknown_first[0]
        at = tuple(str(step) for step in first["loc"])
        path = ".".join(filter(None, (where, *at)))
        if first["type"] == "extra_forbidden":
            known = _known(kind, at)
            message = f"{path}: unknown key.{near_miss(at[-1], known)} Known: {', '.join(known) or 'none'}."
        elif first["type"] == "missing":
            message = f"{path}: this key is needed, and does not stand there."
        else:
            message = f"{path}: {first['msg']}, seen {shown(first['input'])}."
        raise SpecError(message) from None


def load_config(path: str | Path | None) -> Config:
    """The configuration in a YAML or JSON file; without a path the defaults.

    Raises:
        SpecError: the file cannot be read, is no mapping, or breaks a rule.
    """
    return Config() if path is None else config_of(read_values(path))


def read_values(path: str | Path) -> dict[str, Any]:
    """The keys and values in a YAML or JSON file.

    Raises:
        SpecError: the file cannot be read, or is no mapping.
    """
    name = shown(str(path), 300)
    try:
        with Path(path).open("rb") as opened:
            raw = opened.read(_SIZE_LIMIT + 1)
        values = _PlainLoader(raw.decode("utf-8")).get_single_data() if len(raw) <= _SIZE_LIMIT else None
    except RecursionError:
        raise SpecError(f"{name} is nested too deeply; a configuration is flat.") from None
    except SpecError as error:
        raise SpecError(f"{name}, {error}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:  # a ValueError: 2026-02-30, or no UTF-8
        raise SpecError(f"{name} cannot be read as YAML or JSON: {shown(str(error), 200)}") from error
    if len(raw) > _SIZE_LIMIT:
        raise SpecError(f"{name} is larger than {_SIZE_LIMIT >> 20} MiB; a configuration is small.")
    if not isinstance(values or {}, dict):
        raise SpecError(f"{name} must hold keys and values, not {type(values).__name__}.")
    return values or {}


def config_of(values: dict[str, Any]) -> Config:
    """Keys and values as a configuration, every spec in it checked.

    Raises:
        SpecError: a key is unknown, or a value breaks a rule.
    """
    said = {key: value if key == "sources" else without_nulls(value) for key, value in values.items()}
    config = checked(Config, _versions_as_text({key: v for key, v in said.items() if v is not None}), "")
    for job in config.jobs:
        known = [*JOBS, *OTHERS]
        if job not in known:
            raise SpecError(f"jobs.{job}: unknown job.{near_miss(job, known)} Known: {', '.join(known)}.")
    for table in JOBS.values():
        config.spec(table)
    for job in OTHERS:
        config.other(job)
    return config


def _versions_as_text(values: dict[str, Any]) -> dict[str, Any]:
    version = values.get("feature_spec_version")
    if isinstance(version, int | float) and not isinstance(version, bool):
        raise SpecError(
            f"feature_spec_version: {version} reads as a number, and as numbers 1.10 and 1.1 are the same; "
            f"quote it: '{version}'."
        )
    return values


def inert_keys(spec: Spec) -> dict[str, str]:
    """The keys that are set and do nothing here, accepted for the previous platform's sake: what holds instead."""
    found = {}
    for name, field in type(spec).model_fields.items():
        own = getattr(spec, name)
        if field.json_schema_extra == INERT and own is not None:
            found[name] = field.description or ""
        elif isinstance(own, Spec):
            found |= {f"{name}.{key}": instead for key, instead in inert_keys(own).items()}
        elif isinstance(own, dict):
            inner = {at: each for at, each in own.items() if isinstance(each, Spec)}
            found |= {f"{name}.{at}.{k}": v for at, each in inner.items() for k, v in inert_keys(each).items()}
    return found


def canonical(spec: BaseModel, only: tuple[str, ...] | None = None) -> str:
    """The values that make a difference, as JSON in one fixed order."""
    values = _telling(spec)
    return json.dumps({k: v for k, v in values.items() if only is None or k in only}, sort_keys=True)


def _telling(spec: BaseModel) -> dict[str, Any]:
    """The values without those of keys that change no number."""
    values, found = spec.model_dump(mode="json"), {}
    for name, field in type(spec).model_fields.items():
        if field.json_schema_extra in (INERT, TRANSPORT):
            continue
        own = getattr(spec, name)
        found[name] = _telling(own) if isinstance(own, BaseModel) else values[name]
    return found
