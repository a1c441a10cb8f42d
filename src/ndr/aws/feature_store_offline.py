"""The Feature Store, offline: rows as Parquet files in the store's own layout, without a call for each row.

Files are named after the event time and what else tells rows apart, so that writing whole parts of a table again
replaces what was written of them before.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ndr.aws.clients import client, translated
from ndr.aws.feature_store_groups import ready
from ndr.aws.feature_store_records import Shape, check_one, shape_of, texts
from ndr.aws.objects import split
from ndr.errors import AdapterError, SpecError, shown
from ndr.log import log
from ndr.table import Table
from ndr.tables.feature_groups import FeatureStore

_TYPES = {"Integral": pa.int64(), "Fractional": pa.float64(), "String": pa.string()}
_OWN = {"write_time": pa.timestamp("ms"), "api_invocation_time": pa.timestamp("ms"), "is_deleted": pa.bool_()}
"""What Feature Store adds to every row."""


@dataclass(frozen=True)
class Written:
    """What was written to the offline store."""

    rows: int
    files: int
    data_uri: str
    seconds: float

    def facts(self) -> dict[str, Any]:
        """The counts as data."""
        return {"rows": self.rows, "files": self.files, "data": self.data_uri, "seconds": round(self.seconds, 3)}


def write_offline(
    spec: FeatureStore, project: str, table: Table, rows: Iterable[pa.RecordBatch], scratch: Path | None = None
) -> Written:
    """Write the rows of whole parts of a table to the offline store of its feature group.

    Until the last row was read nothing is written to the store; the files lie in ``scratch`` until then.

    Raises:
        SpecError: the feature group is not as the table needs it, or has no offline store in Parquet.
        DataError: rows cannot be told apart as records.
        AdapterError: S3 cannot be written, or the disk is full.
    """
    started = time.perf_counter()
    shape = shape_of(table)
    there = ready(spec, spec.group_of(project, table.name), shape, "offline")
    asked = f"{spec.offline_s3_prefix}/"
    if not there.data_uri.startswith(asked):
        raise SpecError(
            f"jobs.feature_store_ingest.offline_s3_prefix is {shown(asked)}, and the offline store of {there.name} "
            f"lies in {shown(there.data_uri, 200)}; write down the prefix that it was made with."
        )
    with TemporaryDirectory(prefix="ndr-offline-", dir=scratch) as folder:
        counts = _spooled(shape, there.name, rows, Path(folder))
        _upload(spec, Path(folder), sorted(counts), there.data_uri)
    done = Written(sum(counts.values()), len(counts), there.data_uri, time.perf_counter() - started)
    log("offline store written", group=there.name, rows=done.rows, files=done.files)
    return done


def forget_offline(
    spec: FeatureStore, project: str, table: Table, parts: Iterable[tuple[datetime, Mapping[str, str]]]
) -> None:
    """Remove what the offline store has of parts without rows: the time of each, and its partition values.

    Raises:
        SpecError: the feature group is not as the table needs it.
        ServiceError: S3 refuses, or cannot be asked.
    """
    shape = shape_of(table)
    there = ready(spec, spec.group_of(project, table.name), shape, "offline")
    bucket, start = split(there.data_uri.rstrip("/"))
    with closing(client("s3", spec.region)) as s3:
        for at, values in parts:
            which = "|".join([f"{at:%Y-%m-%dT%H:%M:%SZ}", *(values[name] for name in shape.beyond)])
            place = _place(shape, there.name, which, values)
            with translated(f"{there.data_uri}/{place}"):
                s3.delete_object(Bucket=bucket, Key=f"{start}/{place}")


def _spooled(shape: Shape, group: str, rows: Iterable[pa.RecordBatch], folder: Path) -> dict[str, int]:
    """Write the files here; place below the store's data -> rows."""
    schema = pa.schema([*((name, _TYPES[kind]) for name, kind in shape.features.items()), *_OWN.items()])
    now = datetime.now(UTC).replace(tzinfo=None)
    counts: dict[str, int] = {}
    told: dict[str, str] = {}
    try:
        with ExitStack() as stack:
            writers: dict[str, pq.ParquetWriter] = {}
            for batch in rows:
                check_one(shape, batch, told)
                for place, piece in _by_place(shape, group, _stored(shape, batch, schema, now), told):
                    if place not in writers:
                        (folder / place).parent.mkdir(parents=True, exist_ok=True)
                        writer = pq.ParquetWriter(folder / place, schema, compression="snappy")
                        writers[place] = stack.enter_context(writer)
                    writers[place].write_batch(piece)
                    counts[place] = counts.get(place, 0) + piece.num_rows
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, AdapterError):
            raise
        raise AdapterError(f"{shown(str(folder), 300)} cannot be written: {shown(str(error), 200)}.") from error
    return counts


def _stored(shape: Shape, rows: pa.RecordBatch, schema: pa.Schema, now: datetime) -> pa.RecordBatch:
    """The rows as the offline store has them: what a record leaves out is null."""
    text = texts(shape, rows)
    columns: list[pa.Array] = []
    for name, kind in shape.features.items():
        if kind == "Integral":
            columns.append(rows.column(name).cast(pa.int64()))
        elif kind == "Fractional":
            values = rows.column(name).cast(pa.float64())
            columns.append(pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64())))
        else:
            columns.append(text[name])
    count = rows.num_rows
    moments = pa.array([now] * count, pa.timestamp("us")).cast(pa.timestamp("ms"), safe=False)
    return pa.RecordBatch.from_arrays([*columns, moments, moments, pa.array([False] * count)], schema=schema)


def _by_place(
    shape: Shape, group: str, rows: pa.RecordBatch, told: dict[str, str]
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of each file, with its place: the hour of the event time, then a name that nothing else has."""
    parts = [rows.column(name) for name in (shape.event_time, *shape.beyond)]
    which = pc.binary_join_element_wise(*parts, "|") if len(parts) > 1 else parts[0]
    for value in pc.unique(which).to_pylist():
        yield _place(shape, group, value, told), rows.filter(pc.equal(which, value))


def _place(shape: Shape, group: str, value: str, told: Mapping[str, str]) -> str:
    moment = datetime.fromisoformat(value.partition("|")[0])
    facts = "\n".join((group, value, *(told[name] for name in shape.apart)))
    name = f"{moment:%Y%m%dT%H%M%SZ}_{hashlib.sha256(facts.encode()).hexdigest()[:16]}.parquet"
    return f"{moment:year=%Y/month=%m/day=%d/hour=%H}/{name}"


def _upload(spec: FeatureStore, folder: Path, places: list[str], to: str) -> None:
    """Put the files in their places, one after the other."""
    from boto3.exceptions import S3UploadFailedError  # noqa: PLC0415 - an extra

    bucket, start = split(to.rstrip("/"))
    secret = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": spec.kms_key_id} if spec.kms_key_id else {}
    with closing(client("s3", spec.region)) as s3:
        for place in places:
            with translated(f"{to}/{place}"):
                try:
                    s3.upload_file(str(folder / place), bucket, f"{start}/{place}", ExtraArgs=secret)
                except S3UploadFailedError as error:  # it hides what S3 said
                    raise error.__context__ or error from error
