"""UNLOAD of the rows of a SELECT as Parquet, checked against what its manifest says.

Facts of Redshift that no stand-in proves: UNLOAD writes ``<prefix>000.parquet`` … and ``<prefix>manifest``, which in
its VERBOSE form tells ``meta.content_length`` and ``meta.record_count`` of each file; the columns of its Parquet files
are called in lower case; without rows it may write no file, so that nothing is unloaded then.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ndr.aws.clients import ServiceError
from ndr.aws.redshift import Session
from ndr.aws.redshift_files import Files
from ndr.errors import shown
from ndr.sql import text


class UnverifiedError(ServiceError):
    """What UNLOAD wrote is not what it says, or not what was asked for; nothing of it was published."""


class Wanted(NamedTuple):
    """A SELECT, what its columns are called, which are texts, and how many rows it has."""

    query: str
    columns: Sequence[str]
    rows: int


class Written(NamedTuple):
    """A file of an UNLOAD, and its copy here."""

    path: Path
    uri: str
    rows: int
    bytes: int


def unload_texts(session: Session, files: Files, wanted: Wanted, prefix: str, role: str, folder: Path) -> list[Written]:
    """Unload the rows of a SELECT to files whose names begin so, and copy them here.

    Raises:
        UnverifiedError: what was written is not what the manifest says, lies elsewhere, or is not all that was wanted.
        StatementError: the database refuses it; more in :meth:`Session.run`.
    """
    session.run(
        f"UNLOAD ({text(wanted.query)}) TO {text(prefix)} IAM_ROLE {text(role)} FORMAT AS PARQUET "
        "PARALLEL OFF MANIFEST VERBOSE"
    )
    found = []
    for number, (uri, size, rows) in enumerate(_entries(files.told(f"{prefix}manifest"), prefix)):
        path = folder / f"new-{number:04d}.parquet"
        files.get(uri, path)
        held = _rows(path, uri, wanted.columns)
        if path.stat().st_size != size or (rows is not None and held != rows):
            raise UnverifiedError(
                f"{uri} has {held} rows in {path.stat().st_size} bytes, and its manifest tells of {rows} in {size}."
            )
        found.append(Written(path, uri, held, size))
    if (count := sum(each.rows for each in found)) != wanted.rows:
        raise UnverifiedError(f"{prefix} holds {count} rows of {wanted.rows}.")
    return found


def _entries(told: Any, prefix: str) -> list[tuple[str, int, int | None]]:
    """What a manifest says of each file: where it lies, its bytes and its rows."""
    try:
        found = []
        for entry in told["entries"]:
            meta = entry["meta"]
            rows = meta.get("record_count")
            found.append((str(entry["url"]), int(meta["content_length"]), None if rows is None else int(rows)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnverifiedError(f"{prefix}manifest is none: its entries have no url and meta.content_length.") from error
    for uri, _, _ in found:
        if not uri.startswith(prefix) or "/" in uri.removeprefix(prefix):
            raise UnverifiedError(f"{prefix}manifest lists {shown(uri, 300)}, which lies elsewhere.")
    return found


def _rows(path: Path, uri: str, columns: Sequence[str]) -> int:
    """How many rows a file holds, if it has these columns and they are texts."""
    try:
        with pq.ParquetFile(path) as file:
            found = {field.name: str(field.type) for field in file.schema_arrow}
            rows = int(file.metadata.num_rows)
    except (OSError, pa.ArrowException) as error:
        raise UnverifiedError(f"{uri} is no Parquet file: {shown(str(error), 200)}") from error
    if list(found.items()) != [(column, "string") for column in columns]:
        raise UnverifiedError(f"{uri} has the columns {shown(str(found), 200)}, and not {list(columns)} of texts.")
    return rows
