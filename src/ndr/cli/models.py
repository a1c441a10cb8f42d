"""``ndr train`` and ``ndr score``: make the model that is in force, and let it score what it has not scored."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ndr.cli import lakes
from ndr.cli.lakes import OpenLake
from ndr.cli.output import Progress, write_rows
from ndr.cli.tables import positive
from ndr.errors import ModelError
from ndr.model.training import TrainingOptions
from ndr.news import plan_scores
from ndr.run import run
from ndr.scoring import Trained, inference, learn, outgrown
from ndr.time import END_OF_TIME, EPOCH, Interval, parse_instant


def add_commands(commands: Any) -> None:
    """``train`` and ``score``."""
    train = commands.add_parser("train", help="train a model on the deviations of a period, and let it be in force")
    train.add_argument("--max-rows", type=positive, default=TrainingOptions().max_rows, metavar="N",
                       help="train on an even sample of at most N windows")  # fmt: skip
    score = commands.add_parser("score", help="let the model in force score what it has not scored")
    for command, does in ((train, _train), (score, _score)):
        lakes.add_lake_options(command)
        lakes.add_engine_options(command)
        lakes.add_interval_options(command)
        lakes.add_format_option(command, ("table", "json"))
        command.set_defaults(run=does)


def _within(options: argparse.Namespace) -> Interval | None:
    if not (options.start or options.end):
        return None
    start = parse_instant(options.start) if options.start else EPOCH
    return Interval(start, parse_instant(options.end) if options.end else END_OF_TIME)


def _train(options: argparse.Namespace) -> int:
    with lakes.open_lake(options, writes=True) as opened, opened.lake.writing(options.wait):
        made = learn(opened.shop, opened.models, _within(options), TrainingOptions(max_rows=options.max_rows))
        named = inference(opened.shop.config).model
    if named.endpoint_name or named.model_uri:
        print("ndr: it is kept, and not in force: the configuration names another model.", file=sys.stderr)
    if options.format == "json":
        print(json.dumps({"model_version": made.version, "folder": str(made.folder), **made.facts}, indent=2))
    else:
        print(told(made))
    return 0


def told(made: Trained) -> str:
    """A model that was trained, in words."""
    rows, wild = made.facts["rows"], made.facts["wild_rows"]
    return (
        f"model {made.version}: trained on {rows - wild:,} of the {rows:,} windows of {made.facts['first_window_end']} "
        f"to {made.facts['last_window_end']}; the other {wild:,} stand out already"
    )


def armed(opened: OpenLake) -> Trained | None:
    """Train a model where none is in force and there is anything to train one on, or where it has been outgrown."""
    grown = outgrown(opened.shop, opened.models)
    if opened.shop.model is not None and grown is None:
        return None
    try:
        return learn(opened.shop, opened.models, grown, TrainingOptions())
    except ModelError:
        return None


def _score(options: argparse.Namespace) -> int:
    with lakes.open_lake(options, writes=True) as opened, opened.lake.writing(options.wait):
        if opened.shop.model is None:
            raise ModelError(f"there is no model in force: train one with ndr train --lake {options.lake}.")
        bar = Progress("score")
        try:
            made = run(plan_scores(opened.shop, _within(options)), opened.shop, bar)
        finally:
            bar.close()
        version = opened.shop.model.version
    told = [{"table": name, "parts": parts, "model_version": version} for name, parts in made.items()]
    if told or options.format == "json":
        write_rows(told, options.format)
    else:
        print(f"model {version} has scored everything")
    return 0
