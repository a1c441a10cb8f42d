"""Words: numbers, times and metrics as people read them."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta

from ndr.explaining import amounts
from ndr.explaining.amounts import number
from ndr.features.deviations import TRANSFORMS
from ndr.metric import INBOUND, statistic
from ndr.model.kinds import KINDS
from ndr.tables.fg_a import WINDOWS
from ndr.tables.fg_b import COLUMNS

_NOUNS = {
    "sessions_cnt": "sessions",
    "deny_cnt": "blocked sessions",
    "rst_cnt": "sessions ended by a reset",
    "failed_cnt": "failed sessions",
    "zero_reply_cnt": "sessions without a reply",
    "short_session_cnt": "sessions of at most a second",
    "bytes_src_sum": "sent",
    "bytes_dst_sum": "received",
    "in_bytes_src_sum": "sent by those who called",
    "in_bytes_dst_sum": "given to those who called",
    "in_bytes_asymmetry_ratio": "bytes taken from callers for each byte given",
    "in_duration_mean": "mean length of an incoming session",
    "in_peer_ip_nunique": "callers",
    "in_peer_segment_nunique": "segments of callers",
    "in_peer_ip_entropy": "of spread over callers",
    "in_peer_ip_top1_sessions_share": "of the incoming sessions with the busiest caller",
    "in_peer_ip_top1_bytes_share": "of the incoming bytes with the largest caller",
    "in_high_risk_segment_unique_dsts": "callers in high-risk segments",
    "in_peer_port_nunique": "own ports asked for",
    "in_peer_port_entropy": "of spread over own ports asked for",
    "in_new_peer_cnt_lookback30d": "callers not met in the 30 days before",
    "in_rare_peer_cnt_lookback30d": "callers hardly met in the 30 days before",
    "in_new_peer_ratio_lookback30d": "of the callers not met in the 30 days before",
    "in_new_dst_port_cnt_lookback30d": "own ports not asked for in the 30 days before",
    "in_rare_dst_port_cnt_lookback30d": "own ports hardly asked for in the 30 days before",
    "in_new_pair_cnt_lookback30d": "pairs of caller and own port not met in the 30 days before",
    "in_new_src_dst_port_cnt_lookback30d": "own ports that nobody in the segment was asked for in the 30 days before",
    "high_risk_port_sessions_cnt": "sessions to high-risk ports",
    "admin_port_sessions_cnt": "sessions to admin ports",
    "fileshare_port_sessions_cnt": "sessions to file-share ports",
    "directory_port_sessions_cnt": "sessions to directory ports",
    "db_port_sessions_cnt": "sessions to database ports",
    "max_sessions_per_minute": "sessions in the busiest minute",
    "duration_mean": "mean length of a session",
    "deny_ratio": "of the sessions blocked",
    "failed_ratio": "of the sessions failed",
    "bytes_asymmetry_ratio": "bytes sent for each byte received",
    "peer_ip_nunique": "peers",
    "peer_segment_nunique": "segments of peers",
    "peer_ip_entropy": "of spread over peers",
    "peer_ip_top1_sessions_share": "of the sessions with the busiest peer",
    "peer_ip_top1_bytes_share": "of the bytes with the largest peer",
    "high_risk_segment_sessions_cnt": "sessions with high-risk segments",
    "high_risk_segment_unique_dsts": "peers in high-risk segments",
    "peer_port_nunique": "ports",
    "peer_port_entropy": "of spread over ports",
    "new_peer_cnt_lookback30d": "peers not met in the 30 days before",
    "rare_peer_cnt_lookback30d": "peers hardly met in the 30 days before",
    "new_peer_ratio_lookback30d": "of the peers not met in the 30 days before",
    "new_dst_port_cnt_lookback30d": "ports not used in the 30 days before",
    "rare_dst_port_cnt_lookback30d": "ports hardly used in the 30 days before",
    "new_pair_cnt_lookback30d": "pairs of peer and port not met in the 30 days before",
    "new_src_dst_port_cnt_lookback30d": "ports new to the whole segment in the 30 days before",
}
_SUMS = {"sessions", "bytes", "peers", "ports", "segments", "pairs"}
"""Units of metrics that say how much there was in a window."""
_MANY = re.compile(r"\b(session|peer|port|segment|pair|caller)s\b")
_TRANSFORMED = {statistic(column, name): (column, name) for column in COLUMNS for name in TRANSFORMS}
_STATISTICS = {"z_mad_clipped": "distance from usual", "z_mad": "distance from usual", "log_ratio": "ratio to usual"}
_LEADING = {kind.column: kind.title for kind in KINDS.values() if kind.column}
_FEATURES = {
    "pair_rarity_max": "rarity of the rarest pair",
    "pair_rarity_mean": "mean rarity of the pairs",
    "new_pair_cnt": "pairs that the baseline does not hold",
    "rare_pair_cnt": "pairs that the baseline hardly holds",
    "band_active_share": "how often it is active at such hours",
    "other_features": "all other features",
}
_SOURCES = {"host": "its own past", "segment": "its segment", "global": "all hosts", "training": "the training"}


def noun(column: str) -> str:
    """What a metric's column counts or measures, without a number."""
    if column in _NOUNS:
        return _NOUNS[column]
    plain = column.removeprefix(INBOUND)
    told = _NOUNS.get(plain, plain.replace("_", " "))
    return told if plain == column else _MANY.sub(r"incoming \g<0>", told, count=1)


