"""Sending: records to the online store by several threads, each tried until it is taken, refused or given up."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from ndr.aws.clients import ServiceBusyError, ServiceError
from ndr.aws.feature_store_calls import Calls, Outcome, Pace
from ndr.aws.feature_store_failures import Failures
from ndr.aws.feature_store_records import LARGEST, Record
from ndr.errors import shown
from ndr.log import log
from ndr.tables.feature_groups import FeatureStore

LONGEST_WAIT = 20.0
"""Seconds between two tries, at most."""
FRUITLESS = 200
"""So many records that fail one after the other, and not one that is taken, are no matter of these records."""
_LARGEST_CALL = 1 << 20
_LOOK = 0.05


class Sending:
    """One go at sending records; every record is counted once, as sent or failed, unless an error ends it all."""

    def __init__(self, spec: FeatureStore, failures: Failures) -> None:
        self.sent = self.retried = 0
        self._spec, self._failures = spec, failures
        self._pace, self._calls = Pace(spec.records_per_second), Calls(spec)
        self._waiting: queue.Queue[list[Record] | None] = queue.Queue(2 * spec.max_workers)
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._fruitless = 0
        self._error: BaseException | None = None

    def send(self, records: Iterable[Record]) -> None:
        """Send them all; those that are refused or given up are among the failures at the end.

        Raises:
            ServiceBusyError: the service does not answer, or takes nothing for too long.
            ServiceError: it refuses everything.
            AdapterError: the failures cannot be written.
        """
        threads = [threading.Thread(target=self._work, name="feature-store") for _ in range(self._spec.max_workers)]
        with closing(self._calls):
            for thread in threads:
                thread.start()
            try:
                for parcel in _parcels(self._fitting(records), self._spec.records_per_call):
                    if not self._offer(parcel):
                        break
            except BaseException:
                self._stopped.set()
                raise
            finally:
                for _ in threads:
                    self._offer(None)
                for thread in threads:
                    thread.join()
        if self._error:
            raise self._error

    def _fitting(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records that need not be refused before they are sent."""
        for record in records:
            if record.size <= LARGEST:
                yield record
            else:
                self._failed(record, f"it has {record.size:,} bytes, and the service takes {LARGEST:,}", ServiceError)

    def _offer(self, parcel: list[Record] | None) -> bool:
        """Hand over what is to be sent; False when all is stopped."""
        while not self._stopped.is_set():
            try:
                self._waiting.put(parcel, timeout=_LOOK)
            except queue.Full:
                continue
            return True
        return False

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                parcel = self._waiting.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if parcel is None:
                return
            try:
                self._deliver(parcel)
            except BaseException as error:  # noqa: BLE001 - told to whoever waits for the threads
                with self._lock:
                    self._error = self._error or error
                self._stopped.set()

    def _deliver(self, records: Sequence[Record]) -> None:
        """Try until nothing is left to be tried. Each wait is a random part of a limit that doubles."""
        left, tries = list(records), 0
        while left:
            self._pace.wait(len(left), self._stopped)
            if self._stopped.is_set():
                return
            outcome = self._calls.put(left)
            if len(left) > 1 and len(outcome.refused) == len(left):  # one of them may spoil it for all
                for record in left:
                    self._deliver([record])
                return
            self._settle(left, outcome)
            left, tries = list(outcome.again), tries + 1
            if left and tries > self._spec.max_retries:
                self._give_up(outcome.again)
                return
            if left:
                limit = min(LONGEST_WAIT, self._spec.backoff_seconds * 2 ** (tries - 1))
                wait = random.uniform(0, limit)  # noqa: S311 - it spreads calls, it keeps no secret
                log("records sent again", records=len(left), reason=next(iter(outcome.again.values())), wait=wait)
                with self._lock:
                    self.retried += len(left)
                self._stopped.wait(wait)

    def _settle(self, records: Sequence[Record], outcome: Outcome) -> None:
        """Count what was taken, and write down what was refused."""
        taken = [r for r in records if r not in outcome.refused and r not in outcome.again]
        for record in taken:
            self._failures.taken(record)
        with self._lock:
            self.sent += len(taken)
            self._fruitless = 0 if taken else self._fruitless
        for record, reason in outcome.refused.items():
            self._failed(record, reason, ServiceError)

    def _give_up(self, records: dict[Record, str]) -> None:
        for record, reason in records.items():
            self._failed(record, reason, ServiceBusyError)

    def _failed(self, record: Record, reason: str, kind: type[ServiceError]) -> None:
        self._failures.failed(record, reason)
        with self._lock:
            self._fruitless += 1
            hopeless = self._fruitless >= FRUITLESS
        if hopeless:
            advice = (
                "Run the same command again later." if kind.retryable
                else "See what ndr feature-store diff tells, then run the same command again."
            )  # fmt: skip
            raise kind(
                f"feature group {shown(record.group)}: {FRUITLESS} records failed one after the other, the last by "
                f"{reason}. {advice}"
            )


def _parcels(records: Iterable[Record], most: int) -> Iterator[list[Record]]:
    """As many records to a call as their number and bytes allow."""
    parcel: list[Record] = []
    size = 0
    for record in records:
        own = record.size if most > 1 else 0
        if parcel and (len(parcel) == most or size + own > _LARGEST_CALL):
            yield parcel
            parcel, size = [], 0
        parcel.append(record)
        size += own
    if parcel:
        yield parcel
