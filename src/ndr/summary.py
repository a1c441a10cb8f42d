"""Questions to a lake: how many hosts, which windows, which networks, the rows of one host or of whole files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from ndr.engine import Files
from ndr.run import Workshop, files_of
from ndr.table import PartKey, Table
from ndr.tables.fg_a import WINDOWS, fg_a
from ndr.tables.predictions import predictions
from ndr.tables.sessions import sessions
from ndr.time import Interval

_LONGEST = max(WINDOWS, key=lambda label: WINDOWS[label])


def stored(table: Table, shop: Workshop, within: Interval | None = None, keys: set[PartKey] | None = None) -> Files:
    """The files of a table's parts; of predictions, those of the model in force."""
    if table is sessions:
        units = [unit for unit in shop.ledger.units(within) if unit.path]
        return Files(
            sessions.columns, shop.lake.ready([u.path for u in units]), [{"batch_end_ts": u.batch_end} for u in units]
        )
    parts = shop.ledger.parts(table.name, table.version(shop.config.feature_spec_version), within)
    if table.by_model:
        parts = [part for part in parts if shop.model and part.key.horizon == shop.model.version]
    return files_of(table, [part for part in parts if part.path and (keys is None or part.key in keys)], shop)


def rows_of(table: Table, files: Files, shop: Workshop) -> Iterator[pa.RecordBatch]:
    """All rows of a table's files, in no order."""
    if files.paths:
        yield from shop.engine.batches(shop.engine.compile(table.unbound("rows")), {"rows": files})


def unscored(shop: Workshop) -> str:
    """Why no predictions are in force although there are deviations, and what to do."""
    if shop.model:
        return "the model in force has scored nothing yet; ndr score lets it"
    if any(part.rows for part in shop.ledger.parts(predictions.name, shop.config.feature_spec_version)):
        return (
            "no model is in force: the one that scored this lake is gone or no longer fits its features; "
            "ndr run trains another and scores again"
        )
    return "no model is in force; ndr train makes one, and ndr score lets it score"


def known_window_ends(shop: Workshop, within: Interval | None = None) -> list[datetime]:
    """The window ends for which FG-A has rows, in order."""
    parts = shop.ledger.parts(fg_a.name, shop.config.feature_spec_version, within)
    return [part.key.known_at for part in parts if part.rows]


def host_count(shop: Workshop, ends: Sequence[datetime]) -> int:
    """Distinct hosts of all windows: those of the longest windows that end a day apart cover every slice."""
    chosen: set[PartKey] = set()
    covered: datetime | None = None
    for end in reversed(ends):
        if covered is None or end <= covered:
            chosen.add(PartKey(end - fg_a.every, end))
            covered = end - WINDOWS[_LONGEST]
    if not chosen:
        return 0
    rows = fg_a.unbound("rows")
    counted = rows.filter(rows.window_label == _LONGEST).agg(hosts=rows.host_ip.nunique())
    return int(_fetch(counted, rows=stored(fg_a, shop, None, chosen), shop=shop)[0]["hosts"])


def busiest_networks(shop: Workshop, limit: int = 5) -> list[tuple[str, int]]:
    """The /16 (IPv4) or /32 (IPv6) networks of most source addresses, with their records."""
    rows = sessions.unbound("rows")
    four = rows.source_ip.re_extract(r"^(\d+\.\d+)\.", 1) + ".0.0/16"
    six = rows.source_ip.re_extract(r"^([0-9a-f]+(?::[0-9a-f]+)?)", 1) + "::/32"
    network = ibis.ifelse(rows.source_ip.contains(":"), six, four)
    counted = rows.group_by(network=network).agg(records=rows.count())
    top = counted.order_by(ibis.desc("records"), "network").limit(limit)
    return [(row["network"], row["records"]) for row in _fetch(top, rows=stored(sessions, shop), shop=shop)]


def host_rows(
    table: Table, shop: Workshop, host: str | None, within: Interval | None, limit: int
) -> list[dict[str, Any]]:
    """Rows of a table, those of one host when one is named, in the order of the keys, at most ``limit``."""
    rows = table.unbound("rows")
    if host is not None:
        ends = [
            c
            for c in ("host_ip", "src_ip", "dst_ip", "source_ip", "destination_ip", "ip_address")
            if c in table.columns
        ]
        rows = rows.filter(ibis.or_(*(rows[column] == host for column in ends)))
    if within is not None and table.columns[table.at] != "string":  # a month; the parts are chosen by it
        moment = rows[table.at]
        late = (moment > within.start) & (moment <= within.end)
        rows = rows.filter(late if table.at_end else (moment >= within.start) & (moment < within.end))
    ordered = rows.order_by(*(table.keys or (table.at, "source_ip"))).limit(limit)
    return _fetch(ordered, rows=stored(table, shop, within), shop=shop)


def _fetch(expression: ir.Table, *, rows: Files, shop: Workshop) -> list[dict[str, Any]]:
    return shop.engine.fetch(shop.engine.compile(expression), {"rows": rows})
