"""Specifications of jobs in a table of DynamoDB, as the previous platform keeps them.

The partition key is ``project_name``, the sort key ``job_name`` with the value ``<job>#<version>``, or just ``<job>``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ndr.aws.attributes import ITEM_LIMIT, decoded, encoded, size
from ndr.aws.clients import ServiceBusyError, client, translated
from ndr.errors import SpecError, UsageError, shown
from ndr.spec_store import (
    PARAMETERS,
    UNVERSIONED,
    Change,
    ChangedSpecError,
    Entry,
    MissingSpecError,
    StoredSpec,
    differences,
    plain,
)

VARIABLES = ("ML_PROJECTS_PARAMETERS_TABLE_NAME", "JOB_SPEC_DDB_TABLE_NAME")
"""Where the name of the table stands, the first that is set; the second is an old name."""
_OLD_PAYLOAD = "parameters"
_WRITTEN = ("pipeline_defaults", "sources")
_MORE = ("updated_at", "owner", *_WRITTEN)
_LONGEST_NAME = 512
_PROJECTION = {"#job": "job_name", "#at": "updated_at", "#owner": "owner"}


def table_name(given: str | None = None, how: str = "--table") -> str:
    """The table of the specifications: the given one, else as the environment says; ``how`` it is given.

    Raises:
        UsageError: nobody says, or it is no name of a table.
    """
    name = given or next((os.environ[v] for v in VARIABLES if os.environ.get(v)), None)
    if not name:
        raise UsageError(f"no table of specs is named: give {how}, or set {VARIABLES[0]}.")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", name):
        raise UsageError(f"{shown(name)!r} is no name of a table: 3 to 255 letters, digits and _ . -")
    return name


def load_job_spec(
    project_name: str, job_name: str, feature_spec_version: str, table_name: str | None = None
) -> dict[str, Any]:
    """The specification of a job: that of the version, else the unversioned one.

    Raises:
        MissingSpecError: there is neither; names project, job, version, table, and the versions that exist.
        SpecError: the item holds what no specification can.
        ServiceError: the table cannot be read.
    """
    store = DynamoStore(table_name, how="the argument table_name (of a command: --table)")
    return dict(store.get(project_name, job_name, feature_spec_version).spec)


class DynamoStore:
    """The specifications of a table; see :class:`ndr.spec_store.SpecStore`."""

    def __init__(self, table: str | None = None, region: str | None = None, how: str = "--table") -> None:
        self._table = table_name(table, how)
        self._client = client("dynamodb", region)

    @property
    def place(self) -> str:
        """The table."""
        return f"the table {self._table}"

    def get(self, project: str, job: str, version: str) -> StoredSpec:
        """The specification of that version, else the unversioned one.

        Raises:
            MissingSpecError: there is neither.
            SpecError: the item holds what no specification can.
            ServiceError: the table cannot be read.
        """
        for found in (version, UNVERSIONED):
            key = _key(project, job, found)
            with self._asking():
                answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
            if "Item" in answer:
                return _stored(answer["Item"], project, job, found)
        raise MissingSpecError(self.place, project, job, version, self.listing(project))

    def put(self, project: str, version: str, changes: Mapping[str, Change]) -> None:
        """Store specifications in one transaction; other attributes of their items stay as they are.

        Raises:
            ChangedSpecError: what is there is not what should be; nothing was written.
            SpecError: a value cannot be stored.
            ServiceError: the table cannot be written.
        """
        actions = [
            {"Update": {"TableName": self._table} | _update(project, job, version, change)}
            for job, change in changes.items()
        ]
        if not actions:
            return
        with self._asking():
            try:
                self._client.transact_write_items(TransactItems=actions)
            except self._client.exceptions.TransactionCanceledException as error:
                codes = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                wrong = [job for job, code in zip(changes, codes, strict=False) if code == "ConditionalCheckFailed"]
                if wrong:
                    raise ChangedSpecError(self.place, project, version, wrong) from error
                if {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"} & {*codes}:
                    raise ServiceBusyError(
                        f"{self.place}: somebody else writes the same specs; nothing was written. Push again."
                    ) from error
                raise

    def listing(self, project: str) -> list[Entry]:
        """Everything of the project, sorted.

        Raises:
            ServiceError: the table cannot be read.
        """
        found = []
        asked: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "project_name = :project",
            "ExpressionAttributeValues": {":project": {"S": _text("project_name", project)}},
            "ProjectionExpression": ", ".join(_PROJECTION),
            "ExpressionAttributeNames": _PROJECTION,
            "ConsistentRead": True,
        }
        while True:
            with self._asking():
                answer = self._client.query(**asked)
            for item in answer.get("Items", ()):
                job, _, version = item["job_name"]["S"].partition("#")
                found.append(Entry(job, version, *(item.get(k, {}).get("S") for k in ("updated_at", "owner"))))
            if not answer.get("LastEvaluatedKey"):
                return sorted(found, key=lambda entry: entry[:2])
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with translated(self.place):
            try:
                yield
            except RecursionError as error:
                raise SpecError(f"{self.place}: an item is nested too deeply; a spec is flat.") from error


def _text(what: str, value: str) -> str:
    if not value or len(value) > _LONGEST_NAME or "#" in value:
        raise UsageError(f"{what}: {shown(value)} is no name of 1 to {_LONGEST_NAME} characters without a #.")
    return value


def _key(project: str, job: str, version: str) -> dict[str, dict[str, str]]:
    name = _text("job_name", job)
    if version != UNVERSIONED:
        name += f"#{_text('feature_spec_version', version)}"
    return {"project_name": {"S": _text("project_name", project)}, "job_name": {"S": name}}


def _stored(item: Mapping[str, Any], project: str, job: str, version: str) -> StoredSpec:
    where = f"project {shown(project)!r}, job {shown(job)!r}, version {shown(version)!r}"
    names = ("spec", _OLD_PAYLOAD) if job == PARAMETERS else ("spec",)
    payloads = [decoded(item[name], f"{where}.{name}") for name in names if name in item]
    if not payloads or not all(isinstance(payload, dict) for payload in payloads):
        raise SpecError(f"{where}: the item has no map {' or '.join(names)}; push it again with ndr spec push.")
    if differences(StoredSpec(payloads[0]), StoredSpec(payloads[-1])):
        raise SpecError(f"{where}: the item has both {' and '.join(names)}, and they differ; keep one of them.")
    more = {name: decoded(item[name], f"{where}.{name}") for name in _MORE if name in item}
    return StoredSpec(payloads[0], more, version)


def _update(project: str, job: str, version: str, change: Change) -> dict[str, Any]:
    """What DynamoDB is asked for: set what is given, if what was read is still there."""
    wanted = {"spec": change.new.spec} | {name: change.new.more[name] for name in _MORE if name in change.new.more}
    values = {name: encoded(plain(value, f"{job}.{name}"), f"{job}.{name}") for name, value in wanted.items()}
    if (bytes_ := sum(len(name) + size(value) for name, value in values.items())) > ITEM_LIMIT - 2048:
        raise SpecError(f"{job}: the spec has {bytes_} bytes, and an item of DynamoDB holds {ITEM_LIMIT >> 10} KiB.")
    names = {f"#{name}": name for name in values}
    asked = {f":{name}": value for name, value in values.items()}
    condition = "attribute_not_exists(job_name)"
    update = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
    if change.old is not None:
        names |= {f"#{name}": name for name in _WRITTEN}
        gone = [f"#{name}" for name in _WRITTEN if name in change.old.more and name not in wanted]
        asked[":old"] = encoded(plain(change.old.spec, job), job)
        conditions = ["#spec = :old"]
        if job == PARAMETERS:
            names["#parameters"] = _OLD_PAYLOAD
            conditions = ["(#spec = :old OR #parameters = :old)"]
            gone.append("#parameters")
        update += f" REMOVE {', '.join(gone)}" if gone else ""
        for name in _WRITTEN:
            if name in change.old.more:
                asked[f":old_{name}"] = encoded(plain(change.old.more[name], job), job)
            conditions.append(f"#{name} = :old_{name}" if name in change.old.more else f"attribute_not_exists(#{name})")
        condition = " AND ".join(conditions)
    return {
        "Key": _key(project, job, version),
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": asked,
    }
