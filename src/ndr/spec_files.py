"""Spec stores of this machine: one configuration file, or a folder with a file per project, job and version."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ndr.errors import AdapterError, SpecError, UsageError, shown
from ndr.spec_store import (
    PARAMETERS,
    UNVERSIONED,
    Change,
    ChangedSpecError,
    Entry,
    MissingSpecError,
    SpecStore,
    StoredSpec,
    config_from,
    differences,
    pipeline_defaults,
    plain,
    specs_of,
)
from ndr.specs import Config, config_of, load_config, read_values, without_names

_SUFFIXES = (".yaml", ".yml", ".json")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
_BESIDE = ("pipeline_defaults", "sources")
_MORE = ("updated_at", "owner", *_BESIDE, "tags")


def file_store(path: str | Path) -> SpecStore:
    """The store of a file, or of a folder; what does not exist becomes a file where its name ends like one."""
    place = Path(path)
    return ConfigFile(place) if place.is_file() or place.suffix in _SUFFIXES else SpecFolder(place)


def config_at(path: str | Path | None, project: str | None = None, version: str | None = None) -> Config:
    """The configuration in a file or folder; without a path the defaults. What is not asked for is what is there.

    Raises:
        SpecError: it cannot be read, breaks a rule, or is of another project or version.
        UsageError: a folder holds several projects or versions, and nobody says which.
    """
    if path is None or not Path(path).is_dir():
        config = load_config(path)
        for name, asked in (("project_name", project), ("feature_spec_version", version)):
            if asked not in {None, getattr(config, name)}:
                raise SpecError(
                    f"{name} is {getattr(config, name)!r} in {shown(str(path), 200)}, and {asked!r} is asked for; "
                    "name the right file, or mend one of them."
                )
        return config
    store = SpecFolder(Path(path))
    project = project or _only("project", store.place, store.projects())
    named = {entry.version for entry in store.listing(project)}
    version = version or _only("version", store.place, sorted(named - {UNVERSIONED}))
    return config_from(store, project, version)


def _only(what: str, place: str, found: list[str]) -> str:
    if not found:
        raise SpecError(f"the directory {place} holds no {what}; specs lie in <project>/<job>#<version>.yaml there.")
    if len(found) > 1:
        raise UsageError(f"{place} holds more than one {what}: {shown(', '.join(found), 300)}; say which.")
    return found[0]


class ConfigFile:
    """The configuration of one project in one version, as YAML or JSON. It keeps neither owners nor times."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def place(self) -> str:
        """Its path."""
        return shown(str(self._path), 300)

    def _values(self) -> dict[str, Any]:
        if not self._path.exists():
            return {}
        values = read_values(self._path)
        config = config_of(values)
        return {**values, "project_name": config.project_name, "feature_spec_version": config.feature_spec_version}

    def get(self, project: str, job: str, version: str) -> StoredSpec:
        """The specification of a job.

        Raises:
            MissingSpecError: the file has none, or is of another project or version.
            SpecError: the file cannot be read, or breaks a rule.
        """
        values = self._values()
        stored = specs_of(values)
        if (values.get("project_name"), values.get("feature_spec_version")) != (project, version) or job not in stored:
            raise MissingSpecError(self.place, project, job, version, self.listing(project))
        found = stored[job]
        return StoredSpec(found.spec, found.more, version)

    def put(self, project: str, version: str, changes: Mapping[str, Change]) -> None:
        """Write the file with these specifications beside those that it has, at once.

        Raises:
            ChangedSpecError: a specification is not what it should be.
            SpecError: the file is of another project or version, or a value cannot be stored.
        """
        with _locked(self._path.parent):
            values = self._values()
            names = {"project_name": project, "feature_spec_version": version}
            if values and any(values[key] != name for key, name in names.items()):
                raise SpecError(
                    f"{self.place} is of project {values['project_name']!r}, version "
                    f"{values['feature_spec_version']!r}; name another file."
                )
            _unchanged(self.place, project, version, changes, specs_of(values))
            jobs = dict(values.get("jobs") or {})
            for job, change in changes.items():
                spec = plain(without_names(change.new.spec), job)
                if job == PARAMETERS:
                    more = plain(change.new.more, job)
                    more = {**more, "pipeline_defaults": pipeline_defaults(more.get("pipeline_defaults"))}
                    values = {key: value for key, value in values.items() if key not in _BESIDE}
                    values |= {PARAMETERS: spec} | {key: more[key] for key in _BESIDE if more.get(key)}
                else:
                    jobs[job] = spec
            _write(self._path, names | values | ({"jobs": jobs} if jobs else {}))

    def listing(self, project: str) -> list[Entry]:
        """Its jobs, if it is of that project."""
        values = self._values()
        if values.get("project_name") != project:
            return []
        return sorted(Entry(job, values["feature_spec_version"]) for job in specs_of(values))


