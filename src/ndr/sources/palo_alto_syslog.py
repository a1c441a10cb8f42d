"""Palo Alto Networks firewalls: TRAFFIC and THREAT logs as comma-separated syslog."""

from __future__ import annotations

import re

import pyarrow as pa

from ndr.sources.delimited import (
    Row,
    answered,
    count,
    draft,
    first_of,
    goes_on,
    mapped_fields,
    split_fields,
)
from ndr.sources.source import Reader, Source, SourceSpec

_DOC = """\
Palo Alto Networks TRAFFIC and THREAT logs in the default comma-separated syslog format, behind any syslog header (RFC
3164, RFC 5424, a second one added by Panorama, or none). Quoted fields may hold commas and doubled quotes.

PAN-OS only ever appends fields, so a position means the same in every version, and the number of fields tells which
are there. Positions, from 0: receive time 1, serial 2, type 3, subtype 4, generated time 6, source 7, destination 8,
rule 11, application 14, repeat count 23, source port 24, destination port 25, protocol 29, action 30. TRAFFIC
further: bytes 31, bytes sent 32, bytes received 33, packets 34, start time 35, elapsed seconds 36, packets sent 44
and received 45 (since PAN-OS 4.1), session end reason 46 (6.1), device name 52 (7.0), source host name 82 (10.0).
THREAT further: device name 59 (7.0). A whole TRAFFIC line has 43 to 46 fields in 4.x to 6.0, 47 in 6.1, 54 in 7.x, 61
in 8.0, 65 in 8.1, 67 in 9.0, 75 in 9.1 and over 100 from 10.0 on.

- event_name: TRAFFIC or THREAT, the type of the line.
- event_start, event_end: TRAFFIC: the start time, and that plus elapsed; the generated (else the receive) time stands
  in where one is missing. THREAT: both the generated time. Times carry no zone unless written as ISO: `time_zone`
  says theirs.
- source_ip, destination_ip, source_port, destination_port: before translation (NAT). A THREAT keeps the ends as
  written, also from server to client, where the device may log the server as source.
- network_transport: protocol.
- source_bytes, destination_bytes, source_packets, destination_packets: sent and received; null for THREAT and in
  versions without them.
- event_action: the action (allow, deny, drop, reset-client, alert, block-url, ...).
- event_reason: the session end reason; n/a and unknown are null, as are THREAT and versions before 6.1.
- established: true if the reason is tcp-fin or anything was received; false if nothing was, or a reset by the server
  as its only packet, which refused the session; null where neither is told, and for THREAT.
- repeat_cnt: the repeat count. application, rule: as logged.
- machine_name: the source host name (TRAFFIC, 10.0). sensor: the device name, else the serial number.
- `field_mapping` reaches the other fields by names such as receive_time, serial, src_user, vsys, src_zone, dst_zone,
  category, severity, url.

Start-of-session lines (subtype start) are filtered as session_start: the session comes again when it ends. Other log
types (SYSTEM, CONFIG, HIPMATCH, GLOBALPROTECT, ..., and CEF lines of other products) are filtered as other_log_type;
a file of nothing else is skipped if that shows in its first 64 KiB. TRAFFIC or THREAT in CEF has no fixed field
names: fault cef. The firewall writes no interim records and repeats none except through the repeat count.
"""

_COMMON = (
    "future_use receive_time serial type subtype config_version generated_time src dst nat_src nat_dst rule src_user "
    "dst_user app vsys src_zone dst_zone inbound_if outbound_if log_action future_use_2 session_id repeat_count sport "
    "dport nat_sport nat_dport flags proto action"
).split()
_TRAFFIC = (
    *_COMMON,
    *(
        "bytes bytes_sent bytes_received packets start_time elapsed category future_use_3 sequence action_flags "
        "src_location dst_location future_use_4 pkts_sent pkts_received session_end_reason dg_1 dg_2 dg_3 dg_4 "
        "vsys_name device_name action_source src_vm dst_vm tunnel_id monitor_tag parent_session parent_start "
        "tunnel_type sctp_association sctp_chunks sctp_chunks_sent sctp_chunks_received rule_uuid http2_connection "
        "app_flap_count policy_id link_switches sdwan_cluster sdwan_device_type sdwan_cluster_type sdwan_site "
        "dynamic_user_group xff src_category src_profile src_model src_vendor src_os_family src_os_version "
        "src_hostname src_mac dst_category dst_profile dst_model dst_vendor dst_os_family "
        "dst_os_version dst_hostname dst_mac"
    ).split(),
)
_THREAT = (
    *_COMMON,
    *(
        "url threat_id category severity direction sequence action_flags src_location dst_location future_use_3 "
        "content_type pcap_id file_digest cloud url_index user_agent file_type xff referer sender subject recipient "
        "report_id dg_1 dg_2 dg_3 dg_4 vsys_name device_name"
    ).split(),
)
_LEAST_FIELDS = {"TRAFFIC": _TRAFFIC.index("elapsed") + 1, "THREAT": _THREAT.index("direction") + 1}

