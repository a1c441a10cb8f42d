"""Zeek conn logs, as tab-separated text whose header names the columns, and as JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ndr.sources.casting import query
from ndr.sources.json_lines import flat_sql, has, json_objects
from ndr.sources.source import Reader, Source, SourceSpec

DOC = """\
Zeek conn.log: one record per connection, written when it ends.

- Columns come from `#fields` (`#separator`, `#empty_field` and `#unset_field` are obeyed, and a header may come again
  in the middle of a file) or from a plain first line of names; JSON by keys. `id.orig_h`, `id_orig_h`,
  nested `id` objects and any other scope separator are the same. `field_mapping` names renamed fields.
- event_start: `ts`. event_end: `ts + duration`; without a duration the connection is one packet, or none: zero length.
- source = originator, destination = responder, as Zeek decided. source_bytes, destination_bytes: payload bytes
  (`orig_bytes`, `resp_bytes`), null when Zeek does not know them; IP bytes count headers too and never stand in.
  source_packets, destination_packets: `orig_pkts`, `resp_pkts`.
- Ports are null for ICMP, where Zeek writes type and code in their place.
- established, from `conn_state`: true for S1 S2 S3 SF RSTO RSTR RSTRH SHR (the responder answered), false for S0 REJ
  RSTOS0 SH; for OTH and without a state: true if both sides sent packets, else null. REJ was answered by a refusal,
  which is no establishment. RSTRH and SHR saw only the responder's half of the handshake: it did answer.
- event_action: `allow` (a sensor sees what passed). event_reason: SF `tcp-fin` (TCP only), RSTO and RSTOS0
  `tcp-rst-from-client`, RSTR, RSTRH and REJ `tcp-rst-from-server`, else null.
- event_name: `TRAFFIC`. application: `service`. sensor: `_node_name`, `_system_name`, `@system` or `peer`.
  repeat_cnt, rule, machine_name: null.
- Left out: records of other streams in a mixed file (filter `other_stream`), records of open_conn, which describe
  connections that are still open and come again in conn (filter `interim`; a whole open_conn log is skipped).
- Tab-separated records before any header cannot be told apart (`no_header`); too few columns are `missing_columns`.
"""

_FIELDS: dict[str, tuple[str, ...]] = {
    "event_start": ("ts",),
    "source_ip": ("id.orig_h", "id_orig_h", "src", "src_ip"),
    "source_port": ("id.orig_p", "id_orig_p", "src_port"),
    "destination_ip": ("id.resp_h", "id_resp_h", "dst", "dst_ip"),
    "destination_port": ("id.resp_p", "id_resp_p", "dst_port"),
    "network_transport": ("proto",),
    "application": ("service",),
    "duration": ("duration",),
    "source_bytes": ("orig_bytes",),
    "destination_bytes": ("resp_bytes",),
    "source_packets": ("orig_pkts",),
    "destination_packets": ("resp_pkts",),
    "state": ("conn_state",),
    "sensor": ("_node_name", "_system_name", "@system", "peer"),
}
_STREAM_FIELDS = ("_path", "@stream", "_stream")
_NEEDED = ("event_start", "source_ip", "destination_ip")
_PLAIN_HEADER = re.compile(r"^ts([\t|,;])uid\1id[._]orig_h\1")
_HEADLESS = re.compile(r"^\d+\.\d+\tC\w+\t[0-9a-f:.]+\t\d+\t[0-9a-f:.]+\t\d+\t(?:tcp|udp|icmp|unknown_transport)\t")
_CONN = re.compile(r"conn(?!_long$)(?:[-_.].*)?")
_INTERIM = ("open_conn", "conn_long")
_STILL_OPEN = "connections still open, which come again in conn"
_ANSWERED = dict.fromkeys(("S1", "S2", "S3", "SF", "RSTO", "RSTR", "RSTRH", "SHR"), "true")
_ESTABLISHED = _ANSWERED | dict.fromkeys(("S0", "REJ", "RSTOS0", "SH"), "false")
_REASONS = {"SF": "tcp-fin", "RSTO": "tcp-rst-from-client", "RSTOS0": "tcp-rst-from-client",
            "RSTR": "tcp-rst-from-server", "RSTRH": "tcp-rst-from-server", "REJ": "tcp-rst-from-server"}  # fmt: skip


@dataclass(frozen=True)
class _Header:
    """What the header lines read so far say."""

    separator: str = "\t"
    unset: str = "-"
    empty: str = "(empty)"
    stream: str = "conn"
    fields: tuple[str, ...] = ()

    def after(self, line: str) -> _Header:
        """The header once this line, which begins with ``#``, has been read."""
        key, _, value = line.lstrip().partition(" " if line.lstrip().startswith("#separator") else self.separator)
        match key:
            case "#separator":
                plain = re.sub(r"\\x([0-9a-fA-F]{2})", lambda code: chr(int(code[1], 16)), value.strip(" "))
                return replace(self, separator=plain or "\t")
            case "#unset_field":
                return replace(self, unset=value)
            case "#empty_field":
                return replace(self, empty=value)
            case "#path":
                return replace(self, stream=value.strip())
            case "#fields":
                return replace(self, fields=tuple(value.split(self.separator)))
        return self


