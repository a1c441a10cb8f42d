"""The imports of a ledger on DynamoDB, and the slices they brought.

An import is one transaction: itself, what it is found by, its slices day by day, and what it replaces. The slices of
one that spans many days are written before it; they count once the import is there, of the same generation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain

from ndr.aws import ledger_items as items
from ndr.aws.ledger_change import Import, Step, changes, true_slices, write
from ndr.aws.ledger_items import Span, micros, since_epoch, text
from ndr.aws.ledger_table import LedgerTable
from ndr.aws.ledger_wire import Item, fits
from ndr.ledger import Unit
from ndr.table import PartKey
from ndr.time import Interval

_MICROSECOND = timedelta(microseconds=1)


class Imports:
    """The half of a ledger that knows what was imported."""

    _table: LedgerTable

    def units(self, within: Interval | None = None) -> list[Unit]:
        """The imports that brought sessions of the interval, with the slices of theirs that lie in it."""
        return self._table.steady(lambda: self._units(within))

    def _units(self, within: Interval | None) -> list[Unit]:
        found: dict[tuple[str, str], dict[PartKey, int]] = {}
        if within is None:
            found = {items.step_of(item): {} for item in self._table.query("arrivals")}
        for item in self._days(within):
            for start, known_at, rows in _inside(items.slices_of(item), within):
                key = PartKey(since_epoch(start), since_epoch(known_at))
                found.setdefault(items.step_of(item), {})[key] = rows
        known = self._table.get(("units", name) for name, _ in found)
        pairs = ((step, known.get(("units", step[0]))) for step in sorted(found))
        return [items.unit_of(item, found[step]) for step, item in pairs if item and item["generation"] == step[1]]

    def _days(self, within: Interval | None) -> list[Item]:
        """The items of slices of the days that the interval touches."""
        if within is None:
            return self._table.query("slices")
        first, last = items.day_of(micros(within.start)), items.day_of(micros(within.end - _MICROSECOND))
        return self._table.query("slices", first, f"{last}~")

    def units_of(self, contents: Iterable[str]) -> list[Unit]:
        """The imports of these contents, without their slices."""
        return self._named(chain.from_iterable(self._table.query(f"contents#{content}") for content in contents))

    def units_of_batch(self, end: datetime) -> list[Unit]:
        """The imports of a named batch, without their slices."""
        found = self._table.query("batch_units", f"{text(end)}#", f"{text(end)}#~")
        return self._named({**item, "sk": item["sk"].split("#")[1]} for item in found)

    def _named(self, found: Iterable[Item]) -> list[Unit]:
        known = self._table.get(("units", item["sk"]) for item in found)
        return [items.unit_of(item, {}) for item in known.values()]

    def contents(self, head: bytes) -> dict[int, set[str]]:
        """Length -> hashes of the contents imported so far that begin with the same bytes, or are shorter and equal."""
        short = [int(item["sk"]) for item in self._table.query("short")]
        found: dict[int, set[str]] = {}
        for length in [*(one for one in short if one < len(head)), len(head)]:
            for item in self._table.query(f"heads#{hashlib.sha256(head[:length]).hexdigest()}"):
                found.setdefault(item["bytes"], set()).add(item["content"])
        return found

    def slice_starts(self, within: Interval | None = None) -> list[datetime]:
        """The slices for which any record was imported, in order."""
        found = self._table.steady(lambda: true_slices(self._table, self._days(within)))
        starts = {start for item in found for start, _, _ in _inside(items.slices_of(item), within)}
        return [since_epoch(start) for start in sorted(starts)]

    def days(self) -> dict[datetime, datetime]:
        """The days for which any record was imported, and when the first of its records was known."""
        years = (items.unpack(item["days"]) for item in self._table.query("days"))
        known = {day: since_epoch(first) for year in years for day, first in year.items()}
        return {items.moment(day): known[day] for day in sorted(known)}

    def clock(self) -> str | None:
        """The clock by which the imports so far were put into slices."""
        item = self._table.last("arrivals")
        unit = self._table.one(("units", items.step_of(item)[0])) if item else None
        clock: str | None = items.unpack(unit["report"]).get("clock") if unit else None
        return clock

    def last_arrival(self) -> datetime | None:
        """The end of the last batch of which anything was imported."""
        item = self._table.last("arrivals")
        last = item["sk"].split("#")[0] if item else ""
        return items.moment(last) if last else None

    def settled_arrival(self) -> datetime | None:
        """The end of the last batch, among those whose slices hold nothing unsettled."""
        return self._table.steady(self._settled_arrival)

    def _settled_arrival(self) -> datetime | None:
        if not self._table.one(("settled", "-")):  # then nothing is
            return None
        open_slices, best = {micros(start) for start in self.unsettled()}, None
        for item in self._table.backwards("arrivals", 4):
            last = item["sk"].split("#")[0]
            if not last or (best is not None and items.moment(last) <= best):
                break
            name, told = items.step_of(item)
            keys = items.slice_keys(name, {**item, "generation": told})
            found = chain.from_iterable(map(items.slices_of, self._table.get(keys).values()))
            settled = max((known for start, known, _ in found if start not in open_slices), default=None)
            if settled is not None:
                best = max(best or since_epoch(settled), since_epoch(settled))
        return best

    def unsettled(self) -> list[datetime]:
        """The slices whose imports, or their withdrawal, no finished run has built on."""
        found = chain.from_iterable(items.unpack(item["starts"]) for item in self._table.query("unsettled"))
        return [since_epoch(start) for start in sorted(set(found))]

    def import_units(self, made: Sequence[Unit], gone: Sequence[Unit]) -> None:
        """Add what was imported and take back what it replaces.

        All at once where a transaction holds it; else what is replaced goes first, one import after the other: who is
        interrupted then imports the same files again.
        """
        new = {unit.id: Import(unit.id, items.unit_item(unit), items.spans(unit.slices), unit.files) for unit in made}
        lost = {unit.id: unit.files for unit in gone if unit.id not in new}
        with self._table.alone():
            had = self._old([*lost, *new], lost)
            steps = [Step(gone=[had[name]]) for name in lost if name in had]
            steps += [Step([each], [had[name]] if name in had else []) for name, each in new.items()]
            whole = Step(*(list(chain.from_iterable(part)) for part in zip(*steps, strict=True)))
            for step in [whole] if fits(changes(self._table, whole).main) else steps:
                write(self._table, step)

    def _old(self, names: Sequence[str], files: Mapping[str, Sequence[str]]) -> dict[str, Import]:
        """What is known of imports, with all of their slices."""
        found = {key[1]: item for key, item in self._table.get(("units", name) for name in names).items()}
        keys = {name: items.slice_keys(name, item) for name, item in found.items()}
        known = self._table.get(chain.from_iterable(keys.values()))
        slices = {name: [known[key] for key in own if key in known] for name, own in keys.items()}
        return {
            name: Import(name, item, list(chain.from_iterable(map(items.slices_of, slices[name]))), files.get(name, ()))
            for name, item in found.items()
        }


def _inside(found: Iterable[Span], within: Interval | None) -> Iterator[Span]:
    if within is None:
        return iter(found)
    first, last = micros(within.start), micros(within.end)
    return (span for span in found if first <= span[0] < last)
