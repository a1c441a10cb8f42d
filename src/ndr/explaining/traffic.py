"""Traffic: the pairs and the very sessions behind a window, what matters most first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from ndr.engine import Files, Rows
from ndr.explaining.case import Case, Row, asked, metric_column
from ndr.features.slices import BLOCKED, weight
from ndr.features.suspicion import THEMES
from ndr.metric import INBOUND
from ndr.metrics import BY_NAME
from ndr.model.kinds import KINDS
from ndr.run import Workshop
from ndr.summary import stored
from ndr.table import PartKey
from ndr.tables.fg_b_pair_host import fg_b_pair_host
from ndr.tables.fg_b_pair_segment import fg_b_pair_segment
from ndr.tables.sessions import sessions
from ndr.time import SLICE, Interval

PAIRS = 10
"""So many pairs are told."""
_NO_PORT, _LAST = -1, 1 << 30


@dataclass(frozen=True)
class Traffic:
    """The first pairs and sessions of a window, and how many there are."""

    pairs: Sequence[Row]
    pair_count: int
    sessions: Sequence[Row]
    record_count: int


@dataclass(frozen=True)
class _Interest:
    """What the pairs of a case are looked at for."""

    theme: str
    role: str
    peer: str = ""


def of_window(rows: ir.Table, host: str, window: Interval, clock: str) -> ir.Table:
    """The records of a host that the features of a window count.

    Their clock lies in the window, and their batch had arrived by its end: the one that was named, if any was, and not
    before the quarter hour in which they ended was over.
    """
    arrived = rows.batch_end_ts.isnull() | (rows.batch_end_ts < window.end + SLICE)
    own = (rows.source_ip == host) | (rows.destination_ip == host)
    within = (rows[clock] >= window.start) & (rows[clock] < window.end) & (rows.event_end < window.end)
    return rows.filter(own & within & arrived)


def traffic_of(case: Case, shop: Workshop, limit: int) -> Traffic:
    """The pairs and the first sessions of a case, those first that its leading kind is about."""
    files = stored(sessions, shop, case.window)
    rows = of_window(sessions.unbound("rows"), case.host, case.window, shop.config.project_parameters.clock)
    told = _told(rows, case.host)
    interest = _interest(case)
    by_pair = told.group_by("role", "peer", "port").agg(
        sessions=told.weight.sum(),
        failed=ibis.ifelse(told.is_failed, told.weight, 0).sum(),
        threats=told.threats.sum(),
        bytes_sent=told.bytes_sent.sum(),
        bytes_received=told.bytes_received.sum(),
        records=told.count(),
    )
    known, inputs = _known(case, shop, by_pair)
    every = {"rows": files, **inputs}
    counted = by_pair.agg(pairs=by_pair.count(), records=by_pair.records.sum())
    totals = asked(shop, counted, {"rows": files})[0]
    first = known.order_by(*_order(known, interest, shop), "peer", "port").limit(max(PAIRS, limit))
    pairs = asked(shop, first.drop("records"), every)
    listed = _sessions(told, pairs, interest, limit, shop, files)
    shown = [pair | {"port": None if pair["port"] == _NO_PORT else pair["port"]} for pair in pairs[:PAIRS]]
    return Traffic(shown, int(totals["pairs"]), listed, int(totals["records"] or 0))


def _told(rows: ir.Table, host: str) -> ir.Table:
    """The records of a host with their ends as it sees them. One with itself is told as outbound."""
    outbound, is_threat = rows.source_ip == host, rows.event_name == "THREAT"
    blocked = ibis.or_(*(rows.event_action.startswith(word) for word in BLOCKED))
    nothing = ibis.null("int64")
    return rows.mutate(
        role=ibis.ifelse(outbound, "outbound", "inbound"),
        peer=ibis.ifelse(outbound, rows.destination_ip, rows.source_ip),
        port=rows.destination_port.fill_null(_NO_PORT),
        weight=ibis.ifelse(is_threat, 0, weight(rows)),
        threats=ibis.ifelse(is_threat, weight(rows), 0),
        is_failed=~is_threat & (blocked | ~rows.established.fill_null(True)),  # noqa: FBT003 - the value itself
        bytes_sent=ibis.ifelse(is_threat, nothing, ibis.ifelse(outbound, rows.source_bytes, rows.destination_bytes)),
        bytes_received=ibis.ifelse(
            is_threat, nothing, ibis.ifelse(outbound, rows.destination_bytes, rows.source_bytes)
        ),
    )


def _known(case: Case, shop: Workshop, pairs: ir.Table) -> tuple[ir.Table, dict[str, Files | Rows]]:
    """The pairs with how rare the host's own calls are, by the tables of pairs that FG-C looks into."""
    if case.publication is None:
        return pairs.mutate(rarity=ibis.null("float64"), standing=ibis.null("string")), {}
    table, own = (fg_b_pair_segment, "segment_id") if case.cold else (fg_b_pair_host, "src_ip")
    reference = case.publication.reference
    files = stored(table, shop, None, {PartKey(reference, reference, case.horizon)})
    baseline = table.unbound("baseline")
    mine = baseline.filter(baseline[own] == (case.about["segment_id"] if case.cold else case.host))
    known = mine.select(
        at_peer="dst_ip", at_port=mine.dst_port.fill_null(_NO_PORT), score="pair_rarity_score", flag="is_rare_pair_flag"
    )
    calls = pairs.role == "outbound"
    joined = pairs.left_join(known, [pairs.peer == known.at_peer, pairs.port == known.at_port])
    standing = ibis.cases((joined.score.isnull(), "new"), (joined.flag == 1, "rare"), else_="known")
    found = joined.select(
        *pairs.columns,
        rarity=ibis.ifelse(calls, joined.score.fill_null(1.0), ibis.null("float64")),
        standing=ibis.ifelse(calls, standing, ibis.null("string")),
    )
    return found, {"baseline": files}


