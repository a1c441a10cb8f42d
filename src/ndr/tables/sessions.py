"""Sessions: the one input table, filled by the sources and by nothing else."""

from __future__ import annotations

import pyarrow as pa

from ndr.table import Table
from ndr.tables.settings import Spec
from ndr.time import SLICE

SESSION_FIELDS = pa.schema(
    [
        pa.field("event_start", pa.timestamp("us"), nullable=False),
        pa.field("event_end", pa.timestamp("us"), nullable=False),
        pa.field("source_ip", pa.string(), nullable=False),
        pa.field("destination_ip", pa.string(), nullable=False),
        pa.field("source_port", pa.int32()),
        pa.field("destination_port", pa.int32()),
        pa.field("network_transport", pa.string(), nullable=False),
        pa.field("source_bytes", pa.int64()),
        pa.field("destination_bytes", pa.int64()),
        pa.field("source_packets", pa.int64()),
        pa.field("destination_packets", pa.int64()),
        pa.field("event_action", pa.string(), nullable=False),
        pa.field("event_reason", pa.string()),
        pa.field("event_name", pa.string(), nullable=False),
        pa.field("established", pa.bool_()),
        pa.field("repeat_cnt", pa.int32()),
        pa.field("application", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("machine_name", pa.string()),
        pa.field("sensor", pa.string()),
    ]
)
"""What every source yields. A null ``repeat_cnt`` (the device's repeat count) means one; the last four are optional."""

_IBIS = {"bool": "boolean", "timestamp[us]": "timestamp(6)"}
COLUMNS = {field.name: _IBIS.get(str(field.type), str(field.type)) for field in SESSION_FIELDS}


class SessionRow(Spec):
    """One row per record of a source: a session (TRAFFIC) or a threat seen in one (THREAT).

    Times are UTC, bytes and packets are null when the source cannot know them. ``batch_end_ts`` is the end of the batch
    that brought the record, null when none was named: then the record belongs to the batch of its own slice.
    """


sessions = Table(
    name="sessions",
    keys=(),
    columns={**COLUMNS, "batch_end_ts": "timestamp(6)"},
    every=SLICE,
    at="event_end",
    spec=SessionRow,
    arrived="batch_end_ts",
)
