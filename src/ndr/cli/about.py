"""``ndr catalog``: what is measured, and which tables there are."""

from __future__ import annotations

import argparse
from typing import Any

from ndr import catalog
from ndr.cli import lakes
from ndr.sources.formats import SOURCES


def add_commands(commands: Any) -> None:
    """``catalog``."""
    command = commands.add_parser("catalog", help="every metric and table with unit, meaning and formula")
    lakes.add_format_option(command, ("markdown", "json", "csv"))
    command.set_defaults(run=_catalog)


def _catalog(options: argparse.Namespace) -> int:
    sources = {name: source.doc for name, source in SOURCES.items()}
    told = {"markdown": catalog.as_markdown, "json": catalog.as_json, "csv": catalog.as_csv}[options.format](sources)
    print(told, end="")
    return 0
