"""Where results go besides the lake: Redshift, Iceberg and the Feature Store.

The ledger notes which parts a destination has, so that each is brought once, and again when it was made anew. What is
brought replaces what was there of the same parts: who is stopped in the middle does it again, and nothing is doubled.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ndr.arrow import arrow_schema
from ndr.cli.lakes import OpenLake
from ndr.errors import SpecError
from ndr.lake import partition_values
from ndr.ledger import Part
from ndr.run import files_of
from ndr.summary import rows_of
from ndr.table import SERVICE, PartKey, Table
from ndr.tables import TABLES
from ndr.tables.destinations import IcebergTable, RedshiftTable
from ndr.tables.feature_groups import FeatureStore
from ndr.tables.prediction_feature_join import Join
from ndr.time import Interval, iso, stamp

if TYPE_CHECKING:
    from ndr.aws.feature_store import Ingested

_VERSIONS = ("feature_spec_version", "model_version")
_ROWS = 50_000
"""How many rows are brought at a time."""


def deliver(opened: OpenLake, table: Table, within: Interval, *, again: bool = False) -> dict[str, Any]:
    """Bring the joined predictions of an interval to where the spec says; the lake has them already.

    Raises:
        SpecError: the destination cannot be meant.
    """
    spec = opened.shop.config.spec(table)
    if not isinstance(spec, Join):
        raise SpecError("jobs.prediction_feature_join: no spec of a join.")
    to = spec.destination
    place = to.redshift if to.type == "redshift" else to.iceberg if to.type == "iceberg" else None
    rows = 0
    if place is not None:
        for parts in _owed(opened, table, _name(place), within, again=again):
            opened.lake.check()
            if isinstance(place, RedshiftTable):
                rows += _to_redshift(opened, table, place, parts)
            else:
                rows += _to_iceberg(opened, table, place, parts)
            _note(opened, table, _name(place), parts)
    return {"destination": to.type, "delivered_rows": rows}


def _name(place: RedshiftTable | IcebergTable) -> str:
    if isinstance(place, IcebergTable):
        return f"iceberg:{place.catalog}/{place.table}"
    where = place.cluster_identifier or place.workgroup_name
    return f"redshift:{where}/{place.database}/{place.in_schema}.{place.table}"


def _owed(opened: OpenLake, table: Table, to: str, within: Interval, *, again: bool) -> Iterator[list[Part]]:
    """The parts that a destination does not have as they are, some at a time, without gaps among them.

    Those are the parts of the interval, and all that it has otherwise: baselines that were made anew change what is
    compared with them for as long as they serve. What is no more is a part without rows.
    """
    version, model = opened.shop.config.feature_spec_version, opened.shop.model
    near = Interval(within.start - SERVICE, within.end + SERVICE)

    def current(named: str) -> dict[PartKey, Part]:
        found = opened.ledger.parts(named, version, near)
        return {p.key: p for p in found if not table.by_model or (model and p.key.horizon == model.version)}

    parts = {key: part for key, part in current(table.name).items() if part.id}
    there = {key: part.id for key, part in current(_mark(table, to)).items()}
    gone = {
        key: Part(table.name, version, key, "", 0, "", "") for key, had in there.items() if had and key not in parts
    }

    def lacking(part: Part) -> bool:
        inside = within.contains(part.key.start)
        return (again and inside) or ((inside or part.key in there) and there.get(part.key) != part.id)

    owed = [part for _, part in sorted((parts | gone).items()) if lacking(part)]
    some: list[Part] = []
    for part in owed:
        beside = not some or part.key.start - some[-1].key.start <= table.every
        if some and (not beside or sum(each.rows for each in some) + part.rows > _ROWS):
            yield some
            some = []
        some.append(part)
    if some:
        yield some


def _mark(table: Table, to: str) -> str:
    """The name under which the ledger notes what a destination has of a table."""
    return f"{table.name}>{to}"


def _note(opened: OpenLake, table: Table, to: str, parts: Sequence[Part]) -> None:
    had = [replace(part, table=_mark(table, to), path="", checksum="") for part in parts]
    finished = iso(datetime.now(UTC).replace(tzinfo=None))
    opened.ledger.commit(had, [], {"delivered": table.name, "to": to, "parts": len(parts), "finished": finished})


def _to_redshift(opened: OpenLake, table: Table, place: RedshiftTable, parts: Sequence[Part]) -> int:
    """Let the rows of parts be what a table of Redshift has of their windows; how many there are."""
    from ndr.aws.copy import copy_rows  # noqa: PLC0415 - needs an extra

    files = []
    for part in parts:
        values = partition_values(part.version, part.key)
        told = {name: values[name] for name in table.partitions}
        if part.path:
            files.append({"uri": opened.lake.path(part.path), "partitions": told, "rows": part.rows})
        else:
            files.append({"partitions": {**told, table.at: table.at_value(part.key).isoformat(sep=" ")}})
    return copy_rows(place, table.columns, (table.at, *_VERSIONS), files, _span(table, parts))


def _to_iceberg(opened: OpenLake, table: Table, place: IcebergTable, parts: Sequence[Part]) -> int:
    """Let the rows of parts be what a table of Iceberg has of their windows; how many there are."""
    from ndr.sinks.iceberg import write  # noqa: PLC0415 - needs an extra

    within = Interval(table.at_value(parts[0].key), table.at_value(parts[-1].key) + table.every)
    values = partition_values(parts[0].version, parts[0].key)
    made = write(
        place, table.columns, pa.Table.from_batches(_rows(opened, table, parts), schema=arrow_schema(table.columns)),
        batch=_span(table, parts), parts={stamp(part.key.known_at): part.id for part in parts}, within=within,
        at=table.at, properties={name: values[name] for name in _VERSIONS},
    )  # fmt: skip
    return int(made.rows)


def _span(table: Table, parts: Sequence[Part]) -> str:
    return str(Interval(parts[0].key.start, parts[-1].key.start + table.every))


def _rows(opened: OpenLake, table: Table, parts: Sequence[Part]) -> Iterator[pa.RecordBatch]:
    return rows_of(table, files_of(table, [part for part in parts if part.path], opened.shop), opened.shop)


def feed(opened: OpenLake, within: Interval, *, again: bool = False) -> dict[str, Any]:
    """Send the rows of an interval to their feature groups; a file of the lake keeps the records that were refused.

    Parts with such records are not noted as sent: the next run that comes by sends them again.

    Raises:
        SpecError: the configuration has no job feature_store_ingest.
    """
    from ndr.aws.feature_store_offline import forget_offline, write_offline  # noqa: PLC0415 - needs an extra

    spec, project = opened.shop.config.other("feature_store_ingest"), opened.shop.config.project_name
    if not isinstance(spec, FeatureStore):
        raise SpecError("jobs.feature_store_ingest: there is no such spec; it says which tables go to which groups.")
    told: dict[str, Any] = {"failed": []}
    for table_name, group in spec.groups(project).items():
        table = TABLES[table_name]
        for store in spec.stores:
            to, rows = f"{store}:{group}", 0
            for parts in _owed(opened, table, to, within, again=again):
                opened.lake.check()
                if store == "online":
                    done = _online(opened, spec, table, parts, told["failed"])
                    rows += done.sent
                    refused = done.failed > 0
                else:
                    rows += write_offline(spec, project, table, _rows(opened, table, parts)).rows
                    empty = [(table.at_value(p.key), partition_values(p.version, p.key)) for p in parts if not p.rows]
                    forget_offline(spec, project, table, empty)
                    refused = False
                if not refused:
                    _note(opened, table, to, parts)
            told[f"{table_name} {store}"] = rows
    return told


def _online(opened: OpenLake, spec: FeatureStore, table: Table, parts: Sequence[Part], kept: list[str]) -> Ingested:
    """Send rows to the online store; what it refuses goes to what it refused of the table before and still lacks."""
    from ndr.aws.feature_store import ingest  # noqa: PLC0415 - needs an extra

    lake, place = opened.lake, f"quarantine/feature_store-{table.name}.jsonl"
    with TemporaryDirectory(prefix="ndr-feed-") as scratch:
        failures = Path(scratch) / "failures.jsonl"
        if lake.has(place):
            shutil.copyfile(lake.fetch(place), failures)
        done = ingest(spec, opened.shop.config.project_name, table, _rows(opened, table, parts), failures)
        if failures.exists() and failures.stat().st_size:
            shutil.copyfile(failures, lake.stage(place))
            lake.publish(place)
        elif lake.has(place):
            lake.remove(place)
        if done.failed and place not in kept:
            kept.append(place)
    return done
