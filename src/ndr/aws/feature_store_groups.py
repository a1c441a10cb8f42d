"""Feature groups: their definitions as the tables' declarations have them, made, compared, and added to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from ndr.aws.clients import ServiceBusyError, ServiceError, client, code_of, translated
from ndr.aws.feature_store_records import Shape
from ndr.errors import SpecError, shown
from ndr.log import log
from ndr.tables.feature_groups import FeatureStore

Pause = Callable[[float], object]
PATIENCE = 600.0
"""Seconds until a feature group must be as it was asked for."""
_ADDED_AT_ONCE = 100
_SHOWN = 5


@dataclass(frozen=True)
class Group:
    """A feature group as the service describes it."""

    name: str
    identifier: str
    event_time: str
    features: Mapping[str, str]
    online: bool
    offline_prefix: str
    """Where its offline store was asked to lie; empty if it has none."""
    data_uri: str
    """Where the files of the offline store lie."""
    table_format: str
    status: str
    update: str
    reason: str


@dataclass(frozen=True)
class Difference:
    """What a feature group has otherwise than its table; None is nothing."""

    group: str
    what: str
    declared: str | None
    there: str | None

    def facts(self) -> dict[str, Any]:
        """The difference as data."""
        return {"group": self.group, "what": self.what, "declared": self.declared, "there": self.there}


def request(spec: FeatureStore, group: str, shape: Shape, role_arn: str | None) -> dict[str, Any]:
    """What CreateFeatureGroup is asked for.

    Raises:
        SpecError: there is to be an offline store, and no role that writes it.
    """
    asked: dict[str, Any] = {
        "FeatureGroupName": group,
        "RecordIdentifierFeatureName": shape.identifier,
        "EventTimeFeatureName": shape.event_time,
        "FeatureDefinitions": [{"FeatureName": name, "FeatureType": kind} for name, kind in shape.features.items()],
        "Description": f"Rows of table {shape.table.name} of ndr",
    }
    if "online" in spec.stores:
        asked["OnlineStoreConfig"] = {"EnableOnlineStore": True}
        if spec.kms_key_id:
            asked["OnlineStoreConfig"]["SecurityConfig"] = {"KmsKeyId": spec.kms_key_id}
        if spec.ttl_days:
            asked["OnlineStoreConfig"]["TtlDuration"] = {"Unit": "Days", "Value": spec.ttl_days}
    if role := spec.role_arn or role_arn:
        asked["RoleArn"] = role
    if "offline" in spec.stores:
        if not role:
            raise SpecError(
                "jobs.feature_store_ingest.role_arn: the offline store needs a role that Feature Store writes it with; "
                "write its ARN there, or into pipeline_defaults.role_arn."
            )
        place = {"S3Uri": spec.offline_s3_prefix, **({"KmsKeyId": spec.kms_key_id} if spec.kms_key_id else {})}
        asked["OfflineStoreConfig"] = {"S3StorageConfig": place, "TableFormat": "Glue"}
    return asked


@contextmanager
def _service(spec: FeatureStore) -> Iterator[Any]:
    with closing(client("sagemaker", spec.region)) as found:
        yield found


def described(spec: FeatureStore, group: str) -> Group | None:
    """A feature group; None where there is none.

    Raises:
        ServiceError: the service cannot be asked.
    """
    with _service(spec) as service:
        return _described(service, group)


def _described(service: Any, group: str) -> Group | None:
    features: dict[str, str] = {}
    more: dict[str, str] = {}
    with translated(f"feature group {group}"):
        while True:
            try:
                told = service.describe_feature_group(FeatureGroupName=group, **more)
            except Exception as error:
                if code_of(error) in {"ResourceNotFound", "ResourceNotFoundException"}:
                    return None
                raise
            features |= {each["FeatureName"]: each["FeatureType"] for each in told["FeatureDefinitions"]}
            if not told.get("NextToken"):
                break
            more = {"NextToken": told["NextToken"]}
    offline = told.get("OfflineStoreConfig") or {}
    place = offline.get("S3StorageConfig") or {}
    return Group(
        group, told["RecordIdentifierFeatureName"], told["EventTimeFeatureName"], features,
        bool((told.get("OnlineStoreConfig") or {}).get("EnableOnlineStore")), str(place.get("S3Uri") or ""),
        str(place.get("ResolvedOutputS3Uri") or ""), str(offline.get("TableFormat") or "Glue"),
        str(told.get("FeatureGroupStatus") or ""), str((told.get("LastUpdateStatus") or {}).get("Status") or ""),
        str((told.get("LastUpdateStatus") or {}).get("FailureReason") or told.get("FailureReason") or ""),
    )  # fmt: skip


def differences(spec: FeatureStore, group: str, shape: Shape, there: Group | None) -> list[Difference]:
    """What a feature group has otherwise than its table and the spec say, features in their order."""
    if there is None:
        return [Difference(group, "feature group", shape.table.name, None)]
    pairs: dict[str, tuple[str | None, str | None]] = {
        "record identifier": (shape.identifier, there.identifier),
        "event time": (shape.event_time, there.event_time),
        "status": ("Created", there.status),
    }
    if "online" in spec.stores:
        pairs["online store"] = ("yes", "yes" if there.online else "no")
    if "offline" in spec.stores:
        pairs["offline store"] = (spec.offline_s3_prefix, there.offline_prefix.rstrip("/") or None)
        pairs["table format"] = ("Glue", "Glue" if there.table_format == "Default" else there.table_format)
    for name in dict.fromkeys((*shape.features, *there.features)):
        pairs[f"feature {name}"] = (shape.features.get(name), there.features.get(name))
    return [Difference(group, what, *pair) for what, pair in pairs.items() if pair[0] != pair[1]]


def diff(spec: FeatureStore, group: str, shape: Shape) -> list[Difference]:
    """What the feature group that there is has otherwise than its table.

    Raises:
        ServiceError: the service cannot be asked.
    """
    return differences(spec, group, shape, described(spec, group))


def ready(spec: FeatureStore, group: str, shape: Shape, store: Literal["online", "offline"]) -> Group:
    """The feature group, if it takes the rows of the table as they are.

    Raises:
        SpecError: it does not; the message tells of the first differences.
        ServiceError: the service cannot be asked.
    """
    there = described(spec, group)
    lacking = [d for d in differences(spec, group, shape, there) if d.declared and _matters(d, store)]
    if there and not (there.online if store == "online" else there.data_uri):
        lacking.append(Difference(group, f"{store} store", "yes", "no"))
    if lacking or there is None:
        some = "; ".join(f"{d.what} is {d.there or 'not there'} instead of {d.declared}" for d in lacking[:_SHOWN])
        more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        raise SpecError(
            f"feature group {shown(group)} is not as table {shape.table.name} needs it: {some}{more}. "
            "ndr feature-store create makes it, and adds features that it lacks."
        )
    return there


def _matters(difference: Difference, store: str) -> bool:
    """Whether rows cannot be sent because of it."""
    return difference.what not in {"online store", "offline store"} and (
        difference.what != "table format" or store == "offline"
    )


def create(
    spec: FeatureStore, group: str, shape: Shape, role_arn: str | None = None, pause: Pause = time.sleep
) -> Literal["created", "extended", "unchanged"]:
    """Make the feature group of a table, or add the features that it lacks; wait until it can be used.

    Raises:
        SpecError: there is one that differs in what cannot be changed, or no role for the offline store.
        ServiceError: the service refuses, or fails to make it.
        ServiceBusyError: it was not ready in time.
    """
    with _service(spec) as service:
        there, done = _described(service, group), "unchanged"
        if there is None:
            asked = request(spec, group, shape, role_arn)
            with translated(f"feature group {group}"):
                try:
                    service.create_feature_group(**asked)
                    done = "created"
                except Exception as error:
                    if code_of(error) not in {"ResourceInUse", "ResourceInUseException"}:  # made by another just now
                        raise
        there = _awaited(service, group, pause)
        lasting = [d for d in differences(spec, group, shape, there) if d.declared and not _addable(d)]
        if lasting:
            one = lasting[0]
            raise SpecError(
                f"feature group {shown(group)} has {one.what} {one.there or 'not at all'}, and the declarations say "
                f"{one.declared}; that cannot be changed. Name another one in jobs.feature_store_ingest.feature_groups."
            )
        missing = {name: kind for name, kind in shape.features.items() if name not in there.features}
        if missing:
            _add(service, group, missing, pause)
            done = "extended"
    log("feature group", group=group, outcome=done)
    return done  # type: ignore[return-value]  # one of three words


def _addable(difference: Difference) -> bool:
    return difference.what.startswith("feature ") and difference.there is None


def _add(service: Any, group: str, missing: Mapping[str, str], pause: Pause) -> None:
    """Add features, so many at once as a call takes."""
    features = [{"FeatureName": name, "FeatureType": kind} for name, kind in missing.items()]
    for start in range(0, len(features), _ADDED_AT_ONCE):
        with translated(f"feature group {group}"):
            service.update_feature_group(
                FeatureGroupName=group, FeatureAdditions=features[start : start + _ADDED_AT_ONCE]
            )
        _awaited(service, group, pause)


def _awaited(service: Any, group: str, pause: Pause) -> Group:
    """The group once nothing is under way.

    Raises:
        ServiceError: what was under way failed.
        ServiceBusyError: it takes too long.
    """
    waited, wait = 0.0, 0.2
    while waited < PATIENCE:
        there = _described(service, group)
        if there and (there.status.endswith("Failed") or there.update == "Failed"):
            raise ServiceError(
                f"feature group {shown(group)}: {shown(there.status)} ({shown(there.reason, 200)}). Mend this, delete "
                "the group if it is not to be used, and run ndr feature-store create again."
            )
        if there and there.status == "Created" and there.update != "InProgress":
            return there
        pause(wait)
        waited, wait = waited + wait, min(5.0, 2 * wait)
    raise ServiceBusyError(f"feature group {shown(group)} was not ready in {PATIENCE:.0f} s. Run the command again.")
