"""Job ``machine_inventory_unload``: the machines of Redshift that are not known yet, as Parquet on S3.

The known machines go to a temporary table by one COPY of one file, so that Redshift itself leaves them out; UNLOAD
writes the rest to a prefix of this run, which is checked against its manifest, read here and only then published. Where
Redshift cannot do that (no right to make temporary tables, no way from it to S3), the rows are read through the
Data API and compared here.

One address has one name, as everywhere: of several that rows give it, the one that sorts first whatever its case.

Facts of Redshift that no stand-in proves, beside those of UNLOAD: TRIM and LOWER do to UTF-8 what PostgreSQL's do;
texts sort by their bytes unless a collation is set; results that are read through the Data API end at 500 MB.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ndr.aws.redshift import Pause, Session, StatementError, once_more
from ndr.aws.redshift_files import Files
from ndr.aws.redshift_unload import UnverifiedError, Wanted, unload_texts
from ndr.errors import AdapterError, shown
from ndr.log import log
from ndr.sql import name, text
from ndr.tables.inventory_unload import InventoryUnload
from ndr.time import parse_instant

RUNS = "_runs"
"""Where in the prefix the files of a run lie until they are published; readers leave out what begins so."""
_MONTH = re.compile(r"/snapshot_month=(\d{4}-(?:0[1-9]|1[0-2]))/(?![_.])[^/]+", re.ASCII)
"""A file of a snapshot, below the prefix."""
_NAMED = "ip <> '' AND name <> ''"


@dataclass(frozen=True)
class Unloaded:
    """Machines that are new or have another name: files of this machine, with the columns of the spec's output."""

    files: tuple[Path, ...]
    rows: int
    way: Literal["unload", "fallback"]
    manifest: Mapping[str, Any]
    """How many rows the source has (``read``), how many name a machine (``named``), of how many ``machines`` so many
    were ``known``; the ``files`` with their rows and bytes; the ``reason`` for the fallback, if that was the way."""
    run: str = ""
    """Where the files of the run lie on S3."""


@dataclass(frozen=True)
class _Run:
    """What both ways are told."""

    spec: InventoryUnload
    month: datetime
    known: Mapping[str, str]
    folder: Path
    pause: Pause

    def session(self) -> Session:
        return Session(self.spec.redshift, f"machine_inventory_unload {self.month:%Y-%m}", pause=self.pause)

    @property
    def columns(self) -> tuple[str, str]:
        return self.spec.output.ip_output_column, self.spec.output.name_output_column

    @property
    def source(self) -> str:
        """The SELECT of addresses and names that the spec asks for, before anything is left out."""
        query = self.spec.query
        filters = [f"({one})" for one in (query.active_filter, *query.additional_filters) if one]
        rows = f"({query.sql})" if query.sql else name(query.schema_name or "", query.table or "")
        where = f" WHERE {' AND '.join(filters)}" if filters else ""
        return (
            f"SELECT LOWER(TRIM(CAST({name(query.ip_column)} AS VARCHAR(256)))) AS ip, "  # noqa: S608 - all checked
            f"TRIM(CAST({name(query.name_column)} AS VARCHAR(65535))) AS name FROM {rows} AS origin{where}"
        )


def unload(
    spec: InventoryUnload, month: datetime, known: Mapping[str, str], scratch: Path, pause: Pause = time.sleep
) -> Unloaded:
    """The machines that are not known yet by address and name; nothing is published.

    What is ``known`` is what snapshots in the prefix say: they are complete for whoever reads them, whatever else
    this system has learned from elsewhere.

    Raises:
        StatementError: the database refuses what the spec asks for, however it is asked.
        ServiceBusyError: Redshift or S3 is busy; the same call may do better later.
        ServiceError: a service refuses, or cannot be asked.
    """
    run = _Run(spec, month, known, scratch / "inventory", pause)
    try:
        return once_more(lambda: _unloaded(run))
    except (StatementError, UnverifiedError) as error:
        if error.retryable:
            raise
        reason = shown(str(error), 300)
    log("UNLOAD cannot be used", reason=reason)
    return once_more(lambda: _compared(run, reason))


