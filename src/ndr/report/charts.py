"""Charts: small line charts as SVG that stretch to their place; no data is a gap, never 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from ndr.report.findings import Line, Values, runs
from ndr.report.markup import Html, element
from ndr.report.words import amount, day
from ndr.time import DAY, Interval, ceil, floor

_HEIGHT = 56
_SMALL = 24
_FOOT = 16
"""Where the days are written."""
_STEEP = 12.0
"""How many times the usual ceiling the highest value must be for a logarithmic scale: else the usual were a line."""
_NAMES = 7
_FINE = 2 * DAY
"""Up to this length quarters of days are named."""
_SHORT = 2
Scale = Callable[[float], int]


def linear(top: float) -> Scale:
    """Value -> height, 0 at the foot."""
    return lambda value: round(_HEIGHT - 2 - (_HEIGHT - 6) * min(max(value, 0.0), top) / top)


def logarithmic(top: float, unit: float) -> Scale:
    """Value -> height, by ln(1 + value / unit)."""
    whole = linear(math.log1p(top / unit))
    return lambda value: whole(math.log1p(max(value, 0.0) / unit))


def stairs(values: Values, scale: Scale, steps: range) -> str:
    """The outline of a stretch of known values, one flat piece per step, equal ones together."""
    place = scale(values[steps.start] or 0.0)
    path, flat = f"M{steps.start} {place}", 0
    for at in steps:
        here = scale(values[at] or 0.0)
        if here != place:
            path += f"h{flat}v{here - place}"
            place, flat = here, 0
        flat += 1
    return f"{path}h{flat}"


def outline(values: Values, scale: Scale, where: Sequence[range] | None = None) -> str:
    """The outlines of all stretches of known values."""
    return "".join(stairs(values, scale, steps) for steps in (runs(values) if where is None else where))


def dots(values: Values, scale: Scale) -> str:
    """Points for stretches that are too short to be seen as lines."""
    short = (steps for steps in runs(values) if len(steps) <= _SHORT)
    return "".join(f"M{at}.5 {scale(values[at] or 0.0)}h0" for steps in short for at in steps)


def area(lower: Values, upper: Values, scale: Scale) -> str:
    """Closed areas between two lines, where both are known."""
    both = runs(tuple(None if a is None else b for a, b in zip(lower, upper, strict=True)))
    found = []
    for steps in both:
        back = [scale(lower[at] or 0.0) for at in reversed(steps)]
        path, flat, place = f"{stairs(upper, scale, steps)}V{back[0]}", 0, back[0]
        for here in back:
            if here != place:
                path += f"h{-flat}v{here - place}"
                place, flat = here, 0
            flat += 1
        found.append(f"{path}h{-flat}z")
    return "".join(found)


def line_chart(line: Line, ends: Sequence[datetime], step: timedelta, window: Interval, told: str) -> Html:
    """A metric over time with its baseline: p25 to p95 light, p25 to p75 dark, the median dashed."""
    scale, logs = scale_of(line)
    top = max((value for value in (*line.values, *line.ceiling) if value is not None), default=0.0)
    paths = [
        _path(area(line.low, line.ceiling, scale), "wide"),
        _path(area(line.low, line.high, scale), "narrow"),
        _path(outline(line.median, scale), "median"),
        _path(outline(line.values, scale), "line"),
        _path(dots(line.values, scale), "dots"),
    ]
    marks = f"{amount(line.metric, top)}{' · log scale' if logs else ''}"
    return _drawing(paths, ends, step, window, told, marks)


def scale_of(line: Line) -> tuple[Scale, bool]:
    """The scale of a metric's chart, and whether it is logarithmic: where what is usual would be a line at the foot."""
    top = max((value for value in (*line.values, *line.ceiling) if value is not None), default=0.0)
    usual = max((value for value in line.ceiling if value is not None), default=0.0)
    if 0 < usual * _STEEP < top:
        return logarithmic(top, usual / 10), True
    return linear(top if top > 0 else 1.0), False


