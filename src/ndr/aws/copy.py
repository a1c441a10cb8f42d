"""Parquet files of S3 as rows of a table of Redshift, in place of the rows that had their keys.

The files are staged in temporary tables of one session, counted, and put in place by one transaction: it locks the
table, deletes the rows whose keys are staged and inserts the staged ones. A retry, also one beside a try that is still
under way, leaves the same rows.

Decisions: lists and structs become SUPER (``SERIALIZETOJSON``), or JSON as text where the table holds texts; what is
told by the path alone (``dt``) becomes a column; a table that is not there is made, columns that it lacks are added,
columns that rows lack stay null; a text is cut to what its column takes, unless it is part of the key.

Facts of Redshift that no stand-in proves, as its documentation has them: COPY of Parquet fills columns by their order
and wants as many as the file has, which is why files are staged in tables of exactly their columns, and tells of no
partitions; its manifest must give ``meta.content_length``; it reads zstd and timestamps in microseconds, and parses
nested columns into SUPER by SERIALIZETOJSON; LOCK comes before the transaction's snapshot; TRUNCATE would commit; ALTER
TABLE adds one column at a time; CAST to VARCHAR(n) cuts at n bytes; the bucket is in the region of the cluster.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ndr.aws import copy_statements as sql
from ndr.aws.clients import ServiceError
from ndr.aws.objects import checked
from ndr.aws.redshift import MOST_STATEMENTS, Pause, Session, once_more
from ndr.aws.redshift_files import Files, Footer
from ndr.errors import DataError, shown
from ndr.sql import name, redshift_statements
from ndr.table import Columns
from ndr.tables.destinations import RedshiftTable, parquet_options

COPIES = "_copies"
"""Where, beside the first file, the manifest of a load lies while it runs; readers leave out what begins so."""


class PartlyLoadedError(ServiceError):
    """Redshift took in fewer or more rows than the files hold; the table was not touched."""

    retryable = True


@dataclass(frozen=True)
class _Load:
    """Files that are loaded by one COPY: of the same columns, in the same partition."""

    files: Mapping[str, Footer]
    types: Mapping[str, str]
    values: Mapping[str, str]


@dataclass(frozen=True)
class _Task:
    """What is to be in the table."""

    spec: RedshiftTable
    columns: Columns
    keys: Sequence[str]
    loads: Sequence[_Load]
    gone: Sequence[Mapping[str, str]]
    """Keys of rows that nothing replaces."""
    batch: str

    @property
    def target(self) -> str:
        return name(self.spec.in_schema, self.spec.table)

    @property
    def partitions(self) -> list[str]:
        """What only paths tell."""
        return list(dict.fromkeys(each for load in self.loads for each in load.values))

    @property
    def staged(self) -> dict[str, str]:
        """The columns of all rows, which are declared or told by paths."""
        found: dict[str, str] = {}
        for load in self.loads:
            found |= {column: dtype for column, dtype in load.types.items() if column in self.columns}
        return found | dict.fromkeys(self.partitions, sql.TEXT)


def copy_rows(
    spec: RedshiftTable, columns: Columns, keys: Sequence[str], files: Sequence[Mapping[str, Any]], batch: str,
    pause: Pause = time.sleep,
) -> int:  # fmt: skip
    """Let the rows of files be those of the table that have their keys; return how many there are.

    Each of the files is told by ``uri`` (``s3://…``), ``partitions`` (what its path says, name to text) and, if known,
    ``rows``. Without a ``uri`` it is a part without rows: rows whose keys are those partition values go. Coarse keys,
    such as window end, version and model, replace whole windows, so that rows that are no more go, too.

    Raises:
        DataError: a file has no such columns, or a row no key.
        PartlyLoadedError: Redshift took in other rows than the files hold.
        StatementError: the database refuses a statement; more in :meth:`Session.run`.
        ServiceError: a service refuses, or cannot be asked.
    """
    if not files:
        return 0
    with Files() as store:
        loads = _loads(store, columns, files)
        gone = [dict(each["partitions"]) for each in files if not each.get("uri")]
        task = _Task(spec, columns, keys, loads, gone, batch)
        _check_keys(task)
        return once_more(lambda: _replaced(task, store, pause))


def _check_keys(task: _Task) -> None:
    known = task.staged if task.loads else dict.fromkeys(task.gone[0], "")
    for key in task.keys:
        if key not in known or any(key not in each for each in task.gone):
            raise DataError(f"{task.batch}: rows for Redshift have no column {key!r}, which they are replaced by.")
    if not task.keys:
        raise DataError(f"{task.batch}: rows for Redshift have no keys, and so could not be replaced.")


def _loads(store: Files, columns: Columns, files: Sequence[Mapping[str, Any]]) -> list[_Load]:
    """The files put together that may be loaded by one COPY.

    Raises:
        DataError: a file holds other rows than was said, or none of the columns.
    """
    found: dict[tuple[Any, ...], dict[str, Footer]] = {}
    for each in files:
        if not each.get("uri"):
            continue
        uri = checked(str(each["uri"]))
        footer = store.footer(uri)
        if each.get("rows") not in (None, footer.rows):
            raise DataError(f"{uri} holds {footer.rows} rows, and {shown(each['rows'])} are told of it.")
        types = {field.name: sql.filed(field, uri) for field in footer.schema}
        values = {column: str(value) for column, value in dict(each["partitions"]).items() if column not in types}
        if not set(types) & set(columns):
            raise DataError(f"{uri} has none of the columns that are declared.")
        found.setdefault((tuple(types.items()), tuple(sorted(values.items()))), {})[uri] = footer
    return [_Load(held, dict(types), dict(values)) for (types, values), held in found.items()]


def _replaced(task: _Task, store: Files, pause: Pause) -> int:
    stage, keyed = (name(f"ndr_{kind}_{uuid.uuid4().hex[:8]}") for kind in ("stage", "keys"))
    before = [list(redshift_statements(each or "")) for each in (task.spec.pre_sql, task.spec.post_sql)]
    making = [each for each in before[0] if each.startswith("CREATE TABLE")]
    with Session(task.spec, f"COPY {task.batch}", pause=pause) as session:
        if making:
            session.together(*making)
        held = _columns_held(session, task)
        types = task.staged or {key: sql.declared(task.columns.get(key, "string")) for key in task.keys}
        session.run(sql.created(stage, types, temporary=True))
        for load in task.loads:
            _staged(session, store, task, load, stage)
        rows = _counted(session, task, stage)
        chosen = {key: types[key] for key in task.keys}
        gone = [sql.key_named(keyed, chosen, each) for each in task.gone]
        session.run(sql.keyed(keyed, stage, task.keys))
        for some in _at_most(gone, MOST_STATEMENTS):
            session.together(*some)
        session.together(
            f"LOCK {task.target}",
            *(each for each in before[0] if each not in making),
            sql.deleted(task.spec.in_schema, task.spec.table, keyed, task.keys),
            sql.inserted(task.target, stage, types, held, task.keys),
            *before[1],
        )
    return rows


def _columns_held(session: Session, task: _Task) -> dict[str, sql.Held]:
    """What columns the table has; it is made, or given those that it lacks."""
    wanted = sql.target_types(task.columns, task.partitions, task.keys)
    asked = sql.columns_of(task.spec.in_schema, task.spec.table)
    held = {str(row[0]).lower(): sql.Held(*row[1:]) for row in session.rows(asked)}
    missing = [column for column in wanted if column.lower() not in held]
    if not held:
        session.run(sql.created(task.target, wanted))
    else:
        adding = [f"ALTER TABLE {task.target} ADD COLUMN {name(column)} {wanted[column]}" for column in missing]
        for some in _at_most(adding, MOST_STATEMENTS):
            session.together(*some)
    if missing:
        held = {str(row[0]).lower(): sql.Held(*row[1:]) for row in session.rows(asked)}
    return held


def _staged(session: Session, store: Files, task: _Task, load: _Load, stage: str) -> None:
    """Load some files, by a manifest that lists them and nothing else."""
    raw = name(f"ndr_raw_{uuid.uuid4().hex[:8]}")
    folder = f"{next(iter(load.files)).rpartition('/')[0]}/{COPIES}/{uuid.uuid4().hex}"
    entries = [
        {"url": uri, "mandatory": True, "meta": {"content_length": footer.size}} for uri, footer in load.files.items()
    ]
    options = parquet_options(task.spec.copy_options)
    nested = sql.SUPER in load.types.values()
    try:
        store.put(f"{folder}/manifest", json.dumps({"entries": entries}).encode())
        session.together(
            sql.created(raw, load.types, temporary=True),
            sql.copied(raw, f"{folder}/manifest", task.spec.iam_role, options, nested=nested),
            sql.gathered(stage, raw, [each for each in load.types if each in task.columns], load.values),
            f"DROP TABLE {raw}",
        )
    finally:
        store.forget(folder)


def _counted(session: Session, task: _Task, stage: str) -> int:
    expected = sum(footer.rows for load in task.loads for footer in load.files.values())
    rows, unknown = session.one(sql.counted(stage, task.keys))
    if rows != expected:
        raise PartlyLoadedError(
            f"Redshift took in {rows} rows of {task.batch} where the files hold {expected}; its table was not touched. "
            "Run the same command again; if that does not help, see its STL_LOAD_ERRORS."
        )
    if unknown:
        raise DataError(f"{task.batch}: {unknown} rows have no {' or '.join(task.keys)}, and so could not be replaced.")
    return int(rows)


def _at_most(statements: Sequence[str], count: int) -> Iterator[Sequence[str]]:
    return (statements[start : start + count] for start in range(0, len(statements), count))
