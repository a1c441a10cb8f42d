"""The figures as a table for people, and as a page that remembers where and how they were measured."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import ndr
from benchmarks.measure import Line

TITLES = ("figure", "what", "seconds", "CPU s", "peak MiB", "ratio", "lowest to highest", "CPU ratio", "goal", "met")
_VERSIONS = ("ndr", "duckdb", "ibis-framework", "pyarrow", "numpy")
_PAGE = """\
# Benchmarks

Written by `{command}` on {date}, code {code}.

| | |
|---|---|
| machine | {cpu}, {cores} cores, {memory:.0f} GiB |
| system | {system} |
| versions | {versions} |
| runs | {runs} of each, after one that is not counted; floor and subject in turn{scale} |

Seconds are wall clock, the median of the runs; CPU seconds are those of all threads, also a median; the peak is the
highest resident size of the process in any run, some 200 MiB of which are Python with everything imported. *ratio* is
the median beside the median of the floor's runs, *lowest to highest* the range over pairs of neighbouring runs, *CPU
ratio* the same ratio in CPU seconds, which a busy machine disturbs less.
A floor is DuckDB making one hash aggregation (count, sums, first, last) of the same rows in memory, or its own JSON
reader writing the same columns. Lines that begin with … explain the line before them.

{table}
"""


def cells(line: Line) -> list[str]:
    """A figure as texts, one per title."""
    met = {None: "", True: "yes", False: "no"}[line.met]
    return [
        line.figure,
        line.what,
        f"{line.seconds:.3f}",
        "" if line.cpu_seconds is None else f"{line.cpu_seconds:.2f}",
        "" if line.peak_bytes is None else f"{line.peak_bytes / 2**20:,.0f}",
        "" if line.ratio is None else f"{line.ratio:.2f}",
        "" if line.spread is None else f"{line.spread[0]:.2f} to {line.spread[1]:.2f}",
        "" if line.cpu_ratio is None else f"{line.cpu_ratio:.2f}",
        line.goal,
        met,
    ]


def table(lines: Sequence[Line]) -> str:
    """All figures in columns."""
    rows = [list(TITLES), *map(cells, lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(TITLES))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i < 2 else text.rjust(width)  # noqa: PLR2004 - two columns of words
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first two hold numbers."""
    head = [list(titles), ["---", "---", *["---:"] * (len(titles) - 2)]]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*head, *rows])


def page(lines: Sequence[Line], command: str, runs: int, scale: float, more: Sequence[str] = ()) -> str:
    """The figures in Markdown, with the machine they were measured on, and what else there is to read."""
    rows = [list(TITLES), ["---", "---", *["---:"] * 6, "---", "---"], *map(cells, lines)]
    whole = _PAGE.format(
        command=command, date=f"{datetime.now(UTC):%Y-%m-%d}", code=_code(), cpu=_cpu(), cores=os.cpu_count(),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, system=_system(), runs=runs,
        versions=", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in _VERSIONS)]),
        scale="" if scale == 1 else f"; sizes at {scale:g} of the goals'",
        table="\n".join(f"| {' | '.join(row)} |" for row in rows),
    )  # fmt: skip
    return "\n".join([whole, *more])


def others(results: Path) -> str:
    """Where the figures are that have pages of their own."""
    pages = sorted(results.parent.glob(f"{results.stem}-*.md"))
    links = (f"[{page.stem.removeprefix(f'{results.stem}-')}]({page.name})" for page in pages)
    return f"On pages of their own: {', '.join(links)}.\n"


def _system() -> str:
    return f"{platform.system()} {platform.machine()}"


def _cpu() -> str:
    with suppress(OSError):
        for entry in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if entry.startswith("model name"):
                return entry.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _code() -> str:
    """The commit of the code that was measured, and whether files were changed since."""
    here = Path(ndr.__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "of no known commit"
