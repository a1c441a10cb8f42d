"""The command line: the one place that chooses engine, store and sources. Data on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sqlite3
import sys
from collections.abc import Sequence

from ndr import __version__
from ndr.errors import AdapterError, NdrError, UsageError, near_miss, shown

ROOMS = {
    "run": "running",
    "plan": "tables",
    "build": "tables",
    "status": "tables",
    "show": "tables",
    "machines": "machines",
    "baselines": "baselines",
    "train": "models",
    "score": "models",
    "alerts": "alerts",
    "safelist": "alerts",
    "explain": "explain",
    "evaluate": "evaluate",
    "parity": "parity",
    "report": "report",
    "job": "jobs",
    "pipelines": "pipelines",
    "deploy": "deploy",
    "feature-store": "feature_store",
    "catalog": "about",
    "spec": "spec",
    "simulate": "demo",
    "demo": "demo",
}
"""Command -> the module of this package that knows it; only what is asked for is loaded."""

COMMANDS = tuple(ROOMS)


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest command or option."""

    def error(self, message: str) -> None:  # type: ignore[override]  # argparse exits here; ours raises
        hidden = re.sub(r"://\S*@", "://***@", message)  # a password in the URI of a database
        raise UsageError(f"{hidden}. See {self.prog} --help.")


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The command with its options; without a name, every command."""
    root = _Parser(prog="ndr", description="What every host on your network did, from raw firewall and flow logs.")
    root.add_argument("--version", action="version", version=f"ndr {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    rooms = [ROOMS[command]] if command else dict.fromkeys(ROOMS.values())
    for room in rooms:
        importlib.import_module(f"ndr.cli.{room}").add_commands(commands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 usage, 3 bad data or configuration, 4 partly done."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
            raise UsageError(f"unknown command {arguments[0]!r}.{near_miss(arguments[0], COMMANDS)} See ndr --help.")
        if arguments[:1] == ["--version"]:
            print(f"ndr {__version__}")
            return 0
        options = parser(arguments[0] if arguments[:1] and arguments[0] in COMMANDS else None).parse_args(arguments)
        return int(options.run(options))
    except NdrError as error:
        return _failed(arguments, error)
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"ndr: {shown(str(error), 300)}. What was finished is kept; mend this and run again.", file=sys.stderr)
        return AdapterError.exit_code
    except KeyboardInterrupt:
        print("ndr: stopped; what was finished is kept, run the same command to go on.", file=sys.stderr)
        return 130


def _failed(arguments: Sequence[str], error: NdrError) -> int:
    """Say what went wrong: to people in a sentence, to schedulers in JSON."""
    if arguments[:1] == ["job"]:
        return int(importlib.import_module("ndr.cli.jobs").failed("".join(arguments[1:2]), error))
    print(f"ndr: {error}", file=sys.stderr)
    return error.exit_code
