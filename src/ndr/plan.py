"""Plan: which parts are missing, each after what it reads.

A part is missing when the ledger does not know it, when its file is gone, when its recipe, configuration or inputs have
changed since, or when something it reads is missing itself. An empty plan means ready; an old interval means backfill.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ndr.fingerprint import fingerprints
from ndr.lake import Lake
from ndr.ledger import Ledger, Part
from ndr.publications import publications
from ndr.specs import Config
from ndr.table import PartKey, Publication, Reach, Table, in_force
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
    """Plans over one lake, under one configuration and model (its version; none, and nothing is scored).

    What the ledger has of ``trusted`` tables is not looked into.
    """

    def __init__(
        self, config: Config, ledger: Ledger, lake: Lake, trusted: Collection[Table] = (), model: str = ""
    ) -> None:
        self._config, self._ledger, self._lake, self._model = config, ledger, lake, model
        self._trusted = {table.name for table in trusted}
        self._publications = publications(config, ledger)
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
        if table.name in self._trusted:
            return
        for read in table.reads.values():
            if isinstance(read, Reach):
                for reached in self._reached(table, read, whole):
                    self._widen(read.table, reached, spans)

    def _reached(self, table: Table, read: Reach, span: Interval) -> list[Interval]:
        """What must be looked at of a parent for the table to be made over a span."""
        if table.published:
            bounds = [h for p in self._publications if span.contains(p.reference) for h in p.horizons.values()]
            return [span] if read.table.published else [read.over(interval) for interval in bounds]
        first, last = Interval(span.start, span.start + table.every), Interval(span.end - table.every, span.end)
        if not read.table.published:
            return [Interval(read.over(first).start, read.over(last).end)]
        used = [p.reference for p in self._publications if span.contains(p.reference)]
        ends = (in_force(self._publications, moment) for moment in (first.end, last.end))
        used += [p.reference for p in ends if p]
        return [Interval(min(used), max(used) + read.table.every)] if used else []

    def _visit(self, table: Table, span: Interval) -> None:
        if table is sessions:
            self._states[table.name] = self._sessions(span)
            return
        version = table.version(self._config.feature_spec_version)
        have = {part.key: part for part in self._ledger.parts(table.name, version, span)}
        elsewhere = {key: part for key, part in have.items() if table.by_model and key.horizon != self._model}
        have = {key: part for key, part in have.items() if key not in elsewhere}
        if table.recipe is None or table.name in self._trusted:
            self._states[table.name] = _State({key: part.id for key, part in have.items()})
            return
        inputs = self._inputs(table, span)
        state = _State({key: self._id(table, key, reads) for key, reads in inputs.items()})
        for key, reads in inputs.items():
            part = have.get(key)
            there = part is not None and part.id == state.ids[key] and (not part.path or self._lake.has(part.path))
            if not there or any(k in self._states[parent.name].pending for _, parent, keys in reads for k in keys):
                state.pending.add(key)
        self._states[table.name] = state
        gone = [part for key, part in have.items() if key not in state.ids and not table.published]
        if self._model:  # what no model can judge any more
            gone += [part for key, part in elsewhere.items() if replace(key, horizon=self._model) not in state.ids]
        if state.pending or gone:
            missing = {key: state.ids[key] for key in sorted(state.pending)}
            self._steps.append(Step(table, missing, {key: inputs[key] for key in missing}, gone))

    def _inputs(self, table: Table, span: Interval) -> dict[PartKey, Inputs]:
        if table.arrived:
            return self._arrivals(table, span)
        return self._published(table, span) if table.published else self._snapshots(table, span)

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
            publication = in_force(self._publications, interval.end) if table.by_horizon else None
            variants = publication.horizons if publication else () if table.by_horizon else ("",)
            if table.by_model:
                variants = (self._model,) if self._model else ()
            if variants and (reads := self._reads(table, interval, interval.end, publication)):
                for variant in variants:
                    found[PartKey(interval.start, interval.end, variant)] = reads
        return found

    def _published(self, table: Table, span: Interval) -> dict[PartKey, Inputs]:
        """Of a published table: a part for every publication and horizon in whose reach something is known."""
        found: dict[PartKey, Inputs] = {}
        for publication in self._publications:
            if span.contains(publication.reference):
                for horizon, interval in publication.horizons.items():
                    key = PartKey(publication.reference, publication.reference, horizon)
                    if reads := self._reads(table, interval, key.known_at, publication, horizon):
                        found[key] = reads
        return found

    def _reads(
        self, table: Table, interval: Interval, known_at: datetime, publication: Publication | None, horizon: str = ""
    ) -> Inputs:
        reads = []
        for argument, read in table.reads.items():
            if not isinstance(read, Reach):
                continue
            state = self._states.get(read.table.name) or _State({})
            if not read.table.published:
                keys = state.within(read.over(interval), known_at)
            else:
                wanted = publication.keys() if publication else []
                keys = [key for key in wanted if key in state.ids and horizon in {"", key.horizon}]
            if keys:
                reads.append((argument, read.table, keys))
            elif read.needed:
                return []
        return reads

    def _id(self, table: Table, key: PartKey, reads: Inputs) -> str:
        named = self._batches.get(key.known_at, "") if BATCH in table.columns else ""
        ids = (self._states[parent.name].ids[each] for _, parent, keys in reads for each in keys)
        against: list[str] = []
        if table.published or table.by_horizon:
            own = (p for p in self._publications if p.reference == key.start)
            against = [
                key.horizon,
                f"{next(own, None) if table.published else in_force(self._publications, key.known_at)}",
            ]
        if table.by_model:
            against = [key.horizon]
        return _digest([self._prints[table.name], named, *against, *ids])


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
