"""``ndr machines``: the inventory of machines, imported month by month, and what is known as of a month."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ndr.cli import lakes
from ndr.cli.lakes import OpenLake
from ndr.cli.output import write_rows
from ndr.errors import UsageError, shown
from ndr.net import address_key
from ndr.sources.inventory import Imported, Inventory, import_inventory, known_machines, parse_month, understood
from ndr.sources.listing import Entry, Wanted, read_listing


def add_commands(commands: Any) -> None:
    """``machines import`` and ``machines list``."""
    room = commands.add_parser("machines", help="the inventory: which machine has which address")
    actions = room.add_subparsers(dest="action", required=True, metavar="ACTION")
    taking = actions.add_parser("import", help="add what an inventory says that is new or changed")
    taking.add_argument("inventory", metavar="FILE_OR_URI", help="CSV, Parquet, or the URI of an SQL database")
    taking.add_argument("--month", metavar="YYYY-MM", help="which month it describes (default: that of the last data)")
    taking.add_argument("--table", metavar="NAME", help="table or view of the database, with its schema if need be")
    taking.add_argument("--query", metavar="SQL", help="one SELECT for the database, instead of a table")
    taking.add_argument("--ip-column", metavar="NAME", help="column of addresses (default: ip_address, ip, …)")
    taking.add_argument("--name-column", metavar="NAME", help="column of names (default: machine_name, hostname, …)")
    taking.add_argument("--active-column", metavar="NAME", help="column that says yes or no (default: active)")
    listing = actions.add_parser("list", help="the machines as they are known as of a month")
    listing.add_argument("--month", metavar="YYYY-MM", help="as of which month (default: the last)")
    for command, what, formats in ((taking, _import, ("table", "json")), (listing, _list, ("table", "json", "csv"))):
        lakes.add_lake_options(command)
        lakes.add_format_option(command, formats)
        command.set_defaults(run=what)


def _import(options: argparse.Namespace) -> int:
    asked = parse_month(options.month) if options.month else None
    found = understood(*_entries(options))
    with lakes.open_lake(options, existing=asked is None) as opened, opened.lake.writing(options.wait):
        month = asked or _month_of_data(opened, options.lake)
        imported = import_inventory(opened.lake, opened.ledger, found, month)
    summary = _summary(found, imported)
    if options.format == "json":
        print(json.dumps(summary, indent=2))
    else:
        _tell(summary)
    return 0


def _month_of_data(opened: OpenLake, lake: str) -> datetime:
    starts = opened.ledger.slice_starts()
    if not starts:
        raise UsageError(f"the lake {shown(lake)!r} holds no sessions yet: say with --month which month is described.")
    return parse_month(f"{starts[-1]:%Y-%m}")


def _entries(options: argparse.Namespace) -> tuple[str, Iterator[Entry]]:
    wanted = Wanted(options.ip_column, options.name_column, options.active_column)
    place = options.inventory
    if "://" in place and not place.startswith("file://"):
        from ndr.sources.database import place_of, read_database  # noqa: PLC0415 - what it needs is an extra

        return place_of(place), read_database(place, wanted, table=options.table, query=options.query)
    if options.table or options.query:
        raise UsageError("--table and --query are for databases; a file is one table.")
    path = Path(place.removeprefix("file://"))
    return shown(str(path).encode(errors="backslashreplace").decode(), 200), read_listing(path, wanted)


def _summary(found: Inventory, imported: Imported) -> dict[str, Any]:
    return {
        "inventory": found.origin,
        "month": imported.month,
        "read": found.read,
        "machines": len(found.machines),
        "repeated": found.repeated,
        "quarantined": len(found.faults),
        "quarantined_by_reason": dict(sorted(Counter(reason for _, reason in found.faults).items())),
        "mended_by_kind": dict(found.mended),
        "new": imported.new,
        "changed": imported.changed,
        "known": imported.known,
        "quarantine": imported.quarantine,
    }


def _tell(summary: dict[str, Any]) -> None:
    print("{read} rows read = {machines} machines + {repeated} repeated + {quarantined} quarantined".format(**summary))
    for title in ("quarantined_by_reason", "mended_by_kind"):
        for name, count in summary[title].items():
            print(f"  {title.split('_')[0]} {name}: {count}")
    if summary["quarantine"]:
        print(f"  they lie in {summary['quarantine']} of the lake")
    print("{month}: {new} machines are new, {changed} changed, {known} were known".format(**summary))


def _list(options: argparse.Namespace) -> int:
    month = parse_month(options.month) if options.month else None
    with lakes.open_lake(options) as opened:
        known = known_machines(opened.lake, opened.ledger, month)
    ordered = sorted(known.values(), key=lambda machine: address_key(ip_address(machine.ip_address)))
    write_rows([machine._asdict() for machine in ordered], options.format)
    if not ordered:
        print("ndr: no machines are known" + (f" as of {options.month}." if month else "."), file=sys.stderr)
    return 0
