"""Opening a lake: the options that choose one, and everything a command works with."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ndr.artefacts import FOREST, MANIFEST
from ndr.engine import Engine
from ndr.engines.duckdb import DuckDB
from ndr.engines.exchange import Exchange, LocalExchange
from ndr.engines.httpfs import Access
from ndr.errors import SpecError, UsageError, shown
from ndr.lake import STAGING, Lake, LocalLake
from ndr.ledger import Ledger
from ndr.local_ledger import SqliteLedger
from ndr.log import start_logging
from ndr.model.detector import Scorer
from ndr.places import mounts
from ndr.queries import QueryCache
from ndr.run import Workshop
from ndr.scoring import LakeModels
from ndr.spec_files import config_at
from ndr.specs import Config
from ndr.tables.inference import Inference
from ndr.tables.machines import machines
from ndr.time import Interval, parse_instant

LEDGER = "ledger.sqlite"
LEDGER_TABLE, LEDGER_VARIABLE = "ndr-ledger", "NDR_LEDGER_TABLE_NAME"
S3 = "s3://"
ENGINES = ("duckdb", "spark")


@dataclass(frozen=True)
class OpenLake:
    """A lake, its ledger, and a workshop around both; ``folder`` is where files for people go, if nobody says where."""

    lake: Lake
    ledger: Ledger
    shop: Workshop
    models: LakeModels
    folder: Path


def add_lake_options(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    """``--lake`` and what goes with it."""
    command.add_argument(
        "--lake", required=required, metavar="DIR", help="folder that holds the tables, or s3://bucket/folder"
    )
    command.add_argument(
        "--config", metavar="FILE", help="configuration, YAML or JSON, or a folder of specs; else the defaults"
    )
    command.add_argument("--memory-limit", default="4GB", metavar="SIZE", help="memory of the engine (default 4GB)")
    command.add_argument("--threads", type=int, metavar="N", help="threads of the engine (default: all cores)")
    command.add_argument("--wait", type=float, default=600, metavar="SECONDS", help="wait this long for another run")
    command.add_argument("--verbose", action="store_true", help="structured logs on stderr")


def add_engine_options(command: argparse.ArgumentParser) -> None:
    """What makes tables: for commands that make some."""
    command.add_argument("--engine", choices=ENGINES, help="what computes (default duckdb)")
    command.add_argument(
        "--master",
        default="",
        metavar="URL",
        help="where Spark is: local[N], yarn, spark://…, k8s://…, sc://… (Connect)",
    )


def add_format_option(command: argparse.ArgumentParser, formats: tuple[str, ...] = ("table", "json", "csv")) -> None:
    """How the data on stdout look."""
    command.add_argument("--format", choices=formats, default=formats[0], help=f"default {formats[0]}")


def add_interval_options(command: argparse.ArgumentParser, *, required: bool = False) -> None:
    """An interval of time, as two options."""
    command.add_argument("--from", dest="start", required=required, metavar="TIME", help="UTC, first moment")
    command.add_argument("--to", dest="end", required=required, metavar="TIME", help="UTC, first moment after")


def interval_of(options: argparse.Namespace, whole: Interval | None) -> Interval:
    """The asked interval; where an end is not given, that of the data.

    Raises:
        UsageError: nothing was imported yet and the interval is not fully given.
    """
    if not (options.start and options.end) and whole is None:
        raise UsageError(
            f"the lake {shown(options.lake)!r} holds no sessions yet: import some with ndr run PATH --lake."
        )
    start = parse_instant(options.start) if options.start else whole.start if whole else None
    end = parse_instant(options.end) if options.end else whole.end if whole else None
    if start is None or end is None:
        raise UsageError("give --from and --to.")
    return Interval(start, end)


def _check_clock(config: Config, ledger: Ledger, root: str) -> None:
    known, asked = ledger.clock(), config.project_parameters.clock
    if known not in {None, asked}:
        raise SpecError(
            f"project_parameters.clock: the sessions of the lake {shown(root)!r} were put into slices by {known}, and "
            f"the configuration says {asked}. Use {known}, or import the logs into another lake."
        )


def _endpoint(spec: Inference) -> Scorer:
    from ndr.aws.endpoint import Endpoint  # noqa: PLC0415 - needs an extra

    return Endpoint(spec)


def _brought(uri: str, folder: Path) -> Path:
    from ndr.aws.objects import bring  # noqa: PLC0415 - needs an extra

    return bring(uri, (MANIFEST, FOREST), folder)


@contextmanager
def open_lake(
    options: argparse.Namespace, *, existing: bool = True, writes: bool = False, config: Config | None = None
) -> Iterator[OpenLake]:
    """The lake that the options name, closed again at the end; only who writes spills into it.

    The configuration is that of the options, or the one given.

    Raises:
        UsageError: the lake must exist and does not.
    """
    start_logging(verbose=options.verbose)
    options.lake = str(options.lake)
    config = config or config_at(options.config)
    with TemporaryDirectory(prefix="ndr-") as elsewhere:
        scratch = Path(elsewhere)
        found = _on_s3(options, config, scratch) if options.lake.startswith(S3) else _local(options, existing=existing)
        lake, ledger = found
        with closing(lake), closing(ledger):
            if existing and lake.uri.startswith(S3) and not _begun(ledger):
                raise _no_lake(options.lake)
            _check_clock(config, ledger, options.lake)
            folder = lake.root if isinstance(lake, LocalLake) else Path()
            spills = str(folder / STAGING) if writes and isinstance(lake, LocalLake) else elsewhere
            with closing(open_engine(options, spills, lake)) as engine:
                models = LakeModels(lake, config, _endpoint, partial(_brought, folder=scratch))
                shop = Workshop(config, ledger, lake, engine, QueryCache.of_user(), in_force=models.in_force)
                yield OpenLake(lake, ledger, shop, models, folder)


def _begun(ledger: Ledger) -> bool:
    """Whether anything was imported: logs, or machines."""
    return ledger.last_arrival() is not None or bool(ledger.parts(machines.name, ""))


def _no_lake(root: str) -> UsageError:
    return UsageError(f"there is no lake in {shown(root)!r}: make one with ndr run PATH --lake {shown(root)}.")


def _local(options: argparse.Namespace, *, existing: bool) -> tuple[Lake, Ledger]:
    if existing and not (Path(options.lake.removeprefix("file://")) / LEDGER).is_file():
        raise _no_lake(options.lake)
    lake = LocalLake(options.lake)
    return lake, SqliteLedger(lake.root / LEDGER)


def _on_s3(options: argparse.Namespace, config: Config, scratch: Path) -> tuple[Lake, Ledger]:
    from ndr.aws.ledger import DynamoLedger  # noqa: PLC0415 - needs an extra
    from ndr.aws.s3 import S3Lake  # noqa: PLC0415

    ledger = DynamoLedger(ledger_table(options, config), options.lake.rstrip("/"))
    in_place = getattr(options, "engine", None) == "spark"  # its machines have no copies of ours
    lake = S3Lake(options.lake, scratch, mounts(config), ledger.writing, ledger.check_writer, in_place=in_place)
    return lake, ledger


def ledger_table(options: argparse.Namespace, config: Config) -> str:
    """The table of DynamoDB that ledgers lie in."""
    said = getattr(options, "ledger_table", None) or os.environ.get(LEDGER_VARIABLE)
    return str(said or config.pipeline_defaults.ledger_table_name or LEDGER_TABLE)


def open_engine(options: argparse.Namespace, spills: str, lake: Lake) -> Engine:
    """The engine that the options ask for, DuckDB where they ask for none.

    Raises:
        AdapterError: it is not here, or does not start.
    """
    access, threads, limit = _access(lake), options.threads, options.memory_limit
    if getattr(options, "engine", None) != "spark":
        return DuckDB(spills, memory_limit=limit, threads=threads, s3=access)
    from ndr.engines.spark import Spark  # noqa: PLC0415 - needs an extra
    from ndr.engines.spark_session import Where, opened  # noqa: PLC0415

    with closing(DuckDB(spills, memory_limit=limit)) as asked:
        memory = asked.memory_bytes
    where = Where(options.master, threads, memory // 4 * 3, spills)
    if access is None:
        exchange: Exchange = LocalExchange(spills)
    else:
        from ndr.aws.exchange import S3Exchange, hadoop_settings  # noqa: PLC0415 - needs an extra

        exchange = S3Exchange(lake.uri)
        where = replace(where, settings=hadoop_settings(access()))
    embedded = DuckDB(spills, memory_limit=f"{memory // 4}B", threads=threads, s3=access)
    return Spark(partial(opened, where), exchange, embedded)


def _access(lake: Lake) -> Access | None:
    if not lake.uri.startswith(S3):
        return None
    from ndr.aws.s3 import access  # noqa: PLC0415 - needs an extra

    return access
