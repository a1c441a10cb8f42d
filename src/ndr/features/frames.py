"""Frames: which slice lies in which window of which window end; small tables made in Python, never per row of data.

Around a window end ``T`` every slice falls in exactly one *band*, and a band lies wholly inside or outside each window
and its lookback. So the dear aggregation runs once per band, and the five windows are unions of a few small results.

Of the lookback, the whole days in the middle come from the compacted pair history, which ends at :func:`history_end`;
only its two ragged ends are read as slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from ndr.time import DAY, SLICE, ceil, floor

LOOKBACK = timedelta(days=30)
HISTORY = timedelta(days=28)
"""Whole days that the pair history holds: what 30 days always contain when both ends are ragged."""

HISTORY_BAND = -1
"""The band of slices and of history that lie in the lookback of every window."""


def history_end(end: datetime, windows: Mapping[str, timedelta]) -> datetime:
    """The midnight where the compacted history stops for the window end ``end``: not after any window's start."""
    return floor(end - max(windows.values()), DAY)


def window_band(age: timedelta, lengths: Sequence[timedelta]) -> int | None:
    """The band of a slice that begins ``age`` before T: the index of the shortest window that holds it."""
    return next((i for i, length in enumerate(lengths) if age <= length), None)


def lookback_band(age: timedelta, lengths: Sequence[timedelta]) -> int:
    """The band of a slice near the far end of the lookback, by the longest windows whose lookback holds it.

    Band ``-1 - i`` lies in the lookback of the windows ``i`` and longer, so ``-1`` in that of all.
    """
    return HISTORY_BAND - next(i for i, length in enumerate(lengths) if age <= length + LOOKBACK)


def frame_rows(ends: Iterable[datetime], windows: Mapping[str, timedelta]) -> list[tuple[int, datetime, datetime, int]]:
    """``(end, window_end_ts, slice_start_ts, band)`` for every slice that matters to each window end."""
    lengths = sorted(windows.values())
    rows: list[tuple[int, datetime, datetime, int]] = []
    for place, end in enumerate(ends):
        rows += [(end_number(place, windows), end, start, band) for start, band in _slices_around(end, lengths)]
    return rows


def _slices_around(end: datetime, lengths: Sequence[timedelta]) -> Iterator[tuple[datetime, int]]:
    compacted = floor(end - lengths[-1], DAY)
    far, oldest = compacted - HISTORY, end - lengths[-1] - LOOKBACK
    for k in range(1, (end - compacted) // SLICE + 1):
        band = window_band(SLICE * k, lengths)
        yield end - SLICE * k, HISTORY_BAND if band is None else band
    for k in range((end - far) // SLICE + 1, (end - oldest) // SLICE + 1):
        yield end - SLICE * k, lookback_band(SLICE * k, lengths)


def bands_within(windows: Mapping[str, timedelta]) -> list[list[int]]:
    """For each window, from the shortest: the bands that lie in it."""
    return [list(range(i + 1)) for i in range(len(windows))]


def bands_before(windows: Mapping[str, timedelta]) -> list[list[int]]:
    """For each window, from the shortest: the bands that lie in its lookback."""
    count = len(windows)
    return [[*range(i + 1, count), *(HISTORY_BAND - j for j in range(i + 1))] for i in range(count)]


def band_rows(windows: Mapping[str, timedelta]) -> list[tuple[int, int, bool]]:
    """``(band, window, in_window)`` with the windows numbered from the shortest."""
    return [(band, w, True) for w, bands in enumerate(bands_within(windows)) for band in bands]


def window_rows(windows: Mapping[str, timedelta]) -> list[tuple[int, str, int]]:
    """``(window, window_label, window_seconds)``, numbered from the shortest."""
    ordered = sorted(windows.items(), key=lambda item: item[1])
    return [(w, label, int(length.total_seconds())) for w, (label, length) in enumerate(ordered)]


def end_number(place: int, windows: Mapping[str, timedelta]) -> int:
    """The number of the ``place``-th window end; adding a window's number gives a frame's."""
    return place * len(windows)


def read_back(windows: Mapping[str, timedelta]) -> timedelta:
    """How far before a window end slices are read for the windows and the near end of the lookback."""
    return ceil(datetime(1970, 1, 1) + max(windows.values()), DAY) - datetime(1970, 1, 1) + DAY
