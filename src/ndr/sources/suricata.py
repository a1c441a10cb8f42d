"""Suricata: flow and alert events of eve.json, one JSON object per line."""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa

from ndr.sources.delimited import Row, answered, closing_reason, draft, goes_on, mapped_fields, refused
from ndr.sources.source import Reader, Source, SourceSpec

_DOC = """\
Suricata eve.json, one JSON object per line: flow events are TRAFFIC, alert events are THREAT.

- event_name: TRAFFIC for a flow, THREAT for an alert.
- event_start, event_end: flow.start and flow.end; an alert's timestamp for both.
- source_ip, destination_ip, source_port, destination_port, network_transport: src_ip, dest_ip, src_port, dest_port,
  proto. An alert has the ends of the packet that raised it, so its source may be the server.
- source_bytes, destination_bytes, source_packets, destination_packets: flow.bytes_toserver, bytes_toclient,
  pkts_toserver, pkts_toclient; null for an alert, whose flow is reported by itself.
- event_action: of a flow verdict.action, else flow.action, else allow, since the sensor saw the traffic pass; of an
  alert `alert`, or `block` where alert.action is blocked.
- event_reason: from the TCP flags of both sides tcp-fin, tcp-rst-from-client or tcp-rst-from-server; for timeout
  aged-out; else Suricata's own word (shutdown and forced mean that Suricata stopped watching). Null for an alert.
- established: true for any packet to the client or state established; false for a TCP reset as the only answer to
  SYN, and for the states new and closed without a packet to the client; else, and for an alert, null.
- application: app_proto; failed and unknown are null. rule: an alert's signature. sensor: host, else in_iface.
- repeat_cnt, machine_name: null.
- `field_mapping` takes paths with dots, such as `rule: alert.category`.

Suricata writes a flow once, when it ends. netflow events are the same flows again, one per direction: filtered as
one_directional. Other event types (dns, http, tls, drop, ...) are filtered as other_event_type; a file of nothing
else is skipped if that shows in its first 64 KiB. Several alerts of one flow are several THREAT rows. Events as a
JSON array or spread over lines are not read, and the file is skipped.
"""

_EVENT = re.compile(r'"event_type"\s*:\s*"(\w+)"')
_TYPES = frozenset(
    "alert anomaly arp bittorrent_dht dcerpc dhcp dnp3 dns drop enip fileinfo flow frame ftp ftp_data http http2 ike "
    "krb5 ldap mdns metadata modbus mqtt netflow nfs packetinfo pgsql pop3 quic rdp rfb sip smb smtp snmp ssh stats "
    "template tftp tls websocket".split()
)
_PROTOCOL_UNKNOWN = frozenset({"failed", "unknown"})
_TCP_FLAGS = ((0x01, "F"), (0x02, "S"), (0x04, "R"), (0x08, "P"), (0x10, "A"))


def _event_types(head: str) -> set[str]:
    """The types of the events that stand in one line each."""
    types: set[str] = set()
    if head.lstrip("\ufeff \t\r\n").startswith("["):
        return types
    for line in head.splitlines():
        if line.lstrip("\ufeff \t").startswith("{") and '"timestamp"' in line:
            types.update(_EVENT.findall(line))
    return types & _TYPES


def _recognises(head: str) -> bool:
    """Flow or alert events; or only others so far in a file that goes on beyond the head."""
    types = _event_types(head)
    return bool(types & {"flow", "alert"}) or (bool(types) and goes_on(head))


def _no_sessions(head: str) -> str | None:
    if _recognises(head):
        return None
    types = _event_types(head)
    if types:
        return f"suricata {', '.join(sorted(types))} events"
    first = head.lstrip("\ufeff \t\r\n")[:1]
    if first in {"[", "{"} and '"timestamp"' in head and set(_EVENT.findall(head)) & _TYPES:
        return "suricata events as a JSON array or spread over lines: write one event per line, as jq -c does"
    return None


