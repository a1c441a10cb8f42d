"""Sessions: the one input table, filled by the sources and by nothing else."""

from __future__ import annotations

import pyarrow as pa

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
"""What every source yields. ``repeat_cnt`` is the device's repeat count, null meaning one; the last four are optional."""
