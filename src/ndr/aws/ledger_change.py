"""What an import, or its withdrawal, changes in a ledger on DynamoDB."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from ndr.aws import ledger_items as items
from ndr.aws.ledger_items import LARGE, Span
from ndr.aws.ledger_parts import count_key
from ndr.aws.ledger_table import LedgerTable
from ndr.aws.ledger_wire import Changes, Item, Key

_SHORT = 1024
"""Contents that are shorter may be shorter than the first bytes by which contents are found."""


@dataclass(frozen=True)
class Import:
    """An import as it is kept: its item, all of its slices and its files."""

    name: str
    item: Item
    slices: Sequence[Span]
    files: Sequence[str]

    @property
    def generation(self) -> tuple[str, str]:
        """Which import of which content."""
        return self.name, self.item["generation"]

    @property
    def large(self) -> bool:
        """Whether its slices do not fit beside it in a transaction."""
        return len(items.days_of(self.item)) > LARGE


class Step(NamedTuple):
    """Imports that come and go at once."""

    made: Sequence[Import] = ()
    gone: Sequence[Import] = ()


@dataclass(frozen=True)
class Sequel:
    """Changes before the transaction that makes a step true, those in it, and those after it."""

    before: Changes
    main: Changes
    after: Changes


def write(table: LedgerTable, step: Step) -> None:
    """Take a step."""
    sequel = changes(table, step)
    table.write_each(sequel.before)
    table.write(sequel.main)
    table.write_each(sequel.after)


def changes(table: LedgerTable, step: Step) -> Sequel:
    """What a step changes, given what is there."""
    before: Changes = {}
    main: Changes = {}
    after: Changes = {}
    for each in step.gone:
        keys: Changes = dict.fromkeys(items.slice_keys(each.name, each.item))
        (after if each.large else main).update(keys)
        main |= dict.fromkeys([("units", each.name), *items.index(each.name, each.item)])
        main |= {("unwanted", path): {} for path in each.files}
    for each in step.made:
        own = items.slice_items(each.name, each.item, each.slices)
        (before if each.large else main).update(own)
        after = {key: None for key in after if key not in own}
        main |= {("units", each.name): each.item, **items.index(each.name, each.item)}
        main |= {("unwanted", path): None for path in each.files}
        if (size := each.item["bytes"]) < _SHORT:
            main["short", f"{size:04}"] = {}
    for each in (*step.gone, *step.made):
        if starts := sorted({start for start, _, _ in each.slices}):
            main["unsettled", items.generation(each.name, each.item)] = {"starts": items.pack(starts)}
    return Sequel(before, main | _count(table, step) | _days(table, step), after)


def _count(table: LedgerTable, step: Step) -> Changes:
    """How many records there are then."""
    key = count_key("sessions", "")
    more = sum(each.item["rows"] for each in step.made) - sum(each.item["rows"] for each in step.gone)
    known = table.one(key)
    return {key: {"rows": (known["rows"] if known else 0) + more}} if more else {}


def _days(table: LedgerTable, step: Step) -> Changes:
    """Since when the days are known then."""
    lost, found = _firsts(step.gone), _firsts(step.made)
    known = table.get({_decade(day) for day in (*lost, *found)})
    decades: dict[Key, dict[str, int]] = {key: items.unpack(item["days"]) for key, item in known.items()}
    for day, first in lost.items():
        days = decades.setdefault(_decade(day), {})
        if days.get(day, first) < first:
            continue
        days.pop(day, None)
        if others := _others(table, day, {each.generation for each in step.gone}):
            days[day] = min(others)
    for day, first in found.items():
        days = decades.setdefault(_decade(day), {})
        days[day] = min(first, days.get(day, first))
    told = {key: items.pack(days) for key, days in decades.items()}
    return {key: {"days": days} for key, days in told.items() if key not in known or known[key]["days"] != days}


def _decade(day: str) -> Key:
    return "days", day[:3]


def _firsts(imports: Sequence[Import]) -> dict[str, int]:
    """When the first of the records of each day was known."""
    days = items.by_day(chain.from_iterable(each.slices for each in imports))
    return {day: min(known for _, known, _ in found) for day, found in days.items()}


def _others(table: LedgerTable, day: str, gone: Collection[tuple[str, str]]) -> list[int]:
    """When the records of a day were known that other imports brought."""
    found = true_slices(table, table.query("slices", day, f"{day}~"))
    spans = (items.slices_of(item) for item in found if items.step_of(item) not in gone)
    return [known for _, known, _ in chain.from_iterable(spans)]


def true_slices(table: LedgerTable, found: Sequence[Item]) -> list[Item]:
    """Slices whose import is there; what others left behind, a writer removes."""
    later = {items.step_of(item) for item in found if "later" in item}
    known = table.get(("units", name) for name, _ in later)
    lost = later - {(key[1], item["generation"]) for key, item in known.items()}
    if lost and table.lease.writer:
        table.write_each({("slices", item["sk"]): None for item in found if items.step_of(item) in lost})
    return [item for item in found if items.step_of(item) not in lost]
