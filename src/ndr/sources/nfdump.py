"""nfdump: NetFlow and IPFIX flows printed as CSV or as text (line, long, extended, biline, bilong)."""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa

from ndr.sources.delimited import Row, count, draft, first_of, mapped_fields, split_fields
from ndr.sources.source import Reader, Source, SourceSpec

_DOC = """\
What nfdump prints: -o csv of 1.6 and 1.7 (each set of column names; the header rules the columns) and the text
formats line, long, extended, biline and bilong, aligned or tabbed, with or without a label column. The summary at the
end is no record. The binary files that nfcapd writes are skipped.

- event_name: TRAFFIC. event_start, event_end: the first and the last packet (in text the first plus the duration).
  Times carry no zone: `time_zone` says theirs.
- source_ip, destination_ip, source_port, destination_port: IPv6 ends in text are address.port; an address that nfdump
  shortened (2001:62..e0:fed5) is the fault shortened_address: print with -6. network_transport: protocol.
- source_bytes, source_packets: those of the flow. Text amounts such as 1.2 M are rounded by nfdump and read as
  1,200,000 (-N prints them exactly). destination_bytes, destination_packets: null: a flow is one direction, and the
  answer is a row of its own; where nfdump joined them (-B), out bytes and out packets are the destination's.
- event_action: allow, since the exporter saw the traffic pass.
- event_reason: for TCP tcp-fin after FIN without RST; else null, because who opened the connection is not told.
- established: for TCP, as far as the flags of one direction tell: true after SYN and ACK in more than one packet, or
  ACK with data or FIN; false after SYN alone; else null. Where a joined answer has packets: true, but null after SYN
  alone, which was refused or never completed.
- repeat_cnt: the number of flows nfdump aggregated (-a). sensor: the exporter (ra, CSV only). application, rule,
  machine_name: null. `field_mapping` takes the CSV column names; a text format has no further ones.

A flow longer than the exporter's active timeout comes in several records, which are not joined. Sampled counts are
left as they are.
"""

_BINARY_HEADS = ("\x0c\ufffd\x01", "\x0c\ufffd\x02", "\x0c\xa5\x01", "\x0c\xa5\x02", "\ufffd\x0c\x00", "\xa5\x0c\x00")
_RECORD = re.compile(
    r"(?P<start>\d{4}-\d\d-\d\d[ \tT]+\d\d:\d\d:\d\d(?:\.\d+)?)\s+(?P<duration>[\d:]+(?:\.\d+)?)\s+(?P<proto>\S+)\s+"
    r"(?P<source>\S+[:.]\d+)\s+(?P<arrow><?->)\s+(?P<destination>\S+[:.]\d+)\s+"
    r"(?:(?P<flags>[.CEWUAPRSF]{6,8}|0x[0-9a-fA-F]+)\s+(?P<tos>\d+)\s+)?(?P<amounts>\d.*)"
)
_IPV4_END = re.compile(r"(\d+(?:\.\d+){3}):(\d+(?:\.\d+)?)(?::\d+)*")
_AMOUNT = re.compile(r"(?<!\S)(\d+(?:\.\d+)?)(?: ([KMGT]))?(?!\S)")
_AMOUNTS = ("source_packets", "source_bytes")
_JOINED_AMOUNTS = ("destination_packets", "source_packets", "destination_bytes", "source_bytes")
_AMOUNTS_WITH_FLOWS = {False: (3, 6), True: (5,)}
_FACTORS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_TEXT_HEADER = re.compile(r"\s*Date\s+(?:first\s+seen|flow\s+start)\s.*Proto")
_NO_RECORD = re.compile(
    r"Summary:|Time window:|Total (?:flows|records) processed:|Sys:|Aggregated flows |Top \d+ |No matching flows|"
    r"Byte limit:|Command line switch|Blocks "
)
_ALIASES = {
    "event_start": ("ts", "firstSeen"),
    "event_end": ("te", "lastSeen"),
    "duration": ("td", "duration"),
    "source_ip": ("sa", "srcAddr"),
    "destination_ip": ("da", "dstAddr"),
    "source_port": ("sp", "srcPort"),
    "destination_port": ("dp", "dstPort"),
    "network_transport": ("pr", "proto"),
    "source_packets": ("ipkt", "packets", "pkt"),
    "source_bytes": ("ibyt", "bytes", "byt"),
    "destination_packets": ("opkt",),
    "destination_bytes": ("obyt",),
    "repeat_cnt": ("fl", "flows"),
    "sensor": ("ra",),
}
_FLAG_NAMES = ("flg", "flags", "tcpFlags")
_HEXADECIMAL_FLAGS = "FSRPAUEC"
_SUMMARY_LINES = 2
_DOTTED_QUAD = 4


def _csv_header(text: str) -> list[str] | None:
    """The column names if the line is the header of flows in CSV."""
    names = [name.strip() for name in text.lstrip("\ufeff").split(",")]
    needed = ("event_start", "source_ip", "destination_ip", "network_transport")
    return names if all(set(names) & set(_ALIASES[column]) for column in needed) else None


def _recognises(head: str) -> bool:
    """A CSV header of flows, a text header, or a line of flow text."""
    return any(_csv_header(line) or _TEXT_HEADER.match(line) or _RECORD.match(line) for line in head.splitlines())