def _interest(case: Case) -> _Interest:
    kind = KINDS.get(case.leading_kind)
    if kind and kind.column in THEMES:
        return _Interest(THEMES[kind.column][0], "outbound")
    if kind and kind.name == "beacon" and (peer := case.about.get("beacon_dst_ip")):
        return _Interest("beacon", "outbound", peer)
    reasons = case.prediction["explanation"] if case.prediction and kind and kind.name == "forest" else None
    named = [metric_column(each["feature"]) for each in reasons or ()]
    named += [each["metric"] for each in case.about.get("top_deviations") or ()]
    column = next(filter(None, named), "")
    metric = BY_NAME.get(column.removeprefix(INBOUND))
    theme = next((t for t in metric.themes if t != "core"), "volume") if metric else "volume"
    return _Interest(theme, "inbound" if column.startswith(INBOUND) else "outbound")


def _order(pairs: ir.Table, interest: _Interest, shop: Workshop) -> list[ir.Value]:
    """What comes first: the role that is meant, then what the theme is about, then many sessions."""
    ports = sorted({port for ports in shop.config.project_parameters.ports().values() for port in ports})
    sent, rarity = pairs.bytes_sent.fill_null(-1), pairs.rarity.fill_null(0.0)
    by_theme = {
        "exfiltration": [sent],
        "lateral": [pairs.port.isin(ports).cast("int32"), rarity, pairs.failed],
        "scan": [pairs.failed, rarity],
        "novelty": [rarity],
    }
    keys = [
        (pairs.role == interest.role).cast("int32"),
        (pairs.peer == interest.peer).cast("int32"),
        *by_theme.get(interest.theme, []),
        pairs.sessions,
        pairs.threats,
    ]
    return [ibis.desc(key) for key in keys]


def _sessions(
    told: ir.Table, pairs: Sequence[Row], interest: _Interest, limit: int, shop: Workshop, files: Files
) -> list[dict[str, Any]]:
    """The first sessions of the first pairs."""
    ranking = ibis.table({"of": "string", "with": "string", "on": "int32", "place": "int64"}, name="ranking")
    places = [(pair["role"], pair["peer"], pair["port"], place) for place, pair in enumerate(pairs)]
    joined = told.left_join(
        ranking, [told.role == ranking.of, told.peer == ranking["with"], told.port == ranking["on"]]
    )
    size = joined.bytes_sent.fill_null(-1) if interest.theme == "exfiltration" else joined.is_failed.cast("int32")
    loud = interest.theme in {"exfiltration", "lateral", "scan"}
    order = [joined.place.fill_null(_LAST), *([ibis.desc(size)] if loud else []), joined.event_start, joined.event_end]
    first = joined.order_by(*order, "peer", "port", "source_port").limit(limit)
    shown = first.select(
        start="event_start", end="event_end", role="role", peer="peer", port=first.port.nullif(_NO_PORT),
        transport="network_transport", application="application", action="event_action", reason="event_reason",
        sent="bytes_sent", received="bytes_received", record="event_name", repeats="repeat_cnt",
    )  # fmt: skip
    columns = dict(zip(ranking.columns, ("string", "string", "int32", "int64"), strict=True))
    return asked(shop, shown, {"rows": files, "ranking": Rows(columns, places)})
