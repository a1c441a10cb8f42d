"""What goes to a table of Iceberg and what becomes of it, and how that can fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from ndr.errors import AdapterError
from ndr.time import Interval


@dataclass(frozen=True)
class Batch:
    """Rows that replace what a table holds of the same interval and versions."""

    name: str
    rows: pa.Table
    at: str
    """Column with the time of a row, whose values lie in ``within``."""
    within: Interval
    versions: Mapping[str, tuple[str, ...]]
    """Version column -> the values whose rows are replaced; none where nobody knows them."""
    parts: Mapping[str, str]
    properties: Mapping[str, str]


@dataclass(frozen=True)
class Written:
    """What became of a batch."""

    table: str
    snapshot: int | None
    """The snapshot that holds it; None where neither the batch nor the table has rows of it."""
    rows: int
    fresh: bool
    """Whether this call wrote it; False where the table held the same parts already."""


class IcebergError(AdapterError):
    """A catalog, a table of Iceberg or its files cannot be used as they are."""


class IcebergBusyError(IcebergError):
    """Others wrote to the table at the same time, or a service behind it did not answer; later it may."""

    retryable = True