def _headers(head: str) -> tuple[_Header, list[str]]:
    """What the header lines of a head say in the end, and the streams that they name."""
    header, streams = _Header(stream=""), []
    for line in head.split("\n"):
        if line.lstrip().startswith("#"):
            header = header.after(line.rstrip("\r"))
            if header.stream and header.stream not in streams:
                streams.append(header.stream)
    return header, streams


def _records(head: str) -> list[str]:
    return [line for line in head.split("\n") if line.strip() and not line.lstrip().startswith("#")]


def _stream_of(record: dict[str, object]) -> str | None:
    """``conn``, another stream, or None for an object that is not Zeek's."""
    stream = next((record[name] for name in _STREAM_FIELDS if isinstance(record.get(name), str)), None)
    if has(record, "ts") and any(has(record, name) for name in _FIELDS["source_ip"][:2]) and "conn_state" in record:
        return str(stream or "conn")
    zeek = stream is not None or ("ts" in record and any(name in record for name in ("uid", "fuid", "_write_ts")))
    return str(stream or "other") if zeek or ("ts" in record and "peer" in record) else None


def _recognises(head: str) -> bool:
    (header, named), records = _headers(head), _records(head)
    if named:
        return any(map(_CONN.fullmatch, named)) and bool(records)
    if header.fields:
        return {"idorigh", "connstate"} <= set(map(_key, header.fields)) and bool(records)
    if records and (_PLAIN_HEADER.match(records[0]) or _HEADLESS.match(records[0])):
        return True
    streams = {_stream_of(record) for record in json_objects(head)} - {None}
    mixed = len(streams - {"other"}) > 1  # connections may come further down
    return mixed or any(_CONN.fullmatch(stream or "") for stream in streams)


def _no_sessions(head: str) -> str | None:
    header, named = _headers(head)
    streams = named or sorted({stream for record in json_objects(head) if (stream := _stream_of(record))})
    if not streams and not header.fields:
        return None
    if set(streams) & set(_INTERIM):
        return f"zeek {streams[0]} log: {_STILL_OPEN}"
    if named and not _records(head):
        return f"zeek {named[0]} log without records"
    return f"zeek {', '.join(streams) or 'unnamed'} log" if streams != ["other"] else "zeek log other than conn"


def _no_sessions_by_name(name: str) -> str | None:
    return f"zeek open_conn log: {_STILL_OPEN}" if "open_conn" in name else None