def _unloaded(run: _Run) -> Unloaded:
    _emptied(run.folder)
    place = f"{run.spec.output.s3_prefix}/{RUNS}/{run.month:%Y-%m}-{uuid.uuid4().hex}"
    held, found, fresh = (name(f"ndr_{kind}_{uuid.uuid4().hex[:8]}") for kind in ("known", "found", "fresh"))
    with Files() as files, run.session() as session:
        try:
            copying = _known_copied(run, files, f"{place}/known/known.parquet", held)
            session.together(
                f"CREATE TEMPORARY TABLE {held} (ip VARCHAR(256), name VARCHAR(65535))",
                *copying,
                f"CREATE TEMPORARY TABLE {found} AS {run.source}",
                f"CREATE TEMPORARY TABLE {fresh} AS {_fresh(found, held)}",
            )
            read, named, machines = session.one(_counting(found))
            (rows,) = session.one(f"SELECT COUNT(*) FROM {fresh}")  # noqa: S608 - a name of ours
            wanted = Wanted(_renamed(fresh, run.columns), run.columns, rows)
            role = run.spec.redshift.iam_role
            made = unload_texts(session, files, wanted, f"{place}/new/", role, run.folder) if rows else []
        except BaseException:
            files.forget(place)
            raise
        files.forget(f"{place}/known")
    counts = {"read": read, "named": named, "machines": machines, "known": machines - rows}
    facts = [{"uri": each.uri, "rows": each.rows, "bytes": each.bytes} for each in made]
    return Unloaded(tuple(each.path for each in made), rows, "unload", counts | {"files": facts}, place)


def _known_copied(run: _Run, files: Files, place: str, table: str) -> tuple[str, ...]:
    """Upload what is known, and the statement that takes it to a table."""
    if not run.known:
        return ()
    path = run.folder / "known.parquet"
    _write(path, ("ip", "name"), run.known.items())
    files.put(place, path)
    return (f"COPY {table} FROM {text(place)} IAM_ROLE {text(run.spec.redshift.iam_role)} FORMAT AS PARQUET",)


def _fresh(found: str, known: str) -> str:
    """Addresses with the one name that each has, without those that are known so."""
    return (
        "SELECT f.ip, f.name FROM (SELECT ip, name, ROW_NUMBER() "  # noqa: S608 - names of ours
        f"OVER (PARTITION BY ip ORDER BY LOWER(name), name) AS place FROM {found} WHERE {_NAMED}) AS f "
        f"LEFT JOIN {known} AS k ON k.ip = f.ip AND k.name = f.name WHERE f.place = 1 AND k.ip IS NULL"
    )


def _counting(found: str) -> str:
    return (
        f"SELECT COUNT(*), COUNT(CASE WHEN {_NAMED} THEN 1 END), "  # noqa: S608 - names of ours
        f"COUNT(DISTINCT CASE WHEN {_NAMED} THEN ip END) FROM {found}"
    )


def _renamed(fresh: str, columns: tuple[str, str]) -> str:
    ip, said = map(name, columns)
    return f"SELECT ip AS {ip}, name AS {said} FROM {fresh} ORDER BY 1"  # noqa: S608 - names that are checked


def _compared(run: _Run, reason: str) -> Unloaded:
    """The same without temporary tables and UNLOAD: all rows are read, and compared here."""
    _emptied(run.folder)
    read = named = 0
    machines: dict[str, str] = {}
    with run.session() as session:
        for ip, said in session.rows(run.source):
            read += 1
            if ip and said:
                named += 1
                machines[ip] = min(machines.get(ip, said), said, key=lambda one: (one.lower(), one))
    fresh = sorted((ip, said) for ip, said in machines.items() if run.known.get(ip) != said)
    paths = (run.folder / "new-0000.parquet",) if fresh else ()
    for path in paths:
        _write(path, run.columns, fresh)
    counts = {"read": read, "named": named, "machines": len(machines), "known": len(machines) - len(fresh)}
    facts = [{"rows": len(fresh), "bytes": path.stat().st_size} for path in paths]
    return Unloaded(paths, len(fresh), "fallback", counts | {"files": facts, "reason": reason})


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _write(path: Path, columns: tuple[str, str], rows: Iterable[tuple[str, str]]) -> None:
    values = zip(*rows, strict=True)
    found = pa.table({column: pa.array(each, pa.string()) for column, each in zip(columns, values, strict=True)})
    try:
        pq.write_table(found, path, compression="snappy")
    except OSError as error:
        raise AdapterError(f"{path.name} cannot be written: {error.strerror or error}.") from error


