"""Recounting: metrics of a window as one would count them by hand, from the host's records and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir

from ndr.explaining.case import Case, Row, asked
from ndr.explaining.traffic import of_window
from ndr.metric import INBOUND
from ndr.run import Workshop
from ndr.summary import stored
from ndr.tables.sessions import sessions

_SECOND = 1_000_000


def counted_plainly(case: Case, shop: Workshop) -> tuple[Row, int]:
    """The metrics of FG-A that one plain query over the host's records of the window tells, and those records."""
    clock = shop.config.project_parameters.clock
    own = of_window(sessions.unbound("rows"), case.host, case.window, clock)
    files, total = stored(sessions, shop, case.window), own.agg(records=own.count())
    found: Row = {}
    records = int(asked(shop, total, {"rows": files})[0]["records"])
    for prefix, mine, peer in (("", "source_ip", "destination_ip"), (INBOUND, "destination_ip", "source_ip")):
        seen = own.filter(own[mine] == case.host)
        row = asked(shop, seen.agg(**{name: of(seen) for name, of in _plainly(peer).items()}), {"rows": files})[0]
        for name in ("bytes_src_sum", "bytes_dst_sum"):
            row[name] = row[name] if row["sessions_cnt"] else 0
        row = {name: 0 if value is None and "bytes" not in name else value for name, value in row.items()}
        for name, part in (("deny_ratio", "deny_cnt"), ("failed_ratio", "failed_cnt")):
            row[name] = row[part] / row["sessions_cnt"] if row["sessions_cnt"] else None
        row["duration_mean"] = row["duration_sum"] / row["sessions_cnt"] if row["sessions_cnt"] else None
        found |= {prefix + name: value for name, value in row.items()}
    return found, records


def _plainly(peer: str) -> dict[str, Callable[[ir.Table], ir.Value]]:
    """Metrics as one would count them by hand, without the declarations that the recipes are made of."""

    def sessions_where(holds: Callable[[ir.Table], ir.Value]) -> Callable[[ir.Table], ir.Value]:
        return lambda r: _times(r).sum(where=(r.event_name != "THREAT") & holds(r))

    def starts(column: str, words: str) -> Callable[[ir.Table], ir.Value]:
        return lambda r: r[column].fill_null("").re_search(f"^({words})")

    def failed(r: ir.Table) -> ir.Value:
        return starts("event_action", "deny|drop|reset|block|reject")(r) | (r.established == ibis.literal(False))  # noqa: FBT003

    def told(column: str) -> Callable[[ir.Table], ir.Value]:
        return lambda r: r[column].sum(where=r.event_name != "THREAT")

    def lasting(r: ir.Table) -> ir.IntegerValue:
        return r.event_end.delta(r.event_start, unit="microsecond")

    return {
        "sessions_cnt": sessions_where(lambda r: r.source_ip.notnull()),
        "allow_cnt": sessions_where(starts("event_action", "allow|accept|pass|permit")),
        "deny_cnt": sessions_where(starts("event_action", "deny|drop|reset|block|reject")),
        "failed_cnt": sessions_where(failed),
        "rst_cnt": sessions_where(starts("event_reason", "tcp-rst")),
        "aged_out_cnt": sessions_where(lambda r: r.event_reason == "aged-out"),
        "zero_reply_cnt": sessions_where(lambda r: r.destination_bytes == 0),
        "short_session_cnt": sessions_where(lambda r: lasting(r) <= _SECOND),
        "tcp_cnt": sessions_where(lambda r: r.network_transport == "tcp"),
        "udp_cnt": sessions_where(lambda r: r.network_transport == "udp"),
        "threat_cnt": lambda r: _times(r).sum(where=r.event_name == "THREAT"),
        "bytes_src_sum": told("source_bytes"),
        "bytes_dst_sum": told("destination_bytes"),
        "duration_sum": lambda r: lasting(r).sum(where=r.event_name != "THREAT").cast("float64") / 1e6,
        "peer_ip_nunique": lambda r: r[peer].nunique(where=r.event_name != "THREAT"),
        "peer_port_nunique": lambda r: r.destination_port.nunique(where=r.event_name != "THREAT"),
    }


def _times(rows: ir.Table) -> ir.IntegerValue:
    return ibis.ifelse(rows.repeat_cnt.fill_null(1) < 1, 1, rows.repeat_cnt.fill_null(1))
