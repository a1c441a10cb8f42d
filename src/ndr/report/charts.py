"""Charts: small line charts as SVG that stretch to their place; no data is a gap, never 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from ndr.report.findings import Line, Values, runs
from ndr.report.markup import Html, element
from ndr.report.words import amount, day
from ndr.time import DAY, ceil

_HEIGHT = 56
_SMALL = 24
_FOOT = 16
"""Where the days are written."""
_STEEP = 12.0
"""How many times the usual ceiling the highest value must be for a logarithmic scale: else the usual were a line."""
_DAYS = 7
_SHORT = 2
_MOST_NINES = 9
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


def line_chart(line: Line, ends: Sequence[datetime], step: timedelta, peak: datetime, told: str) -> Html:
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
    return _drawing(paths, ends, step, peak, told, marks)


def scale_of(line: Line) -> tuple[Scale, bool]:
    """The scale of a metric's chart, and whether it is logarithmic: where what is usual would be a line at the foot."""
    top = max((value for value in (*line.values, *line.ceiling) if value is not None), default=0.0)
    usual = max((value for value in line.ceiling if value is not None), default=0.0)
    if 0 < usual * _STEEP < top:
        return logarithmic(top, usual / 10), True
    return linear(top if top > 0 else 1.0), False


def score_chart(
    scores: Values, alarms: Sequence[bool], ends: Sequence[datetime], step: timedelta, peak: datetime, told: str
) -> Html:
    """Scores over time, by how rare they are: each line further up is ten times rarer; anomalous steps stand out."""
    nines = _nines(scores)
    top = max([3, *(math.ceil(value) for value in nines if value is not None)])
    scale = linear(top)
    rules = [element("path", d=f"M0 {scale(level)}h{len(scores)}", class_="rule") for level in range(1, top)]
    hot = runs(tuple(value if alarm else None for value, alarm in zip(nines, alarms, strict=True)))
    paths = [*rules, _path(outline(nines, scale), "line"), _path(outline(nines, scale, hot), "hot")]
    return _drawing(paths, ends, step, peak, told, f"1 in {10**top:,}")


def sparkline(scores: Values, alarms: Sequence[bool]) -> Html:
    """The course of a score, without words."""
    nines = _nines(scores)
    scale = linear(max([3, *(math.ceil(value) for value in nines if value is not None)]))
    hot = runs(tuple(value if alarm else None for value, alarm in zip(nines, alarms, strict=True)))
    paths = [_path(outline(nines, scale), "line"), _path(outline(nines, scale, hot), "hot")]
    return element("svg", _stretched(paths, len(scores), _SMALL), class_="spark", aria_hidden="true")


def bar(value: float, least: float, most: float) -> Html:
    """A contribution as a bar between the least and the most, or 0: to the left what takes away."""
    whole = (most - least) or 1.0
    zero, length = -100 * least / whole, 100 * abs(value) / whole
    start, kind = (zero, "more") if value >= 0 else (zero - length, "less")
    drawn = element("rect", x=f"{start:.1f}%", y=1, width=f"{length:.1f}%", height=10, class_=kind)
    axis = element("line", x1=f"{zero:.1f}%", x2=f"{zero:.1f}%", y1=0, y2=12, class_="axis")
    return element("svg", drawn, axis, class_="bar", aria_hidden="true")


def _nines(scores: Values) -> Values:
    """Scores as their number of nines: 0.9 is 1, 0.99 is 2."""
    least = 10.0**-_MOST_NINES
    return tuple(None if score is None else -math.log10(max(1 - score, least)) for score in scores)


def _path(drawn: str, kind: str) -> Html | None:
    return element("path", d=Html(drawn), class_=kind) if drawn else None


def _stretched(paths: Sequence[Html | None], steps: int, height: int = _HEIGHT) -> Html:
    box = Html(f'viewBox="0 0 {max(steps, 1)} {_HEIGHT}" preserveAspectRatio="none" width="100%" height="{height}"')
    return Html(f"<svg {box}>{''.join(path for path in paths if path)}</svg>")


def _drawing(
    paths: Sequence[Html | None], ends: Sequence[datetime], step: timedelta, peak: datetime, told: str, top: str
) -> Html:
    """The paths with midnights, days and the place of the peak, and words for those who do not see them."""
    start, steps = ends[0] - step, len(ends)
    whole = step * steps

    def place(at: datetime) -> float:
        return 100 * ((at - start) / whole)

    midnights = [at for n in range(whole // DAY + 2) if start <= (at := ceil(start, DAY) + n * DAY) < ends[-1]]
    every = -(-len(midnights) // _DAYS)
    rules = [_rule(place(at), "midnight") for at in midnights]
    names = [
        element("text", day(at), x=f"{place(at):.2f}%", y=_HEIGHT + _FOOT - 4, dx=3, class_="tick")
        for at in midnights[::every]
        if place(at) < 92  # noqa: PLR2004 - there would be no room
    ]
    high = element("text", top, x=3, y=10, class_="tick")
    return element(
        "svg", *rules, _rule(min(place(peak), 99.9), "peak"), _stretched(paths, steps), *names, high,
        class_="chart", role="img", aria_label=told,
    )  # fmt: skip


def _rule(place: float, kind: str) -> Html:
    return element("line", x1=f"{place:.2f}%", x2=f"{place:.2f}%", y1=0, y2=_HEIGHT, class_=kind)
