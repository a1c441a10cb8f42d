"""AWS VPC flow logs, versions 2 to 5, with any choice and order of fields."""

from __future__ import annotations

import re

import pyarrow as pa

from ndr.sources.delimited import Row, count, draft, first_of, mapped_fields, split_fields
from ndr.sources.source import Reader, Source, SourceSpec

_DOC = """\
AWS VPC flow logs, version 2 to 5, separated by spaces (tabs and commas are read too). A header line rules the
columns, in the names of AWS (srcaddr, log-status, ...), with - or _ between words; without one the 14 columns of the
default format are meant, with or without the time that CloudWatch puts before a line.

- event_name: TRAFFIC. event_start, event_end: start and end, of the first and the last packet in the interval.
- source_ip, destination_ip: srcaddr and dstaddr, else pkt-srcaddr and pkt-dstaddr. source_port, destination_port:
  srcport and dstport. network_transport: protocol, a number.
- source_bytes, source_packets: bytes and packets. destination_bytes, destination_packets: null: a record counts one
  direction, and the answer is a row of its own, because which record answers which is not told.
- event_action: accept or reject. event_reason: null.
- established: false for REJECT; for TCP true when tcp-flags hold SYN-ACK (this record is the answer) or FIN; else
  null.
- sensor: interface-id. repeat_cnt, application, rule, machine_name: null; `field_mapping` reaches every other column,
  such as `machine_name: instance-id`. A - is null.

A record is what one interface saw in one aggregation interval (1 or 10 minutes): a longer connection gives one record
per interval, and they are not joined; a connection within the VPC is seen by both interfaces. NODATA and SKIPDATA
lines are filtered as nodata and skipdata.
"""

_DEFAULT = tuple(
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status".split()
)
_FIELDS = frozenset(
    [
        *_DEFAULT,
        *(
            "vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type "
            "sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path"
        ).split(),
    ]
)
_NEEDED = (
    {"srcaddr", "pkt-srcaddr"},
    {"dstaddr", "pkt-dstaddr"},
    {"start"},
    {"end"},
)
_LEAST_NAMES = 4
_HEAD_LINES = 20
_DEFAULT_LINE = re.compile(
    r"(?:\d{4}-\d\d-\d\dT\S+ )?2 \S+ \S+ \S+ \S+ \S+ \S+ \S+ \S+ \S+ \d+ \d+ (?:ACCEPT|REJECT|-) (?:OK|NODATA|SKIPDATA)"
)
_UNCOUNTED = {"NODATA": "nodata", "SKIPDATA": "skipdata"}
_FIN, _SYN_ACK = 1, 18


def _split(text: str) -> list[str] | None:
    """Fields of a line: commas where there are any, else white space."""
    return split_fields(text.strip()) if "," in text else text.split()


def _header(text: str) -> list[str] | None:
    """The column names, as AWS writes them, if the line is a header."""
    names = [re.sub(r"[${}\"\ufeff]", "", name).strip().lower().replace("_", "-") for name in _split(text) or []]
    return names if sum(name in _FIELDS for name in names) >= _LEAST_NAMES else None


def _recognises(head: str) -> bool:
    """A header that names both ends and the time, or lines of the default format."""
    for line in head.splitlines()[:_HEAD_LINES]:
        names = _header(line)
        if names:
            return all(alike & set(names) for alike in _NEEDED)
        if _DEFAULT_LINE.fullmatch(line.strip()):
            return True
    return False


def _no_sessions(head: str) -> str | None:
    first = next((line for line in head.splitlines() if line.strip()), "")
    if _header(first) and not _recognises(head):
        return "vpc flow log without addresses or times"
    return None


def _established(fields: dict[str, str]) -> str | None:
    if fields.get("action") == "REJECT":
        return "false"
    flags = count(fields.get("tcp-flags"))
    if flags is not None and fields.get("protocol") == "6" and (flags & _SYN_ACK == _SYN_ACK or flags & _FIN):
        return "true"
    return None


def _session(fields: dict[str, str]) -> Row:
    return {
        "event_name": "TRAFFIC",
        "event_start": fields.get("start"),
        "event_end": fields.get("end"),
        "source_ip": first_of(fields, "srcaddr", "pkt-srcaddr"),
        "destination_ip": first_of(fields, "dstaddr", "pkt-dstaddr"),
        "source_port": fields.get("srcport"),
        "destination_port": fields.get("dstport"),
        "network_transport": fields.get("protocol"),
        "source_bytes": fields.get("bytes"),
        "source_packets": fields.get("packets"),
        "event_action": fields.get("action", "").lower(),
        "established": _established(fields),
        "sensor": fields.get("interface-id"),
    }


def _reader(spec: SourceSpec) -> Reader:
    mapping = {column: name.lower().replace("_", "-") for column, name in mapped_fields(spec).items()}
    columns: list[str] = []

    def row(text: str) -> Row | None:
        names = _header(text) if text[:1].isalpha() or text[:1] in '$"\ufeff' else None
        if names:
            columns[:] = names
            return None
        values = _split(text)
        if values is None:
            return {"fault": "unparsable"}
        if not columns and len(values) == len(_DEFAULT) + 1:
            values = values[1:]
        expected = columns or _DEFAULT
        if len(values) != len(expected):
            return {"fault": "missing_columns" if len(values) < len(expected) else "unparsable"}
        fields = {name: value for name, value in zip(expected, values, strict=True) if value != "-"}
        if status := _UNCOUNTED.get(fields.get("log-status", "")):
            return {"filtered": status}
        return _session(fields) | {column: fields.get(name) for column, name in mapping.items()}

    def read(lines: pa.Table) -> pa.Table:
        return draft(lines, row)

    return read


VPC_FLOW = Source("vpc_flow", _recognises, _no_sessions, _reader, _DOC)