def publish(spec: InventoryUnload, month: datetime, unloaded: Unloaded) -> str:
    """Put the machines where the snapshot of their month lies, ``_SUCCESS`` last, and clear the run; return that place.

    What the month holds already, of an earlier try for one, stays and is not written again. A file is called by its
    content.

    Raises:
        AdapterError: a file of the month cannot be read.
        ServiceError: S3 refuses, or cannot be asked.
    """
    target = f"{spec.output.s3_prefix}/snapshot_month={month:%Y-%m}"
    with Files() as files:
        for path in unloaded.files:
            copy = path.with_name("held.parquet")
            held = {pair for uri in _of_month(files, target) for pair in _copied(files, uri, copy, spec)}
            rows = [pair for pair in _pairs(path, path.name, spec) if pair not in held]
            if rows:
                _write(copy, (spec.output.ip_output_column, spec.output.name_output_column), rows)
                digest = hashlib.sha256(copy.read_bytes()).hexdigest()[:32]
                files.put(f"{target}/new-{digest}.parquet", copy)
        files.put(f"{target}/_SUCCESS", b"")
        if unloaded.run:
            files.forget(unloaded.run)
    return f"{target}/"


class Snapshot(NamedTuple):
    """What lies in the prefix for a month, whoever wrote it."""

    month: datetime
    machines: tuple[tuple[str, str], ...]
    """Addresses and names."""


def snapshots(spec: InventoryUnload, scratch: Path) -> Iterator[Snapshot]:
    """The snapshots in the prefix, month by month; also those of the previous platform.

    Raises:
        AdapterError: a file has other columns, or cannot be read.
        ServiceError: S3 refuses, or cannot be asked.
    """
    copy = scratch / "inventory-known.parquet"
    with Files() as files:
        found: dict[str, list[str]] = {}
        for uri in files.listed(spec.output.s3_prefix):
            if month := _MONTH.fullmatch(uri.removeprefix(spec.output.s3_prefix)):
                found.setdefault(month[1], []).append(uri)
        for named, uris in sorted(found.items()):
            pairs = [pair for uri in uris for pair in _copied(files, uri, copy, spec)]
            yield Snapshot(parse_instant(f"{named}-01"), tuple(pairs))


def published(found: Iterable[Snapshot]) -> dict[str, str]:
    """What snapshots say: address -> name, the latest month's, both as the SELECT of the job writes them."""
    return {ip.strip(" ").lower(): said.strip(" ") for snapshot in found for ip, said in snapshot.machines}


def _of_month(files: Files, folder: str) -> Iterator[str]:
    return (uri for uri in files.listed(folder) if _MONTH.fullmatch(uri.removeprefix(folder.rpartition("/")[0])))


def _copied(files: Files, uri: str, copy: Path, spec: InventoryUnload) -> list[tuple[str, str]]:
    files.get(uri, copy)
    try:
        return _pairs(copy, uri, spec)
    finally:
        copy.unlink()


def _pairs(path: Path, uri: str, spec: InventoryUnload) -> list[tuple[str, str]]:
    wanted = [spec.output.ip_output_column, spec.output.name_output_column]
    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            rows = file.read(columns=wanted)
            ips, names = (rows.column(column).cast(pa.string()).to_pylist() for column in wanted)
    except KeyError:
        raise AdapterError(
            f"{shown(uri, 300)} has the columns {shown(str(columns), 200)} and not {wanted}: see in the spec what "
            "output.ip_output_column and name_output_column are, or remove the file."
        ) from None
    except pa.ArrowException as error:
        raise AdapterError(f"{shown(uri, 300)} cannot be read: {shown(str(error), 200)}") from error
    return [(ip, said) for ip, said in zip(ips, names, strict=True) if ip and said]
