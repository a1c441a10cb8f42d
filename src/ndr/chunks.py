"""Chunks: which parts of a plan are made together, for each query costs time whatever it reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ndr.ledger import Ledger
from ndr.plan import Inputs, Step
from ndr.table import PartKey, Table
from ndr.tables.sessions import sessions
from ndr.time import DAY, Interval, floor


def chunks(step: Step, ledger: Ledger, version: str, most: int) -> Iterator[list[PartKey]]:
    """Consecutive parts of one day whose inputs are not more than ``most`` rows together; a part alone may be."""
    weigh = _Weights(step, ledger, version)
    chunk: list[PartKey] = []
    weight = 0
    for key in step.ids:
        more = weigh(step.inputs[key])
        alone = step.table.published or floor(key.start, DAY) != floor(chunk[0].start, DAY) if chunk else False
        if chunk and (alone or weight + more > most):
            yield chunk
            chunk, weight = [], 0
        chunk.append(key)
        weight += more
    if chunk:
        yield chunk


class _Weights:
    """How many rows a part reads, by the ledger."""

    def __init__(self, step: Step, ledger: Ledger, version: str) -> None:
        self._ledger, self._version = ledger, version
        self._inputs = step.inputs.values()
        self._rows: dict[str, dict[PartKey, int]] = {}

    def __call__(self, inputs: Inputs) -> int:
        return sum(self._of(table).get(key, 0) for _, table, keys in inputs for key in keys)

    def _of(self, table: Table) -> dict[PartKey, int]:
        if table.name not in self._rows:
            keys = {key for inputs in self._inputs for _, read, keys in inputs if read is table for key in keys}
            self._rows[table.name] = self._count(table, hull(table, keys)) if keys else {}
        return self._rows[table.name]

    def _count(self, table: Table, within: Interval) -> dict[PartKey, int]:
        ledger, version = self._ledger, self._version
        if table is not sessions:
            return {part.key: part.rows for part in ledger.parts(table.name, table.version(version), within)}
        rows: dict[PartKey, int] = {}
        for unit in ledger.units(within):
            for key, count in unit.slices.items():
                rows[key] = rows.get(key, 0) + count
        return rows


def hull(table: Table, keys: Collection[PartKey]) -> Interval:
    """The interval in which all these parts start."""
    return Interval(min(key.start for key in keys), max(key.start for key in keys) + table.every)
