"""Plan: which parts are missing, each after what it reads.

A part is missing when the ledger does not know it, when its file is gone, when its recipe, configuration or inputs have
changed since, or when something it reads is missing itself. An empty plan means ready; an old interval means backfill.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ndr.fingerprint import fingerprints
from ndr.lake import Lake
from ndr.ledger import Ledger, Part
from ndr.specs import Config
from ndr.table import PartKey, Reach, Table
from ndr.tables import TABLES
from ndr.tables.sessions import sessions
from ndr.time import EPOCH, Interval, ceil, floor

BATCH = "mini_batch_id"

Inputs = Sequence[tuple[str, Table, Sequence[PartKey]]]
"""For each argument of a recipe: the stored table it reads, and which of its parts."""


@dataclass(frozen=True)
class Step:
    """Parts of one table to make, with the ids they will carry; ``gone`` are parts that must be no more."""

    table: Table
    ids: Mapping[PartKey, str]
    inputs: Mapping[PartKey, Inputs]
    gone: Sequence[Part] = ()


class _State:
    """What a table has, and will have, in the planned reach."""

    def __init__(self, ids: Mapping[PartKey, str]) -> None:
        self.ids = ids
        self.keys = sorted(ids)
        self.pending: set[PartKey] = set()

    def within(self, interval: Interval, known_at: datetime) -> list[PartKey]:
        """The parts that start in the interval and were known by then."""
        low = bisect_left(self.keys, PartKey(interval.start, EPOCH))
        high = bisect_left(self.keys, PartKey(interval.end, EPOCH))
        return [key for key in self.keys[low:high] if key.known_at <= known_at]


class Planner:
    """Plans over one lake under one configuration."""

    def __init__(self, config: Config, ledger: Ledger, lake: Lake) -> None:
        self._config, self._ledger, self._lake = config, ledger, lake
        self._prints = fingerprints(config)
        self._batches = ledger.batches()
        self._states: dict[str, _State] = {}
        self._steps: list[Step] = []

    def plan(self, targets: Sequence[Table], interval: Interval) -> list[Step]:
        """What is missing to have the targets over the interval."""
        self._states, self._steps = {}, []
        spans: dict[str, Interval] = {}
        for target in targets:
            self._widen(target, interval, spans)
        for table in TABLES.values():
            if table.name in spans:
                self._visit(table, spans[table.name])
        return self._steps

    def plan_each(self, targets: Sequence[Table], intervals: Iterable[Interval]) -> list[Step]:
        """What is missing to have the targets over all the intervals, each part once."""
        steps: list[Step] = []
        listed: set[tuple[str, PartKey]] = set()
        for interval in intervals:
            for step in self.plan(targets, interval):
                name = step.table.name
                ids = {key: part for key, part in step.ids.items() if (name, key) not in listed}
                gone = [part for part in step.gone if (name, part.key) not in listed]
                listed |= {(name, key) for key in (*ids, *(part.key for part in gone))}
                if ids or gone:
                    steps.append(Step(step.table, ids, {key: step.inputs[key] for key in ids}, gone))
        return steps

    def _widen(self, table: Table, interval: Interval, spans: dict[str, Interval]) -> None:
        """Note how far each table must be looked at for the others to be made."""
        whole = Interval(floor(interval.start, table.every), ceil(interval.end, table.every))
        have = spans.get(table.name)
        if have:
            whole = Interval(min(have.start, whole.start), max(have.end, whole.end))
        if whole == have:
            return
        spans[table.name] = whole
        for read in table.reads.values():
            if isinstance(read, Reach):
                first = read.over(Interval(whole.start, whole.start + table.every))
                last = read.over(Interval(whole.end - table.every, whole.end))
                self._widen(read.table, Interval(first.start, last.end), spans)

    def _visit(self, table: Table, span: Interval) -> None:
        if table is sessions:
            self._states[table.name] = self._sessions(span)
            return
        inputs = self._arrivals(table, span) if table.arrived else self._snapshots(table, span)
        have = {part.key: part for part in self._ledger.parts(table.name, self._config.feature_spec_version, span)}
        state = _State({key: self._id(table, key, reads) for key, reads in inputs.items()})
        for key, reads in inputs.items():
            part = have.get(key)
            there = part is not None and part.id == state.ids[key] and (not part.path or self._lake.has(part.path))
            if not there or any(k in self._states[parent.name].pending for _, parent, keys in reads for k in keys):
                state.pending.add(key)
        self._states[table.name] = state
        gone = [part for key, part in have.items() if key not in state.ids]
        if state.pending or gone:
            missing = {key: state.ids[key] for key in sorted(state.pending)}
            self._steps.append(Step(table, missing, {key: inputs[key] for key in missing}, gone))

    def _sessions(self, span: Interval) -> _State:
        """Sessions exist by import; the id of a part says which contents brought it."""
        brought: dict[PartKey, list[str]] = {}
        for unit in self._ledger.units(span):
            for key in unit.slices:
                brought.setdefault(key, []).append(f"{unit.id}:{unit.checksum}")
        return _State({key: _digest(sorted(units)) for key, units in brought.items()})

    def _arrivals(self, table: Table, span: Interval) -> dict[PartKey, Inputs]:
        """Of a table that keeps arrivals apart: a part for every interval and arrival that its parent has."""
        ((argument, read),) = ((name, r) for name, r in table.reads.items() if isinstance(r, Reach))
        grouped: dict[PartKey, list[PartKey]] = {}
        for key in self._states[read.table.name].keys:
            part = table.part_of(key)
            if span.contains(part.start):
                grouped.setdefault(part, []).append(key)
        return {part: [(argument, read.table, keys)] for part, keys in grouped.items()}

    def _snapshots(self, table: Table, span: Interval) -> dict[PartKey, Inputs]:
        """Of any other table: a part for every interval, up to the last arrival, in whose reach something is known."""
        last = self._ledger.last_arrival()
        found: dict[PartKey, Inputs] = {}
        for interval in span.split(table.every):
            if last is None or interval.end > last:
                break
            if reads := self._reads(table, interval):
                found[PartKey(interval.start, interval.end)] = reads
        return found

    def _reads(self, table: Table, interval: Interval) -> Inputs:
        reads = []
        for argument, read in table.reads.items():
            if isinstance(read, Reach):
                keys = self._states[read.table.name].within(read.over(interval), interval.end)
                if keys:
                    reads.append((argument, read.table, keys))
        return reads

    def _id(self, table: Table, key: PartKey, reads: Inputs) -> str:
        named = self._batches.get(key.known_at, "") if BATCH in table.columns else ""
        ids = (self._states[parent.name].ids[each] for _, parent, keys in reads for each in keys)
        return _digest([self._prints[table.name], named, *ids])


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