def _no_sessions(head: str) -> str | None:
    if head.startswith(_BINARY_HEADS):
        return "nfdump binary file: print it with nfdump -r FILE -o csv"
    if head.lstrip("\ufeff").startswith("ts,te,td,pr,val,"):
        return "nfdump statistics"
    return None


def _tcp(flags: str, packets: str | None) -> tuple[str | None, str | None]:
    """Reason and established, from the flags of one direction."""
    if flags.startswith("0x"):
        flags = "".join(letter for bit, letter in enumerate(_HEXADECIMAL_FLAGS) if int(flags, 16) >> bit & 1)
    reason = "tcp-fin" if "F" in flags and "R" not in flags else None
    if "A" not in flags:
        return reason, "false" if "S" in flags and "R" not in flags else None
    handshake = "S" in flags and (count(packets) or 0) > 1
    return reason, "true" if handshake or "P" in flags or "F" in flags else None


def _with_flags(row: Row, flags: str) -> Row:
    """The row with what every flow has, and what its flags and a joined answer tell."""
    row |= {"event_name": "TRAFFIC", "event_action": "allow"}
    for column in ("destination_packets", "destination_bytes"):
        row[column] = row.get(column) if count(row.get("destination_packets")) else None
    if (row.get("network_transport") or "").upper() in {"TCP", "6"}:
        row["event_reason"], row["established"] = _tcp(flags, row.get("source_packets"))
    if row["destination_packets"]:
        row["established"] = None if row.get("established") == "false" else "true"
    return row


def _end(text: str) -> tuple[str, str] | None:
    """Address and port; None for an IPv6 address that was shortened."""
    if ".." in text:
        return None
    if ipv4 := _IPV4_END.fullmatch(text):
        return ipv4[1], ipv4[2]
    parts = text.split(".")
    dotted = _DOTTED_QUAD if len(parts) > _DOTTED_QUAD else 1
    return ".".join(parts[:dotted]), ".".join(parts[dotted:])


def _seconds(text: str) -> str:
    """A duration such as 00:01:02.345 in seconds; plain seconds as they are."""
    if ":" not in text:
        return text
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part or 0)
    return f"{total:.3f}"


def _amounts(text: str) -> list[str]:
    """Numbers in print order, their unit letters applied."""
    return [
        number if not unit else str(round(float(number) * _FACTORS[unit])) for number, unit in _AMOUNT.findall(text)
    ]


def _text_row(text: str) -> Row | None:
    if _TEXT_HEADER.match(text) or _NO_RECORD.match(text):
        return None
    record = _RECORD.match(text)
    if record is None:
        return {"fault": "unparsable"}
    amounts = _amounts(record["amounts"])
    joined = record["arrow"] == "<->"
    if len(amounts) < len(_JOINED_AMOUNTS if joined else _AMOUNTS):
        return {"fault": "missing_columns"}
    source, destination = _end(record["source"]), _end(record["destination"])
    if source is None or destination is None:
        return {"fault": "shortened_address"}
    row: Row = {
        "event_start": " ".join(record["start"].split()),
        "duration": _seconds(record["duration"]),
        "network_transport": record["proto"],
        "source_ip": source[0],
        "source_port": source[1],
        "destination_ip": destination[0],
        "destination_port": destination[1],
    }
    row |= zip(_JOINED_AMOUNTS if joined else _AMOUNTS, amounts, strict=False)
    if len(amounts) in _AMOUNTS_WITH_FLOWS[joined]:
        row["repeat_cnt"] = amounts[-1]
    return _with_flags(row, record["flags"] or "")


def _csv_row(fields: dict[str, str]) -> Row:
    row: Row = {column: first_of(fields, *names) for column, names in _ALIASES.items()}
    if row["sensor"] in {"0.0.0.0", "::"}:  # noqa: S104 - an exporter that was not told, nothing is bound here
        row["sensor"] = None
    return _with_flags(row, first_of(fields, *_FLAG_NAMES) or "")


class _Csv:
    """Reads nfdump CSV: remembers the header, passes over the summary."""

    def __init__(self, spec: SourceSpec) -> None:
        self._mapping = mapped_fields(spec)
        self._names: list[str] = []
        self._summary = 0

    def header(self, text: str) -> bool:
        """Whether the line is a header, which is then in force."""
        names = _csv_header(text)
        if names:
            self._names, self._summary = names, 0
        return names is not None

    def row(self, text: str) -> Row | None:
        if self._summary:
            self._summary -= 1
            return None
        if text.rstrip(" ,") == "Summary":
            self._summary = _SUMMARY_LINES
            return None
        values = split_fields(text)
        if values is None:
            return {"fault": "unparsable"}
        if len(values) < len(self._names):
            return {"fault": "missing_columns"}
        fields = {name: value.strip() for name, value in zip(self._names, values, strict=False)}
        return _csv_row(fields) | {column: fields.get(name) for column, name in self._mapping.items()}


def _reader(spec: SourceSpec) -> Reader:
    flows = _Csv(spec)
    row: list[Callable[[str], Row | None]] = [_text_row]

    def either(text: str) -> Row | None:
        if text[:1] in "tfc\ufeff" and flows.header(text):
            row[0] = flows.row
            return None
        return row[0](text)

    def read(lines: pa.Table) -> pa.Table:
        return draft(lines, either)

    return read


NFDUMP = Source("nfdump", _recognises, _no_sessions, _reader, _DOC)
