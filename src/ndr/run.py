"""Run: the only loop in the program. Read, make, check the shape, write, commit; then the next chunk of the plan."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ndr import __version__
from ndr.chunks import chunks, hull
from ndr.engine import Engine, Files, Output, Rows
from ndr.errors import DataError, shown
from ndr.fingerprint import engine_fingerprint, fingerprints
from ndr.lake import Lake, part_path, partition_values
from ndr.ledger import Ledger, Part
from ndr.log import log
from ndr.model.detector import Scorer
from ndr.plan import Step
from ndr.publications import publications
from ndr.queries import NO_CACHE, QueryCache
from ndr.specs import Config
from ndr.table import Context, Given, PartKey, Publication, Table
from ndr.tables import TABLES
from ndr.tables.sessions import sessions
from ndr.time import DAY, SLICE, Interval, iso, stamp


@dataclass(frozen=True)
class Workshop:
    """Everything a run works with."""

    config: Config
    ledger: Ledger
    lake: Lake
    engine: Engine
    queries: QueryCache = NO_CACHE
    chunk_rows: int = 20_000_000
    """Input rows, counted once for every part that reads them, up to which parts are made together."""
    drafts: dict[str, dict[PartKey, Part]] = field(default_factory=dict)
    """The parts of a publication that is being made: they are committed together, when all are there."""
    spent: dict[str, Counter[str]] = field(default_factory=dict)
    """By table, where the engine counts: ``builds``, and what they cost."""
    in_force: Callable[[], Scorer | None] = lambda: None

    @property
    def model(self) -> Scorer | None:
        """The model in force, loaded when it is first asked for."""
        return self.in_force()


def run(
    steps: Sequence[Step], shop: Workshop, progress: Callable[[str, int, int], None] | None = None
) -> dict[str, int]:
    """Make what the plan lists; return how many parts of each table were made.

    Progress is told after every chunk: the table, the parts made so far and those of the whole plan.
    """
    sweep(shop.lake, shop.ledger)
    made: dict[str, int] = {}
    queries: dict[str, str] = {}
    total = sum(len(step.ids) for step in steps)
    done = 0
    for step in steps:
        if shop.drafts and not step.table.published:
            _publish(shop)
        if step.ids and step.table.name not in queries:
            queries[step.table.name] = query_of(step.table, shop)
        for chunk in chunks(step, shop.ledger, shop.config.feature_spec_version, shop.chunk_rows):
            _make(step, chunk, queries[step.table.name], shop)
            done += len(chunk)
            made[step.table.name] = made.get(step.table.name, 0) + len(chunk)
            if progress:
                progress(step.table.name, done, total)
        _forget(step, shop)
    _publish(shop)
    return made


def _publish(shop: Workshop) -> None:
    """Let the tables of the publications that were made come into force, all at once."""
    made = [part for parts in shop.drafts.values() for part in parts.values()]
    shop.drafts.clear()
    if not made:
        return
    remade = {part.key.start for part in made}
    known = (p for p in publications(shop.config, shop.ledger) if p.reference in remade)
    shop.ledger.commit(made, [], {"publications": [_told(p, made, shop) for p in known]})
    sweep(shop.lake, shop.ledger)


def _told(publication: Publication, made: Sequence[Part], shop: Workshop) -> dict[str, Any]:
    """What is remembered of a publication: its bounds, what it was made by and of, and its parts."""
    version, midnight = shop.config.feature_spec_version, Interval(publication.reference, publication.reference + DAY)
    published = (name for name, table in TABLES.items() if table.published)
    parts = {(p.table, p.key): p for name in published for p in shop.ledger.parts(name, version, midnight)}
    parts |= {(part.table, part.key): part for part in made if part.key.start == publication.reference}
    own = [parts[place] for place in sorted(parts)]
    prints = fingerprints(shop.config)
    return {
        "version": version,
        "reference": iso(publication.reference),
        "provisional": publication.provisional,
        "bounds": {name: [iso(each.start), iso(each.end)] for name, each in publication.horizons.items()},
        "fingerprints": {part.table: prints[part.table] for part in own},
        "code": __version__,
        "engine": shop.engine.name,
        "finished": iso(datetime.now(UTC).replace(tzinfo=None)),
        "parts": [_fact(part) for part in own],
    }


def sweep(lake: Lake, ledger: Ledger) -> None:
    """Remove the files that nobody wants any more, also those that a writer which was killed left behind."""
    if paths := ledger.unwanted():
        for path in paths:
            lake.remove(path)
        ledger.removed(paths)


def query_of(table: Table, shop: Workshop) -> str:
    """The recipe of a table in the engine's language, as it was kept, or compiled now."""

    def compiled() -> str:
        config = shop.config
        expression = table.expression(config.spec(table), config.project_parameters, config.feature_spec_version)
        return shop.engine.compile(expression)

    return shop.queries.get(fingerprints(shop.config)[table.name], engine_fingerprint(shop.engine.name), compiled)


