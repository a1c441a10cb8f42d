"""Shifts: what moved between the baselines of two reference times."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from ndr.features.baselines import scale
from ndr.metric import Metric, statistic

_KEYS = ("host_ip", "segment_id", "time_band", "window_label")


def shifts(before: ir.Table, after: ir.Table, columns: Mapping[str, Metric], limit: int) -> ir.Table:
    """The hosts' metrics whose medians moved most, farthest first: one row per host, band, window and metric.

    ``shift`` = (median after - median before) / scale before; the scale is 1.4826 MAD, else IQR / 1.349, else the
    metric's smallest step. What only one of the two knows is not told.
    """
    names = [statistic(c, name) for c in columns for name in ("median", "mad", "iqr")]
    old = before.select(*_KEYS, **{f"old_{name}": before[name] for name in names})
    new = after.select(*_KEYS, **{f"new_{name}": after[name] for name in names})
    both = old.join(new, list(_KEYS))
    told = []
    for c, metric in columns.items():
        step = scale(both[f"old_{statistic(c, 'mad')}"], both[f"old_{statistic(c, 'iqr')}"]).fill_null(metric.floor)
        was, now = both[f"old_{statistic(c, 'median')}"], both[f"new_{statistic(c, 'median')}"]
        told.append(ibis.struct({"metric": ibis.literal(c), "before": was, "after": now, "shift": (now - was) / step}))
    each = both.select(*_KEYS, moved=ibis.array(told).unnest()).unpack("moved")
    moved = each.filter(each["shift"].notnull() & (each["shift"] != 0))
    distance = moved["shift"].abs()
    return moved.order_by(ibis.desc(distance), *_KEYS, "metric").limit(limit)
