"""``python -m benchmarks``: measure, print the figures, and with ``--record`` write them to RESULTS.md."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import (
    baselines,
    bounded,
    cold,
    current,
    deviations,
    feature_store,
    history,
    imports,
    large,
    slices,
    spark,
)
from benchmarks.measure import Chapter, Line
from benchmarks.report import others, page, table
from benchmarks.settings import Setting

FIGURES: dict[str, Callable[[Setting], list[Line] | Chapter]] = {
    "slices": slices.measured,
    "fg_a": current.measured,
    "fg_b": baselines.measured,
    "fg_c": deviations.measured,
    "import": imports.measured,
    "history": history.measured,
    "cold": cold.measured,
    "feature_store": feature_store.measured,
    "memory": large.measured,
    "fg_b_memory": bounded.measured,
    "spark": spark.measured,
}
LARGE = ("memory", "fg_b_memory")
NAMED = ("spark",)
"""Those that nobody gets who does not ask for them by name: they need more than `make setup` installs."""
RUNS, ONCE = 3, ("spark",)
"""Counted runs, and what runs once: its sizes show more than its repetition."""
RESULTS = Path(__file__).with_name("RESULTS.md")


def options(argv: Sequence[str]) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=FIGURES, metavar="FIGURE", help=f"some of: {', '.join(FIGURES)}")
    parser.add_argument("--large", action="store_true", help="also the large ones, which take minutes each")
    parser.add_argument("--runs", type=int, help=f"counted runs of each figure (default {RUNS}; of spark 1)")
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the sizes, to try things (default 1)")
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"write {RESULTS.name} beside this program; with --only, a page of its own",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    """Measure what is asked for."""
    asked = options(argv)
    names = asked.only or [name for name in FIGURES if name not in NAMED and (name not in LARGE or asked.large)]
    runs = asked.runs or (1 if set(names) <= set(ONCE) else RUNS)
    lines: list[Line] = []
    chapters: list[Chapter] = []
    with tempfile.TemporaryDirectory(prefix="ndr-benchmarks-") as scratch:
        for name in names:
            folder = Path(scratch) / name
            folder.mkdir()
            start = time.perf_counter()
            found = FIGURES[name](Setting(folder, asked.runs or (1 if name in ONCE else RUNS), asked.scale))
            if isinstance(found, Chapter):
                chapters.append(found)
            lines += found.lines if isinstance(found, Chapter) else found
            print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    if asked.scale != 1:  # the goals are about the whole sizes
        lines = [replace(line, met=None) for line in lines]
    print(table(lines))
    if asked.record:
        command = " ".join(["python -m benchmarks", *argv])
        place = RESULTS.with_name(f"RESULTS-{'-'.join(asked.only)}.md") if asked.only else RESULTS
        texts = [*(chapter.text for chapter in chapters), *([] if asked.only else [others(RESULTS)])]
        place.write_text(page(lines, command, runs, asked.scale, texts), encoding="utf-8", newline="\n")
        for chapter in chapters:
            facts = json.dumps(chapter.found, indent=1)
            place.with_suffix(".json").write_text(facts + "\n", encoding="utf-8", newline="\n")


main(sys.argv[1:])
