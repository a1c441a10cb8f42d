"""Amounts: values of metrics as people read them, with their units."""

from __future__ import annotations

from ndr.metric import INBOUND, Metric
from ndr.metrics import BY_NAME

_STEP = 1000.0
_BYTES = ("bytes", "KB", "MB", "GB", "TB", "PB", "EB")
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_PLAINLY = {
    " at most K times in the lookback": " hardly ever in the 30 days before",
    "the lookback": "the 30 days before",
}
"""Terms of the declarations -> words that need no catalog."""
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
    """A value of a metric with its unit, but for what is counted."""
    if metric.unit == "bytes":
        return size(value)
    if metric.unit == "seconds":
        return duration(value)
    if metric.unit == "nats":
        return f"{number(value)} nats"
    return f"{number(round(value * 100, 1))} %" if metric.kind == "share" and not _each(metric) else number(value)


def _each(metric: Metric) -> bool:
    """Whether it says how many there are for each of something else, rather than a share."""
    return " for each " in metric.doc


def measured(value: float, metric: Metric) -> str:
    """A value and what it is, in the words of the metric's declaration: ``5.5 GB sent by the source``."""
    said = metric.doc.split(";")[0].split(".")[0]
    said = said if said[:2].isupper() else said[:1].lower() + said[1:]
    for term, words in _PLAINLY.items():
        said = said.replace(term, words)
    if metric.unit == "bytes":
        return f"{size(value)} {said.removeprefix('bytes ')}"
    if metric.kind == "count" or _each(metric):
        return f"{number(value)} {said}"
    return f"{said} {amount(value, metric)}"


def metric_of(column: str) -> Metric | None:
    """The metric of a column of FG-A, in either role."""
    return BY_NAME.get(column) or BY_NAME.get(column.removeprefix(INBOUND))
