"""Calls that put records into the online store: how fast, and what their answers mean."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

from ndr.aws.clients import THROTTLED, client, code_of, translated
from ndr.aws.feature_store_records import Record
from ndr.errors import shown
from ndr.tables.feature_groups import FeatureStore

STORES = ["OnlineStore"]
"""The online store alone: Feature Store would copy every record to the offline store, which is written in bulk."""
_INVALID = frozenset(("ValidationError", "ValidationException"))
_BROKEN = frozenset(("InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestTimeout"))
_BUSY = frozenset((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS))
_BURST_SECONDS = 0.1


@dataclass
class Outcome:
    """What became of the records of one call: those in neither were taken."""

    refused: dict[Record, str] = field(default_factory=dict)
    """Record -> why asking again as before is of no use."""
    again: dict[Record, str] = field(default_factory=dict)
    """Record -> why another try may do better."""


class Pace:
    """A token bucket: so many records a second, and never many at once. What is taken early is waited for."""

    def __init__(self, per_second: float) -> None:
        self._rate, self._most = per_second, max(1.0, per_second * _BURST_SECONDS)
        self._tokens, self._seen = self._most, time.monotonic()
        self._lock = threading.Lock()

    def wait(self, count: int, stopped: threading.Event) -> None:
        """Until so many records may be sent, or all is stopped."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._most, self._tokens + (now - self._seen) * self._rate) - count
            self._seen, owed = now, -self._tokens
        if owed > 0:
            stopped.wait(owed / self._rate)


class Calls:
    """The online store of a region."""

    def __init__(self, spec: FeatureStore) -> None:
        """Find the way to the service.

        Raises:
            ServiceError: boto3 is not installed, or AWS is not configured here.
        """
        self._client = client(
            "sagemaker-featurestore-runtime", spec.region, retries={"total_max_attempts": 1},
            max_pool_connections=spec.max_workers, parameter_validation=False, read_timeout=20,
        )  # fmt: skip

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def put(self, records: Sequence[Record]) -> Outcome:
        """Put some records: what became of them, once.

        Raises:
            ServiceError: the service would refuse all others, too.
        """
        try:
            if len(records) == 1:
                self._client.put_record(
                    FeatureGroupName=records[0].group, Record=records[0].wire(), TargetStores=STORES
                )
                return Outcome()
            entries = [{"FeatureGroupName": r.group, "Record": r.wire(), "TargetStores": STORES} for r in records]
            return _told(records, self._client.batch_write_record(Entries=entries))
        except Exception as error:
            reason = _passing(error)
            if reason:
                return Outcome(again=dict.fromkeys(records, reason))
            if code_of(error) in _INVALID:
                return Outcome(refused=dict.fromkeys(records, _said(error)))
            with translated(f"feature group {records[0].group}"):
                raise


def _told(records: Sequence[Record], answer: Mapping[str, Any]) -> Outcome:
    """The answer to many records. Where it tells of one that was not sent, none is believed to be taken."""
    known = {_values(record.wire()): record for record in records}
    outcome = Outcome()
    for error in answer.get("Errors") or ():
        record, code = known.get(_values(error["Entry"]["Record"])), str(error.get("ErrorCode"))
        if record is None:
            return Outcome(again=dict.fromkeys(records, "the answer tells of other records"))
        reason = f"{shown(code)} ({shown(str(error.get('ErrorMessage')), 200)})"
        (outcome.again if code in THROTTLED | _BROKEN else outcome.refused)[record] = reason
    for entry in answer.get("UnprocessedEntries") or ():
        record = known.get(_values(entry["Record"]))
        if record is None:
            return Outcome(again=dict.fromkeys(records, "the answer tells of other records"))
        outcome.again[record] = "it was left unprocessed"
    return outcome


def _values(wire: Sequence[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(each.get("FeatureName")), str(each.get("ValueAsString"))) for each in wire))


def _passing(error: Exception) -> str:
    """What is the matter with the service or the way there, if it passes; else the empty text."""
    from botocore import exceptions as aws  # noqa: PLC0415 - an extra
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    if isinstance(error, aws.ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        passes = code_of(error) in THROTTLED | _BROKEN or status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return _said(error) if passes else ""
    lost = (aws.HTTPClientError, aws.ConnectionError, aws.IncompleteReadError, HTTPError, HTTPException, OSError)
    return f"{type(error).__name__} ({shown(str(error), 160)})" if isinstance(error, lost) else ""


def _said(error: Exception) -> str:
    told = getattr(error, "response", {}).get("Error", {})
    return f"{shown(code_of(error))} ({shown(str(told.get('Message') or ''), 200)})"