class SpecFolder:
    """A file per specification: ``<project>/<job>#<version>.yaml``, or ``<job>.yaml`` for every version without one.

    A file holds the specification itself, or it has that under the key ``spec``, beside ``owner`` and the like.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def place(self) -> str:
        """Its path."""
        return shown(str(self._root), 300)

    def get(self, project: str, job: str, version: str) -> StoredSpec:
        """The specification of that version, else the unversioned one.

        Raises:
            MissingSpecError: there is neither.
            SpecError: a file cannot be read, or there are two of one name.
        """
        files = self._files(project)
        for key in ((job, version), (job, UNVERSIONED)):
            if key in files:
                return _stored(files[key], key[1])
        raise MissingSpecError(self.place, project, job, version, self.listing(project))

    def put(self, project: str, version: str, changes: Mapping[str, Change]) -> None:
        """Write these files, one after the other, after a look at all of them.

        Raises:
            ChangedSpecError: a specification is not what it should be.
            SpecError: a name is none that a file can have, or a value cannot be stored.
        """
        folder = self._root / _name(project)
        texts = {job: plain(_item(change.new), job) for job, change in changes.items()}
        with _locked(folder):
            files = self._files(project)
            there = {job: _stored(files[job, version], version) for job in changes if (job, version) in files}
            _unchanged(self.place, project, version, changes, there)
            for job, item in texts.items():
                _write(files.get((job, version), folder / f"{_name(job)}#{_name(version)}.yaml"), item)

    def listing(self, project: str) -> list[Entry]:
        """Everything of the project, sorted."""
        found = []
        for (job, version), file in self._files(project).items():
            more = _stored(file, version).more
            found.append(Entry(job, version, *(_text(more.get(key)) for key in ("updated_at", "owner"))))
        return sorted(found, key=lambda entry: entry[:2])

    def projects(self) -> list[str]:
        """The projects that there are."""
        if not self._root.is_dir():
            return []
        return sorted(
            folder.name for folder in self._root.iterdir() if folder.is_dir() and _NAME.fullmatch(folder.name)
        )

    def _files(self, project: str) -> dict[tuple[str, str], Path]:
        folder = self._root / _name(project)
        found: dict[tuple[str, str], Path] = {}
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            job, _, version = file.stem.partition("#")
            if file.suffix in _SUFFIXES and _NAME.fullmatch(job):
                if (job, version) in found:
                    raise SpecError(
                        f"{shown(str(file), 300)} and {found[job, version].name} are of one name; keep one."
                    )
                found[job, version] = file
        return found


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise SpecError(f"{shown(text)!r} is no name of a file: letters, digits and _ . - only, at most 64.")
    return text


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _item(stored: StoredSpec) -> dict[str, Any]:
    return {"spec": stored.spec, **{key: stored.more[key] for key in _MORE if stored.more.get(key) is not None}}


def _stored(file: Path, version: str) -> StoredSpec:
    values = plain(read_values(file), file.name)
    name = next((name for name in ("spec", "parameters") if name in values), None)
    spec = values if name is None else values[name]
    if not isinstance(spec, dict):
        raise SpecError(f"{shown(str(file), 300)}: {name} must hold keys and values, not {shown(spec)}.")
    more = {} if name is None else {key: values[key] for key in _MORE if key in values}
    return StoredSpec(spec, more, version)


def _unchanged(
    place: str, project: str, version: str, changes: Mapping[str, Change], there: Mapping[str, StoredSpec]
) -> None:
    changed = []
    for job, change in changes.items():
        if (job in there) != (change.old is not None) or differences(there.get(job), change.old):
            changed.append(job)
    if changed:
        raise ChangedSpecError(place, project, version, changed)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise AdapterError(f"{shown(str(folder), 300)} cannot be used: {shown(str(error), 200)}.") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _write(path: Path, values: Mapping[str, Any]) -> None:
    if path.suffix == ".json":
        text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    else:
        text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        staged.write_text(text, encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise AdapterError(f"{shown(str(path), 300)} cannot be written: {shown(str(error), 200)}.") from error
