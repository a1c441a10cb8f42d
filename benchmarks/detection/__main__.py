"""``python -m benchmarks.detection``: which way of ranking hosts finds simulated attacks, kind by kind and how soon."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection.page import BY_KIND, Judged, pages, recorded
from benchmarks.detection.rankings import all_rankings, behaviour, out_of_sample, scored_matrix, windows
from benchmarks.detection.worlds import WORLDS, World, lake
from ndr.evaluation import PLACES, Scored, evaluate
from ndr.sources.truth import KnownAttack

PAGE = Path(__file__).parents[2] / "docs" / "detection.md"


def options(argv: Sequence[str]) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[7, 11, 12], metavar="N", help="one enterprise each")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS), help="where the attacks lie")
    parser.add_argument("--record", action="store_true", help=f"write the tables into docs/{PAGE.name}")
    return parser.parse_args(argv)


def measured(world: World, seed: int, folder: Path) -> dict[str, dict[str, Any]]:
    """How well each ranking finds the attacks of one enterprise."""
    with lake(world, seed, folder) as (opened, attacks):
        own = behaviour(opened.shop)
        matrix = scored_matrix(opened.shop, own)
        if world.quiet_days:
            return {name: _judged(windows(rows), scores, attacks)
                    for name, (rows, scores) in out_of_sample(matrix).items()}  # fmt: skip
    found = all_rankings(own, matrix)
    rows = windows(matrix)
    told = {name: _judged(rows, scores, attacks) for name, scores in found.items()}
    return told | {name: {**told[name], "alone": _alone(rows, found[name], attacks)} for name in BY_KIND}


def _judged(rows: Scored, scores: np.ndarray[Any, Any], attacks: Sequence[KnownAttack]) -> dict[str, Any]:
    return evaluate(Scored(rows.hosts, rows.starts, rows.ends, scores), attacks, PLACES)


def _alone(rows: Scored, scores: np.ndarray[Any, Any], attacks: Sequence[KnownAttack]) -> list[dict[str, Any]]:
    """Each attack as if it were the only one."""
    names, found = rows.hosts.astype(str), []
    for attack in attacks:
        others = [other.host for other in attacks if other.host != attack.host]
        kept = ~np.isin(names, others)
        chosen = Scored(rows.hosts[kept], rows.starts[kept], rows.ends[kept], scores[kept])
        found += evaluate(chosen, [attack], PLACES)["per_attack"]
    return found


def main(argv: Sequence[str]) -> None:
    """Compare what is asked for."""
    asked = options(argv)
    found: dict[str, Judged] = {}
    for name in asked.worlds:
        for seed in asked.seeds:
            start = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="ndr-detection-") as scratch:
                for ranking, told in measured(WORLDS[name], seed, Path(scratch)).items():
                    found.setdefault(name, {}).setdefault(ranking, []).append(told)
            print(f"{name}, seed {seed}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    text = pages(
        found, " ".join(["python -m benchmarks.detection", *(a for a in argv if a != "--record")]), asked.seeds
    )
    print(text)
    if asked.record:
        PAGE.write_text(recorded(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8", newline="\n")


main(sys.argv[1:])
