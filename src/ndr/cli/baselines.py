"""``ndr baselines``: which baselines there are, what they are made of, and what moved between two of them."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from typing import Any

from ndr.cli import lakes
from ndr.cli.lakes import OpenLake
from ndr.cli.output import write_rows
from ndr.cli.running import build_everything
from ndr.cli.tables import positive
from ndr.errors import DataError, UsageError
from ndr.features.shifts import shifts
from ndr.publications import publications
from ndr.summary import stored
from ndr.table import PartKey, Publication
from ndr.tables.fg_b import COLUMNS
from ndr.tables.fg_b_host import fg_b_host
from ndr.time import iso, parse_instant


def add_commands(commands: Any) -> None:
    """``baselines list``, ``show``, ``diff`` and ``make``."""
    room = commands.add_parser("baselines", help="what is normal: which baselines there are, and what moved")
    inner = room.add_subparsers(dest="what", metavar="WHAT", required=True)
    listed = inner.add_parser("list", help="every publication of baselines, by reference time")
    show = inner.add_parser("show", help="the bounds of a publication, its tables, and what they were made of")
    diff = inner.add_parser("diff", help="the hosts and metrics whose medians moved most between two publications")
    make = inner.add_parser("make", help="ask for baselines of a midnight beside the schedule, and build them")
    show.add_argument("reference", metavar="TIME", help="UTC, the reference time as in ndr baselines list")
    diff.add_argument("before", metavar="A", help="UTC, reference time of the older baselines")
    diff.add_argument("after", metavar="B", help="UTC, reference time of the newer ones")
    diff.add_argument("--horizon", metavar="Nd", help="which horizon (default: the shortest that both have)")
    diff.add_argument("--limit", type=positive, default=20, metavar="N", help="at most so many rows (default 20)")
    make.add_argument("reference", metavar="TIME", help="UTC, a midnight")
    make.add_argument("--provisional", action="store_true", help="of what there is, where a horizon is not covered")
    lakes.add_engine_options(make)
    for command, what in ((listed, _list), (show, _show), (diff, _diff), (make, _make)):
        lakes.add_lake_options(command)
        lakes.add_format_option(command)
        command.set_defaults(run=what)


def _made(opened: OpenLake) -> dict[datetime, dict[str, Any]]:
    return opened.ledger.publication_records(opened.shop.config.feature_spec_version)


def _list(options: argparse.Namespace) -> int:
    with lakes.open_lake(options) as opened:
        records = _made(opened)
        known = {p.reference: p for p in publications(opened.shop.config, opened.ledger)}
    rows = [_row(reference, known.get(reference), records.get(reference)) for reference in sorted({*known, *records})]
    write_rows(rows, options.format)
    return 0


def _row(reference: datetime, wanted: Publication | None, record: dict[str, Any] | None) -> dict[str, Any]:
    told = record or {}
    hosts = max((part["rows"] for part in told.get("parts", ()) if part["table"] == "fg_b_ip_metadata"), default=None)
    provisional = told["provisional"] if record else bool(wanted and wanted.provisional)
    return {
        "reference": reference,
        "kind": "provisional" if provisional else "regular",
        "horizons": " ".join(told["bounds"] if record else wanted.horizons if wanted else ()),
        "state": ("made" if wanted else "kept") if record else "missing",
        "hosts_x_windows": hosts,
        "made": told.get("finished"),
    }


def _record(opened: OpenLake, text: str) -> dict[str, Any]:
    """The record of the publication of a reference time.

    Raises:
        DataError: there is none.
    """
    reference, records = parse_instant(text), _made(opened)
    if reference not in records:
        there = ", ".join(iso(each) for each in records) or "none"
        raise DataError(f"no baselines of {iso(reference)} were made. There are those of: {there}.")
    return records[reference]


def _show(options: argparse.Namespace) -> int:
    with lakes.open_lake(options) as opened:
        record = _record(opened, options.reference)
    parts = [
        {
            "table": part["table"], "horizon": part["horizon"], "from": record["bounds"][part["horizon"]][0],
            "to": record["bounds"][part["horizon"]][1], "rows": part["rows"], "made_of": part["id"][:16],
            "made_by": record["fingerprints"][part["table"]][:16], "sha256": part["sha256"][:16],
        }
        for part in record["parts"]
    ]  # fmt: skip
    if options.format == "json":
        print(json.dumps(record, indent=2))
        return 0
    if options.format == "table":
        kind = "provisional" if record["provisional"] else "regular"
        print(f"{kind} baselines of {record['reference']}, made {record['finished']} by ndr {record['code']}\n")
    write_rows(parts, options.format)
    return 0


def _diff(options: argparse.Namespace) -> int:
    with lakes.open_lake(options) as opened:
        before, after = (_record(opened, text) for text in (options.before, options.after))
        shared = [horizon for horizon in before["bounds"] if horizon in after["bounds"]]
        horizon = options.horizon or min(shared, key=lambda name: int(name[:-1]), default="")
        if horizon not in shared:
            raise UsageError(f"both must have the horizon; they share {', '.join(shared) or 'none'}.")
        tables = {"before": before, "after": after}
        files = {name: stored(fg_b_host, opened.shop, None, {_key(record, horizon)}) for name, record in tables.items()}
        moved = shifts(fg_b_host.unbound("before"), fg_b_host.unbound("after"), COLUMNS, options.limit)
        rows = opened.shop.engine.fetch(opened.shop.engine.compile(moved), files)
    write_rows(rows, options.format)
    return 0


def _key(record: dict[str, Any], horizon: str) -> PartKey:
    reference = parse_instant(record["reference"])
    return PartKey(reference, reference, horizon)


def _make(options: argparse.Namespace) -> int:
    reference = parse_instant(options.reference)
    if reference != reference.replace(hour=0, minute=0, second=0, microsecond=0):
        raise UsageError(f"{iso(reference)} is no midnight: baselines are made of whole days, UTC.")
    with lakes.open_lake(options, writes=True) as opened, opened.lake.writing(options.wait):
        config, ledger = opened.shop.config, opened.ledger
        known = {p.reference: p for p in publications(config, ledger, {reference: options.provisional})}
        if reference not in known:
            last = ledger.last_arrival()
            early = f"the lake ends at {iso(last)}" if last and reference > last else "no horizon holds enough days"
            more = "" if options.provisional else ", or make them of what there is with --provisional"
            raise DataError(f"baselines of {iso(reference)} cannot be made: {early}. Choose another midnight{more}.")
        ledger.ask_publication(config.feature_spec_version, reference, provisional=options.provisional)
        build_everything(opened)
        record = _made(opened).get(reference)
    write_rows([_row(reference, known[reference], record)], options.format)
    return 0
