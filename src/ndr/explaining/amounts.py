"""Amounts: values of metrics as people read them, with their units."""

from __future__ import annotations

from ndr.metric import INBOUND, Metric
from ndr.metrics import BY_NAME

_STEP = 1000.0
_BYTES = ("bytes", "KB", "MB", "GB", "TB", "PB", "EB")
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_LONG = 3.0
_ROUND = 100.0


def number(value: float) -> str:
    """A number with no more digits than matter."""
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - not a number
        return str(value)
    return f"{value:,.0f}" if abs(value) >= _ROUND or value == int(value) else f"{value:.3g}"


def size(value: float) -> str:
    """Bytes, in steps of a thousand."""
    for name in _BYTES:
        if abs(value) < _STEP or name == _BYTES[-1]:
            return f"{number(value)} {name}"
        value /= _STEP
    return f"{number(value)} {_BYTES[-1]}"


def duration(seconds: float) -> str:
    """A length of time in the unit that fits: 90 s, 15 min, 6 h, 2 days."""
    for unit, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= _LONG * unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{number(seconds)} s"


def amount(value: float, metric: Metric) -> str:
    """A value of a metric with its unit."""
    if metric.unit == "bytes":
        return size(value)
    if metric.unit == "seconds":
        return duration(value)
    if metric.unit == "ratio" and metric.name != "bytes_asymmetry_ratio":
        return f"{number(round(value * 100, 1))} %"
    return number(value) if metric.unit in {"ratio", "flag"} else f"{number(value)} {metric.unit}"


def phrase(metric: Metric) -> str:
    """What a metric is, in the words of its declaration."""
    first = metric.doc.split(";")[0].split(".")[0]
    return first if first[:2].isupper() else first[:1].lower() + first[1:]


def metric_of(column: str) -> Metric | None:
    """The metric of a column of FG-A, in either role."""
    return BY_NAME.get(column) or BY_NAME.get(column.removeprefix(INBOUND))
