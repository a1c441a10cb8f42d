"""``ndr feature-store``: feature groups of SageMaker, and what goes into them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

from ndr.aws.feature_store import Ingested, ingest, retry
from ndr.aws.feature_store_groups import create, diff, request
from ndr.aws.feature_store_offline import write_offline
from ndr.aws.feature_store_records import shape_of
from ndr.aws.objects import borrowed
from ndr.cli import lakes
from ndr.cli.configuration import add_configuration_options, configuration
from ndr.cli.lakes import OpenLake
from ndr.cli.output import write_rows
from ndr.cli.running import PARTLY_DONE
from ndr.errors import UsageError
from ndr.specs import Config
from ndr.summary import rows_of, stored
from ndr.table import Table
from ndr.tables import TABLES
from ndr.tables.feature_groups import STORED, FeatureStore
from ndr.time import DAY, Interval

DIFFERENT = 1
FAILURES = "feature_store.failed.jsonl"


def add_commands(commands: Any) -> None:
    """``feature-store create``, ``diff`` and ``ingest``."""
    room = commands.add_parser("feature-store", help="feature groups of SageMaker, and the rows that go into them")
    inner = room.add_subparsers(dest="what", metavar="WHAT", required=True)
    making = inner.add_parser("create", help="make feature groups for tables, and add the features that they lack")
    comparing = inner.add_parser("diff", help="what feature groups have otherwise than the tables; exit 1 if anything")
    sending = inner.add_parser("ingest", help="put rows of a lake into feature groups, online, offline or both")
    lakes.add_lake_options(sending, required=False)
    lakes.add_interval_options(sending)
    for command, what in ((making, _create), (comparing, _diff), (sending, _ingest)):
        add_configuration_options(command, file=command is not sending)
        command.add_argument(
            "--group", action="append", choices=STORED, help="only the feature group of this table; may be repeated"
        )
        lakes.add_format_option(command)
        command.set_defaults(run=what)
    making.add_argument("--dry-run", action="store_true", help="print what would be asked for, as JSON; ask nothing")
    sending.add_argument("--dry-run", action="store_true", help="tell how many rows there are; send nothing")
    sending.add_argument(
        "--store", action="append", choices=("online", "offline"), help="only this store (default: as configured)"
    )
    sending.add_argument(
        "--failures", metavar="FILE", help=f"where failed records go (default: {FAILURES} in the lake)"
    )
    sending.add_argument("--retry-failed", metavar="FILE", help="send the records of this file, and no rows of a lake")


def _spec(config: Config) -> FeatureStore:
    spec = config.other("feature_store_ingest")
    return spec if isinstance(spec, FeatureStore) else FeatureStore()


def _groups(options: argparse.Namespace, config: Config, spec: FeatureStore) -> dict[str, str]:
    """Table -> feature group, of the tables that are asked for."""
    if options.group:
        return {table: spec.group_of(config.project_name, table) for table in dict.fromkeys(options.group)}
    return spec.groups(config.project_name)


def _create(options: argparse.Namespace) -> int:
    config = configuration(options, required=False)
    spec, role = _spec(config), config.pipeline_defaults.role_arn
    groups = _groups(options, config, spec)
    if options.dry_run:
        asked = [request(spec, group, shape_of(TABLES[table]), role) for table, group in groups.items()]
        print(json.dumps(asked, indent=2))
        return 0
    done = [
        {"table": table, "group": group, "outcome": create(spec, group, shape_of(TABLES[table]), role)}
        for table, group in groups.items()
    ]
    write_rows(done, options.format)
    return 0


def _diff(options: argparse.Namespace) -> int:
    config = configuration(options, required=False)
    spec = _spec(config)
    found = [
        {"table": table, **difference.facts()}
        for table, group in _groups(options, config, spec).items()
        for difference in diff(spec, group, shape_of(TABLES[table]))
    ]
    write_rows(found, options.format)
    return DIFFERENT if found else 0


def _ingest(options: argparse.Namespace) -> int:
    config = configuration(options, required=False)
    spec = _spec(config)
    if options.retry_failed:
        if options.lake or options.dry_run:
            raise UsageError("--retry-failed sends the records of its file alone: leave --lake and --dry-run out.")
        place = options.retry_failed
        with borrowed(place) if place.startswith(lakes.S3) else nullcontext(Path(place)) as path:
            done = retry(spec, path)
        write_rows([done.facts()], options.format)
        return _ended([done], place)
    if not options.lake:
        raise UsageError("give --lake, the rows of which are sent, or --retry-failed FILE.")
    with lakes.open_lake(options, config=config) as opened:
        within = lakes.interval_of(options, _whole(opened))
        tables = [TABLES[name] for name in _groups(options, config, spec)]
        if options.dry_run:
            write_rows([_counted(opened, spec, table, within) for table in tables], options.format)
            return 0
        path = Path(options.failures) if options.failures else opened.folder / FAILURES
        rows, sent = [], []
        for table in tables:
            for store in options.store or spec.stores:
                told, done_online = send(opened, spec, table, store, within, path)
                rows.append(told)
                sent += done_online
    write_rows(rows, options.format)
    return _ended(sent, path)


def _ended(done: Sequence[Ingested], path: Path | str) -> int:
    """The exit code, and where the records lie that failed."""
    failed = sum(each.failed for each in done)
    if failed:
        print(f"ndr: {failed} records failed; send them again with --retry-failed {path}.", file=sys.stderr)
    return PARTLY_DONE if failed else 0


def send(
    opened: OpenLake, spec: FeatureStore, table: Table, store: str, within: Interval, failures: Path
) -> tuple[dict[str, Any], list[Ingested]]:
    """Put the rows of an interval into a store of their feature group; what came of it, in words and of records.

    Raises:
        SpecError: the feature group is not as the table needs it.
        ServiceError: the service cannot be asked, or takes nothing.
    """
    project = opened.shop.config.project_name
    about = {"table": table.name, "group": spec.group_of(project, table.name), "store": store}
    days = [day for each in within.split(DAY) if (day := each.within(within))]
    rows = (rows_of(table, stored(table, opened.shop, day), opened.shop) for day in days)
    if store == "online":
        done = ingest(spec, project, table, chain.from_iterable(rows), failures)
        return about | done.facts(), [done]
    written = [write_offline(spec, project, table, each) for each in rows]
    seconds = round(sum(each.seconds for each in written), 3)
    return about | {"sent": sum(each.rows for each in written), "failed": 0, "retried": 0, "seconds": seconds}, []


def _whole(opened: OpenLake) -> Interval | None:
    starts, last = opened.ledger.slice_starts(), opened.ledger.last_arrival()
    return Interval(starts[0], last) if starts and last else None


def _counted(opened: OpenLake, spec: FeatureStore, table: Table, within: Interval) -> dict[str, Any]:
    config, model = opened.shop.config, opened.shop.model
    parts = opened.ledger.parts(table.name, config.feature_spec_version, within)
    kept = [p for p in parts if not table.by_model or (model and p.key.horizon == model.version)]
    group = spec.group_of(config.project_name, table.name)
    return {"table": table.name, "group": group, "rows": sum(part.rows for part in kept)}