def _text(value: object) -> str | None:
    """A JSON scalar as text; objects and lists, which no session column holds, are null."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def _part(event: dict[str, Any], name: str) -> dict[str, Any]:
    part = event.get(name)
    return part if isinstance(part, dict) else {}


def _at(event: dict[str, Any], path: str) -> str | None:
    """The scalar at a dotted path."""
    *parts, last = path.split(".")
    for name in parts:
        event = _part(event, name)
    return _text(event.get(last))


def _flags(text: object) -> str:
    """Letters of a TCP flag byte, which Suricata writes as hexadecimal text."""
    try:
        bits = int(text, 16) if isinstance(text, str) else 0
    except ValueError:
        return ""
    return "".join(letter for bit, letter in _TCP_FLAGS if bits & bit)


def _established(flow: dict[str, Any]) -> str | None:
    """By packets to the client, else by the state."""
    replied, state = answered(_text(flow.get("pkts_toclient"))), flow.get("state")
    if replied == "true" or state == "established":
        return "true"
    return replied if state in {"new", "closed"} else None


def _flow(event: dict[str, Any]) -> Row:
    """What only a flow event says."""
    flow, tcp = _part(event, "flow"), _part(event, "tcp")
    flags = (_flags(tcp.get("tcp_flags_ts")), _flags(tcp.get("tcp_flags_tc")))
    reason = (_text(flow.get("reason")) or "").lower()
    return {
        "event_name": "TRAFFIC",
        "event_start": _text(flow.get("start")),
        "event_end": _text(flow.get("end")),
        "source_bytes": _text(flow.get("bytes_toserver")),
        "destination_bytes": _text(flow.get("bytes_toclient")),
        "source_packets": _text(flow.get("pkts_toserver")),
        "destination_packets": _text(flow.get("pkts_toclient")),
        "event_action": (_at(event, "verdict.action") or _text(flow.get("action")) or "allow").lower(),
        "event_reason": closing_reason(*flags) or ("aged-out" if reason == "timeout" else reason),
        "established": "false" if refused(*flags) else _established(flow),
    }


def _alert(event: dict[str, Any]) -> Row:
    """What only an alert event says: one moment and one signature."""
    moment = _text(event.get("timestamp"))
    return {
        "event_name": "THREAT",
        "event_start": moment,
        "event_end": moment,
        "event_action": "block" if _at(event, "alert.action") == "blocked" else "alert",
        "rule": _at(event, "alert.signature"),
    }


def _session(event: dict[str, Any]) -> Row:
    application = _text(event.get("app_proto"))
    return {
        "source_ip": _text(event.get("src_ip")),
        "destination_ip": _text(event.get("dest_ip")),
        "source_port": _text(event.get("src_port")),
        "destination_port": _text(event.get("dest_port")),
        "network_transport": _text(event.get("proto")),
        "application": None if application in _PROTOCOL_UNKNOWN else application,
        "sensor": _text(event.get("host")) or _text(event.get("in_iface")),
        **(_flow(event) if event["event_type"] == "flow" else _alert(event)),
    }


def _event(text: str) -> dict[str, Any] | None:
    try:
        event = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _reader(spec: SourceSpec) -> Reader:
    mapping = mapped_fields(spec)

    def row(text: str) -> Row:
        event = _event(text)
        kind = event.get("event_type") if event else None
        if event is None or not isinstance(kind, str):
            return {"fault": "unparsable" if event is None else "missing_columns"}
        if kind == "netflow":
            return {"filtered": "one_directional"}
        if kind not in {"flow", "alert"}:
            return {"filtered": "other_event_type"}
        return _session(event) | {column: _at(event, name) for column, name in mapping.items()}

    def read(lines: pa.Table) -> pa.Table:
        return draft(lines, row)

    return read


SURICATA = Source("suricata", _recognises, _no_sessions, _reader, _DOC)
