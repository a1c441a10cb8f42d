"""Cases: a window of a host, and what is stored about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.types as ir

from ndr.engine import Files, Rows
from ndr.errors import DataError
from ndr.model.kinds import KINDS
from ndr.publications import publications
from ndr.run import Workshop
from ndr.standing import RHYTHM
from ndr.summary import stored
from ndr.table import Publication, Table, in_force
from ndr.tables.fg_a import WINDOWS, fg_a
from ndr.tables.fg_b import COLUMNS
from ndr.tables.fg_c import SCORES, fg_c
from ndr.tables.predictions import predictions
from ndr.time import SLICE, Interval, ceil, iso

Row = dict[str, Any]
BEACON = KINDS["beacon"].column


@dataclass(frozen=True)
class Case:
    """A window of a host; what could not be made of it is None."""

    host: str
    label: str
    window: Interval
    behaviour: Row
    deviations: Row | None
    prediction: Row | None
    publication: Publication | None

    @property
    def about(self) -> Row:
        """The row that knows most."""
        return self.prediction or self.deviations or self.behaviour

    @property
    def horizon(self) -> str:
        """The horizon of the baselines that it was held against; empty without any."""
        return str(self.about.get("baseline_horizon") or "")

    @property
    def cold(self) -> bool:
        """Whether the host has no past of its own to be held against."""
        return self.deviations is not None and self.deviations["is_cold_start"] != 0

    @property
    def leading_kind(self) -> str:
        """The kind that spoke loudest; that of a prediction, else the greatest score."""
        if self.prediction:
            return str(self.prediction["leading_kind"])
        if self.deviations is None:
            return ""
        kinds = [kind for kind in KINDS.values() if kind.column]
        return max(kinds, key=lambda kind: _strength(kind.column, self.deviations or {})).name

    def usual(self, column: str) -> float | None:
        """The median that a column of FG-A was held against."""
        off = (self.deviations or {}).get(f"{column}_diff")
        value = self.behaviour.get(column)
        return None if off is None or value is None else float(value) - float(off)


def _strength(column: str, row: Row) -> float:
    return float(row[column] or 0.0) * (RHYTHM if column == BEACON else 1.0)


def asked(shop: Workshop, expression: ir.Table, inputs: Mapping[str, Files | Rows]) -> list[Row]:
    """The rows of a small result; sums of whole numbers, which engines make wider, as whole numbers."""
    rows = shop.engine.fetch(shop.engine.compile(expression), inputs)
    return [{k: int(v) if isinstance(v, Decimal) else v for k, v in row.items()} for row in rows]


def find_case(shop: Workshop, host: str, at: datetime | None, label: str | None) -> Case:
    """The window of a host that is most remarkable, of those that end at a moment, or at the first quarter hour after.

    Without a moment, of all windows. Remarkable is the greatest evidence; where nothing was scored, the greatest
    suspicion; where nothing was compared, the last and longest window.

    Raises:
        DataError: the host has no such window.
    """
    end = ceil(at, SLICE) if at else None
    for table in (predictions, fg_c, fg_a):
        if place := _most_remarkable(table, shop, host, end, label):
            return _case(shop, host, *place)
    raise _nowhere(shop, host, end, label)


def _most_remarkable(
    table: Table, shop: Workshop, host: str, end: datetime | None, label: str | None
) -> tuple[str, datetime] | None:
    files = stored(table, shop, Interval(end - SLICE, end) if end else None)
    if not files.paths:
        return None
    rows = table.unbound("rows")
    chosen = rows.filter(rows.host_ip == host)
    if label:
        chosen = chosen.filter(chosen.window_label == label)
    ordered = chosen.order_by(*_rank(table, chosen))
    first = ordered.limit(1).select("window_label", "window_end_ts")
    found = asked(shop, first, {"rows": files})
    return (found[0]["window_label"], found[0]["window_end_ts"]) if found else None


def _rank(table: Table, rows: ir.Table) -> list[ir.Value]:
    if table is predictions:
        return [ibis.desc(rows.evidence.fill_null(0.0)), rows.window_end_ts, rows.window_label]
    if table is fg_c:
        parts = [rows[name].fill_null(0.0) * (RHYTHM if name == BEACON else 1.0) for name in SCORES]
        return [ibis.desc(ibis.greatest(*parts)), rows.window_end_ts, rows.window_label]
    return [ibis.desc(rows.window_end_ts), rows.window_start_ts]


def _case(shop: Workshop, host: str, label: str, end: datetime) -> Case:
    scored = rows_at(predictions, shop, host, label, end)
    compared = rows_at(fg_c, shop, host, label, end)
    horizon = scored[0]["baseline_horizon"] if scored else None
    compared.sort(key=lambda row: (row["baseline_horizon"] == horizon, int(row["baseline_horizon"][:-1])))
    behaviour = rows_at(fg_a, shop, host, label, end)
    if not behaviour:
        raise DataError(
            f"the row of fg_a of {host}, {label} until {iso(end)}, is gone, and others were made of it; "
            "ndr build fg_a makes it again."
        )
    window = Interval(end - WINDOWS[label], end)
    publication = in_force(publications(shop.config, shop.ledger), end)
    return Case(
        host, label, window, behaviour[0], compared[-1] if compared else None, scored[0] if scored else None,
        publication if compared else None,
    )  # fmt: skip


def rows_at(table: Table, shop: Workshop, host: str, label: str, end: datetime) -> list[Row]:
    """What a table has of a host's window, in the order of its keys."""
    files = stored(table, shop, Interval(end - SLICE, end))
    rows = table.unbound("rows")
    own = rows.filter((rows.host_ip == host) & (rows.window_label == label) & (rows.window_end_ts == end))
    ordered = own.order_by(*table.keys)
    return asked(shop, ordered, {"rows": files}) if files.paths else []


def _nowhere(shop: Workshop, host: str, end: datetime | None, label: str | None) -> DataError:
    rows = fg_a.unbound("rows")
    known = rows.filter(rows.host_ip == host).agg(first=rows.window_end_ts.min(), last=rows.window_end_ts.max())
    found = asked(shop, known, {"rows": stored(fg_a, shop)})[0]
    if found["first"] is None:
        return DataError(
            f"no window of the lake is about {host}: hosts are the addresses of project_parameters.internal_networks "
            "that sessions touch (ndr show fg_a lists some)."
        )
    which = f" {label}" if label else ""
    return DataError(
        f"{host} has no session in a window{which} that ends{f' at {iso(end)}' if end else ''}; its windows end from "
        f"{iso(found['first'])} to {iso(found['last'])}."
    )


def metric_column(feature: str) -> str:
    """The column of FG-A that a feature says something about; empty when it is none."""
    if feature in fg_a.columns:
        return feature
    named = [column for column in COLUMNS if feature.startswith(f"{column}_")]
    return max(named, key=len, default="")
