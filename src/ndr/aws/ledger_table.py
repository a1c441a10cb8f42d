"""A ledger's items in a table of DynamoDB: read page by page, written in transactions that only the writer passes.

What the writer has read it need not read again, for nobody else writes meanwhile. Other readers read until nothing was
written meanwhile, so that they see a transaction as a whole or not at all.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from ndr.aws.clients import ServiceBusyError, ServiceError, client, translated
from ndr.aws.ledger_lease import Lease, WriterReplacedError, cancellations
from ndr.aws.ledger_wire import ITEM_BYTES, Changes, Item, Key, escaped, packed, plain, size_of, typed
from ndr.errors import shown

T = TypeVar("T")

_BATCH = 100
_WAIT_SECONDS = 60.0
_TRIES = 9
_REMEMBERED = 50_000
_PASSING = frozenset(("None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"))


class LedgerTable:
    """The items of one lake's ledger.

    Raises:
        ServiceError: DynamoDB is not configured here, or refuses; so do all methods.
    """

    def __init__(self, table: str, lake: str, lease_seconds: float) -> None:
        self.client = client("dynamodb", connect_timeout=5, read_timeout=10)
        self._name, self._lake, self._prefix = table, lake, escaped(lake)
        self.lease = Lease(self.client, table, lake, self._prefix, lease_seconds)
        self._items: dict[Key, Item | None] = {}
        self._ranges: dict[str, dict[tuple[str, ...], list[Item]]] = {}

    @contextmanager
    def writing(self, wait_seconds: float) -> Iterator[None]:
        """Be the only writer; see :class:`Lease`."""
        with self.lease.held(wait_seconds):
            self._forget()
            try:
                yield
            finally:
                self._forget()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only writer for one call, unless this one is it already."""
        if self.lease.writer:
            yield
            return
        with self.writing(_WAIT_SECONDS):
            yield

    def _forget(self) -> None:
        self._items, self._ranges = {}, {}

    def steady(self, read: Callable[[], T]) -> T:
        """What is read while nothing is written.

        Raises:
            ServiceBusyError: something was written every time.
        """
        if self.lease.writer:
            return read()
        for attempt in range(_TRIES):
            before = self._turn()
            found = read()
            if before == self._turn() != -1:
                return found
            _pause(attempt)
        raise ServiceBusyError(
            f"the ledger of {shown(self._lake)!r} is being written without a pause; run the same command again later."
        )

    def _turn(self) -> int:
        """How many transactions there were; -1 while there is one, which no other way of reading would tell."""
        wanted = [{"Get": {"TableName": self._name, "Key": self.lease.fence}}]
        try:
            with self._told():
                found = self.client.transact_get_items(TransactItems=wanted)
        except ServiceError as error:
            if set(cancellations(error.__cause__)) & _PASSING:
                return -1
            raise
        item = found["Responses"][0].get("Item") if found["Responses"] else None
        return int(item["turn"]["N"]) if item else 0

    def one(self, key: Key) -> Item | None:
        """An item, if it is there."""
        return self.get([key]).get(key)

    def get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Those of the items that are there."""
        wanted = list(dict.fromkeys(keys))
        found = {key: self._items[key] for key in wanted if key in self._items}
        missing = [key for key in wanted if key not in found]
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            read = self._fetched(batch)
            for key in batch:
                found[key] = read.get(key)
                self._remember(key, found[key])
        return {key: item for key in wanted if (item := found[key]) is not None}

    def _fetched(self, keys: list[Key]) -> dict[Key, Item]:
        asked: list[dict[str, Any]] = [self._placed(key) for key in keys]
        found = {}
        for attempt in range(_TRIES):
            request = {self._name: {"Keys": asked, "ConsistentRead": True}}
            with self._told():
                answer = self.client.batch_get_item(RequestItems=request)
            for raw in answer["Responses"].get(self._name, ()):
                item = plain(raw)
                found[item.pop("pk")[len(self._prefix) + 1 :], item["sk"]] = item
            asked = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
            if not asked:
                return found
            _pause(attempt)
        raise ServiceBusyError(f"table {shown(self._name)} is throttled. Run the same command again later.")

    def query(self, what: str, *bounds: str) -> list[Item]:
        """The items about something, in order; with two bounds, those whose places lie between."""
        return self._kept(what, bounds, lambda: list(self._pages(what, bounds, {})))

    def last(self, what: str) -> Item | None:
        """The last of the items about something."""
        found = self._kept(what, ("last",), lambda: list(islice(self.backwards(what, 1), 1)))
        return found[0] if found else None

    def _kept(self, what: str, bounds: tuple[str, ...], read: Callable[[], list[Item]]) -> list[Item]:
        known = self._ranges.get(what, {}).get(bounds)
        if known is None:
            known = read()
            if self.lease.writer:
                if sum(len(found) for ranges in self._ranges.values() for found in ranges.values()) > _REMEMBERED:
                    self._ranges.clear()
                self._ranges.setdefault(what, {})[bounds] = known
        return known

    def backwards(self, what: str, limit: int) -> Iterator[Item]:
        """The items about something, the last first, read as far as asked for; first ``limit`` of them, then more."""
        return self._pages(what, (), {"ScanIndexForward": False, "Limit": limit})

    def _pages(self, what: str, bounds: tuple[str, ...], more: Mapping[str, Any]) -> Iterator[Item]:
        asked: dict[str, Any] = {
            "TableName": self._name, "ConsistentRead": True, **more,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :low AND :high" if bounds else "pk = :pk",
            "ExpressionAttributeValues": {
                ":pk": {"S": f"{self._prefix}#{what}"},
                **{name: {"S": bound} for name, bound in zip((":low", ":high"), bounds, strict=False)},
            },
        }  # fmt: skip
        while True:
            with self._told():
                page = self.client.query(**asked)
            for raw in page["Items"]:
                item = plain(raw)
                del item["pk"]
                yield item
            if "LastEvaluatedKey" not in page:
                return
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]
            if "Limit" in more:
                asked["Limit"] *= 2

    def write(self, changes: Changes) -> None:
        """Change items all at once; there must not be more of them than a transaction holds.

        Raises:
            WriterReplacedError: somebody else is the writer now; nothing was changed.
        """
        if not changes:
            return
        actions = [self._fenced(), *(self._action(key, item) for key, item in changes.items())]
        self._transact(actions)
        for key, item in changes.items():
            self._ranges.pop(key[0], None)
            self._remember(key, None if item is None else {**item, "sk": key[1]})

    def write_each(self, changes: Changes) -> None:
        """Change items in as many transactions as it takes, in order."""
        for some in packed([{key: item} for key, item in changes.items()]):
            self.write(some)

    def _remember(self, key: Key, item: Item | None) -> None:
        if not self.lease.writer:
            return
        if len(self._items) >= _REMEMBERED:
            self._items.clear()
        self._items[key] = item

    def _fenced(self) -> dict[str, Any]:
        """Take the next turn, which none but the writer can."""
        return {"Update": {
            "TableName": self._name, "Key": self.lease.fence,
            "UpdateExpression": "ADD #turn :one", "ConditionExpression": "#writer = :writer",
            "ExpressionAttributeNames": {"#turn": "turn", "#writer": "writer"},
            "ExpressionAttributeValues": {":one": {"N": "1"}, ":writer": {"S": self.lease.writer or "nobody"}},
        }}  # fmt: skip

    def _action(self, key: Key, item: Item | None) -> dict[str, Any]:
        place = self._placed(key)
        if item is None:
            return {"Delete": {"TableName": self._name, "Key": place}}
        if (size := size_of(key, item)) > ITEM_BYTES:
            raise ServiceError(
                f"an entry of {size:,} bytes about {shown(key[0])} is more than DynamoDB keeps ({ITEM_BYTES:,}): "
                "import smaller files."
            )
        return {"Put": {"TableName": self._name, "Item": {**{n: typed(v) for n, v in item.items()}, **place}}}

    def _transact(self, actions: list[dict[str, Any]]) -> None:
        for attempt in range(_TRIES):
            try:
                with self._told():
                    self.client.transact_write_items(TransactItems=actions, ClientRequestToken=uuid.uuid4().hex)
            except ServiceError as error:
                reasons = cancellations(error.__cause__)
                if reasons and reasons[0] == "ConditionalCheckFailed":
                    raise WriterReplacedError(self._lake) from error
                if not reasons or not _PASSING.issuperset(reasons):
                    raise
                failure = error
            else:
                return
            _pause(attempt)
        raise ServiceBusyError(
            f"table {shown(self._name)} refuses a transaction again and again. Run the same command again later."
        ) from failure

    def _placed(self, key: Key) -> dict[str, Any]:
        return {"pk": {"S": f"{self._prefix}#{key[0]}"}, "sk": {"S": key[1]}}

    def _told(self) -> Any:
        return translated(f"table {self._name}")


def _pause(attempt: int) -> None:
    """Up to 2.5 s, more with each attempt; chance parts those who collided."""
    time.sleep(random.uniform(0.5, 1) * min(2.5, 0.02 * 2**attempt))  # noqa: S311 - not a secret
