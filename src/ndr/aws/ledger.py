"""The ledger of a lake on S3: items of a table in DynamoDB that several lakes may share."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime

from ndr.aws.ledger_imports import Imports
from ndr.aws.ledger_items import moment, pack, text, unpack
from ndr.aws.ledger_parts import Parts
from ndr.aws.ledger_table import LedgerTable
from ndr.errors import DataError, shown
from ndr.time import Interval

KEY_SCHEMA = ({"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"})
ATTRIBUTES = tuple({"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in KEY_SCHEMA)
"""How the table is keyed."""


class DynamoLedger(Parts, Imports):
    """The ledger of one lake in a table of DynamoDB, which must be there.

    Whoever writes is the only writer: within :meth:`writing`, or for the length of a call. What is written within one
    transaction is there as a whole or not at all, for readers and after a kill.

    Raises:
        ServiceError: AWS is not configured here, or DynamoDB refuses; so do all methods.
        ServiceBusyError: another try may do better; so do all methods.
    """

    def __init__(self, table: str, lake: str, lease_seconds: float = 60) -> None:
        self._table = LedgerTable(table, lake.rstrip("/"), lease_seconds)

    def close(self) -> None:
        """Let go of the connections."""
        self._table.client.close()

    def check_writer(self) -> None:
        """See that this is still the writer, before files are put in place that the next one might have replaced.

        Raises:
            WriterReplacedError: its lease has run out.
        """
        self._table.lease.check()

    def writing(self, wait_seconds: float) -> AbstractContextManager[None]:
        """Be the only writer of the lake.

        A writer that gives no sign of life for as long as its lease lasts is replaced; should it go on, it changes
        nothing any more and gets a WriterReplacedError.

        Raises:
            LakeBusyError: another writer did not finish in time.
        """
        return self._table.writing(wait_seconds)

    def batches(self) -> dict[datetime, str]:
        """The named batches by their ends."""
        days = (unpack(item["names"]) for item in self._table.query("batches"))
        return {moment(end): str(name) for day in days for end, (name, _) in sorted(day.items())}

    def name_batch(self, name: str, batch: Interval) -> None:
        """Remember a named batch.

        Raises:
            DataError: the name stands for another interval, or the interval's end has another name.
        """
        wanted = (name, text(batch.start), text(batch.end))
        own, day = ("batch_names", name), ("batches", wanted[2][:10])
        with self._table.alone():
            found = self._table.get([own, day])
            names = unpack(found[day]["names"]) if day in found else {}
            known = [(name, found[own]["start"], found[own]["end"])] if own in found else []
            known += [(other, start, end) for end, (other, start) in names.items() if end == wanted[2]]
            if contrary := [each for each in known if each != wanted]:
                other, start, end = contrary[0]
                raise DataError(
                    f"batch {shown(name)!r} {batch} contradicts batch {other!r} [{start}, {end}) "
                    "of this lake; a batch name stands for one interval, and one interval's end for one batch."
                )
            if not known:
                told = {**names, wanted[2]: [name, wanted[1]]}
                self._table.write({own: {"start": wanted[1], "end": wanted[2]}, day: {"names": pack(told)}})

    def settled_under(self, fingerprint: str) -> bool:
        """Whether the last finished run had this fingerprint."""
        found = self._table.one(("settled", "-"))
        return found is not None and found["fingerprint"] == fingerprint

    def settle(self, fingerprint: str) -> None:
        """Note that a run has built everything there is to build."""
        with self._table.alone():
            found = self._table.query("unsettled")
            gone = {("unsettled", item["sk"]): None for item in found}
            self._table.write_each({**gone, ("settled", "-"): {"fingerprint": fingerprint}})
