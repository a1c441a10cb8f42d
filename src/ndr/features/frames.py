"""Frames: which slice lies in which window of which window end; small tables made in Python, never per row of data.

Around a window end ``T`` every slice falls in exactly one *band*, and a band lies wholly inside or outside each window
and its lookback. So the dear aggregation runs once per band, and the five windows are unions of a few small results.

Of the lookback, the whole days in the middle come from the compacted pair history, which ends at :func:`history_end`;
only its two ragged ends are read as slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


def frame_rows(ends: Iterable[datetime], windows: Mapping[str, timedelta]) -> list[tuple[datetime, datetime, int]]:
    """``(window_end_ts, slice_start_ts, band)`` for every slice that matters to each window end."""
    lengths = sorted(windows.values())
    rows = []
    for end in ends:
        compacted = history_end(end, windows)
        near = end - compacted
        ages = [SLICE * k for k in range(1, near // SLICE + 1)]
        rows += [
            (end, end - age, HISTORY_BAND if (band := window_band(age, lengths)) is None else band) for age in ages
        ]
        far, oldest = compacted - HISTORY, end - lengths[-1] - LOOKBACK
        ages = [SLICE * k for k in range((end - far) // SLICE + 1, (end - oldest) // SLICE + 1)]
        rows += [(end, end - age, lookback_band(age, lengths)) for age in ages]
    return rows


def band_rows(windows: Mapping[str, timedelta]) -> list[tuple[int, str, bool]]:
    """``(band, window_label, in_window)``: each window or lookback that a band lies in; a band in neither has no row."""
    ordered = sorted(windows.items(), key=lambda item: item[1])
    rows = []
    for i, (label, _) in enumerate(ordered):
        rows += [(band, label, band <= i) for band in range(len(ordered))]
        rows += [(HISTORY_BAND - j, label, False) for j in range(i + 1)]
    return rows


def read_back(windows: Mapping[str, timedelta]) -> timedelta:
    """How far before a window end slices are read for the windows and the near end of the lookback."""
    return ceil(datetime(1970, 1, 1) + max(windows.values()), DAY) - datetime(1970, 1, 1) + DAY
