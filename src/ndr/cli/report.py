"""``ndr report``: the hosts that stand out and why, as one HTML page."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from ndr.cli import lakes
from ndr.cli.lakes import OpenLake
from ndr.cli.tables import positive
from ndr.errors import AdapterError, UsageError, shown
from ndr.report.gathering import gather, scored_ends
from ndr.report.models import model_of
from ndr.report.page import page
from ndr.time import SLICE, Interval

HOSTS = 25


def add_commands(commands: Any) -> None:
    """``report``."""
    command = commands.add_parser("report", help="the hosts that stand out and why, as one HTML page")
    lakes.add_lake_options(command)
    lakes.add_interval_options(command)
    command.add_argument("--out", required=True, metavar="FILE", help="the page; one that is there is replaced")
    command.add_argument("--hosts", type=positive, default=HOSTS, metavar="N", help="at most N hosts (default 25)")
    command.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    with lakes.open_lake(options) as opened:
        print(write_report(opened, page_file(options.out), _within(options, opened), options.hosts))
    return 0


def page_file(text: str) -> Path:
    """Where a page goes that somebody asks for.

    Raises:
        UsageError: it is no file of this machine.
    """
    if "://" in text:
        raise UsageError(f"{shown(text, 300)!r} is no file of this machine; name one, and copy the page from there.")
    return Path(text)


def _within(options: argparse.Namespace, opened: OpenLake) -> Interval | None:
    """The asked period; an end that is not given is that of the predictions."""
    if not (options.start or options.end):
        return None
    ends = scored_ends(opened.shop, None)
    if not (options.start and options.end) and not ends:
        raise UsageError(f"the lake {shown(options.lake)!r} has no predictions yet, so give both --from and --to.")
    return lakes.interval_of(options, Interval(ends[0] - SLICE, ends[-1]) if ends else None)


def write_report(opened: OpenLake, out: Path, within: Interval | None = None, hosts: int = HOSTS) -> Path:
    """Write the report of a period, the last seven days with predictions if none is given, all at once.

    Raises:
        UsageError: ``out`` is a folder.
        AdapterError: it cannot be written.
    """
    if out.is_dir():
        raise UsageError(f"{shown(str(out), 300)!r} is a folder; give --out the name of a file.")
    model = model_of(opened.shop.model, opened.models.folder)
    findings = gather(opened.shop, opened.lake.uri, within, hosts, model)
    _write(out, page(findings))
    return out


def _write(out: Path, document: str) -> None:
    draft = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(document)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(out)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise AdapterError(f"the report {shown(str(out), 300)!r} cannot be written: {error.strerror}.") from error
