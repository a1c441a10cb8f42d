"""Lint: what in a configuration means something else here than on the previous platform, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ndr.errors import near_miss
from ndr.lint.inert import inert_remarks
from ndr.lint.meanings import meaning_remarks
from ndr.lint.remark import DIFFERS, IGNORED, REFUSED, Remark
from ndr.spec_store import KNOWN, PARAMETERS, UNVERSIONED, Entry, StoredSpec, pipeline_defaults
from ndr.specs import Config, PipelineDefaults

KINDS = (REFUSED, DIFFERS, IGNORED)
"""From what matters most to what matters least."""
__all__ = ("KINDS", "Remark", "remarks", "stored_remarks")


def remarks(config: Config) -> list[Remark]:
    """What is to be said about a configuration, key by key."""
    return sorted({*inert_remarks(config), *meaning_remarks(config)}, key=lambda each: (KINDS.index(each.kind), each))


def stored_remarks(
    stored: Mapping[str, StoredSpec], project: str, version: str, entries: Iterable[Entry]
) -> list[Remark]:
    """What is to be said about how specifications are kept; ``entries`` is everything of the project."""
    found = []
    for job, item in stored.items():
        if item.version == UNVERSIONED != version:
            found.append(
                Remark(
                    _key(job), DIFFERS,
                    f"is kept without a version, and serves every version that has none, as {version!r} here "
                    "too; a change of it changes all of them. Push it to have it under this version.",
                )
            )  # fmt: skip
        said = item.more.get("pipeline_defaults")
        if job != PARAMETERS and said:
            found.append(
                Remark(f"{_key(job)} (pipeline_defaults)", IGNORED, f"those of {PARAMETERS} hold for all pipelines.")
            )
        elif isinstance(said, Mapping):
            found += [_unknown(key) for key in said if not pipeline_defaults({key: None})]
    for key, holds in (("project_name", project), ("feature_spec_version", version)):
        shared = stored.get(PARAMETERS, StoredSpec({})).spec
        if key in shared and str(shared[key]) != holds:
            found.append(Remark(f"{PARAMETERS}.{key}", DIFFERS, f"is {str(shared[key])!r}, and is read as {holds!r}."))
    for job in sorted({entry.job for entry in entries} - {*KNOWN}):
        if near := near_miss(job, {*KNOWN} - {*stored}):
            found.append(Remark(f"jobs.{job}", DIFFERS, f"is no job of ours, and is not read.{near}"))
    return found


def _key(job: str) -> str:
    return job if job == PARAMETERS else f"jobs.{job}"


def _unknown(key: Any) -> Remark:
    near = near_miss(str(key), PipelineDefaults.model_fields)
    return Remark(f"pipeline_defaults.{key}", IGNORED, f"does nothing here.{near}")
