"""Palo Alto firewall logs as parsed JSON lines with ECS-like names, one object per line."""

from __future__ import annotations

import pyarrow as pa

from ndr.sources.casting import query
from ndr.sources.json_lines import flat_sql, has, json_objects
from ndr.sources.source import TEXT_COLUMNS, Reader, Source, SourceSpec

DOC = """\
Palo Alto TRAFFIC and THREAT records as JSON lines. Each session column is read from the field of the same name;
`field_mapping` names another field per column, where a dot means a nested object or is part of a flat name.

- event_start, event_end: ISO 8601, `2016/02/24 22:06:06`, or an epoch; one missing time equals the other, unless
  there is a `duration` in seconds.
- event_action, event_reason: as the device said, lower case; a missing action is `unknown`.
- event_name: `TRAFFIC` when absent. Any other name than TRAFFIC and THREAT is filtered as `other_event_name`.
- established, unless the log has the field: true when the destination sent bytes or packets; else false for a blocked
  session, and for TCP with 0 bytes from the destination that ended as aged-out or with no reason; else null: a record
  does not tell whether a session without counts, or UDP without an answer, was refused, lost or one-way.
- repeat_cnt, application, rule, machine_name, sensor, source_packets, destination_packets: null when absent.
- A session is logged once, at its end; start-of-session records do not occur in this form. A THREAT line beside its
  TRAFFIC line is kept with its own event_name.
"""

_RECOGNISED_BY = ("source_ip", "destination_ip")
_TIMES = ("event_start", "event_end")

# '1' <= text < ':' is a number that begins with neither 0 nor a sign, so above 0: far cheaper than casting
_ESTABLISHED = """CASE
  WHEN destination_bytes >= '1' AND destination_bytes < ':' THEN 'true'
  WHEN destination_packets >= '1' AND destination_packets < ':' THEN 'true'
  WHEN regexp_matches(lower(event_action), '^(deny|drop|reset|block|reject)') THEN 'false'
  WHEN destination_bytes = '0' AND lower(network_transport) IN ('tcp', '6')
    AND lower(COALESCE(event_reason, '')) IN ('', '-', 'none', 'n/a', 'aged-out') THEN 'false'
  END"""


def _recognises(head: str) -> bool:
    return any(
        all(has(record, name) for name in _RECOGNISED_BY) and any(has(record, name) for name in _TIMES)
        for record in json_objects(head)
    )


def _no_sessions(_head: str) -> str | None:
    return None


def _reader(spec: SourceSpec) -> Reader:
    flat = flat_sql({column: [spec.field_mapping.get(column, column)] for column in TEXT_COLUMNS})
    sql = f"""
      SELECT * REPLACE (COALESCE(established, {_ESTABLISHED}) AS established),
        CASE WHEN event_name IN ('TRAFFIC', 'THREAT') OR fault IS NOT NULL THEN NULL
          WHEN upper(trim(event_name)) NOT IN ('TRAFFIC', 'THREAT', '', '-') THEN 'other_event_name' END AS filtered
      FROM ({flat})"""  # noqa: S608 - names are quoted

    def read(lines: pa.Table) -> pa.Table:
        return query(sql, lines=lines)

    return read


PALO_ALTO = Source("palo_alto", _recognises, _no_sessions, _reader, DOC)
