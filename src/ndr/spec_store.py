"""Spec stores: where the specifications of jobs are kept, version by version, and a configuration made of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, Protocol

from ndr.errors import SpecError, near_miss, shown
from ndr.specs import JOBS, OTHERS, Config, PipelineDefaults, config_of, without_names

PARAMETERS = "project_parameters"
KNOWN = (PARAMETERS, *JOBS, *OTHERS)
"""Names of all specifications that mean something here; a store may hold others."""
UNVERSIONED = ""
"""The version of an item of the previous platform that has none: it serves every version without an item of its own."""
_DEEPEST = 30
_TRIES = 5
_PARAMETERS_OF_PIPELINES = {
    "ProcessingImageUri": "processing_image_uri",
    "ProcessingInstanceType": "processing_instance_type",
    "ProcessingInstanceCount": "processing_instance_count",
}


class MissingSpecError(SpecError, LookupError):
    """A specification is not in its store."""

    def __init__(self, place: str, project: str, job: str, version: str, entries: Iterable[Entry]) -> None:
        entries = list(entries)
        versions = sorted(entry.version or "(unversioned)" for entry in entries if entry.job == job)
        jobs = sorted({entry.job for entry in entries})
        if versions:
            there = f"Versions that exist: {', '.join(versions)}."
        elif jobs:
            there = f"No version of it exists.{near_miss(job, jobs)} Jobs of the project: {', '.join(jobs)}."
        else:
            there = "Nothing of this project is there; see its name, or put it there with ndr spec push."
        super().__init__(
            f"{shown(place, 300)} has no spec of project {shown(project)!r}, job {shown(job)!r}, "
            f"version {shown(version)!r}. {shown(there, 500)}"
        )


class ChangedSpecError(SpecError):
    """A specification is not what it was when it was read; another push came first."""

    def __init__(self, place: str, project: str, version: str, jobs: Iterable[str]) -> None:
        super().__init__(
            f"{shown(place, 300)}: of project {shown(project)!r}, version {shown(version)!r}, somebody else changed "
            f"{', '.join(map(shown, jobs)) or 'a spec'} meanwhile; nothing was written. "
            "Look with ndr spec diff, and push again."
        )


class RestlessSpecsError(SpecError):
    """Specifications changed each time they were read."""

    retryable = True

    def __init__(self, place: str, project: str) -> None:
        super().__init__(
            f"{shown(place, 300)}: the specs of project {shown(project)!r} change while they are read; try again later."
        )


class Entry(NamedTuple):
    """That a specification exists."""

    job: str
    version: str
    updated_at: str | None = None
    owner: str | None = None


@dataclass(frozen=True)
class StoredSpec:
    """The specification of a job as it is stored; ``version`` is that of its key.

    ``more`` has of updated_at, owner, pipeline_defaults, sources and tags what the item has.
    """

    spec: Mapping[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict)
    version: str = UNVERSIONED


class Change(NamedTuple):
    """What is to be stored, and what must be there before; None where there must be nothing."""

    old: StoredSpec | None
    new: StoredSpec


class SpecStore(Protocol):
    """Specifications of jobs by project and version."""

    @property
    def place(self) -> str:
        """What messages call it."""

    def get(self, project: str, job: str, version: str) -> StoredSpec:
        """The specification of that version, else the unversioned one.

        Raises:
            MissingSpecError: there is neither.
        """

    def put(self, project: str, version: str, changes: Mapping[str, Change]) -> None:
        """Store specifications of several jobs under that version, all of them or none.

        Raises:
            ChangedSpecError: what is there is not what should be.
            SpecError: a value cannot be stored.
        """

    def listing(self, project: str) -> list[Entry]:
        """Everything of the project, sorted."""


def config_from(store: SpecStore, project: str, version: str) -> Config:
    """The configuration of a project: every job that has a spec of this version, else an unversioned one.

    Jobs of other systems in the same store are left alone.

    Raises:
        MissingSpecError: the project has none of our jobs in that version.
        SpecError: a key is unknown, or a value breaks a rule.
    """
    return _checked(store, project, version, stored_jobs(store, project, version))


def stored_jobs(store: SpecStore, project: str, version: str) -> dict[str, StoredSpec]:
    """The specifications that hold for a version, job by job, all as of one moment: never half of a push.

    Raises:
        MissingSpecError: there are none.
        RestlessSpecsError: others keep storing specifications of the project.
    """
    entries = store.listing(project)
    for _ in range(_TRIES):
        there = {entry.job for entry in entries if entry.version in {version, UNVERSIONED}}
        found = {job: store.get(project, job, version) for job in KNOWN if job in there}
        before, entries = entries, store.listing(project)
        if not found:
            raise MissingSpecError(store.place, project, PARAMETERS, version, entries)
        if entries == before:
            return found
    raise RestlessSpecsError(store.place, project)


def _checked(store: SpecStore, project: str, version: str, stored: dict[str, StoredSpec]) -> Config:
    shared = stored.get(PARAMETERS, StoredSpec({}))
    try:
        return config_of(
            {
                "project_name": project,
                "feature_spec_version": version,
                PARAMETERS: without_names(shared.spec),
                "jobs": {job: dict(item.spec) for job, item in stored.items() if job != PARAMETERS},
                "sources": shared.more.get("sources", {}),
                "pipeline_defaults": pipeline_defaults(shared.more.get("pipeline_defaults")),
            }
        )
    except SpecError as error:
        raise SpecError(f"{store.place}, project {project!r}, version {version!r}: {error}") from None


def pipeline_defaults(said: Any) -> dict[str, Any]:
    """What an item says about pipelines that we have a key for, also under the names of the pipelines' parameters."""
    if not isinstance(said, Mapping):
        return {}
    named = {_PARAMETERS_OF_PIPELINES.get(key, key): value for key, value in said.items()}
    return {key: value for key, value in named.items() if key in PipelineDefaults.model_fields}


