"""``ndr simulate`` and ``ndr demo``: a made-up enterprise, to try things on."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ndr.alerts import Alert
from ndr.cli import lakes
from ndr.cli.evaluate import tell_evaluations
from ndr.cli.logs import source_specs
from ndr.cli.output import Progress, typed
from ndr.cli.report import write_report
from ndr.cli.running import REPORT, build_everything, model_facts, news_of_alerts
from ndr.cli.telling import tell_alerts
from ndr.errors import UsageError, shown
from ndr.evaluation import PLACES, evaluate, scored
from ndr.sources.files import list_files
from ndr.sources.imports import Importer
from ndr.sources.simulate import SimulationSpec, simulate
from ndr.sources.truth import read_truth
from ndr.specs import checked
from ndr.standing import standing
from ndr.time import iso, parse_instant

DEMO = {"hosts": 40, "days": 10, "attack_days": 1, "sessions_per_host_day": 250, "formats": ("palo_alto",)}
"""Nine days are what the first baselines need; the attacks lie in what comes after."""


def add_commands(commands: Any) -> None:
    """``simulate`` and ``demo``."""
    command = commands.add_parser("simulate", help="write the logs of a made-up enterprise, with labelled attacks")
    command.add_argument("out", metavar="DIR", help="folder for the logs and truth.json")
    command.add_argument("--hosts", type=int, metavar="N", help="hosts, servers and printers included")
    command.add_argument("--days", type=float, metavar="N", help="length of the simulated time")
    command.add_argument("--start", metavar="TIME", help="UTC (default a fixed Monday)")
    command.add_argument("--seed", type=int, metavar="N", help="another seed is another enterprise")
    command.add_argument("--sessions-per-host-day", type=float, metavar="N", help="average of a week")
    command.add_argument("--formats", nargs="+", choices=("palo_alto", "zeek"), help="the same sessions in each")
    command.add_argument("--attacks", nargs="*", metavar="KIND", help="kinds of attack; none for a quiet network")
    command.add_argument("--attack-days", type=float, metavar="N", help="attacks lie in the last N days")
    command.add_argument("--time-zone", metavar="ZONE", help="where the people live whose rhythm it is")
    command.set_defaults(run=_simulate)
    demo = commands.add_parser("demo", help="simulate a small network, run it, show who stands out")
    demo.add_argument("--out", default="demo", metavar="DIR", help="folder for logs and lake (default: demo)")
    demo.set_defaults(run=_demo)
    lakes.add_format_option(demo, ("table", "json"))


def _simulate(options: argparse.Namespace) -> int:
    asked = {name: getattr(options, name) for name in SimulationSpec.model_fields}
    asked["start"] = parse_instant(options.start) if options.start else None
    spec = checked(SimulationSpec, {name: value for name, value in asked.items() if value is not None}, "simulate")
    bar = Progress("simulate")
    try:
        made = simulate(Path(options.out), spec, lambda share: bar("simulate", int(100 * share), 100))
    finally:
        bar.close()
    print(f"{made.sessions} sessions in {len(made.files)} files under {shown(options.out, 200)}; truth: {made.truth}")
    return 0


def _demo(options: argparse.Namespace) -> int:
    out = Path(options.out)
    if out.exists() and not (out / "logs" / "truth.json").exists() and any(out.iterdir()):
        raise UsageError(f"{shown(str(out))!r} holds something else; give --out a new folder.")
    shutil.rmtree(out, ignore_errors=True)
    spec = checked(SimulationSpec, DEMO, "demo")
    made = simulate(out / "logs", spec)
    ours = argparse.Namespace(lake=str(out / "lake"), config=None, memory_limit="4GB", threads=None, verbose=False)
    with lakes.open_lake(ours, existing=False, writes=True) as opened, opened.lake.writing(0):
        config = opened.shop.config
        importer = Importer(opened.lake, opened.ledger, source_specs(config), config.project_parameters.clock)
        importer.files(list_files([str(out / "logs" / "palo_alto")]))
        built, trained = build_everything(opened)
        found = news_of_alerts(opened, built)
        evaluation = evaluate(scored(opened.shop), read_truth(made.truth), PLACES)
        told: dict[str, Any] = {
            "sessions": made.sessions, "built": dict(built.parts), "standing": str(standing(opened.shop)),
            "model": model_facts(opened, trained), "alerts": [alert.facts() for alert in found],
            "evaluation": evaluation, "report": str(write_report(opened, out / REPORT)),
            "logs": str(out / "logs"), "truth": str(made.truth), "lake": str(out / "lake"),
        }  # fmt: skip
    if options.format == "json":
        print(json.dumps(told, indent=2, default=str))
    else:
        print(f"{made.sessions} simulated sessions of {spec.hosts} hosts over {spec.days:g} days; {told['standing']}")
        _tell(told, found)
    return 0


def _tell(told: Mapping[str, Any], found: Sequence[Alert]) -> None:
    """The demo for people."""
    print(told["model"]["told"])
    tell_alerts(found)
    print("What was planted, and how well the scores find it")
    tell_evaluations({"predictions": told["evaluation"]})
    print(f"\nlogs: {told['logs']}   what was planted: {told['truth']}   tables: {told['lake']}")
    for first in found[:1]:
        print("next:", typed("explain", first.host_ip, "--at", iso(first.window_end_ts), "--lake", told["lake"]))
    print(f"report: {told['report']}")
