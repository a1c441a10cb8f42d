"""Where results go besides the lake: Redshift, Iceberg and the Feature Store; day by day, and always whole parts.

Whatever is brought replaces what was brought of the same parts before, so that doing it again changes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from ndr.cli.lakes import OpenLake
from ndr.engine import Files
from ndr.engines.parquet import arrow_schema
from ndr.errors import SpecError
from ndr.lake import partition_values
from ndr.ledger import Part
from ndr.run import files_of
from ndr.summary import stored
from ndr.table import Table
from ndr.tables import TABLES
from ndr.tables.feature_groups import FeatureStore
from ndr.tables.prediction_feature_join import Destination, Join
from ndr.time import DAY, Interval, stamp

_VERSIONS = ("feature_spec_version", "model_version")


def deliver(opened: OpenLake, table: Table, within: Interval) -> dict[str, Any]:
    """Bring the joined predictions of an interval to where the spec says; the lake has them already.

    Raises:
        SpecError: the destination cannot be meant.
    """
    spec = opened.shop.config.spec(table)
    if not isinstance(spec, Join):
        raise SpecError("jobs.prediction_feature_join: no spec of a join.")
    to = spec.destination
    told: dict[str, Any] = {"destination": to.type, "delivered_rows": 0}
    if to.type == "s3":
        return told
    for day in within.split(DAY):
        parts = _parts(opened, table, day, within)
        if parts:
            told["delivered_rows"] += _bring(opened, table, to, parts)
    return told


def _parts(opened: OpenLake, table: Table, day: Interval, within: Interval) -> list[Part]:
    """The parts of a day, of the model in force."""
    chosen = day.within(within)
    found = opened.ledger.parts(table.name, opened.shop.config.feature_spec_version, chosen) if chosen else []
    model = opened.shop.model
    return [part for part in found if model and part.key.horizon == model.version]


def _bring(opened: OpenLake, table: Table, to: Destination, parts: Sequence[Part]) -> int:
    """Let the rows of parts be what the destination has of their windows; how many there are."""
    within = Interval(parts[0].key.start, parts[-1].key.start + table.every)
    if to.redshift and to.type == "redshift":
        from ndr.aws.copy import copy_rows  # noqa: PLC0415 - needs an extra

        files = [_told(opened, table, part) for part in parts]
        return copy_rows(to.redshift, table.columns, (table.at, *_VERSIONS), files, str(within))
    if to.iceberg is None:
        raise SpecError(f"jobs.prediction_feature_join.destination: nothing says where {to.type} is.")
    from ndr.sinks.iceberg import write  # noqa: PLC0415 - needs an extra

    ids = {f"{part.table}@{stamp(part.key.known_at)}": part.id for part in parts}
    rows = _rows(opened, table, files_of(table, [part for part in parts if part.path], opened.shop))
    made = write(to.iceberg, table.columns, rows, batch=str(within), parts=ids, within=within, at=table.at)
    return int(made.rows)


def _told(opened: OpenLake, table: Table, part: Part) -> dict[str, Any]:
    """A part as COPY is told of it; one without rows by the window that then holds none."""
    values = partition_values(part.version, part.key)
    told = {name: values[name] for name in table.partitions}
    if part.path:
        return {"uri": opened.lake.path(part.path), "partitions": told, "rows": part.rows}
    return {"partitions": {**told, table.at: table.at_value(part.key).isoformat(sep=" ")}}


def _rows(opened: OpenLake, table: Table, files: Files) -> pa.Table:
    return pa.Table.from_batches(_batches(opened, table, files), schema=arrow_schema(table.columns))


def _batches(opened: OpenLake, table: Table, files: Files) -> Iterator[pa.RecordBatch]:
    shop = opened.shop
    yield from shop.engine.batches(shop.engine.compile(table.unbound("rows")), {"rows": files})


def feed(opened: OpenLake, within: Interval, name: str) -> dict[str, Any]:
    """Send the rows of an interval to their feature groups; a file of the lake keeps the records that were refused.

    Raises:
        SpecError: the configuration has no job feature_store_ingest.
    """
    from ndr.aws.feature_store_offline import write_offline  # noqa: PLC0415 - needs an extra

    spec, project = opened.shop.config.other("feature_store_ingest"), opened.shop.config.project_name
    if not isinstance(spec, FeatureStore):
        raise SpecError("jobs.feature_store_ingest: there is no such spec; it says which tables go to which groups.")
    told: dict[str, Any] = {"failed": []}
    for table in (TABLES[each] for each in spec.groups(project)):
        files = stored(table, opened.shop, within)
        if "online" in spec.stores:
            told[table.name] = _online(
                opened, spec, table, files, f"quarantine/feature_store-{table.name}-{name}.jsonl"
            )
            told["failed"] += told[table.name].pop("kept")
        if "offline" in spec.stores:
            with TemporaryDirectory(prefix="ndr-feed-") as scratch:
                written = write_offline(spec, project, table, _batches(opened, table, files), Path(scratch))
            told[f"{table.name} offline"] = written.facts()
    return told


def _online(opened: OpenLake, spec: FeatureStore, table: Table, files: Files, kept: str) -> dict[str, Any]:
    """Send rows to the online store, and keep what it refuses where that of the same batch was kept before."""
    from ndr.aws.feature_store import ingest  # noqa: PLC0415 - needs an extra

    lake = opened.lake
    with TemporaryDirectory(prefix="ndr-feed-") as scratch:
        failures = Path(scratch) / "failures.jsonl"
        rows = _batches(opened, table, files)
        told = ingest(spec, opened.shop.config.project_name, table, rows, failures).facts()
        if not told["failed"]:
            lake.remove(kept)
            return {**told, "kept": []}
        shutil.copyfile(failures, lake.stage(kept))
    lake.publish(kept)
    return {**told, "kept": [kept]}