def course_chart(
    course: Values, alarms: Sequence[bool], ends: Sequence[datetime], step: timedelta, window: Interval, told: str
) -> Html:
    """Evidence over time; anomalous steps stand out."""
    top = max((value for value in course if value is not None), default=0.0)
    return _drawing(_course(course, alarms), ends, step, window, told, f"{top:.0f} nats")


def sparkline(course: Values, alarms: Sequence[bool]) -> Html:
    """The course of the evidence, without words."""
    drawn = _stretched(_course(course, alarms), len(course), _SMALL)
    return element("svg", drawn, class_="spark", aria_hidden="true")


def _course(course: Values, alarms: Sequence[bool]) -> list[Html | None]:
    scale = linear(max([1.0, *(value for value in course if value is not None)]))
    hot = runs(tuple(value if alarm else None for value, alarm in zip(course, alarms, strict=True)))
    return [
        _path(outline(course, scale), "line"),
        _path(dots(course, scale), "dots"),
        _path(outline(course, scale, hot), "hot"),
    ]


def bar(value: float, least: float, most: float) -> Html:
    """A contribution as a bar between the least and the most, or 0: to the left what takes away."""
    whole = (most - least) or 1.0
    zero, length = -100 * least / whole, 100 * abs(value) / whole
    start, kind = (zero, "more") if value >= 0 else (zero - length, "less")
    drawn = element("rect", x=f"{start:.1f}%", y=1, width=f"{length:.1f}%", height=10, class_=kind)
    axis = element("line", x1=f"{zero:.1f}%", x2=f"{zero:.1f}%", y1=0, y2=12, class_="axis")
    return element("svg", drawn, axis, class_="bar", aria_hidden="true")


def _path(drawn: str, kind: str) -> Html | None:
    return element("path", d=Html(drawn), class_=kind) if drawn else None


def _stretched(paths: Sequence[Html | None], steps: int, height: int = _HEIGHT) -> Html:
    box = Html(f'viewBox="0 0 {max(steps, 1)} {_HEIGHT}" preserveAspectRatio="none" width="100%" height="{height}"')
    return Html(f"<svg {box}>{''.join(path for path in paths if path)}</svg>")


def _drawing(
    paths: Sequence[Html | None], ends: Sequence[datetime], step: timedelta, window: Interval, told: str, top: str
) -> Html:
    """The paths with midnights, days and the most remarkable window, and words for those who do not see them."""
    start, steps = ends[0] - step, len(ends)
    whole = step * steps

    def place(at: datetime) -> float:
        return 100 * ((at - start) / whole)

    fine = whole <= _FINE
    marks = [
        at for n in range(whole // (DAY / 4) + 2) if start <= (at := ceil(start, DAY / 4) + n * DAY / 4) < ends[-1]
    ]
    named = [at for at in marks if fine or at == floor(at, DAY)]
    rules = [_rule(place(at), "midnight") for at in named]
    names = [
        element("text", _name(at), x=f"{place(at):.2f}%", y=_HEIGHT + _FOOT - 4, dx=3, class_="tick")
        for at in named[:: max(1, -(-len(named) // _NAMES))]
        if place(at) < 92  # noqa: PLR2004 - there would be no room
    ]
    high = element("text", top, x=3, y=10, class_="tick")
    first, last = max(place(window.start), 0.0), min(place(window.end), 100.0)
    shade = element("rect", x=f"{first:.2f}%", y=0, width=f"{last - first:.2f}%", height=_HEIGHT, class_="window")
    return element(
        "svg", shade, *rules, _stretched(paths, steps), *names, high, class_="chart", role="img", aria_label=told,
    )  # fmt: skip


def _name(at: datetime) -> str:
    return day(at) if at == floor(at, DAY) else f"{at:%H:%M}"


def _rule(place: float, kind: str) -> Html:
    return element("line", x1=f"{place:.2f}%", x2=f"{place:.2f}%", y1=0, y2=_HEIGHT, class_=kind)
