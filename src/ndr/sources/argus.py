"""Argus: bidirectional flows printed by ra as CSV (binetflow)."""

from __future__ import annotations

import re

import pyarrow as pa

from ndr.sources.delimited import (
    Row,
    answered,
    closing_reason,
    count,
    draft,
    first_of,
    mapped_fields,
    refused,
    split_fields,
)
from ndr.sources.source import Reader, Source, SourceSpec

_DOC = """\
Argus flows as ra prints them with -c, also called binetflow. The header line rules the columns, separated by commas
or tabs; further columns, and captured user data with quotes, are passed over.

- event_name: TRAFFIC. event_start: StartTime. event_end: LastTime, else StartTime plus Dur. Relative times of 1970
  are taken as they stand; times carry no zone: `time_zone` says theirs.
- source_ip, source_port, destination_ip, destination_port: SrcAddr, Sport, DstAddr, Dport. Where Dir points left (<-,
  <?, <|, <o) the destination opened the flow, and the two sides change places with all that is theirs. Where Dir
  tells no direction (<->, <?>) they stay. Ports in hexadecimal are read, service names are not (print with ra -n).
- network_transport: Proto.
- source_bytes, source_packets: SrcBytes, SrcPkts. destination_bytes, destination_packets: DstBytes, DstPkts, else
  TotBytes - SrcBytes, TotPkts - SrcPkts; where only totals are known all are null, since nothing tells the sides
  apart.
- event_action: allow, since the sensor saw the traffic pass.
- event_reason: from the flags of both sides (a State such as FSPA_FSRPA) tcp-fin, tcp-rst-from-client or
  tcp-rst-from-server; FIN is tcp-fin, TIM aged-out, RST rst, because the side is not told; else null.
- established: false where the destination refused (S_RA) or is known to have sent nothing; true where it sent
  anything, except for RST, which may be a refusal: null. Where amounts are not known: true for flags on both sides,
  for CON, EST, ACC, FIN, CLO and ECR, and for Dir <->; false for one-sided flags, REQ, INT and ECO; else null.
- sensor: SrcId. repeat_cnt, application, rule, machine_name: null. `field_mapping` reaches Label and every other
  column.

A long flow is reported once per status interval of the sensor, and those records are not joined. Rows of other than
IP (arp, llc, man, ..., or MAC addresses) are filtered as non_ip.
"""

_NON_IP = frozenset("arp rarp llc man lldp stp lacp loop eth ether mpls pppoe ipx ipx-sap isis clns".split())
_MAC = re.compile(r"(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}", re.IGNORECASE)
_FLAG_PAIR = re.compile(r"([FSRPAUECW]*)_([FSRPAUECW]*)")
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,8}")
_NEEDED = frozenset({"starttime", "proto", "srcaddr", "dstaddr"})
_STATES = dict.fromkeys(("CON", "EST", "ACC", "FIN", "CLO", "ECR"), "true") | dict.fromkeys(
    ("REQ", "INT", "ECO"), "false"
)
_REASONS = {"FIN": "tcp-fin", "TIM": "aged-out", "RST": "rst"}


def _header(text: str) -> tuple[str, list[str]] | None:
    """Delimiter and lower-case column names if the line is a header."""
    delimiter = "\t" if "\t" in text else ","
    names = [name.strip().lower() for name in text.lstrip("\ufeff# ").split(delimiter)]
    return (delimiter, names) if set(names) >= _NEEDED else None


def _recognises(head: str) -> bool:
    """The header of ra, as the first line that is not empty."""
    return _header(next((line for line in head.splitlines() if line.strip()), "")) is not None


def _no_sessions(_head: str) -> str | None:
    return None


def _port(text: str) -> str:
    return str(int(text, 16)) if _HEXADECIMAL.fullmatch(text) else text


def _sides(fields: dict[str, str], what: str) -> tuple[str | None, str | None]:
    """Amounts of the two sides, as printed: ``what`` is bytes or pkts."""
    source = first_of(fields, f"src{what}", f"s{what}")
    destination = first_of(fields, f"dst{what}", f"d{what}")
    total, sent = count(first_of(fields, f"tot{what}", what)), count(source)
    if destination is None and total is not None and sent is not None:
        destination = str(total - sent)
    return source, destination


def _established(
    replies: tuple[str | None, ...], flags: tuple[str, str] | None, state: str, direction: str
) -> str | None:
    """Whether the destination answered, and not only to refuse: by what it sent, else by the state."""
    if flags and refused(*flags):
        return "false"
    told = answered(*replies)
    if told == "true" and state == "RST":
        return None
    if told:
        return told
    if flags:
        return "true" if flags[1] else "false"
    return _STATES.get(state) or ("true" if direction == "<->" else None)


def _session(fields: dict[str, str]) -> Row:
    direction = (fields.get("dir", "").split() or [""])[-1]
    state = fields.get("state", "").upper()
    pair = _FLAG_PAIR.fullmatch(state)
    flags = (pair[1], pair[2]) if pair else None
    addresses = (fields["srcaddr"], fields["dstaddr"])
    ports = (_port(fields.get("sport", "")), _port(fields.get("dport", "")))
    sent, packets = _sides(fields, "bytes"), _sides(fields, "pkts")
    if direction.startswith("<") and not direction.endswith(">"):
        addresses, ports, sent, packets = addresses[::-1], ports[::-1], sent[::-1], packets[::-1]
        flags = flags and flags[::-1]
    return {
        "event_name": "TRAFFIC",
        "event_start": fields["starttime"],
        "event_end": fields.get("lasttime"),
        "duration": fields.get("dur"),
        "source_ip": addresses[0],
        "destination_ip": addresses[1],
        "source_port": ports[0],
        "destination_port": ports[1],
        "network_transport": fields["proto"],
        "source_bytes": sent[0],
        "destination_bytes": sent[1],
        "source_packets": packets[0],
        "destination_packets": packets[1],
        "event_action": "allow",
        "event_reason": closing_reason(*flags) if flags else _REASONS.get(state),
        "established": _established((packets[1], sent[1]), flags, state, direction),
        "sensor": first_of(fields, "srcid", "sid"),
    }


def _is_ip(fields: dict[str, str]) -> bool:
    addresses = (fields["srcaddr"], fields["dstaddr"])
    return fields["proto"].lower() not in _NON_IP and not any(map(_MAC.fullmatch, addresses))


class _Flows:
    """Reads ra CSV: remembers delimiter and header, which may come again where files were joined."""

    def __init__(self, spec: SourceSpec) -> None:
        self._mapping = {column: name.lower() for column, name in mapped_fields(spec).items()}
        self._delimiter = ","
        self._names: list[str] = []

    def __call__(self, lines: pa.Table) -> pa.Table:
        return draft(lines, self._row)

    def _row(self, text: str) -> Row | None:
        header = _header(text) if not text[:1].isdigit() else None
        if header:
            self._delimiter, self._names = header
            return None
        values = split_fields(text, self._delimiter)
        if values is None:
            return {"fault": "unparsable"}
        if not self._names or len(values) < len(self._names):
            return {"fault": "missing_columns" if self._names else "missing_header"}
        fields = {name: value.strip() for name, value in zip(self._names, values, strict=False)}
        if not _is_ip(fields):
            return {"filtered": "non_ip"}
        return _session(fields) | {column: fields.get(name) for column, name in self._mapping.items()}


def _reader(spec: SourceSpec) -> Reader:
    return _Flows(spec)


ARGUS = Source("argus", _recognises, _no_sessions, _reader, _DOC)
