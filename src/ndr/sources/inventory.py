"""The inventory: which machine has which address, month by month; only what is new or changed is added.

Rules that hold whatever the listing: an address has one name; of several rows about it active ones come before those
that do not say, then inactive ones, then the name that sorts first whatever its case. A later listing of the same month
has the last word on the addresses that it holds, and says nothing about the others. A month that is imported late
changes nothing that later months know.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ndr import __version__
from ndr.errors import AdapterError, DataError, UsageError, shown
from ndr.lake import Lake, part_path
from ndr.ledger import Ledger, Part
from ndr.run import sweep
from ndr.sources.convert import canonical_ip, clean_name
from ndr.sources.listing import Entry
from ndr.sources.outputs import excerpt
from ndr.table import PartKey
from ndr.tables.machines import MACHINE_FIELDS, machines
from ndr.time import iso, parse_instant

_TRUTHS = dict.fromkeys(("true", "t", "1", "1.0", "yes", "y", "active"), True) | dict.fromkeys(
    ("false", "f", "0", "0.0", "no", "n", "inactive"), False
)
_ACTIVE_FIRST = {True: 0, None: 1, False: 2}


class Machine(NamedTuple):
    """What is known of an address since a month; ``active`` is null when nobody says."""

    ip_address: str
    machine_name: str
    active: bool | None
    snapshot_month: str

    def says_more(self, known: Machine | None) -> bool:
        """Whether this is news to who knows the other: another name, or another word on whether it is active."""
        if known is None or self.machine_name != known.machine_name:
            return True
        return self.active is not None and self.active != known.active


@dataclass(frozen=True)
class Inventory:
    """A listing as it was understood: ``read == len(machines) + repeated + len(faults)``."""

    origin: str
    read: int
    machines: Mapping[str, Machine]
    repeated: int
    """Rows about an address of which another row was believed."""
    faults: list[tuple[Entry, str]]
    """Rows that name no machine, and why."""
    mended: Counter[str]


@dataclass(frozen=True)
class Imported:
    """What an import added to its month; ``new + changed + known`` are the machines of the inventory."""

    month: str
    new: int
    changed: int
    known: int
    quarantine: str
    """Where in the lake the rows lie that name no machine; empty if there are none."""


def parse_month(text: str) -> datetime:
    """The first moment of a month that is written like 2026-03.

    Raises:
        UsageError: the text is no month.
    """
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text, re.ASCII):
        raise UsageError(f"{shown(text)!r} is no month: write it like 2026-03.")
    return parse_instant(f"{text}-01")


def understood(origin: str, entries: Iterable[Entry]) -> Inventory:
    """One machine per address out of the rows of a listing.

    Raises:
        DataError: no row names a machine.
    """
    found: dict[str, Machine] = {}
    faults: list[tuple[Entry, str]] = []
    mended: Counter[str] = Counter()
    read = 0
    for read, entry in enumerate(entries, 1):  # noqa: B007 - its last value counts
        ip, name = canonical_ip(entry.ip_address), clean_name(entry.machine_name)
        if entry.fault or ip is None or name is None:
            faults.append((entry, entry.fault or ("bad_ip" if ip is None else "no_name")))
            continue
        active = _TRUTHS.get(entry.active.strip().lower())
        mended["unknown_active"] += active is None and bool(clean_name(entry.active))
        machine = Machine(ip, name, active, "")
        found[ip] = min(found.get(ip, machine), machine, key=_preferred)
    if not found:
        raise DataError(
            f"{origin} names no machine" + (f": {_first_fault(faults)}." if faults else ", it has no rows.")
        )
    return Inventory(origin, read, found, read - len(found) - len(faults), faults, +mended)


def _preferred(machine: Machine) -> tuple[int, str, str]:
    return _ACTIVE_FIRST[machine.active], machine.machine_name.casefold(), machine.machine_name


def _first_fault(faults: list[tuple[Entry, str]]) -> str:
    counts = Counter(reason for _, reason in faults)
    entry, reason = faults[0]
    found = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    return (
        f"{found}; the first is line {entry.line}, {reason}: {excerpt(f'{entry.ip_address} {entry.machine_name}', 120)}"
    )


def known_machines(lake: Lake, ledger: Ledger, at: datetime | None = None) -> dict[str, Machine]:
    """What is known of every address as of the month that holds the moment; of all months without one.

    Raises:
        DataError: the file of a month is gone.
        AdapterError: it cannot be read.
    """
    known: dict[str, Machine] = {}
    for part in ledger.parts(machines.name, ""):
        if at is None or part.key.start <= at:
            known |= _rows(part, lake)
    return known


def _rows(part: Part, lake: Lake) -> dict[str, Machine]:
    month = f"{part.key.start:%Y-%m}"
    if not part.rows:
        return {}
    if not lake.has(part.path):
        raise DataError(
            f"the machines of {month} are gone from the lake ({part.path}): give the inventory of that month to "
            f"ndr machines import --month {month} again."
        )
    try:
        with pq.ParquetFile(lake.fetch(part.path)) as file:
            columns = [column.to_pylist() for column in file.read(columns=MACHINE_FIELDS.names).columns]
    except (OSError, pa.ArrowException) as error:
        raise AdapterError(f"{part.path} of the lake cannot be read: {shown(str(error), 200)}") from error
    return {ip: Machine(ip, name, active, month) for ip, name, active in zip(*columns, strict=True)}


def import_inventory(lake: Lake, ledger: Ledger, found: Inventory, month: datetime) -> Imported:
    """Add what an inventory says that is new or changed to its month; the month's part is replaced as a whole.

    Raises:
        DataError: the file of another month is gone.
        AdapterError: a file cannot be read or written.
    """
    sweep(lake, ledger)
    parts = {part.key.start: part for part in ledger.parts(machines.name, "")}
    old = parts.get(month)
    lost = old is not None and old.rows > 0 and not lake.has(old.path)
    held = _rows(old, lake) if old and not lost else {}
    before: dict[str, Machine] = {}
    for start in sorted(start for start in parts if start < month):
        before |= _rows(parts[start], lake)
    view = before | held
    named = f"{month:%Y-%m}"
    news = {
        ip: machine._replace(snapshot_month=named)
        for ip, machine in found.machines.items()
        if machine.says_more(view.get(ip))
    }
    wanted = {month: {ip: m for ip, m in (held | news).items() if m.says_more(before.get(ip))}}
    changed = {ip: view[ip] for ip in news if ip in view}
    if changed and (later := min((start for start in parts if start > month), default=None)):
        kept = {ip: machine._replace(snapshot_month=f"{later:%Y-%m}") for ip, machine in changed.items()}
        wanted[later] = kept | _rows(parts[later], lake)
    quarantine = _quarantine(lake, found, month)
    if news or lost or not old:
        _commit(lake, ledger, wanted, found)
    return Imported(named, len(news) - len(changed), len(changed), len(found.machines) - len(news), quarantine)


def _commit(lake: Lake, ledger: Ledger, wanted: Mapping[datetime, Mapping[str, Machine]], found: Inventory) -> None:
    """Replace the parts of months in one transaction; a file is named by its rows, so that readers see old or all."""
    drafts = [_staged(lake, month, rows) for month, rows in wanted.items()]
    ledger.announce([], [part.path for part in drafts if part.path])
    made = [replace(part, checksum=lake.publish(part.path)) if part.path else part for part in drafts]
    ledger.commit(made, [], _record(made, found))
    sweep(lake, ledger)


def _staged(lake: Lake, month: datetime, rows: Mapping[str, Machine]) -> Part:
    """The part of a month, its file not yet in place; without rows it still says that the month is known."""
    ordered = [rows[ip] for ip in sorted(rows)]
    identity = hashlib.sha256(json.dumps(ordered).encode()).hexdigest()
    key = PartKey(month, month)
    if not ordered:
        return Part(machines.name, "", key, identity, 0, "", "")
    columns = list(zip(*(machine[: len(MACHINE_FIELDS)] for machine in ordered), strict=True))
    path = part_path(machines, "", key, identity[:32])
    arrays = [pa.array(values, field.type) for values, field in zip(columns, MACHINE_FIELDS, strict=True)]
    try:
        pq.write_table(pa.Table.from_arrays(arrays, schema=MACHINE_FIELDS), lake.stage(path), compression="zstd")
    except OSError as error:
        raise AdapterError(f"the machines of {month:%Y-%m} cannot be written: {error.strerror or error}.") from error
    return Part(machines.name, "", key, identity, len(ordered), path, "")


def _quarantine(lake: Lake, found: Inventory, month: datetime) -> str:
    """Keep the rows that name no machine; the same rows of the same inventory lie in the same file."""
    if not found.faults:
        return ""
    lines = [
        {"file": found.origin, "line": entry.line, "reason": reason}
        | {name: excerpt(value) for name, value in zip(entry._fields[1:4], entry[1:4], strict=True)}
        for entry, reason in found.faults
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]
    path = f"quarantine/{machines.name}-{month:%Y-%m}-{digest}.jsonl"
    try:
        Path(lake.stage(path)).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise AdapterError(f"{path} cannot be written: {error.strerror}.") from error
    lake.publish(path)
    return path


def _record(made: Iterable[Part], found: Inventory) -> dict[str, Any]:
    return {
        "table": machines.name,
        "inventory": found.origin,
        "read": found.read,
        "repeated": found.repeated,
        "quarantined": dict(Counter(reason for _, reason in found.faults)),
        "code": __version__,
        "finished": iso(datetime.now(UTC).replace(tzinfo=None)),
        "parts": [
            {"start": iso(p.key.start), "known_at": iso(p.key.known_at), "id": p.id, "rows": p.rows, "path": p.path,
             "sha256": p.checksum} for p in made
        ],
    }  # fmt: skip
