"""What a source is: a way to recognise a format and to draft sessions from its lines.

A draft is a table with one row per record (comment, header and blank lines are not records). Its columns are text,
taken from the log as they stand there; :mod:`ndr.sources.convert` turns every draft into sessions with the same rules,
so a format says *which* field means what and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

TEXT_COLUMNS = (
    "event_start",
    "event_end",
    "duration",
    "source_ip",
    "destination_ip",
    "source_port",
    "destination_port",
    "network_transport",
    "source_bytes",
    "destination_bytes",
    "source_packets",
    "destination_packets",
    "event_action",
    "event_reason",
    "event_name",
    "established",
    "repeat_cnt",
    "application",
    "rule",
    "machine_name",
    "sensor",
)

DRAFT_FIELDS = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        *(pa.field(name, pa.string()) for name in TEXT_COLUMNS),
        pa.field("filtered", pa.string()),
        pa.field("fault", pa.string()),
    ]
)
"""``line`` is the record's line in the file, from 1. ``filtered`` names the filter that leaves the record out,
``fault`` says why it cannot be a session; both null for a record to convert. A column the format lacks may be left out.
``duration`` (seconds) gives ``event_end`` where only ``event_start`` is known, and the other way round."""


class SourceSpec(BaseModel):
    """How one kind of log is read; the key ``sources.<name>`` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_zone: str = Field(default="UTC", description="zone of times that carry none")
    field_mapping: dict[str, str] = Field(
        default_factory=dict, description="name of a session column -> name of the field in the log"
    )
    bad_share_limit: float = Field(
        default=0.2, ge=0, le=1, description="share of bad records beyond which a file is refused as a whole"
    )
    line_bytes_limit: int = Field(default=1 << 20, ge=1024, description="a longer line is quarantined unread")
    expansion_limit: int = Field(
        default=200, ge=1, description="uncompressed bytes per compressed byte before a file is refused"
    )
    earliest: str = Field(default="1970-01-01", description="a session that ends before is quarantined")


class Reader(Protocol):
    """Reads one file, block by block; keeps what the format's header lines say."""

    def __call__(self, lines: pa.Table) -> pa.Table:
        """A draft of the block ``lines`` (``line`` int64, ``text`` string, in file order)."""


@dataclass(frozen=True)
class Source:
    """One log format."""

    name: str
    recognises: Callable[[str], bool]
    """Whether the head of a file (its first 64 KiB, as text) holds session records of this format."""
    no_sessions: Callable[[str], str | None]
    """What the head holds instead (``zeek dns log``) when it is of this family without session records, else None."""
    reader: Callable[[SourceSpec], Reader]
    doc: str
    """How every session column is filled, what stays null, and what becomes of interim, start and repeated records."""
    no_sessions_by_name: Callable[[str], str | None] = field(default=lambda _name: None)
    """What a file of this name holds instead where its content cannot tell (``open_conn.log`` in JSON), else None."""
