"""``ndr plan``, ``build``, ``status`` and ``show``: the tables of a lake."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from ndr.cli import lakes
from ndr.cli.lakes import OpenLake
from ndr.cli.output import Progress, write_columns, write_rows
from ndr.cli.telling import tell_spent
from ndr.errors import DataError, UnknownNameError, UsageError, shown
from ndr.lake import checksum
from ndr.news import plan_everywhere
from ndr.plan import Step
from ndr.publications import publications
from ndr.run import run
from ndr.standing import standing
from ndr.summary import host_rows
from ndr.table import Table
from ndr.tables import TABLES
from ndr.tables.sessions import sessions
from ndr.time import Interval, ceil, floor, parse_instant


def add_commands(commands: Any) -> None:
    """The four commands."""
    plan = commands.add_parser("plan", help="list what is missing to have a table over an interval")
    build = commands.add_parser("build", help="make what is missing to have tables over an interval")
    status = commands.add_parser("status", help="what a lake holds, and whether it is up to date")
    show = commands.add_parser("show", help="print rows of a table")
    plan.add_argument("table", metavar="TABLE", help="one of the names in ndr catalog")
    build.add_argument("tables", nargs="+", metavar="TABLE", help="names in ndr catalog")
    status.add_argument("--verify", action="store_true", help="also compare every file with its checksum")
    show.add_argument("table", metavar="TABLE", help="one of the names in ndr catalog")
    show.add_argument("--host", metavar="IP", help="only rows about this address")
    show.add_argument(
        "--at", metavar="TIME", help="UTC: the part that holds or ends at this moment (default: the last)"
    )
    show.add_argument("--limit", type=positive, default=20, metavar="N", help="at most so many rows (default 20)")
    lakes.add_engine_options(build)
    for command in (plan, build):
        lakes.add_interval_options(command)
    for command, what in ((plan, _plan), (build, _build), (status, _status), (show, _show)):
        lakes.add_lake_options(command)
        lakes.add_format_option(command)
        command.set_defaults(run=what)


def positive(text: str) -> int:
    """A whole number from 1, as an option gives it."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{shown(text)!r} is no whole number from 1")
    return int(text)


def host_address(text: str, option: str = "--host") -> str:
    """An address as the tables write it.

    Raises:
        UsageError: it is none; the message names the option.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        raise UsageError(f"{option} {shown(text)!r} is no IP address.") from None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def table_named(name: str) -> Table:
    """The table of a name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in TABLES:
        raise UnknownNameError("table", name, TABLES)
    return TABLES[name]


def _whole(opened: OpenLake) -> Interval | None:
    starts = opened.ledger.slice_starts()
    last = opened.ledger.last_arrival()
    return Interval(starts[0], last) if starts and last else None


def _steps(opened: OpenLake, options: argparse.Namespace, tables: Sequence[Table]) -> list[Step]:
    return plan_everywhere(opened.shop, tables, lakes.interval_of(options, _whole(opened)))


def _tell_unready(opened: OpenLake, tables: Sequence[Table]) -> None:
    """Say on stderr why there is nothing to make of baselines where there are none to be."""
    compared = any(table.published or table.by_horizon for table in tables)
    if compared and not publications(opened.shop.config, opened.ledger):
        print(f"ndr: {standing(opened.shop)}.", file=sys.stderr)


def _rows(steps: Sequence[Step]) -> list[dict[str, Any]]:
    rows = []
    for step in steps:
        starts = [key.start for key in step.ids]
        rows.append(
            {
                "table": step.table.name,
                "parts": len(step.ids),
                "from": min(starts, default=None),
                "to": max(starts) + step.table.every if starts else None,
                "removed": len(step.gone),
            }
        )
    return rows


def _plan(options: argparse.Namespace) -> int:
    with lakes.open_lake(options) as opened:
        table = table_named(options.table)
        write_rows(_rows(_steps(opened, options, [table])), options.format)
        _tell_unready(opened, [table])
    return 0


def _build(options: argparse.Namespace) -> int:
    tables = [table_named(name) for name in options.tables]
    with lakes.open_lake(options, writes=True) as opened, opened.lake.writing(options.wait):
        steps = _steps(opened, options, tables)
        bar = Progress("build")
        try:
            run(steps, opened.shop, bar)
        finally:
            bar.close()
        write_rows(_rows(steps), options.format)
        if options.format == "table":
            tell_spent(opened.shop.spent)
        _tell_unready(opened, tables)
    return 0


def _status(options: argparse.Namespace) -> int:
    with lakes.open_lake(options) as opened:
        rows = [_state(table, opened, verify=options.verify) for table in TABLES.values()]
    write_rows(rows, options.format)
    return 3 if any(row["lost"] or row["changed"] for row in rows) else 0


def _state(table: Table, opened: OpenLake, *, verify: bool) -> dict[str, Any]:
    if table is sessions:
        units = opened.ledger.units()
        files = [(unit.path, unit.checksum) for unit in units if unit.path]
        starts, rows = opened.ledger.slice_starts(), sum(sum(unit.slices.values()) for unit in units)
        parts, last = len(units), opened.ledger.last_arrival()
    else:
        found = opened.ledger.parts(table.name, table.version(opened.shop.config.feature_spec_version))
        files = [(part.path, part.checksum) for part in found if part.path]
        starts, rows, parts = [part.key.start for part in found], sum(part.rows for part in found), len(found)
        last = max((table.interval(part.key).end for part in found), default=None)
    here = [(path, digest) for path, digest in files if opened.lake.has(path)]
    changed = sum(checksum(opened.lake.fetch(path)) != digest for path, digest in here) if verify else None
    return {
        "table": table.name, "parts": parts, "rows": rows, "from": min(starts, default=None), "to": last,
        "lost": len(files) - len(here), "changed": changed,
    }  # fmt: skip


def _show(options: argparse.Namespace) -> int:
    table, host = table_named(options.table), host_address(options.host) if options.host is not None else None
    with lakes.open_lake(options) as opened:
        whole = _whole(opened)
        if whole is None:
            raise DataError(f"the lake {shown(options.lake)!r} holds no sessions yet.")
        within = _within(table, options.at, opened, whole)
        rows = host_rows(table, opened.shop, host, within, options.limit)
    write_columns(rows, options.format)
    if not rows:
        print(f"ndr: no rows of {table.name} in {within}" + (f" about {host}." if host else "."), file=sys.stderr)
    return 0


def _within(table: Table, at: str | None, opened: OpenLake, whole: Interval) -> Interval:
    """The interval of the part that is asked for."""
    if at is not None:
        moment = parse_instant(at)
        start = (ceil(moment, table.every) - table.every) if table.at_end else floor(moment, table.every)
        return Interval(start, start + table.every)
    if table is sessions:
        return whole
    version = table.version(opened.shop.config.feature_spec_version)
    parts = [p for p in opened.ledger.parts(table.name, version) if p.rows]
    if not parts:
        how = f"ndr build {table.name} makes them" if table.recipe else "ndr machines import brings them"
        why = f" ({standing(opened.shop)})" if table.published or table.by_horizon else ""
        raise DataError(f"table {table.name} has no rows yet: {how}{why}.")
    return table.interval(parts[-1].key)
