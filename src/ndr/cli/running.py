"""``ndr run``: import logs, plan, build all that the data allow, and say what came of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ndr.alerts import Alert, alerts
from ndr.cli import lakes
from ndr.cli.lakes import OpenLake
from ndr.cli.logs import batch_asked, found_files, source_specs
from ndr.cli.models import armed, told
from ndr.cli.output import Progress, typed, write_rows
from ndr.cli.report import page_file, write_report
from ndr.cli.telling import deviant_facts, tell_alerts, tell_deviant, tell_spent
from ndr.errors import DataError, shown
from ndr.news import Built, build_features, build_scores
from ndr.publications import publications, warmup_references
from ndr.scoring import Trained
from ndr.sources.files import FileReport
from ndr.sources.formats import SOURCES
from ndr.sources.imports import Importer, facts
from ndr.standing import most_deviant, standing
from ndr.summary import busiest_networks, host_count, known_window_ends
from ndr.table import Table
from ndr.tables import TABLES
from ndr.tables.delta import delta
from ndr.tables.predictions import predictions
from ndr.time import DAY, Interval, floor, iso

REPORT = "report.html"
PARTLY_DONE = 4


def add_commands(commands: Any) -> None:
    """``run``."""
    command = commands.add_parser("run", help="import logs and build every table the data allow")
    command.add_argument("paths", nargs="+", metavar="PATH", help="files, folders or globs of logs")
    command.add_argument("--source", choices=sorted(SOURCES), help="format of the logs (default: seen from content)")
    command.add_argument("--mini-batch-id", metavar="NAME", help="import everything as one named batch")
    command.add_argument("--batch-start", metavar="TIME", help="UTC, start of the named batch")
    command.add_argument("--batch-end", metavar="TIME", help="UTC, end of the named batch: when it had arrived")
    command.add_argument(
        "--warmup", action=argparse.BooleanOptionalAction, default=None,
        help="with too little history for baselines, compare with what there is (default: while there are none at all)",
    )  # fmt: skip
    command.add_argument("--report", metavar="FILE", help="where the HTML page goes (default: into the lake)")
    lakes.add_lake_options(command)
    lakes.add_engine_options(command)
    lakes.add_format_option(command, ("table", "json"))
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    batch = batch_asked(options)
    with (
        TemporaryDirectory(prefix="ndr-logs-") as folder,
        lakes.open_lake(options, existing=False, writes=True) as opened,
        opened.lake.writing(options.wait),
    ):
        paths, named = found_files(options.paths, Path(folder))
        importer = Importer(
            opened.lake, opened.ledger, source_specs(opened.shop.config),
            opened.shop.config.project_parameters.clock, options.source, batch, named,
        )  # fmt: skip
        reports = _import(importer, paths)
        if options.warmup or (options.warmup is None and not publications(opened.shop.config, opened.ledger)):
            warm_up(opened)
        done = build_everything(opened)
        found = news_of_alerts(opened, done[0])
        summary = _summary(opened, reports, done, found, _report(opened, options.report))
        problem = _no_hosts(opened, reports)
    if options.format == "json":
        print(json.dumps(summary, indent=2))
    else:
        _tell(summary, found)
    if problem:
        print(f"ndr: {problem}", file=sys.stderr)
    if any(report.outcome == "refused" for report in reports):
        return PARTLY_DONE
    return problem.exit_code if problem else 0


def _import(importer: Importer, paths: Sequence[Path]) -> list[FileReport]:
    bar = Progress("import")
    counted = iter(range(len(paths)))
    try:
        return importer.files(paths, lambda path: bar(path.name, next(counted), len(paths)))
    finally:
        bar.close()


def warm_up(opened: OpenLake) -> None:
    """Ask for provisional baselines where there can be no others yet."""
    config, ledger = opened.shop.config, opened.ledger
    for reference in warmup_references(config, ledger):
        ledger.ask_publication(config.feature_spec_version, reference, provisional=True)


def build_everything(opened: OpenLake) -> tuple[Built, Trained | None]:
    """Make what is missing, and the model if there is none, with a bar for those who watch."""
    bar = Progress("build")
    try:
        built = build_features(opened.shop, bar)
        trained = armed(opened)
        return build_scores(opened.shop, built, bar), trained
    finally:
        bar.close()


def news_of_alerts(opened: OpenLake, built: Built) -> list[Alert]:
    """The alerts with news in what was scored just now; where nothing was, in the last 24 hours that were.

    Hosts are ranked over the whole days of it: many small runs list no more of them than one a day.
    """
    news = built.predictions
    if news is None and opened.shop.model:
        version = opened.shop.config.feature_spec_version
        ends = [part.key.known_at for part in opened.ledger.parts(predictions.name, version) if part.rows]
        news = Interval(ends[-1] - DAY, ends[-1]) if ends else None
    if news is None:
        return []
    found = alerts(opened.shop, Interval(floor(news.start, DAY), news.end))
    return [alert for alert in found if alert.last_seen > news.start]


def model_facts(opened: OpenLake, trained: Trained | None) -> dict[str, Any] | None:
    """The model in force, as data and in words; None while there is none."""
    model = opened.shop.model
    if model is None:
        return None
    words = told(trained) if trained else f"model {model.version}"
    return {"name": model.name, "version": model.version, "trained": trained is not None, "told": words}


def _no_hosts(opened: OpenLake, reports: Sequence[FileReport]) -> DataError | None:
    """What to say when there are sessions and none of them touches an internal network."""
    version = opened.shop.config.feature_spec_version
    if opened.ledger.last_arrival() is None or opened.ledger.row_count(delta.name, version):
        return None
    seen = ", ".join(f"{network} ({count} records)" for network, count in busiest_networks(opened.shop))
    refused = [shown(report.path.name) for report in reports if report.outcome == "refused"]
    return DataError(
        "no session touches an internal network, so there is no host to describe. The most frequent networks are "
        f"{seen}. Put yours into project_parameters.internal_networks of the configuration and run again."
        + (f" Broken files were left out: {', '.join(refused)}." if refused else "")
    )


def _report(opened: OpenLake, asked: str | None) -> str:
    """Write the page where it was asked for, or into the lake; where that is."""
    if asked:
        return str(write_report(opened, page_file(asked)))
    write_report(opened, Path(opened.lake.stage(REPORT)))
    opened.lake.publish(REPORT)
    return opened.lake.path(REPORT)


def _summary(
    opened: OpenLake, reports: Sequence[FileReport], done: tuple[Built, Trained | None], found: Sequence[Alert],
    report: str,
) -> dict[str, Any]:  # fmt: skip
    """What a run came to; hosts and windows are those it built, or all when there was nothing to build."""
    built, trained = done
    ends = known_window_ends(opened.shop, built.behaviour)
    stands = standing(opened.shop)
    return {
        **_imported(reports),
        "hosts": host_count(opened.shop, ends),
        "windows": len(ends),
        "first_window_end": iso(ends[0]) if ends else None,
        "last_window_end": iso(ends[-1]) if ends else None,
        "tables": {name: _row_count(opened, table) for name, table in TABLES.items()},
        "built": dict(built.parts),
        "spent": {name: dict(costs) for name, costs in opened.shop.spent.items()},
        "baselines": stands.facts(),
        "standing": str(stands),
        "most_deviant": [deviant_facts(row) for row in most_deviant(opened.shop, built.deviations)],
        "model": model_facts(opened, trained),
        "alerts": [alert.facts() for alert in found],
        "report": report,
        "lake": opened.lake.uri,
    }


def _imported(reports: Sequence[FileReport]) -> dict[str, Any]:
    """What became of files and records."""
    by_outcome = {
        kind: [r for r in reports if r.outcome == kind] for kind in ("imported", "known", "skipped", "refused")
    }
    imported = by_outcome["imported"]

    def total(name: str) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for each in imported:
            counts.update(getattr(each, name))
        return dict(sorted(counts.items()))

    return {
        "records_read": sum(r.read for r in imported),
        "sessions": sum(r.sessions for r in imported),
        "quarantined": sum(total("quarantined").values()),
        "filtered": sum(total("filtered").values()),
        "quarantined_by_reason": total("quarantined"),
        "filtered_by_name": total("filtered"),
        "mended_by_kind": total("mended"),
        "files": [facts(r) for r in imported],
        "known_files": [str(r.path) for r in by_outcome["known"]],
        "skipped_files": [{"path": str(r.path), "reason": r.reason} for r in by_outcome["skipped"]],
        "refused_files": [{"path": str(r.path), "reason": r.reason} for r in by_outcome["refused"]],
    }


def _row_count(opened: OpenLake, table: Table) -> int:
    """The rows of a table; of predictions, those of the model in force."""
    version, model = table.version(opened.shop.config.feature_spec_version), opened.shop.model
    if not table.by_model:
        return opened.ledger.row_count(table.name, version)
    parts = opened.ledger.parts(table.name, version)
    return sum(part.rows for part in parts if model and part.key.horizon == model.version)


def _tell(summary: Mapping[str, Any], found: Sequence[Alert]) -> None:
    """The summary for people."""
    counts = summary["records_read"], summary["sessions"], summary["quarantined"], summary["filtered"]
    print("{} records read = {} sessions + {} quarantined + {} filtered".format(*counts))
    for title in ("quarantined_by_reason", "filtered_by_name", "mended_by_kind"):
        for name, count in summary[title].items():
            print(f"  {title.split('_')[0]} {name}: {count}")
    if summary["known_files"]:
        print(f"{len(summary['known_files'])} files hold nothing new")
    for title in ("skipped", "refused"):
        for file in summary[f"{title}_files"]:
            print(f"{title} {shown(file['path'], 200)}: {file['reason']}")
    print(
        f"{summary['hosts']} hosts in {summary['windows']} window ends"
        + (f", {summary['first_window_end']} to {summary['last_window_end']}" if summary["windows"] else "")
    )
    if not summary["built"]:
        print("nothing to build: every table is up to date")
    else:
        write_rows(
            [{"table": n, "parts built": summary["built"].get(n, 0), "rows": r} for n, r in summary["tables"].items()],
            "table",
        )
    tell_spent(summary["spent"])
    print(summary["standing"])
    if summary["model"]:
        print(summary["model"]["told"])
        tell_alerts(found)
    else:
        tell_deviant(summary["most_deviant"])
    hosts = [row["host_ip"] for row in summary["most_deviant"]]
    asked = ["show", "fg_a", "--host", *(hosts[:1] or ["IP"])]
    if found:
        asked = ["explain", found[0].host_ip, "--at", iso(found[0].window_end_ts)]
    print(f"report: {summary['report']}\nlake: {summary['lake']}")
    print("more:", typed(*asked, "--lake", summary["lake"]), flush=True)