def _key(name: str) -> str:
    """A field name without case and scope separators: ``id.orig_h``, ``id_orig_h`` and ``id->orig_h`` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _reader(spec: SourceSpec) -> Reader:
    names = {column: (*_mapped_first(spec, column), *fields) for column, fields in _FIELDS.items()}
    sql = _json_sql(names)
    header = _Header()

    def read(lines: pa.Table) -> pa.Table:
        nonlocal header
        text = lines["text"].combine_chunks()
        if len(text) and text[0].as_py().lstrip().startswith("{"):
            return _finished(query(sql, lines=lines))
        drafts = []
        for part, said in _parts(lines.combine_chunks(), header):
            header = said
            if len(part):
                drafts.append(_finished(_columns(part, header, names)))
        return pa.concat_tables(drafts, promote_options="default") if drafts else _finished(query(sql, lines=lines[:0]))

    return read


def _mapped_first(spec: SourceSpec, column: str) -> tuple[str, ...]:
    return (spec.field_mapping[column],) if column in spec.field_mapping else ()


def _json_sql(names: dict[str, tuple[str, ...]]) -> str:
    flat = flat_sql(names | {"stream": _STREAM_FIELDS, "history": ("history",)})
    return f"""
      SELECT * EXCLUDE (stream, history),
        CASE WHEN stream IN {_INTERIM} THEN 'interim'
          WHEN NOT regexp_full_match(stream, 'conn([-_.].*)?') THEN 'other_stream'
          WHEN stream IS NULL AND state IS NULL AND history IS NULL AND source_packets IS NULL
            AND fault IS DISTINCT FROM 'unparsable' THEN 'other_stream' END AS filtered
      FROM ({flat})"""  # noqa: S608 - names are quoted


def _parts(lines: pa.Table, header: _Header) -> Iterator[tuple[pa.Table, _Header]]:
    """The records between header lines, each part with the header that rules it."""
    text = lines["text"].combine_chunks()
    marks = np.flatnonzero(pc.starts_with(pc.utf8_ltrim_whitespace(text), "#").to_numpy(zero_copy_only=False))
    begin = 0
    for mark in [*marks.tolist(), len(text)]:
        part = lines[begin:mark]
        if len(part) and not header.fields and (found := _PLAIN_HEADER.match(part["text"][0].as_py())):
            header = replace(header, separator=found[1], fields=tuple(part["text"][0].as_py().split(found[1])))
            part = part[1:]
        yield part, header
        if mark < len(text):
            header = header.after(text[mark].as_py())
            begin = mark + 1
    yield lines[:0], header


def _columns(part: pa.Table, header: _Header, names: dict[str, tuple[str, ...]]) -> pa.Table:
    """One text column per session field, plus ``state``, ``filtered`` and ``fault``."""
    text = part["text"].combine_chunks()
    cells = pc.split_pattern(text, header.separator)
    counts, starts = pc.list_value_length(cells).to_numpy(), cells.offsets.to_numpy()[:-1]
    complete = counts == len(header.fields)
    columns: dict[str, pa.Array] = {"line": part["line"].combine_chunks()}
    at = {_key(name): position for position, name in reversed(list(enumerate(header.fields)))}
    for column, known in names.items():
        position = next((at[_key(name)] for name in known if _key(name) in at), None)
        if position is not None:
            values = cells.values.take(pa.array(starts + position, mask=~complete))
            nothing = pc.is_in(values, value_set=pa.array([header.unset, header.empty, ""]))
            columns[column] = pc.if_else(nothing, None, values)
    lacking = any(name not in columns for name in _NEEDED)
    faults = np.full(len(part), "missing_columns" if lacking else None, object)
    faults[counts < len(header.fields)] = "missing_columns"
    faults[counts > len(header.fields)] = "too_many_columns" if header.fields else "no_header"
    left_out = None if _CONN.fullmatch(header.stream) else "interim" if header.stream in _INTERIM else "other_stream"
    columns["fault"] = pa.array(faults, pa.string())
    columns["filtered"] = pa.array([left_out] * len(part), pa.string())
    return pa.table(columns)


def _finished(columns: pa.Table) -> pa.Table:
    """The draft: what Zeek's connection state says, in the words of a session."""
    size = len(columns)

    def column(name: str) -> pa.Array:
        return columns[name].combine_chunks() if name in columns.column_names else pa.nulls(size, pa.string())

    state = column("state").dictionary_encode()
    established, reason = (
        pa.array([words.get(value) for value in state.dictionary.to_pylist()], pa.string()).take(state.indices)
        for words in (_ESTABLISHED, _REASONS)
    )
    moved = [pc.invert(pc.is_in(column(name), value_set=pa.array(["0", None]))) for name in _PACKETS]
    both = pc.if_else(pc.and_(*moved), "true", pa.scalar(None, pa.string()))
    tcp = pc.equal(pc.utf8_lower(column("network_transport")), "tcp")
    draft = {name: columns[name] for name in columns.column_names if name != "state"}
    draft["established"] = pc.coalesce(established, both)
    draft["event_reason"] = pc.if_else(pc.fill_null(tcp, fill_value=False), reason, pa.scalar(None, pa.string()))
    draft["event_action"] = pa.repeat(pa.scalar("allow"), size)
    draft["event_name"] = pa.repeat(pa.scalar("TRAFFIC"), size)
    return pa.table(draft)


_PACKETS = ("source_packets", "destination_packets")

ZEEK = Source("zeek", _recognises, _no_sessions, _reader, DOC, _no_sessions_by_name)
