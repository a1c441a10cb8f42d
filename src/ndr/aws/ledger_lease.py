"""Who may write to a ledger on DynamoDB: a lease that its holder renews, and a fence that every write passes.

The lease says who writes now. Another writer takes it over when it was not renewed for as long as it lasts. The fence
carries the name of the last one who got the lease; a transaction of anybody else is refused by the service itself, so
that a writer that slept through its lease changes nothing, whatever the clocks of the two machines say.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from ndr.aws.clients import ServiceBusyError, ServiceError, code_of, translated
from ndr.errors import LakeBusyError, shown
from ndr.log import log

_POLL_SECONDS = 0.5
_LAST_SECONDS = 10.0
"""How long a renewal that is under way is waited for at the end."""
_REFUSED = "ConditionalCheckFailedException"
_NAMES = {"#writer": "writer", "#renewal": "renewal", "#until": "until"}


class WriterReplacedError(ServiceBusyError):
    """Another run writes to the lake instead of this one, which did not renew its lease in time."""

    def __init__(self, lake: str) -> None:
        super().__init__(
            f"another run has taken over writing to the lake {shown(lake)!r}, because this one gave no sign of life "
            "for longer than its lease. What it had not committed by then is not in the lake: run it again."
        )


def cancellations(error: BaseException | None) -> list[str]:
    """For each action of a cancelled transaction the code that says why, ``None`` where it was not the cause."""
    response = getattr(error, "response", None)
    reasons = response.get("CancellationReasons") if isinstance(response, dict) else None
    return [str(reason.get("Code")) for reason in reasons or ()]


class Lease:
    """The right to write to one lake's ledger; ``writer`` is the name under which this one has it, if it has."""

    def __init__(self, client: Any, table: str, lake: str, prefix: str, seconds: float) -> None:
        self._client, self._table, self._lake, self._seconds = client, table, lake, seconds
        self._key = {"pk": {"S": f"{prefix}#writer"}, "sk": {"S": "lease"}}
        self.fence = {**self._key, "sk": {"S": "fence"}}
        self.writer = ""
        self._renewed = 0.0

    def check(self) -> None:
        """See that nobody else can have the lease by now.

        Raises:
            WriterReplacedError: it was not renewed for as long as it lasts.
        """
        if self.writer and time.monotonic() - self._renewed > self._seconds:
            raise WriterReplacedError(self._lake)

    @contextmanager
    def held(self, wait_seconds: float) -> Iterator[None]:
        """Be the only writer, and renew the lease meanwhile.

        Raises:
            LakeBusyError: another writer did not finish in time.
            ServiceError: DynamoDB refuses.
        """
        if self.writer:
            raise LakeBusyError(self._lake, 0)
        self.writer = self._acquired(wait_seconds)
        done = threading.Event()
        renewal = threading.Thread(target=self._keep_renewing, args=(done, self.writer), daemon=True)
        renewal.start()
        try:
            yield
        finally:
            writer, self.writer = self.writer, ""
            done.set()
            renewal.join(_LAST_SECONDS)
            self._release(writer)

    def _acquired(self, wait_seconds: float) -> str:
        writer, seen, since = uuid.uuid4().hex, "", time.monotonic()
        deadline = since + wait_seconds
        while True:
            lease = self._look()
            renewal = lease.get("renewal", {}).get("S", "")
            if renewal != seen:
                seen, since = renewal, time.monotonic()
            self._renewed = time.monotonic()
            if (not lease or self._outlived(lease, since)) and self._take(writer, renewal):
                return writer
            if time.monotonic() >= deadline:
                raise LakeBusyError(self._lake, wait_seconds)
            time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))

    def _look(self) -> dict[str, Any]:
        with translated(f"table {self._table}"):
            found: dict[str, Any] = self._client.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        return dict(found.get("Item", {}))

    def _outlived(self, lease: dict[str, Any], since: float) -> bool:
        """Not renewed for a lease's length: as seen by this machine, or long ago, were the clocks as far apart."""
        told = float(lease["seconds"]["N"])
        late = datetime.fromisoformat(lease["until"]["S"]) + timedelta(seconds=told)
        return time.monotonic() - since > told or datetime.now(UTC).replace(tzinfo=None) > late

    def _state(self, writer: str) -> dict[str, Any]:
        until = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=self._seconds)
        return {":writer": {"S": writer}, ":renewal": {"S": uuid.uuid4().hex}, ":until": {"S": until.isoformat()}}

    def _take(self, writer: str, renewal: str) -> bool:
        state = self._state(writer)
        lease = {name: state[f":{name}"] for name in ("writer", "renewal", "until")}
        actions = [
            {"Put": {
                "TableName": self._table, "Item": {**self._key, **lease, "seconds": {"N": str(self._seconds)}},
                "ConditionExpression": "attribute_not_exists(pk) OR #renewal = :seen OR #writer = :writer",
                "ExpressionAttributeNames": {name: _NAMES[name] for name in ("#renewal", "#writer")},
                "ExpressionAttributeValues": {":seen": {"S": renewal}, ":writer": state[":writer"]},
            }},
            {"Update": {
                "TableName": self._table, "Key": self.fence,
                "UpdateExpression": "SET #writer = :writer ADD #turn :one",
                "ExpressionAttributeNames": {"#writer": "writer", "#turn": "turn"},
                "ExpressionAttributeValues": {":writer": state[":writer"], ":one": {"N": "1"}},
            }},
        ]  # fmt: skip
        try:
            with translated(f"table {self._table}"):
                self._client.transact_write_items(TransactItems=actions)
        except ServiceError as error:
            if {"ConditionalCheckFailed", "TransactionConflict"}.isdisjoint(cancellations(error.__cause__)):
                raise
            return False
        return True

    def _keep_renewing(self, done: threading.Event, writer: str) -> None:
        while not done.wait(self._seconds / 3):
            try:
                self._renew(writer)
            except ServiceError as error:
                if done.is_set():
                    return
                if code_of(error.__cause__ or error) == _REFUSED:
                    log("lease lost", level=logging.WARNING, lake=self._lake)
                    return
                log("lease not renewed", level=logging.WARNING, lake=self._lake, reason=str(error))

    def _renew(self, writer: str) -> None:
        before = time.monotonic()
        with translated(f"table {self._table}"):
            self._client.update_item(
                TableName=self._table, Key=self._key,
                UpdateExpression="SET #renewal = :renewal, #until = :until",
                ConditionExpression="#writer = :writer",
                ExpressionAttributeNames=_NAMES, ExpressionAttributeValues=self._state(writer),
            )  # fmt: skip
        self._renewed = before

    def _release(self, writer: str) -> None:
        """Give the lease back; where that fails it ends by itself."""
        try:
            with translated(f"table {self._table}"):
                self._client.delete_item(
                    TableName=self._table, Key=self._key, ConditionExpression="#writer = :writer",
                    ExpressionAttributeNames={"#writer": "writer"},
                    ExpressionAttributeValues={":writer": {"S": writer}},
                )  # fmt: skip
        except ServiceError as error:
            log("lease not given back", level=logging.WARNING, lake=self._lake, reason=str(error))