_RECORD = re.compile(
    r'(?:^|[\s>"\ufeff])(?P<body>\d*,\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:[^,\n]*,[^,\n]*,(?P<type>[A-Z][A-Z0-9_-]+),)',
    re.MULTILINE,
)
_CEF = re.compile(r"\bCEF:\d+\|Palo Alto Networks\|(?P<product>[^|]*)\|[^|]*\|[^|]*\|(?P<type>[^|]*)\|")
_UNSAID = frozenset({"", "n/a", "unknown"})


def _log_types(head: str) -> set[str]:
    return {match["type"] for match in _RECORD.finditer(head)}


def _recognises(head: str) -> bool:
    """TRAFFIC or THREAT lines; or only other log types so far in a file that goes on beyond the head."""
    types = _log_types(head)
    return bool(types & _LEAST_FIELDS.keys()) or (bool(types) and goes_on(head))


def _no_sessions(head: str) -> str | None:
    types = _log_types(head)
    if types and not _recognises(head):
        return f"palo alto {', '.join(sorted(types)).lower()} log"
    if not types and _CEF.search(head):
        return "palo alto log in CEF: forward it in the default syslog format"
    return None


def _established(fields: dict[str, str], reason: str) -> str | None:
    """By what was received; a reset by the server that is its only packet refused the session."""
    if reason == "tcp-rst-from-server":
        received = count(fields.get("pkts_received"))
        return None if received is None else "true" if received > 1 else "false"
    return "true" if reason == "tcp-fin" else answered(fields.get("bytes_received"), fields.get("pkts_received"))


def _traffic(fields: dict[str, str]) -> Row:
    """What only a TRAFFIC line says."""
    reported = first_of(fields, "generated_time", "receive_time")
    start, elapsed = fields["start_time"], fields["elapsed"]
    reason = fields.get("session_end_reason", "").strip().lower()
    return {
        "event_start": start or (None if elapsed else reported),
        "event_end": None if start and elapsed else reported,
        "duration": elapsed,
        "source_bytes": fields["bytes_sent"],
        "destination_bytes": fields["bytes_received"],
        "source_packets": fields.get("pkts_sent"),
        "destination_packets": fields.get("pkts_received"),
        "event_reason": None if reason in _UNSAID else reason,
        "established": _established(fields, reason),
        "machine_name": fields.get("src_hostname"),
    }


def _threat(fields: dict[str, str]) -> Row:
    """What only a THREAT line says: one moment."""
    moment = first_of(fields, "generated_time", "receive_time")
    return {"event_start": moment, "event_end": moment}


def _session(fields: dict[str, str]) -> Row:
    return {
        "event_name": fields["type"],
        "source_ip": fields["src"],
        "destination_ip": fields["dst"],
        "source_port": fields["sport"],
        "destination_port": fields["dport"],
        "network_transport": fields["proto"],
        "event_action": fields["action"].strip().lower(),
        "repeat_cnt": fields["repeat_count"],
        "application": fields["app"],
        "rule": fields["rule"],
        "sensor": first_of(fields, "device_name", "serial"),
        **(_traffic(fields) if fields["type"] == "TRAFFIC" else _threat(fields)),
    }


def _without_record(text: str) -> Row:
    """A line without a comma-separated PAN-OS record: CEF, or nothing that can be read."""
    cef = _CEF.search(text)
    if cef is None:
        return {"fault": "unparsable"}
    if cef["product"] == "PAN-OS" and cef["type"].upper() in _LEAST_FIELDS:
        return {"fault": "cef"}
    return {"filtered": "other_log_type"}


def _reader(spec: SourceSpec) -> Reader:
    mapping = mapped_fields(spec)

    def row(text: str) -> Row:
        record = _RECORD.search(text)
        if record is None:
            return _without_record(text)
        kind = record["type"]
        if kind not in _LEAST_FIELDS:
            return {"filtered": "other_log_type"}
        values = split_fields(text[record.start("body") :].rstrip("\r\n"))
        if values is None:
            return {"fault": "unparsable"}
        if len(values) < _LEAST_FIELDS[kind]:
            return {"fault": "missing_columns"}
        fields = dict(zip(_TRAFFIC if kind == "TRAFFIC" else _THREAT, values, strict=False))
        if kind == "TRAFFIC" and fields["subtype"].lower() == "start":
            return {"filtered": "session_start"}
        return _session(fields) | {column: fields.get(name) for column, name in mapping.items()}

    def read(lines: pa.Table) -> pa.Table:
        return draft(lines, row)

    return read


PALO_ALTO_SYSLOG = Source("palo_alto_syslog", _recognises, _no_sessions, _reader, _DOC)
