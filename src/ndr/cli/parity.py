"""``ndr parity``: build everything twice, on two engines, and say whether all numbers are the same."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ndr import __version__
from ndr.artefacts import digest
from ndr.cli import lakes
from ndr.cli.logs import found_files, source_specs
from ndr.cli.models import armed
from ndr.cli.output import Progress, plain, write_rows
from ndr.engine import Engine
from ndr.errors import AdapterError, DataError, UsageError, shown
from ndr.fingerprint import run_fingerprint
from ndr.lake import LocalLake
from ndr.ledger import Ledger
from ndr.local_ledger import SqliteLedger
from ndr.news import SCORES, plan_everywhere
from ndr.parity import TableParity, compare
from ndr.parity.cells import TOLERANCE
from ndr.parity.imports import copy_imports, copy_models
from ndr.publications import publications, warmup_references
from ndr.run import run
from ndr.sources.formats import SOURCES
from ndr.sources.imports import Importer
from ndr.spec_files import config_at
from ndr.specs import Config
from ndr.tables import TABLES
from ndr.time import END_OF_TIME, EPOCH, Interval, iso, parse_instant

DISTRIBUTIONS = {"duckdb": "duckdb", "spark": "pyspark"}
"""Engine -> the package whose version is its own."""
DIFFERENT = 1
_FEATURES = tuple(table for table in TABLES.values() if table.recipe and table not in SCORES)


def add_commands(commands: Any) -> None:
    """``parity``."""
    command = commands.add_parser("parity", help="build everything on two engines, and compare cell by cell")
    command.add_argument("paths", nargs="+", metavar="PATH", help="files, folders or globs of logs; or one local lake")
    command.add_argument("--engine", choices=lakes.ENGINES, default="spark", help="default spark")
    command.add_argument(
        "--against", choices=lakes.ENGINES, default="duckdb",
        help="the engine that it is compared with (default duckdb); the same one works with one thread",
    )  # fmt: skip
    command.add_argument("--master", default="", metavar="URL", help="where Spark is, as ndr run takes it")
    command.add_argument("--source", choices=sorted(SOURCES), help="format of the logs (default: seen from content)")
    command.add_argument(
        "--config", metavar="FILE", help="configuration, YAML or JSON, or a folder of specs; else the defaults"
    )
    command.add_argument("--memory-limit", default="4GB", metavar="SIZE", help="memory of an engine (default 4GB)")
    command.add_argument("--threads", type=int, metavar="N", help="threads of an engine (default: all cores)")
    command.add_argument("--keep", metavar="DIR", help="keep both lakes below this folder, which must be empty")
    command.add_argument("--output", metavar="FILE", help="also write what was found as JSON: a certificate")
    command.add_argument("--verbose", action="store_true", help="structured logs on stderr")
    lakes.add_interval_options(command)
    lakes.add_format_option(command, ("table", "json"))
    command.set_defaults(run=_parity)


def _parity(options: argparse.Namespace) -> int:
    if options.output and not Path(options.output).absolute().parent.is_dir():
        raise UsageError(f"--output {shown(options.output, 300)!r}: there is no such folder.")
    config, within = config_at(options.config), _within(options)
    with _folder(options.keep) as root:
        one, other = root / f"1-{options.against}", root / f"2-{options.engine}"
        with _opened(one) as (lake, ledger), _opened(other) as (twin, twin_ledger):
            inputs = _gather(options, config, lake, ledger)
            copy_imports(lake, ledger, twin, twin_ledger, config.feature_spec_version)
            first = _build(options, one, options.against, within)
            copy_models(lake, twin)
            second = _build(options, other, options.engine, within)
            found = _compare((lake, ledger), (twin, twin_ledger), config)
    if not any(told.cells for told in found.values()):
        raise DataError("nothing was built, so there is nothing to compare: no host was seen in the interval.")
    told = _certificate(config, [first, second], inputs, found)
    text = json.dumps(told, indent=2, allow_nan=False)
    if options.format == "json":
        print(text)
    else:
        _tell(told, found)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")
    return 0 if told["equal"] else DIFFERENT


def _within(options: argparse.Namespace) -> Interval | None:
    if not (options.start or options.end):
        return None
    start = parse_instant(options.start) if options.start else EPOCH
    return Interval(start, parse_instant(options.end) if options.end else END_OF_TIME)


@contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    """Where both lakes lie: for good where it is asked for."""
    if keep is None:
        with TemporaryDirectory(prefix="ndr-parity-") as folder:
            yield Path(folder)
        return
    root = Path(keep)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"--keep {shown(keep, 300)!r} holds something already; name an empty folder, or none yet.")
    yield root


@contextmanager
def _opened(root: Path) -> Iterator[tuple[LocalLake, Ledger]]:
    lake = LocalLake(root)
    with closing(lake), closing(SqliteLedger(lake.root / lakes.LEDGER)) as ledger:
        yield lake, ledger


def _gather(options: argparse.Namespace, config: Config, lake: LocalLake, ledger: Ledger) -> dict[str, Any]:
    """Import the logs, or what was imported into a lake; what there is to say of the sessions."""
    there = [path for path in options.paths if (Path(path) / lakes.LEDGER).is_file()]
    if there and len(options.paths) > 1:
        raise UsageError(f"{shown(there[0], 300)!r} is a lake: give it alone, or logs.")
    refused = 0
    if there:
        with _opened(Path(there[0])) as (source, source_ledger):
            copy_imports(source, source_ledger, lake, ledger, config.feature_spec_version)
            copy_models(source, lake)
    else:
        refused = _import(options, config, lake, ledger)
    units = ledger.units()
    if not any(unit.slices for unit in units):
        raise DataError("there is no session to build anything of: give other logs.")
    if not publications(config, ledger):
        for reference in warmup_references(config, ledger):
            ledger.ask_publication(config.feature_spec_version, reference, provisional=True)
    sessions = sum(sum(unit.slices.values()) for unit in units)
    return {"sessions": sessions, "imports": digest(unit.id for unit in units), "refused_files": refused}


def _import(options: argparse.Namespace, config: Config, lake: LocalLake, ledger: Ledger) -> int:
    """Import logs; how many files were refused, which is told on stderr."""
    bar = Progress("import")
    with TemporaryDirectory(prefix="ndr-logs-") as folder:
        paths, named = found_files(options.paths, Path(folder))
        counted = iter(range(len(paths)))
        importer = Importer(
            lake, ledger, source_specs(config), config.project_parameters.clock, options.source, named=named
        )
        try:
            reports = importer.files(paths, lambda path: bar(path.name, next(counted), len(paths)))
        finally:
            bar.close()
    refused = [report for report in reports if report.outcome == "refused"]
    for report in refused:
        print(f"ndr: left out {shown(str(report.path), 200)}: {report.reason}", file=sys.stderr)
    return len(refused)


def _build(options: argparse.Namespace, root: Path, engine: str, within: Interval | None) -> dict[str, Any]:
    """Build everything in a lake on an engine; a model is trained where there is none. What there is to say of both."""
    alone = {"threads": 1} if options.engine == options.against and root.name.startswith("2") else {}
    asked = argparse.Namespace(**{**vars(options), "lake": str(root), "engine": engine, **alone})
    with lakes.open_lake(asked, writes=True) as opened, opened.lake.writing(0):
        if opened.shop.engine.name != engine:  # nothing may be certified that did not happen
            raise AdapterError(f"the engine {engine} is not there, {opened.shop.engine.name} is.")
        bar = Progress(f"build {engine}")
        try:
            run(plan_everywhere(opened.shop, _FEATURES, within), opened.shop, bar)
            armed(opened)
            if opened.shop.model:
                run(plan_everywhere(opened.shop, SCORES, within), opened.shop, bar)
        finally:
            bar.close()
        model = opened.shop.model.version if opened.shop.model else None
        return {"name": engine, "version": _version(opened.shop.engine), "model": model}


def _version(engine: Engine) -> str:
    """The version of an engine: of a server that it talks to, where it says so, else of the package."""
    return str(getattr(engine, "version", "") or version_of(DISTRIBUTIONS[engine.name]))


def _compare(
    one: tuple[LocalLake, Ledger], other: tuple[LocalLake, Ledger], config: Config
) -> dict[str, TableParity]:  # fmt: skip
    bar = Progress("compare")
    try:
        return compare(*one, *other, config, bar)
    finally:
        bar.close()


def _certificate(
    config: Config, engines: list[dict[str, Any]], inputs: Mapping[str, Any], found: Mapping[str, TableParity]
) -> dict[str, Any]:
    """What was compared, and what came of it."""
    models = [engine.pop("model") for engine in engines]
    return {
        "equal": all(told.equal for told in found.values()),
        "engines": engines,
        "feature_spec_version": config.feature_spec_version,
        "run_fingerprint": run_fingerprint(config),
        "code": __version__,
        "finished": iso(datetime.now(UTC).replace(tzinfo=None)),
        "inputs": dict(inputs),
        "model": models[0],
        "tolerance": TOLERANCE,
        "cells": sum(told.cells for told in found.values()),
        "different": sum(told.different for told in found.values()),
        "worst_relative": max(told.worst_relative for told in found.values()),
        "tables": {name: told.facts() for name, told in found.items()},
    }


def _tell(told: Mapping[str, Any], found: Mapping[str, TableParity]) -> None:
    """The comparison for people."""
    columns = ("parts", "rows", "cells", "different", "worst_relative", "byte_equal_parts")
    write_rows(
        [{"table": name, **{column: getattr(each, column) for column in columns}} for name, each in found.items()],
        "table",
    )
    for name, each in found.items():
        for count, what in ((each.parts_missing, "are in one lake alone"), (each.ids_differ, "are made of others")):
            if count:
                print(f"{name}: {count} parts {what}")
        for example in each.examples:
            keys = ", ".join(f"{key} {shown(str(plain(value)))}" for key, value in example.keys.items())
            values = " and ".join(shown(str(plain(value)), 200) for value in example.values)
            print(f"{name}.{example.column} of {keys} in {example.part}: {values}")
    names = " and ".join("{name} {version}".format(**engine) for engine in told["engines"])
    said = (
        f"the same numbers in {told['cells']:,} cells of {len(found)} tables"
        if told["equal"]
        else f"other numbers in {told['different']:,} of {told['cells']:,} cells"
    )
    print(f"{names}: {said}; floats are at most {told['worst_relative']:.2g} apart, relatively")
