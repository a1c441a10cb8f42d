"""Gathering: from a lake to the findings of a report, reading no more than is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis.expr.types as ir

from ndr.alerts import Alert, alerts
from ndr.engine import Files, Rows
from ndr.publications import publications
from ndr.report import asking, bands
from ndr.report.findings import Baselines, Findings, Host, Model, Quality
from ndr.report.portraits import Material, portrait
from ndr.run import Workshop, files_of
from ndr.standing import standing
from ndr.summary import stored, unscored
from ndr.table import Table, in_force
from ndr.tables.fg_a import WINDOWS, fg_a
from ndr.tables.fg_b import COLUMNS
from ndr.tables.fg_b_global import fg_b_global
from ndr.tables.fg_b_host import fg_b_host
from ndr.tables.fg_b_pair_host import fg_b_pair_host
from ndr.tables.fg_b_pair_segment import fg_b_pair_segment
from ndr.tables.fg_b_segment import fg_b_segment
from ndr.tables.fg_c import fg_c
from ndr.tables.pair_counts import pair_counts
from ndr.tables.predictions import predictions
from ndr.time import SLICE, Interval, days

DAYS = 7
"""How far a report looks back from the last prediction."""
NEAREST = 3
"""Hosts that are shown of a quiet period."""
LINES = 3
"""Charts of metrics for each host."""
PEERS = 10


@dataclass(frozen=True)
class Pick:
    """A host to be shown, by its most remarkable window, and its alerts if it has any."""

    host: str
    window: str
    peak: datetime
    alerts: tuple[Alert, ...] = ()


def gather(shop: Workshop, lake: str, within: Interval | None, limit: int, model: Model | None) -> Findings:
    """Everything a report tells of a period: of the last seven days with predictions if none is given.

    The hosts are those of the alerts, as ``ndr alerts`` lists them; in a quiet period those that came closest.
    """
    told, ends = str(standing(shop)), scored_ends(shop, within)
    if not ends:
        elsewhere = within if scored_ends(shop, None) else None
        lacking = _lacking(shop, told)
        return Findings(lake, elsewhere, told, lacking=lacking, quality=_quality(shop, within), model=model)
    period = within or Interval(max(ends[0] - SLICE, ends[-1] - days(DAYS)), ends[-1])
    steps = tuple(piece.end for piece in period.split(SLICE) if piece.end <= ends[-1])
    known = publications(shop.config, shop.ledger)
    picks, covered = _picks(shop, period, limit)
    counts = _ask(shop, asking.hosts_of(predictions.unbound("rows")), stored(predictions, shop, period))[0]
    return Findings(
        lake, period, told,
        sessions=sum(sum(unit.slices.values()) for unit in shop.ledger.units(period)),
        hosts_seen=counts["hosts"], hosts_anomalous=counts["anomalous"], cold_hosts=counts["cold"],
        hosts_alerted=sum(1 for pick in picks if pick.alerts),
        windows=sum(1 for end in ends if period.start < end <= period.end),
        quality=_quality(shop, period), baselines=bands.serving(known, steps), model=model,
        hosts=_hosts(shop, period, picks[:limit], steps), covered=covered, ends=steps,
    )  # fmt: skip


def _lacking(shop: Workshop, told: str) -> str:
    """Why nothing is scored, and what to do."""
    if not any(part.rows for part in shop.ledger.parts(fg_c.name, shop.config.feature_spec_version)):
        return told
    return unscored(shop)


def scored_ends(shop: Workshop, within: Interval | None) -> list[datetime]:
    """The window ends for which the model in force has predictions."""
    parts = shop.ledger.parts(predictions.name, shop.config.feature_spec_version, within)
    return sorted({p.key.known_at for p in parts if p.rows and shop.model and p.key.horizon == shop.model.version})


def _ask(shop: Workshop, question: ir.Table, rows: Files, **more: Files | Rows) -> list[dict[str, Any]]:
    return shop.engine.fetch(shop.engine.compile(question), {"rows": rows, **more})


def _picks(shop: Workshop, period: Interval, limit: int) -> tuple[list[Pick], int]:
    """The hosts to show, the one of most evidence first, and how many alerts the safelist covers."""
    found = alerts(shop, period, covered=True)
    by_host: dict[str, list[Alert]] = {}
    for each in found:
        if not each.suppressed_by:
            by_host.setdefault(each.host_ip, []).append(each)
    covered = sum(1 for each in found if each.suppressed_by)
    if by_host:
        picks = [Pick(host, own[0].window_label, own[0].window_end_ts, tuple(own)) for host, own in by_host.items()]
        return picks, covered
    if covered:
        return [], covered
    rows = _ask(
        shop, asking.nearest(predictions.unbound("rows"), min(NEAREST, limit)), stored(predictions, shop, period)
    )
    return [Pick(row["host_ip"], row["window_label"], row["window_end_ts"]) for row in rows], 0


def _hosts(shop: Workshop, period: Interval, picks: Sequence[Pick], steps: Sequence[datetime]) -> tuple[Host, ...]:
    if not picks:
        return ()
    peaks = Rows(asking.PEAKS, [(pick.host, pick.window, pick.peak) for pick in picks])
    rows, files = predictions.unbound("rows"), stored(predictions, shop, period)
    at_peak = {row["host_ip"]: row for row in _ask(shop, asking.peaks_of(rows), _at(shop, picks), peaks=peaks)}
    courses = _ask(shop, asking.courses(rows, at_peak), files)
    metrics = {host: _metrics(row) for host, row in at_peak.items()}
    columns = sorted({column for own in metrics.values() for column in own})
    known = publications(shop.config, shop.ledger)
    material = Material(
        steps=steps,
        courses={(row["host_ip"], row["window_end_ts"]): row for row in courses},
        behaviour=_behaviour(shop, period, at_peak, columns),
        usual=_usual(shop, bands.serving(known, steps), at_peak, columns),
        places=bands.places(known, steps, shop.config.project_parameters.calendar),
        metrics=metrics,
        meetings=_meetings(shop, picks, at_peak),
        model=shop.model,
    )
    return tuple(portrait(rank, at_peak[pick.host], pick.alerts, material) for rank, pick in enumerate(picks, 1))


def _at(shop: Workshop, picks: Sequence[Pick]) -> Files:
    ends = {pick.peak for pick in picks}
    parts = shop.ledger.parts(predictions.name, shop.config.feature_spec_version)
    return stored(predictions, shop, None, {part.key for part in parts if part.key.known_at in ends})


def _metrics(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics that are drawn for a host: those that are farthest from usual in its window."""
    told = [each["metric"] for each in row["top_deviations"] or () if each["metric"] in COLUMNS]
    return tuple(told[:LINES])


