"""``ndr job``: a job as a scheduler starts it, configured by JobSpecs, with one line of JSON when it fails."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sqlite3
import sys
import traceback
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ndr.cli import lakes
from ndr.cli.batch_jobs import BATCH_JOBS, DELIVERING
from ndr.cli.logs import batch_named
from ndr.cli.reference_jobs import REFERENCE_JOBS, unload_machines
from ndr.cli.running import PARTLY_DONE
from ndr.errors import AdapterError, NdrError, SpecError, UsageError, shown
from ndr.jobs import BATCH, JOBS, REFERENCE, Job, job_named
from ndr.log import log, start_logging
from ndr.places import lake_root
from ndr.sources.imports import Batch
from ndr.sources.inventory import parse_month
from ndr.spec_files import config_at
from ndr.spec_store import config_from
from ndr.specs import Config
from ndr.time import DAY, SLICE, floor, parse_instant, stamp

AUTO = "auto"
EXIT_MESSAGE = Path("/opt/ml/output")
"""Where SageMaker looks for the last words of a processing job, if it runs there."""
RESOURCES = Path("/opt/ml/config/resourceconfig.json")
"""Where SageMaker tells which machines a step has."""
_HELP = {
    "mini_batch_id": "name of the batch; auto for that of its quarter hour",
    "batch_start_ts_iso": "UTC, start of the batch; auto, as without it, is a quarter hour before its end",
    "batch_end_ts_iso": "UTC, end of the batch; with auto, any moment of the quarter hour after it",
    "reference_time_iso": "UTC, the midnight as of which it is made, or any moment of that day",
    "mode": "REGULAR for now, BACKFILL for the past",
    "reference_month_iso": "YYYY-MM, or any moment of the month",
}


def add_commands(commands: Any) -> None:
    """``job`` and the jobs below it."""
    room = commands.add_parser("job", help="a job as a scheduler starts it, configured by JobSpecs")
    names = room.add_subparsers(dest="job", required=True, metavar="JOB")
    for job in JOBS.values():
        command = names.add_parser(job.name, help=job.doc)
        command.add_argument("--project-name", required=True, metavar="NAME", help="project of the JobSpecs")
        command.add_argument("--feature-spec-version", required=True, metavar="VERSION", help="version of the JobSpecs")
        _add_arguments(command, job)
        command.add_argument("--table", metavar="NAME", help="DynamoDB table of the JobSpecs")
        command.add_argument("--ledger-table", metavar="NAME", help="DynamoDB table of the ledger")
        command.add_argument(
            "--accept-refused", action="store_true", help="exit 0, not 4, when files or records were refused and told"
        )
        if job.name in DELIVERING:
            command.add_argument("--again", action="store_true", help="bring also what was brought before")
        lakes.add_lake_options(command, required=False)
        lakes.add_engine_options(command)
        command.set_defaults(run=_job)


def _add_arguments(command: argparse.ArgumentParser, job: Job) -> None:
    """The runtime arguments that say when."""
    for name in job.arguments:
        option = f"--{name.replace('_', '-')}"
        if name == "mode":
            command.add_argument(option, choices=("REGULAR", "BACKFILL"), default="REGULAR", help=_HELP[name])
        else:
            command.add_argument(option, required=name != "batch_start_ts_iso", metavar="TIME", help=_HELP[name])


def _job(options: argparse.Namespace) -> int:
    """Do the job; whatever goes wrong becomes one line of JSON."""
    try:
        told, exit_code = _done(options)
    except (OSError, sqlite3.Error) as error:
        known = (
            error if isinstance(error, NdrError) else AdapterError(f"{shown(str(error), 300)}. Mend this, run again.")
        )
        return failed(options.job, known, getattr(options, "mini_batch_id", None))
    except Exception as error:  # noqa: BLE001 - a scheduler must be told of everything, also of our mistakes
        return failed(options.job, error, getattr(options, "mini_batch_id", None))
    print(json.dumps({"job": options.job, **told}, default=str))
    return exit_code


def _done(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    start_logging(verbose=True)
    job = job_named(options.job)
    if not _first_machine():
        return {"skipped": "another machine of this step does the work"}, 0
    config = _config(options)
    if not job.arguments:
        return {"spec": _understood(config, job.name)}, 0
    options.lake = options.lake or os.environ.get("NDR_LAKE") or lake_root(config)
    options.verbose = True
    options.engine = options.engine or config.pipeline_defaults.engine
    opening = lakes.open_lake(options, existing=False, writes=True, config=config)
    with opening as opened, opened.lake.writing(options.wait):
        told = _do(options, job, opened) | {"engine": opened.shop.engine.name, "spent": opened.shop.spent}
    refused = bool(told.get("refused") or told.get("failed"))
    if refused:
        facts = {name: told.get(name) for name in ("refused", "failed")}
        log("refused", level=logging.WARNING, project=options.project_name, job=job.name, **facts)
    return {"lake": options.lake, **told}, PARTLY_DONE if refused and not options.accept_refused else 0


def _config(options: argparse.Namespace) -> Config:
    """The JobSpecs, from DynamoDB or from files, which must be of the same project and version.

    Raises:
        SpecError: there are none, or a spec breaks a rule.
    """
    project, version = options.project_name, options.feature_spec_version
    if options.config:
        return config_at(options.config, project, version)
    from ndr.aws.spec_store import DynamoStore  # noqa: PLC0415 - needs an extra

    return config_from(DynamoStore(options.table), project, version)


def _first_machine() -> bool:
    """Whether this is the machine that works, where SageMaker has started several for one step.

    It is the one from which SageMaker's Spark submits; the others never come here then.
    """
    try:
        told = json.loads(RESOURCES.read_text())
    except (OSError, ValueError):
        return True
    hosts = told.get("hosts") if isinstance(told, dict) else None
    return not hosts or told.get("current_host") == min(hosts)


def _understood(config: Config, job: str) -> dict[str, Any]:
    """How the spec of a job that builds nothing is understood."""
    values: dict[str, Any] = config.project_parameters.model_dump(mode="json")
    return values if job == "project_parameters" else {"prefixes": values["non_persistent_prefixes"]}


def _do(options: argparse.Namespace, job: Job, opened: lakes.OpenLake) -> dict[str, Any]:
    """The job's work, at the time that the runtime arguments say.

    Raises:
        UsageError: one of them is no time, or they contradict each other.
    """
    if job.arguments == BATCH:
        more = {"again": options.again} if job.name in DELIVERING else {}
        return BATCH_JOBS[job.name](opened, _batch(options), **more)
    if job.arguments == REFERENCE:
        reference = floor(parse_instant(options.reference_time_iso), DAY)
        return REFERENCE_JOBS[job.name](opened, reference, options.mode)
    return unload_machines(opened, _month(options.reference_month_iso))


def _batch(options: argparse.Namespace) -> Batch:
    end = parse_instant(options.batch_end_ts_iso)
    if options.mini_batch_id == AUTO:
        end = floor(end, SLICE)
    said = options.batch_start_ts_iso
    start = end - SLICE if said in {None, AUTO} else parse_instant(said)
    return batch_named(stamp(end - SLICE) if options.mini_batch_id == AUTO else options.mini_batch_id, start, end)


def _month(text: str) -> datetime:
    try:
        return parse_month(text)
    except UsageError:
        return parse_instant(text).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def failed(job: str, error: Exception, batch: str | None = None) -> int:
    """Say what went wrong as one line of JSON on stderr, and to SageMaker where we run there."""
    known = isinstance(error, NdrError)
    exit_code = error.exit_code if isinstance(error, NdrError) else 3
    retryable = isinstance(error, NdrError) and error.retryable
    line = {
        "job": shown(job),
        "error": type(error).__name__,
        "retryable": retryable,
        "exit_code": exit_code,
        "message": shown(str(error), 2_000),
        "action": _action(error, retryable=retryable),
        "batch": batch,
    }
    if not known:
        line["at"] = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    text = json.dumps(line)
    print(text, file=sys.stderr, flush=True)
    if EXIT_MESSAGE.is_dir():
        with suppress(OSError):
            (EXIT_MESSAGE / "message").write_text(text[:1024])
    return exit_code


def _action(error: Exception, *, retryable: bool) -> str:
    """What an orchestrator can branch on."""
    if retryable:
        return "retry"
    if isinstance(error, SpecError):
        return "mend_spec"
    if isinstance(error, UsageError):
        return "mend_arguments"
    return "look" if isinstance(error, NdrError) else "report_bug"
