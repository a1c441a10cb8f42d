"""The command line: the one place that chooses engine, store and sources. Data on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ndr import __version__
from ndr.cli import about, demo, lakes, running, spec, tables
from ndr.errors import NdrError, UsageError, near_miss

COMMANDS = ("run", "plan", "build", "status", "show", "catalog", "spec", "simulate", "demo")


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest command or option."""

    def error(self, message: str) -> None:  # type: ignore[override]  # argparse exits here; ours raises
        raise UsageError(f"{message}. See {self.prog} --help.")


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    root = _Parser(prog="ndr", description="What every host on your network did, from raw firewall and flow logs.")
    root.add_argument("--version", action="version", version=f"ndr {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for room in (running, tables, about, spec, demo):
        room.add_commands(commands, lakes)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 usage, 3 bad data or configuration, 4 partly done."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
            raise UsageError(f"unknown command {arguments[0]!r}.{near_miss(arguments[0], COMMANDS)} See ndr --help.")
        options = parser().parse_args(arguments)
        return int(options.run(options))
    except NdrError as error:
        print(f"ndr: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("ndr: stopped; what was finished is kept, run the same command to go on.", file=sys.stderr)
        return 130
