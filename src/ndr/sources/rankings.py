"""Rankings: files of scores that another program gave to hosts, to be held against the truth like ours.

CSV with a header, or JSON Lines, in UTF-8, a row per host and window: ``host`` (or ``host_ip``), ``score`` (or
``prediction_score``) and ``window_end`` (or ``window_end_ts``), with ``window_start`` (or ``window_start_ts``) or, as
in our own tables, ``window_label``; or the moment alone as ``time``. Other columns do not matter.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Final

from ndr.errors import AdapterError, DataError, UsageError, shown
from ndr.evaluation import Scored
from ndr.sources.convert import canonical_ip
from ndr.tables.fg_a import WINDOWS
from ndr.time import iso, parse_instant

_NAMES: Final = {
    "host": ("host", "host_ip"),
    "score": ("score", "prediction_score"),
    "start": ("window_start", "window_start_ts"),
    "end": ("window_end", "window_end_ts"),
    "time": ("time",),
    "label": ("window_label",),
}
_MOMENT: Final = timedelta(microseconds=1)


def read_scores(path: str | Path) -> Scored:
    """The scored windows of a file.

    Raises:
        AdapterError: the file cannot be read.
        DataError: it holds no rows, or a row breaks a rule; the message names file and line.
    """
    name = shown(str(path), 300)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = [_row(f"{name}:{number}", values) for number, values in _records(name, file)]
    except OSError as error:
        raise AdapterError(f"the score file {name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise DataError(f"the score file {name} is not UTF-8 text: write CSV or JSON Lines.") from None
    if not rows:
        raise DataError(f"the score file {name} holds no rows.")
    return Scored.of(rows)


def _records(name: str, file: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line number and values of each row."""
    lines = iter(file)
    for skipped, first in enumerate(lines):
        if first.strip():
            read = _objects if first.lstrip()[0] in "{[" else _table
            yield from read(name, chain((first,), lines), skipped)


def _objects(name: str, lines: Iterable[str], skipped: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(lines, skipped + 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise DataError(f"{name}:{number}: {shown(line.strip())!r} is no JSON object; write one per line.")
        yield number, values


def _table(name: str, lines: Iterable[str], skipped: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = [column.strip() for column in next(reader)]
        for cells in reader:
            number = skipped + reader.line_num
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise DataError(f"{name}:{number}: {len(cells)} cells, but the header has {len(header)} columns.")
            yield number, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{name}:{skipped + reader.line_num}: not CSV: {error}.") from None


def _row(place: str, values: Mapping[str, Any]) -> tuple[str, datetime, datetime, float]:
    given = {what: _first(place, values, names) for what, names in _NAMES.items()}
    for what in ("host", "score"):
        if given[what] is None:
            raise DataError(f"{place}: there is no {what}; the columns are {shown(', '.join(values), 200)}.")
    host = canonical_ip(str(given["host"]))
    if host is None:
        raise DataError(f"{place}: the host {shown(given['host'])!r} is no IP address.")
    return host, *_window(place, given), _number(place, given["score"])


def _first(place: str, values: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of some columns that says anything."""
    for name in names:
        value = values.get(name)
        if isinstance(value, str):
            value = value.strip() or None
        if isinstance(value, bool | list | dict):
            raise DataError(f"{place}: {name} is {shown(value)}, and must be one text or number.")
        if value is not None:
            return value
    return None


def _window(place: str, given: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """The window of a row; a moment is one of a microsecond."""
    label = given["label"]
    if given["end"] is None:
        if given["time"] is None:
            raise DataError(f"{place}: there is no window_end and no time.")
        start = _moment(place, given["time"])
        return start, start + _MOMENT
    end = _moment(place, given["end"])
    if given["start"] is not None:
        start = _moment(place, given["start"])
    elif label is None:
        raise DataError(f"{place}: there is a window_end, but neither window_start nor window_label.")
    elif label not in WINDOWS:
        raise DataError(f"{place}: window_label {shown(label)!r} is none of {', '.join(WINDOWS)}.")
    else:
        start = end - WINDOWS[label]
    if start >= end:
        raise DataError(f"{place}: the window starts at {iso(start)}, and must end later than {iso(end)}.")
    return start, end


def _moment(place: str, text: object) -> datetime:
    try:
        return parse_instant(text if isinstance(text, str) else repr(text))
    except UsageError as error:
        raise DataError(f"{place}: {error}") from None


def _number(place: str, value: object) -> float:
    try:
        score = float(value) if isinstance(value, int | float | str) and "_" not in str(value) else math.nan
    except (ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise DataError(f"{place}: the score {shown(value)!r} is no finite number.")
    return score
