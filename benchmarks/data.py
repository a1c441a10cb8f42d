"""Sessions for the benchmarks: seeded, fast to make, shaped like a network.

Few hosts do much; each has some forty favourite peers that it meets again and again, out of two hundred thousand
internet addresses of which few are popular, and a long tail that it meets once. A fifth of the hosts speak IPv6. Every
value is a hash of the row's number, so that the same arguments give the same rows on any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from string import Template

import duckdb

from ndr.tables.sessions import SESSION_FIELDS

INTERNET = 200_000
FAVOURITES = 40
GROUP_ROWS = 1 << 17

SIX = "(host % 5 = 0)"
HOST_IP = f"""CASE WHEN {SIX} THEN format('fd00:0:0:{{:x}}::{{:x}}', 1 + host // 200, 1 + host % 200)
      ELSE format('10.{{}}.{{}}.{{}}', 1 + host // 50000, host // 200 % 250, 1 + host % 200) END"""
SEGMENT_ID = f"""CASE WHEN {SIX} THEN format('fd00:0:0:{{:x}}::/64', 1 + host // 200)
      ELSE format('10.{{}}.{{}}.0/24', 1 + host // 50000, host // 200 % 250) END"""
"""SQL of the address and the segment of a host, by its number ``host``."""

_DRAWS = 12
_DRAWN = ", ".join(
    f"hash(i * 64 + {k} + $seed * 1000003)::DOUBLE / 18446744073709551616.0 AS u{k}" for k in range(_DRAWS)
)
_SESSIONS = f"""
WITH drawn AS (
  SELECT i, {_DRAWN} FROM range($rows) AS numbers(i)
), chosen AS (
  SELECT *, floor($hosts * u0 ** 1.7)::BIGINT AS host, u1 < 0.85 AS favourite,
    floor({FAVOURITES} * u2 ** 3)::BIGINT AS rank,
    CASE WHEN u3 < 0.68 THEN 'out' WHEN u3 < 0.95 THEN 'inside' ELSE 'in' END AS direction
  FROM drawn
), met AS (
  SELECT *, CASE WHEN favourite THEN hash(host * 64 + rank)::DOUBLE / 18446744073709551616.0 ELSE u4 END AS v
  FROM chosen
), named AS (
  SELECT *, {SIX} AS six,
    CASE WHEN direction = 'inside' THEN floor(greatest(2, $hosts / 20) * v ** 2)::BIGINT * 5
      ELSE floor({INTERNET} * v ** 3)::BIGINT END AS peer
  FROM met
), placed AS (
  SELECT *,
    {HOST_IP} AS host_ip,
    CASE WHEN direction = 'inside' AND six THEN format('fd00:0:0:{{:x}}::{{:x}}', 1 + peer // 200, 1 + peer % 200)
      WHEN direction = 'inside' THEN format('10.200.{{}}.{{}}', peer // 200, 1 + peer % 200)
      WHEN six THEN format('2600:1f18:{{:x}}::{{:x}}', 16 + peer % 4000, 1 + peer // 4000)
      ELSE format('{{}}.{{}}.{{}}.{{}}', 23 + peer % 70, peer // 70 % 250, peer // 17500 % 250, 1 + peer % 211)
      END AS peer_ip,
    [443, 443, 443, 443, 80, 80, 53, 8443, 993, 123, 22, 445, 389, 3389, 5228, 1433]
      [1 + (hash(peer) % 16)::BIGINT] AS service,
    floor($days * u5) AS day, $days * u5 - floor($days * u5) AS share
  FROM named
), timed AS (
  SELECT *, u8 < 0.04 AS denied,
    $start + to_microseconds((86400e6 * CASE WHEN $days >= 1 THEN day + share + 0.1 * sin(2 * pi() * share)
      ELSE $days * u5 END)::BIGINT) AS event_end,
    exp(16 * u6 ** 2)::BIGINT * 1000 AS lasted,
    CASE WHEN u7 < 0.015 THEN 'icmp' WHEN service IN (53, 123) OR u7 > 0.9 THEN 'udp' ELSE 'tcp'
      END AS network_transport
  FROM placed
)
SELECT event_end - to_microseconds(lasted) AS event_start, event_end,
  CASE direction WHEN 'in' THEN peer_ip ELSE host_ip END AS source_ip,
  CASE direction WHEN 'in' THEN host_ip ELSE peer_ip END AS destination_ip,
  CASE WHEN network_transport <> 'icmp' THEN 1024 + floor(64000 * u9)::INTEGER END AS source_port,
  CASE WHEN network_transport <> 'icmp' THEN service END::INTEGER AS destination_port, network_transport,
  CASE WHEN u10 > 0.01 THEN 60 + exp(10 * u10)::BIGINT END AS source_bytes,
  CASE WHEN denied THEN 0 WHEN u10 > 0.01 THEN exp(14 * u11 ** 2)::BIGINT END AS destination_bytes,
  1 + floor(20 * u10)::BIGINT AS source_packets,
  CASE WHEN denied THEN 0 ELSE floor(40 * u11)::BIGINT END AS destination_packets,
  CASE WHEN denied THEN 'deny' ELSE 'allow' END AS event_action,
  CASE WHEN denied THEN 'policy-deny' WHEN network_transport <> 'tcp' OR u6 > 0.9 THEN 'aged-out'
    WHEN u6 > 0.85 THEN 'tcp-rst-from-server' ELSE 'tcp-fin' END AS event_reason,
  CASE WHEN u8 > 0.999 THEN 'THREAT' ELSE 'TRAFFIC' END AS event_name, NOT denied AS established,
  NULL::INTEGER AS repeat_cnt,
  CASE service WHEN 443 THEN 'ssl' WHEN 53 THEN 'dns-base' WHEN 80 THEN 'web-browsing' ELSE 'other' END AS application,
  CASE WHEN denied THEN 'deny-all' ELSE 'allow-' || direction END AS rule,
  NULL::VARCHAR AS machine_name, NULL::VARCHAR AS sensor
FROM timed ORDER BY event_end, i
"""  # noqa: S608 - constants of this file
_LOGGED = [name for name in SESSION_FIELDS.names if name not in {"established", "repeat_cnt", "machine_name", "sensor"}]


@dataclass(frozen=True)
class Traffic:
    """Which sessions to make: how many, of how many hosts, ending in which stretch of time."""

    sessions: int
    hosts: int
    start: datetime
    length: timedelta
    seed: int = 7

    def parquet(self, path: Path) -> Path:
        """A sessions file, in the order of their ends."""
        with duckdb.connect() as con:
            self._rows(con).write_parquet(str(path), compression="zstd", row_group_size=GROUP_ROWS)
        return path

    def json_lines(self, path: Path) -> Path:
        """A gzip file of Palo Alto records, one JSON object a line."""
        with duckdb.connect() as con:
            rows = self._rows(con)
            when = "strftime({0}, '%Y-%m-%dT%H:%M:%S.%g') || 'Z' AS {0}"
            columns = [when.format(name) if name in {"event_start", "event_end"} else name for name in _LOGGED]
            logged = rows.select(", ".join(columns))
            con.execute(f"COPY ({logged.sql_query()}) TO '{path}' (FORMAT json, COMPRESSION gzip)")
        return path

    def _rows(self, con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
        values = {
            "rows": self.sessions, "hosts": self.hosts, "seed": self.seed, "start": f"TIMESTAMP '{self.start}'",
            "days": f"{self.length / timedelta(days=1):.9f}::DOUBLE",
        }  # fmt: skip
        return con.sql(Template(_SESSIONS).substitute(values))
