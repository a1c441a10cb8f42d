"""The Feature Store of SageMaker, online: rows as records, nothing lost, nothing doubled.

Putting a record again changes nothing, for it is told by its identifier and its event time. What the service does not
take lies in a file of failures, which :func:`retry` sends again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ndr.aws.feature_store_failures import Failures
from ndr.aws.feature_store_groups import ready
from ndr.aws.feature_store_records import Record, records, shape_of
from ndr.aws.feature_store_sending import Sending
from ndr.errors import DataError, shown
from ndr.log import log
from ndr.table import Table
from ndr.tables.feature_groups import FeatureStore


@dataclass(frozen=True)
class Ingested:
    """What became of records: those that the service has, and those that failed in the end."""

    sent: int
    failed: int
    retried: int
    """How many times a record was sent again."""
    seconds: float

    def facts(self) -> dict[str, Any]:
        """The counts as data."""
        return {"sent": self.sent, "failed": self.failed, "retried": self.retried, "seconds": round(self.seconds, 3)}


def ingest(spec: FeatureStore, project: str, table: Table, rows: Iterable[pa.RecordBatch], failures: Path) -> Ingested:
    """Put the rows of a table into the online store of its feature group; those that fail are added to ``failures``.

    Of what failed before, the file keeps what was not taken now.

    Raises:
        SpecError: the feature group is not as the table needs it.
        DataError: rows cannot be told apart as records, or the file of failures is none.
        ServiceBusyError: the service cannot be reached or takes nothing; what was taken is kept, run it all again.
        ServiceError: it refuses everything.
    """
    shape = shape_of(table)
    group = spec.group_of(project, table.name)
    ready(spec, group, shape, "online")
    return _sent(spec, failures, lambda _: records(shape, group, rows))


def retry(spec: FeatureStore, failures: Path) -> Ingested:
    """Send the records of a file of failures again, each as it failed last; the file keeps those that still fail.

    Raises:
        DataError: there is no such file, or it is none of failures.
        ServiceBusyError: the service cannot be reached or takes nothing; the file keeps everything not taken.
        ServiceError: it refuses everything.
    """
    if not failures.is_file():
        raise DataError(
            f"there is no file {shown(str(failures), 300)}: name the one that ndr feature-store ingest has written."
        )
    return _sent(spec, failures, Failures.waiting)


def _sent(spec: FeatureStore, path: Path, chosen: Any) -> Ingested:
    started = time.perf_counter()
    with Failures(path) as failures:
        sending = Sending(spec, failures)
        found: Iterable[Record] = chosen(failures)
        sending.send(found)
    done = Ingested(sending.sent, failures.count, sending.retried, time.perf_counter() - started)
    log("records sent", **done.facts())
    return done
