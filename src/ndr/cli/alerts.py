"""``ndr alerts`` and ``ndr safelist``: what to look at today, and what is known to be harmless."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ndr.alerts import BUDGET, Alert, alerts
from ndr.cli import lakes
from ndr.cli.lakes import OpenLake
from ndr.cli.output import write_rows
from ndr.cli.tables import positive
from ndr.errors import DataError, SpecError, UsageError, shown
from ndr.model.kinds import ENDPOINT, KINDS
from ndr.safelist import CRITERIA, Entry, active_entries, add_entry, entry_of, read_safelist, remove_entry
from ndr.sinks.ecs import document
from ndr.sinks.ocsf import finding
from ndr.sinks.webhook import checked_address, deliver, token_of_environment
from ndr.summary import stored, unscored
from ndr.tables.predictions import predictions
from ndr.time import END_OF_TIME, EPOCH, Interval, parse_instant

LINES: dict[str, Callable[[Alert], dict[str, Any]]] = {"jsonl": Alert.facts, "ocsf": finding, "ecs": document}
"""Forms with one JSON object a line."""
_FOUND = 1


def add_commands(commands: Any) -> None:
    """``alerts``, and ``safelist add``, ``list``, ``remove`` and ``test``."""
    found = commands.add_parser("alerts", help="the hosts to look at: ranked by day, folded, explained")
    found.add_argument("--all", action="store_true", help="also those that the safelist covers, marked")
    found.add_argument("--webhook", metavar="URL", help="also POST them to this https address")
    found.add_argument("--webhook-plain", action="store_true", help="let the webhook be an http address")
    found.add_argument("--exit-code", action="store_true", help="exit 1 when there are alerts")
    lakes.add_lake_options(found)
    _add_choice(found)
    lakes.add_format_option(found, ("table", "csv", *LINES))
    found.set_defaults(run=_alerts)

    room = commands.add_parser("safelist", help="what is known to be harmless: add, list, remove, or try an entry")
    actions = room.add_subparsers(dest="action", required=True, metavar="ACTION")
    adding = actions.add_parser("add", help="put an entry in; it applies at once")
    listing = actions.add_parser("list", help="the entries, and how many alerts each of them covers")
    removing = actions.add_parser("remove", help="take an entry out")
    testing = actions.add_parser("test", help="which alerts an entry would take away, and which come in their place")
    removing.add_argument("id", metavar="ID", help="as in ndr safelist list")
    adding.add_argument("--reason", required=True, metavar="TEXT", help="why it is harmless")
    adding.add_argument("--owner", required=True, metavar="NAME", help="who answers for it")
    adding.add_argument("--expires", metavar="TIME", help="UTC, from when on it does nothing")
    for command, what in ((adding, _add), (listing, _list), (removing, _remove), (testing, _test)):
        if command in {adding, testing}:
            _add_criteria(command)
        lakes.add_lake_options(command)
        if command in {listing, testing}:
            _add_choice(command)
        lakes.add_format_option(command, ("table", "json", "csv") if command is listing else ("table", "json"))
        command.set_defaults(run=what)


def _add_criteria(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", metavar="IP", help="alerts about this host, or a network of hosts")
    command.add_argument("--peer", metavar="IP", help="alerts that only this peer explains")
    command.add_argument("--port", type=int, metavar="N", help="alerts that only peers on this port explain")
    command.add_argument("--network", metavar="CIDR", help="alerts that only peers in this network explain")
    command.add_argument("--kind", choices=(*KINDS, ENDPOINT), help="alerts that this kind of evidence leads")


def _add_choice(command: argparse.ArgumentParser) -> None:
    lakes.add_interval_options(command)
    command.add_argument("--budget", type=positive, default=BUDGET, metavar="N",
                         help=f"at most N hosts a day (default {BUDGET})")  # fmt: skip
    command.add_argument("--threshold", type=_share, metavar="SHARE",
                         help="windows with at least this score, instead of those labelled anomalous")  # fmt: skip


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{shown(text)} is no share between 0 and 1")
    return share


def _within(options: argparse.Namespace) -> Interval | None:
    if not (options.start or options.end):
        return None
    start = parse_instant(options.start) if options.start else EPOCH
    return Interval(start, parse_instant(options.end) if options.end else END_OF_TIME)


def _found(opened: OpenLake, options: argparse.Namespace, entries: Sequence[Entry], *, covered: bool) -> list[Alert]:
    return alerts(opened.shop, _within(options), options.budget, entries, options.threshold, covered=covered)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _alerts(options: argparse.Namespace) -> int:
    if options.webhook:
        checked_address(options.webhook, plain=options.webhook_plain)
    token = token_of_environment() if options.webhook else None
    with lakes.open_lake(options) as opened:
        found = _found(opened, options, active_entries(opened.lake), covered=options.all)
        scored = bool(stored(predictions, opened.shop).paths)
        lacking = unscored(opened.shop)
    if not scored:
        print(f"ndr: nothing is scored: {lacking}.", file=sys.stderr)
    elif not found:
        print("ndr: a quiet time: no alerts.", file=sys.stderr)
    _write(found, options.format, marked=options.all)
    if options.exit_code and not scored:
        return DataError.exit_code
    wanted = [alert for alert in found if not alert.suppressed_by]
    if options.webhook and wanted:
        kind = options.format if options.format in LINES else "jsonl"
        told = [(alert.id, LINES[kind](alert)) for alert in wanted]
        requests = deliver(options.webhook, told, kind, token=token, plain=options.webhook_plain)
        print(f"ndr: {len(told)} alerts were delivered in {requests} requests.", file=sys.stderr)
    return _FOUND if options.exit_code and wanted else 0


def _write(found: Sequence[Alert], kind: str, *, marked: bool) -> None:
    if kind in LINES:
        for alert in found:
            print(json.dumps(LINES[kind](alert), ensure_ascii=False))
    elif kind == "csv":
        write_rows([_flat(alert) for alert in found], kind)
    else:
        marks = [{"safelisted": ", ".join(alert.suppressed_by) or None} if marked else {} for alert in found]
        write_rows([_row(alert) | mark for alert, mark in zip(found, marks, strict=True)], kind)


def _row(alert: Alert) -> dict[str, Any]:
    """As people read it."""
    return {
        "rank": alert.rank,
        "evidence": f"{alert.evidence:.1f}",
        "score": f"{alert.prediction_score:.6f}",
        "severity": alert.severity,
        "host": alert.host_ip,
        "name": alert.machine_name,
        "when": f"{alert.first_seen:%Y-%m-%d %H:%M} to {alert.last_seen:%Y-%m-%d %H:%M}",
        "what": f"{alert.title} ({', '.join(alert.techniques)})" if alert.techniques else alert.title,
        "why": "; ".join(alert.reasons[:2]),
    }


def _flat(alert: Alert) -> dict[str, Any]:
    """For spreadsheets: one cell for each fact, and JSON where there are many."""
    facts = alert.facts()
    lists = ("explanation", "top_deviations", "peers")
    told = {name: list(value) if name in lists else value for name, value in facts.items()}
    joined = {name: " ".join(facts[name]) for name in ("techniques", "suppressed_by")}
    return told | joined | {"reasons": "; ".join(facts["reasons"])}


def _asked(options: argparse.Namespace, **said: Any) -> Entry:
    """The entry that the options describe.

    Raises:
        UsageError: they describe none.
    """
    asked = {name: getattr(options, name) for name in CRITERIA}
    if all(value is None for value in asked.values()):
        raise UsageError(f"say what is harmless: give at least one of {', '.join(f'--{name}' for name in CRITERIA)}.")
    try:
        return entry_of(asked | said)
    except SpecError as error:
        raise UsageError(str(error)) from None


def _add(options: argparse.Namespace) -> int:
    said = {"reason": options.reason, "owner": options.owner, "expires": options.expires}
    entry = _asked(options, **said, added=_now().replace(microsecond=0))
    if not entry.active(_now()):
        raise UsageError(f"--expires {shown(options.expires)} is over already.")
    with lakes.open_lake(options) as opened:
        before = add_entry(opened.lake, entry)
    if before:
        print(f"ndr: it takes the place of the entry of {shown(before.owner)}.", file=sys.stderr)
    _tell([entry], options.format)
    return 0


def _remove(options: argparse.Namespace) -> int:
    with lakes.open_lake(options) as opened:
        gone = remove_entry(opened.lake, options.id)
    _tell([gone], options.format)
    return 0


def _tell(entries: Sequence[Entry], kind: str) -> None:
    write_rows([_entry_row(entry) for entry in entries], kind)


def _entry_row(entry: Entry) -> dict[str, Any]:
    told = entry.model_dump(mode="json")
    state = "active" if entry.active(_now()) else "expired"
    return {"id": told.pop("id"), "state": state, **told}


def _list(options: argparse.Namespace) -> int:
    with lakes.open_lake(options) as opened:
        entries = read_safelist(opened.lake)
        found = _found(opened, options, active_entries(opened.lake), covered=True) if entries else []
    covers = [name for alert in found for name in alert.suppressed_by]
    write_rows([{**_entry_row(entry), "alerts": covers.count(entry.id)} for entry in entries], options.format)
    if not entries:
        print("ndr: the safelist is empty.", file=sys.stderr)
    return 0


def _test(options: argparse.Namespace) -> int:
    entry = _asked(options, reason="a test", owner="a test")
    with lakes.open_lake(options) as opened:
        known = active_entries(opened.lake)
        before = _found(opened, options, known, covered=False)
        after = _found(opened, options, (*known, entry), covered=False)
    kept, listed = {alert.id for alert in after}, {alert.id for alert in before}
    vanish = [alert for alert in before if alert.id not in kept]
    appear = [alert for alert in after if alert.id not in listed]
    if options.format == "json":
        told = {"vanish": [alert.facts() for alert in vanish], "appear": [alert.facts() for alert in appear]}
        print(json.dumps({"remain": len(kept & listed), **told}, indent=2))
        return 0
    changes = [("vanishes", alert) for alert in vanish] + [("appears", alert) for alert in appear]
    write_rows([{"change": change, **_row(alert)} for change, alert in changes], "table")
    print(f"ndr: {len(vanish)} alerts would vanish, {len(appear)} would appear, {len(kept & listed)} would remain.",
          file=sys.stderr)  # fmt: skip
    return 0