def specs_of(config: Mapping[str, Any]) -> dict[str, StoredSpec]:
    """A configuration as the specifications that a store holds."""
    jobs = {job: StoredSpec(values or {}) for job, values in (config.get("jobs") or {}).items()}
    more = {key: config[key] for key in ("pipeline_defaults", "sources") if config.get(key)}
    if more or config.get(PARAMETERS):
        jobs[PARAMETERS] = StoredSpec(config.get(PARAMETERS) or {}, more)
    return jobs


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """A value as every store holds it: texts, finite numbers, booleans, nulls, lists and maps of those.

    Raises:
        SpecError: it is something else, or nested too deeply.
    """
    if depth > _DEEPEST:
        raise SpecError(f"{shown(where, 300)}: nested deeper than {_DEEPEST} levels; a spec is flat.")
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str) or not key]:
            raise SpecError(f"{shown(where, 300)}: the key {shown(wrong[0])} is no text; put it in quotes.")
        return {key: plain(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{place}]", depth + 1) for place, item in enumerate(value)]
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise SpecError(
        f"{shown(where, 300)}: {shown(value)} cannot be kept; a spec has texts, finite numbers, booleans, lists, maps."
    )


def _leaves(value: Any, where: str) -> dict[str, str]:
    """Key path -> the value there as JSON, numbers in one form; lists are values."""
    if isinstance(value, Mapping) and value:
        return {k: v for key in value for k, v in _leaves(value[key], f"{where}.{key}" if where else key).items()}
    return {where: json.dumps(_one_form(value), sort_keys=True)}


def _one_form(value: Any) -> Any:
    if isinstance(value, list):
        return [_one_form(item) for item in value]
    if isinstance(value, dict):
        return {key: _one_form(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Difference(NamedTuple):
    """A key that two configurations do not agree on; the values are JSON, null where the key is missing."""

    key: str
    left: str | None
    right: str | None


def differences(left: StoredSpec | None, right: StoredSpec | None) -> list[Difference]:
    """The keys in which two specifications differ; names, owners and times of storing do not count."""
    one, other = _compared(left), _compared(right)
    keys = sorted({*one, *other})
    return [Difference(key, one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)]


def _compared(stored: StoredSpec | None) -> dict[str, str]:
    if stored is None:
        return {}
    more = {
        "pipeline_defaults": pipeline_defaults(stored.more.get("pipeline_defaults")),
        "sources": stored.more.get("sources"),
    }
    both = {**without_names(stored.spec), **{f"({key})": value for key, value in more.items() if value}}
    return _leaves(plain(both, ""), "")
