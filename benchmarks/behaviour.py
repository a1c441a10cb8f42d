"""FG-A for the benchmarks of baselines and deviations: made without sessions, shaped like what sessions give.

Every host has its own level of activity and its own mix, follows the day, and does a few things rarely. So counts are
small integers with long tails, many are 0 nearly always, half of the hosts are hardly ever met by others, and shares
are null where there is nothing to share. Every value is a hash of host, window, end and metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from benchmarks.data import HOST_IP, SEGMENT_ID
from benchmarks.lakes import Ground
from ndr.engine import Rows
from ndr.metric import Metric
from ndr.metrics import BASELINED, METRICS, ROLES
from ndr.table import PartKey
from ndr.tables import TABLES
from ndr.tables.fg_a import WINDOWS
from ndr.tables.settings import Calendar, Moment, moment
from ndr.time import DAY, SLICE, Interval, iso

FG_A = TABLES["fg_a"]


def _drawn(metric: Metric, role: str) -> str:
    """SQL of a number in [0, 1), of this row and metric."""
    salt = len(ROLES) * METRICS.index(metric) + ROLES.index(role)
    return f"(hash(draw + {salt})::DOUBLE / 18446744073709551616.0)"


def _value(metric: Metric, role: str) -> str:
    """SQL of a metric, from ``n``, the sessions of the row in the role."""
    u, n = _drawn(metric, role), f"n_{role}"
    rare = 10 ** -(METRICS.index(metric) % 4)
    by_unit = {
        "bytes": f"floor({n} * exp(5 + 5 * {u}))",
        "seconds": f"CASE WHEN {n} > 0 THEN exp(8 * {u}) END",
        "nats": f"CASE WHEN {n} > 0 THEN ln(1 + floor({n} ** 0.6 * (0.5 + {u}))) * (0.7 + 0.3 * {u}) END",
        "ratio": f"CASE WHEN {n} > 0 THEN floor({n} * {u} ** 3) / {n} END",
        "peers": f"floor({n} ** 0.6 * (0.5 + {u}))",
    }
    if metric not in BASELINED:
        value = "0"
    elif metric.name == "sessions_cnt":
        value = n
    elif "lookback" in metric.name and metric.unit != "ratio":
        value = f"floor(3 * {u} ** 12 * (1 + ln(1 + {n})))"
    else:
        value = by_unit.get(metric.unit, f"floor({rare} * {n} * {u} ** 3)")
    return f"({value})::{'DOUBLE' if metric.dtype == 'float64' else 'BIGINT'} AS {metric.column(role)}"


_LABELS = ", ".join(f"('{label}', {length / SLICE})" for label, length in WINDOWS.items())
_ROWS = f"""
WITH drawn AS (
  SELECT *, hash(host)::DOUBLE / 18446744073709551616.0 AS level,
    (hash(host, slices, window_end_ts) // 1024)::BIGINT AS draw
  FROM range($hosts) AS hosts(host), (VALUES {_LABELS}) AS labels(window_label, slices), ends
), busy AS (
  SELECT *, hash(draw)::DOUBLE / 18446744073709551616.0 AS u,
    exp(5 * level ** 2) * slices ** 0.9 * (1.2 + sin(2 * pi() * hour_of_day / 24)) AS pace
  FROM drawn
), counted AS (
  SELECT *, 1 + floor(pace * (0.5 + u)) AS n_outbound,
    CASE WHEN host % 2 = 0 THEN 0 ELSE floor(pace * u ** 3) END AS n_inbound
  FROM busy
)
SELECT * REPLACE (host_ip || '|' || window_label || '|' || window_end_text AS record_id) FROM (
SELECT NULL::VARCHAR AS record_id, {HOST_IP} AS host_ip, window_label,
  window_end_ts - to_minutes((15 * slices)::BIGINT) AS window_start_ts, window_end_ts, window_end_text,
  window_end_text AS mini_batch_id, {SEGMENT_ID} AS segment_id, hour_of_day, day_of_week, is_working_hours,
  is_off_hours, is_night_hours, is_weekend, is_holiday, time_band,
  {", ".join(_value(metric, role) for role in ROLES for metric in METRICS)}
FROM counted)
"""  # noqa: S608 - constants of this file


_CONTEXT = {name: FG_A.columns[name] for name in Moment.model_fields}
_END = {"window_end_ts": "timestamp(6)", "window_end_text": "string", **_CONTEXT}


def _end(end: datetime) -> tuple[Any, ...]:
    when = moment(Calendar(), end - SLICE)
    return (end, iso(end), *(getattr(when, name) for name in _CONTEXT))


def behave(ground: Ground, hosts: int, over: Interval) -> None:
    """Give a lake the FG-A of some hosts, all active all the time, for every window that ends within an interval."""
    for day in over.split(DAY):
        _write(ground, hosts, [part.end for part in day.split(SLICE) if over.start < part.end <= over.end])


def _write(ground: Ground, hosts: int, ends: Sequence[datetime]) -> None:
    """One file per window end, as a run leaves them."""
    read = {"ends": Rows(_END, [_end(end) for end in ends])}
    parts = {PartKey(end - SLICE, end): {FG_A.at: end} for end in ends}
    ground.give(FG_A, _ROWS.replace("$hosts", str(hosts)), read, parts)