def title(column: str) -> str:
    """A metric's column as a heading."""
    told, metric = noun(column), COLUMNS.get(column)
    if metric and metric.unit in {"bytes", "nats"}:
        told = f"{metric.unit} {told}"
    elif told.startswith("of "):
        told = f"share {told}"
    return told[:1].upper() + told[1:]


def amount(column: str, value: float) -> str:
    """A value of a metric in its unit."""
    metric = COLUMNS.get(column)
    return amounts.amount(value, metric) if metric else number(value)


def measured(column: str, value: float, label: str) -> str:
    """A value with what it counts: ``1,172 sessions to admin ports in 30 minutes``."""
    told, metric = noun(column), COLUMNS.get(column)
    if metric and metric.unit == "seconds":
        return f"{told} {amount(column, value)}"
    if value == 1:
        told = _MANY.sub(r"\1", told, count=1)
    adds_up = metric and metric.unit in _SUMS and metric.merge != "max" and "novelty" not in metric.themes
    within = f" in {'an hour' if label == 'w_1h' else window(label)}" if adds_up else ""
    return f"{amount(column, value)} {told}{within}"


def feature(name: str) -> str:
    """A feature of the model: a suspicion by its title, a statistic with what it says, else as it is called."""
    if name in _LEADING:
        return _LEADING[name]
    metric, transform = _TRANSFORMED.get(name, (name, ""))
    if metric not in COLUMNS:
        return _FEATURES.get(name, name.replace("_", " "))
    told = title(metric)[:1].lower() + title(metric)[1:]
    return f"{told}, {_STATISTICS.get(transform, transform.replace('_', ' '))}" if transform else told


def column(name: str) -> str:
    """The metric that a feature of the model is a statistic of; its own name where it is none."""
    return _TRANSFORMED.get(name, (name, ""))[0]


def leading(kind: str) -> str:
    """A component of the score by its title."""
    return KINDS[kind].title if kind in KINDS else kind.replace("_", " ")


def source(tier: str) -> str:
    """Whom a baseline describes."""
    return _SOURCES.get(tier, tier or "no baseline")


def window(label: str) -> str:
    """How long a window is: ``30 minutes``."""
    length = WINDOWS.get(label)
    if length is None:
        return label
    hours = length / timedelta(hours=1)
    return span(length) if hours < 1 else "hour" if hours == 1 else f"{hours:g} hours"


def span(length: timedelta) -> str:
    """A length in its largest whole unit."""
    minutes = int(length.total_seconds() // 60)
    for unit, each in (("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes % each == 0 and minutes >= each:
            return f"{minutes // each} {unit}{'' if minutes == each else 's'}"
    return f"{length.total_seconds():g} seconds"


def signed(value: float) -> str:
    """A number that says that it is more than none."""
    return f"{'+' if value > 0 else ''}{number(value)}"


def odds(score: float, rows: int = 0) -> str:
    """How rare a score is among the windows of the training: ``1 in 2,000``, and never rarer than ``rows`` can tell."""
    left = 1 - min(max(score, 0.0), 1.0)
    if left <= 0 or 0 < rows < 1 / left:
        return f"beyond all {rows:,}" if rows else "beyond all"
    digits = 10 ** max(len(f"{1 / left:.0f}") - 2, 0)
    return f"1 in {round(1 / left / digits) * digits:,.0f}"


def score(value: float) -> str:
    """A score with as many nines as it has, and the digit after them."""
    nines = -math.log10(max(1 - value, 1e-11))
    return f"{value:.{max(3, math.floor(nines) + 1)}f}"


def moment(at: datetime) -> str:
    """A moment to the minute: ``11 Mar 2026, 04:45``."""
    return f"{at.day} {at:%b %Y, %H:%M}"


def day(at: datetime) -> str:
    """A day without its year."""
    return f"{at.day} {at:%b}"


def counted(count: int, one: str, many: str = "") -> str:
    """A number of things: ``1 host``, ``1,200 hosts``."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
