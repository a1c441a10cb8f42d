"""Machines: the inventory, filled by imports of it and by nothing else."""

from __future__ import annotations

import pyarrow as pa

from ndr.table import Table
from ndr.tables.settings import Spec
from ndr.time import DAY

MACHINE_FIELDS = pa.schema(
    [
        pa.field("ip_address", pa.string(), nullable=False),
        pa.field("machine_name", pa.string(), nullable=False),
        pa.field("active", pa.bool_()),
    ]
)
"""What the file of a month holds; the month itself is in its path."""


class MachineRow(Spec):
    """One row per address and month in which an inventory said something about it that was not known from before.

    What is known of an address as of a month is its row of the latest month that is not after it. An address has one
    name: of several that an inventory gives it, active ones come before inactive ones, then the one that sorts first
    whatever its case. ``active`` is null when no inventory says.
    """


machines = Table(
    name="machines",
    keys=("ip_address", "snapshot_month"),
    columns={
        "ip_address": "string",
        "machine_name": "string",
        "active": "boolean",
        "snapshot_month": "string",
    },
    every=DAY,
    at="snapshot_month",
    spec=MachineRow,
    partitions=("snapshot_month",),
    folder="machine_inventory",
)
