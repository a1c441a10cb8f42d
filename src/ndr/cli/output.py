"""Output: rows as a table for people, JSON or CSV for programs; progress on stderr when someone is watching."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ndr.errors import shown
from ndr.time import iso

FORMATS = ("table", "json", "csv")
_NAME = "ndr"


def typed(*words: str) -> str:
    """What the user types to have this program do something, started as it was this time."""
    started = sys.argv[0]
    known = Path(started).name != _NAME or shutil.which(_NAME) == started
    return shlex.join([_NAME if known else started, *words])


def plain(value: object) -> object:
    """A value as JSON holds it."""
    if isinstance(value, datetime):
        return iso(value)
    return value.isoformat() if isinstance(value, date) else value


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return shown(str(_flat(value)), 1000 if isinstance(value, list) else 120)


def _flat(value: object) -> object:
    """A value as a cell of CSV; lists as JSON."""
    return json.dumps(value) if isinstance(value, list) else plain(value)


def write_rows(rows: Sequence[Mapping[str, Any]], kind: str) -> None:
    """Rows on stdout; nothing is printed for no rows but an empty JSON list."""
    if kind == "json":
        print(json.dumps([{k: plain(v) for k, v in row.items()} for row in rows], indent=2))
        return
    if not rows:
        return
    names = list(rows[0])
    if kind == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_flat(row[name]) for name in names] for row in rows)
        return
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def write_columns(rows: Sequence[Mapping[str, Any]], kind: str) -> None:
    """Wide rows: one line per column and one column per row, for people; as they are, for programs."""
    if kind != "table" or not rows:
        write_rows(rows, kind)
        return
    turned = [{"column": name, **{str(i): row[name] for i, row in enumerate(rows, 1)}} for name in rows[0]]
    write_rows(turned, kind)


class Progress:
    """A bar on stderr for anything longer than two seconds; silent when stderr is no terminal."""

    def __init__(self, what: str) -> None:
        self._bar = tqdm(desc=what, delay=2, disable=not sys.stderr.isatty(), leave=False, file=sys.stderr)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say how far things are."""
        self._bar.total = total
        self._bar.set_description(what)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