def _make(step: Step, chunk: Sequence[PartKey], query: str, shop: Workshop) -> None:
    table, version, started = step.table, shop.config.feature_spec_version, time.perf_counter()
    batches = shop.ledger.batches()
    paths = {key: part_path(table, version, key, _file_name(step, key, batches)) for key in chunk}
    outputs = [Output(_where(table, key), shop.lake.stage(paths[key])) for key in chunk]
    inputs = _inputs(step, chunk, shop, batches)
    judge, order = shop.model.judge if table.judged and shop.model else None, table.order or table.keys
    counts = shop.engine.write(query, inputs, table.stored_columns, order, outputs, table.apart, judge)
    if spent := shop.engine.spent():
        shop.spent.setdefault(table.name, Counter()).update({"builds": 1, **spent})
    drafts = [
        Part(table.name, version, key, step.ids[key], rows, paths[key] if rows else "", "")
        for key, rows in zip(chunk, counts, strict=True)
    ]
    shop.ledger.announce([] if table.published else drafts, [part.path for part in drafts if part.path])
    made = [replace(part, checksum=shop.lake.publish(part.path)) if part.path else part for part in drafts]
    seconds = time.perf_counter() - started
    if table.published:
        shop.drafts.setdefault(table.name, {}).update({part.key: part for part in made})
    else:
        shop.ledger.commit(made, [], _record(table, made, shop, seconds))
        sweep(shop.lake, shop.ledger)
    log("built", table=table.name, parts=len(made), rows=sum(counts), seconds=round(seconds, 3), **spent)


def _file_name(step: Step, key: PartKey, batches: Mapping[datetime, str]) -> str:
    """A part is named after its batch; in a publication after what it was made of, beside the old."""
    if step.table.published:
        return step.ids[key][:16]
    named = batches.get(key.known_at) if step.table.every == SLICE else None
    return named or stamp(key.known_at - step.table.every)


def _where(table: Table, key: PartKey) -> dict[str, datetime | str]:
    if table.published:
        return {}
    where: dict[str, datetime | str] = {table.at: table.at_value(key)}
    if table.by_horizon:
        where["baseline_horizon"] = key.horizon
    return where | {table.arrived: key.known_at} if table.arrived else where


def _inputs(
    step: Step, chunk: Sequence[PartKey], shop: Workshop, batches: Mapping[datetime, str]
) -> dict[str, Files | Rows]:
    compared = step.table.published or step.table.by_horizon or step.table.by_model
    known = publications(shop.config, shop.ledger) if compared else ()
    context = Context(shop.config.project_parameters, shop.config.spec(step.table), chunk, batches, known)
    found: dict[str, Files | Rows] = {}
    for name, read in step.table.reads.items():
        if isinstance(read, Given):
            found[name] = Rows(read.columns, read.rows(context))
            continue
        keys = {key for part in chunk for argument, _, keys in step.inputs[part] if argument == name for key in keys}
        found[name] = _session_files(keys, shop) if read.table is sessions else _part_files(read.table, keys, shop)
    return found


def _part_files(table: Table, keys: set[PartKey], shop: Workshop) -> Files:
    if not keys:
        return Files(table.columns, [])
    version = table.version(shop.config.feature_spec_version)
    parts = {part.key: part for part in shop.ledger.parts(table.name, version, hull(table, keys))}
    parts |= shop.drafts.get(table.name, {})
    lost = [part for key, part in parts.items() if key in keys and part.path and not shop.lake.has(part.path)]
    if lost:
        start, end = min(part.key.start for part in lost), max(part.key.start for part in lost) + table.every
        raise DataError(
            f"{len(lost)} files of table {table.name} are gone from the lake (such as {lost[0].path}); make them again "
            f"with ndr build {table.name} --from {iso(start)} --to {iso(end)}, then go on."
        )
    return files_of(table, [part for key, part in sorted(parts.items()) if key in keys and part.path], shop)


def files_of(table: Table, parts: Sequence[Part], shop: Workshop) -> Files:
    """The files of parts, with the columns that only their paths hold."""
    names = [name for name in table.partitions if name in table.columns]
    values = [partition_values(part.version, part.key) for part in parts]
    fixed = [{name: value[name] for name in names} for value in values]
    return Files(table.columns, shop.lake.ready([part.path for part in parts]), fixed)


def _session_files(keys: set[PartKey], shop: Workshop) -> Files:
    within = hull(sessions, keys)
    units = [unit for unit in shop.ledger.units(within) if not keys.isdisjoint(unit.slices)]
    lost = [unit for unit in units if not shop.lake.has(unit.path)]
    if lost:
        raise DataError(
            f"the sessions of {shown(lost[0].origin)!r} are gone from the lake ({lost[0].path}); "
            "give this log to ndr run again, and they are read anew."
        )
    return Files(
        sessions.columns,
        shop.lake.ready([unit.path for unit in units]),
        [{"batch_end_ts": unit.batch_end} for unit in units],
        (shop.config.project_parameters.clock, within.start, within.end),
    )


def _record(table: Table, made: Sequence[Part], shop: Workshop, seconds: float) -> dict[str, Any]:
    return {
        "table": table.name,
        "version": shop.config.feature_spec_version,
        "engine": shop.engine.name,
        "code": __version__,
        "seconds": round(seconds, 3),
        "finished": iso(datetime.now(UTC).replace(tzinfo=None)),
        "parts": [_fact(part) for part in made],
    }


def _fact(part: Part) -> dict[str, Any]:
    return {
        "table": part.table, "start": iso(part.key.start), "known_at": iso(part.key.known_at),
        "horizon": part.key.horizon, "id": part.id, "rows": part.rows, "path": part.path, "sha256": part.checksum,
    }  # fmt: skip


def _forget(step: Step, shop: Workshop) -> None:
    """Take out the parts that have no inputs any more."""
    if gone := step.gone:
        shop.ledger.commit([], gone, {"table": step.table.name, "gone": [part.path for part in gone]})
        sweep(shop.lake, shop.ledger)
