"""Feature groups of the stand-in, and the rules that the service has for them and for their records."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from typing import Any

from standins.credentials import ACCOUNT, REGION

_NAME = re.compile(r"[a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
_TYPES = ("Integral", "Fractional", "String")
_RESERVED = {"is_deleted", "write_time", "api_invocation_time"}
_LONGEST, _MOST, _ADDED, _LARGEST = 64, 2_500, 100, 358_400
_INTEGER = 2**63
_CREATED = 1_780_000_000


class RefusedError(Exception):
    """The service says no."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


def _insist(fine: object, message: str) -> None:
    if not fine:
        raise RefusedError("ValidationException", message)


class Groups:
    """The feature groups that there are; each is made in a moment, and needs two looks until it says so."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}
        self._looks: dict[str, int] = {}
        self.failing = ""
        """Why the next group that is made fails, if it is to."""

    def call(self, name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What the service says to a call."""
        group = str(asked.get("FeatureGroupName"))
        arn = {"FeatureGroupArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:feature-group/{group}"}
        if name == "DescribeFeatureGroup":
            return arn | self._described(group)
        if name == "CreateFeatureGroup":
            self._create(group, dict(asked))
        elif name == "UpdateFeatureGroup":
            self._update(group, asked)
        else:
            self.found(group)
            del self._known[group]
        return arn

    def found(self, group: str) -> dict[str, Any]:
        """A group that there is."""
        if group not in self._known:
            raise RefusedError("ResourceNotFound", f"{group} is not there")
        return self._known[group]

    def _described(self, group: str) -> dict[str, Any]:
        told = dict(self.found(group))
        self._looks[group] = self._looks.get(group, 0) - 1
        if self._looks[group] >= 0:
            told["FeatureGroupStatus" if "LastUpdateStatus" not in told else "LastUpdateStatus"] = (
                "Creating" if "LastUpdateStatus" not in told else {"Status": "InProgress"}
            )
        return told

    def _create(self, group: str, asked: dict[str, Any]) -> None:
        if group in self._known:
            raise RefusedError("ResourceInUse", f"{group} is there already")
        _insist(_NAME.fullmatch(group) and len(group) <= _LONGEST, f"no name of a group: {group}")
        features = _features(asked.get("FeatureDefinitions") or [])
        for key in ("RecordIdentifierFeatureName", "EventTimeFeatureName"):
            _insist(asked.get(key) in features, f"{key} is no feature")
        _insist(features[asked["EventTimeFeatureName"]] in {"String", "Fractional"}, "the event time is no time")
        _insist(1 <= len(features) <= _MOST, f"{len(features)} features")
        offline = asked.get("OfflineStoreConfig")
        _insist(not offline or asked.get("RoleArn"), "an offline store needs a RoleArn")
        _insist(offline or asked.get("OnlineStoreConfig", {}).get("EnableOnlineStore"), "no store is enabled")
        if offline:
            place = offline["S3StorageConfig"]
            below = f"{ACCOUNT}/sagemaker/{REGION}/offline-store/{group}-{_CREATED}/data"
            place["ResolvedOutputS3Uri"] = f"{place['S3Uri'].rstrip('/')}/{below}"
        failed = {"FeatureGroupStatus": "CreateFailed", "FailureReason": self.failing} if self.failing else {}
        self._known[group] = asked | {"FeatureGroupStatus": "Created", "CreationTime": time.time()} | failed
        self._looks[group] = 0 if failed else 2

    def _update(self, group: str, asked: Mapping[str, Any]) -> None:
        facts, added = self.found(group), asked.get("FeatureAdditions") or []
        if self._looks.get(group, 0) > 0:
            raise RefusedError("ResourceInUse", f"{group} is being updated")
        _insist(1 <= len(added) <= _ADDED, f"{len(added)} features at once")
        both = [*facts["FeatureDefinitions"], *added]
        _insist(len(_features(both)) <= _MOST, f"{len(both)} features")
        facts |= {"FeatureDefinitions": both, "LastUpdateStatus": {"Status": "Successful"}}
        self._looks[group] = 1


def _features(definitions: list[dict[str, str]]) -> dict[str, str]:
    """Feature -> type."""
    found: dict[str, str] = {}
    for each in definitions:
        name, kind = each["FeatureName"], each["FeatureType"]
        _insist(_NAME.fullmatch(name) and len(name) <= _LONGEST and name not in _RESERVED, f"no name: {name}")
        _insist(kind in _TYPES and name not in found, f"{name} is {kind}, or there twice")
        found[name] = kind
    return found


def checked_record(facts: Mapping[str, Any], record: Any, stores: Any) -> dict[str, str]:
    """The values of a record that may be put into a group."""
    features = {each["FeatureName"]: each["FeatureType"] for each in facts["FeatureDefinitions"]}
    _insist(facts["FeatureGroupStatus"] == "Created", "the group is not ready")
    _insist(isinstance(record, list) and record, "a record needs values")
    values: dict[str, str] = {}
    for each in record:
        name, value = each.get("FeatureName"), each.get("ValueAsString")
        _insist(name in features and name not in values, f"{name} is no feature, or there twice")
        _insist(isinstance(value, str) and value, f"{name} has no value")
        _insist(features[name] == "String" or _number(features[name], value), f"{name} is no number: {value}")
        values[name] = value
    _insist(values.get(facts["RecordIdentifierFeatureName"]), "there is no record identifier")
    _insist(_MOMENT.fullmatch(values.get(facts["EventTimeFeatureName"], "")), "there is no event time")
    _insist(sum(len(n) + len(v.encode()) for n, v in values.items()) <= _LARGEST, "the record is too large")
    online = facts.get("OnlineStoreConfig", {}).get("EnableOnlineStore")
    _insist(set(stores or ()) <= {"OnlineStore", "OfflineStore"}, f"no stores: {stores}")
    _insist("OnlineStore" not in (stores or ()) or online, "there is no online store")
    return values


def _number(kind: str, text: str) -> bool:
    try:
        return -_INTEGER <= int(text) < _INTEGER if kind == "Integral" else math.isfinite(float(text))
    except ValueError:
        return False
