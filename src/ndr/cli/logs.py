"""Which logs a command is given: files of this machine or of S3, a batch by name, and how each source is read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ndr.cli.lakes import S3
from ndr.errors import UnknownNameError, UsageError, shown
from ndr.sources.convert import check_spec
from ndr.sources.files import list_files
from ndr.sources.formats import SOURCES
from ndr.sources.imports import Batch
from ndr.sources.source import SourceSpec
from ndr.specs import Config, checked
from ndr.time import EPOCH, SLICE, Interval, parse_instant, stamp


def batch_asked(options: argparse.Namespace) -> Batch | None:
    """The batch that the options of ``ndr run`` name, if they do.

    Raises:
        UsageError: they name half of one.
    """
    given = (options.mini_batch_id, options.batch_start, options.batch_end)
    if not any(given):
        return None
    if not all(given):
        raise UsageError("a named batch needs all three of --mini-batch-id, --batch-start and --batch-end.")
    return batch_named(options.mini_batch_id, parse_instant(options.batch_start), parse_instant(options.batch_end))


def batch_named(name: str, start: datetime, end: datetime) -> Batch:
    """A batch that somebody names.

    Raises:
        UsageError: its name is none, or is that of another batch, or it does not consist of whole quarter hours.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) or name.startswith("."):
        raise UsageError(f"batch {shown(name)!r}: a batch name is 1 to 64 letters, digits and . _ - .")
    interval = Interval(start, end)
    if re.fullmatch(r"\d{8}T\d{4}Z", name) and name != stamp(interval.end - SLICE):
        raise UsageError(
            f"batch {name}: names like this are those of batches that nobody named; {interval} would be "
            f"{stamp(interval.end - SLICE)}. Choose another name."
        )
    if (interval.end - EPOCH) % SLICE or (interval.start - EPOCH) % SLICE:
        raise UsageError(f"batch {name}: {interval} must begin and end on a quarter hour.")
    return Batch(name, interval)


def source_specs(config: Config) -> dict[str, SourceSpec]:
    """How each source is read, by the configuration.

    Raises:
        SpecError: an unknown source or key.
    """
    for name in config.sources:
        if name not in SOURCES:
            raise UnknownNameError("source", name, SOURCES)
    specs = {name: checked(SourceSpec, config.sources.get(name, {}), f"sources.{name}") for name in SOURCES}
    for name in config.sources:
        check_spec(specs[name])
    return specs


def found_files(places: Sequence[str], folder: Path) -> tuple[list[Path], dict[Path, str]]:
    """The files that places name, and what those are called elsewhere that are copied from S3 into a folder.

    Raises:
        UsageError: a place does not exist.
    """
    distant = [place for place in places if place.startswith(S3)]
    paths = list_files([place for place in places if place not in distant])
    named: dict[Path, str] = {}
    for number, place in enumerate(distant):
        from ndr.aws.objects import download  # noqa: PLC0415 - needs an extra

        copies = download(place, folder / str(number))
        if not copies:
            raise UsageError(f"there is nothing below {shown(place, 300)!r}.")
        named |= copies
    return [*paths, *named], named