def _behaviour(
    shop: Workshop, period: Interval, hosts: Collection[str], columns: Sequence[str]
) -> dict[tuple[str, datetime], dict[str, Any]]:
    question = asking.behaviour(fg_a.unbound("rows"), hosts, columns)
    rows = _ask(shop, question, stored(fg_a, shop, period)) if columns else []
    return {(row["host_ip"], row["window_end_ts"]): row for row in rows}


def _usual(
    shop: Workshop, served: Sequence[Baselines], at_peak: Mapping[str, Mapping[str, Any]], columns: Sequence[str]
) -> bands.Usual:
    """The baselines of the hosts that are shown, of their segments and of everybody, where they are needed."""
    keys = bands.parts_of(served)
    tiers: tuple[tuple[str, Table, str | None, set[str]], ...] = (
        ("host", fg_b_host, "host_ip", _of(at_peak, "host", "host_ip")),
        ("segment", fg_b_segment, "segment_id", _of(at_peak, "segment", "segment_id")),
        ("global", fg_b_global, None, _of(at_peak, "global", "host_ip")),
    )
    found: dict[tuple[str, str, bands.Place], Mapping[str, Any]] = {}
    for tier, table, key, whose in tiers:
        files = stored(table, shop, None, keys)
        if columns and whose and files.paths:
            for row in _ask(shop, asking.normal(table, key, whose, columns), files):
                place = (row["reference_time"], row["baseline_horizon"], row["time_band"])
                found[tier, row["whose"], place] = row
    return found


def _of(at_peak: Mapping[str, Mapping[str, Any]], tier: str, key: str) -> set[str]:
    return {str(row[key]) for row in at_peak.values() if row["baseline_source"] == tier}


def _meetings(
    shop: Workshop, picks: Sequence[Pick], at_peak: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """The rarest pairs of each host in its most remarkable window."""
    known, asked, keys = publications(shop.config, shop.ledger), [], set()
    for pick in picks:
        row, start = at_peak[pick.host], pick.peak - WINDOWS.get(pick.window, timedelta(0))
        own = in_force(known, pick.peak)
        reference = own.reference if own else None
        warm = row["is_cold_start"] == 0
        by_bytes = row["leading_kind"] == "exfiltration"
        asked.append(
            (pick.host, row["segment_id"], start, pick.peak, reference, row["baseline_horizon"], warm, by_bytes)
        )
        keys |= bands.parts_of(bands.serving(known, [pick.peak]))
    hull = Interval(min(each[2] for each in asked), max(each[3] for each in asked))
    parts = shop.ledger.parts(pair_counts.name, shop.config.feature_spec_version, hull)
    read = [part for part in parts if part.path and any(each[2] <= part.key.start < each[3] for each in asked)]
    question = asking.meetings(
        pair_counts.unbound("rows"), fg_b_pair_host.unbound("own"), fg_b_pair_segment.unbound("of_segment"), PEERS
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in _ask(
        shop, question, files_of(pair_counts, read, shop), meetings=Rows(asking.MEETINGS, asked),
        own=stored(fg_b_pair_host, shop, None, keys), of_segment=stored(fg_b_pair_segment, shop, None, keys),
    ):  # fmt: skip
        found.setdefault(row["host_ip"], []).append(row)
    return found


def _quality(shop: Workshop, within: Interval | None) -> Quality | None:
    """What became of the records of the imports that reach into the period."""
    units = {unit.id: unit.report for unit in shop.ledger.units(within)}
    if not units:
        return None
    totals: dict[str, Counter[str]] = {name: Counter() for name in ("quarantined", "filtered", "mended")}
    for report in units.values():
        for name, counts in totals.items():
            counts.update(report.get(name, {}))
    read, sessions = (sum(report.get(name, 0) for report in units.values()) for name in ("read", "sessions"))
    return Quality(len(units), read, sessions, **totals)
