"""``ndr evaluate``: how well scores, ours or those of another program, find the attacks that are known."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from ndr.cli import lakes
from ndr.cli.output import write_rows
from ndr.cli.tables import positive
from ndr.errors import DataError, UsageError, shown
from ndr.evaluation import PLACES, Scored, evaluate, scored
from ndr.sources.rankings import read_scores
from ndr.sources.truth import KnownAttack, read_truth
from ndr.standing import standing


def add_commands(commands: Any) -> None:
    """``evaluate``."""
    command = commands.add_parser("evaluate", help="hold scores against the attacks that are known")
    command.add_argument("--truth", required=True, metavar="FILE", help="JSON list of attacks: kind, host, start, end")
    command.add_argument("--scores", metavar="FILE", help="scores of another program, CSV or JSON Lines")
    command.add_argument(
        "--k", type=positive, default=PLACES, metavar="N", help=f"hosts looked at per day (default {PLACES})"
    )
    lakes.add_lake_options(command, required=False)
    lakes.add_format_option(command, ("table", "json"))
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    if not (options.lake or options.scores):
        raise UsageError("there is nothing to evaluate: give --lake, --scores or both.")
    truth = read_truth(options.truth)
    rankings: dict[str, Scored] = {}
    if options.scores:
        rankings["scores"] = read_scores(options.scores)
    if options.lake:
        rankings["predictions"] = _of_lake(options)
    found = {name: _judged(name, rows, truth, options.k) for name, rows in rankings.items()}
    if options.format == "json":
        first, *others = found
        print(json.dumps({"truth": str(options.truth), "k": options.k, "of": first, **found[first],
                          **{name: found[name] for name in others}}, indent=2))  # fmt: skip
    else:
        tell_evaluations(found, options.k)
    return 0


def _of_lake(options: argparse.Namespace) -> Scored:
    with lakes.open_lake(options) as opened:
        rows = scored(opened.shop)
        if not len(rows.scores):
            raise DataError(
                f"the lake {shown(options.lake)!r} holds no predictions ({standing(opened.shop)}): "
                "ndr train makes a model, ndr score the predictions."
            )
    return rows


def _judged(name: str, rows: Scored, truth: list[KnownAttack], k: int) -> dict[str, Any]:
    found = evaluate(rows, truth, k)
    if truth and not found["attacks"]:
        raise DataError(
            f"none of the {len(truth)} attacks of the truth lies on a day of the {name}, which are those from "
            f"{rows.days.min()} to {rows.days.max()}: there is nothing to be found."
        )
    return found


_LINES = {
    "recall": "recall_at_{k}", "reachable": "reachable_at_{k}", "precision": "precision_at_{k}",
    "average precision": "average_precision", "ROC-AUC": "roc_auc", "median delay": "delay_seconds",
    "attacks": "attacks", "attacks found": "attacks_found", "attacks outside": "attacks_outside", "days": "days",
    "host-days": "host_days", "host-days attacked": "attacked_host_days",
}  # fmt: skip


def tell_evaluations(found: Mapping[str, Mapping[str, Any]], k: int = PLACES) -> None:
    """Evaluations for people, a column each, then kind by kind."""
    lines = [
        {"measure": title, **{name: _told(each[key.format(k=k)], key) for name, each in found.items()}}
        for title, key in _LINES.items()
    ]
    for key, title in (("average_precision", "average precision, rows"), ("roc_auc", "ROC-AUC, rows")):
        lines.append({"measure": title, **{name: each["rows"][key] for name, each in found.items()}})
    print(f"At {k} hosts a day; a host-day is a host on one day, ranked by its greatest score")
    write_rows(lines, "table")
    for name, each in found.items():
        rows = [
            {
                "kind": kind, "attacks": of["attacks"], "found": of["found"], "recall": of[f"recall_at_{k}"],
                "median delay": _told(of["delay_seconds"], "delay_seconds"), "best place": of["best_place"],
            }
            for kind, of in each["per_kind"].items()
        ]  # fmt: skip
        print(f"\nBy kind of attack{'' if len(found) == 1 else f', {name}'}")
        write_rows(rows, "table")


def _told(value: Any, key: str) -> Any:
    """A measure as people read it; delays in minutes or hours."""
    if key != "delay_seconds" or value is None:
        return value
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"  # noqa: PLR2004 - two hours
