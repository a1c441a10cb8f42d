"""``ndr simulate`` and ``ndr demo``: a made-up enterprise, to try things on."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import ibis

from ndr.cli import lakes
from ndr.cli.output import Progress, write_rows
from ndr.cli.running import build_news, source_specs
from ndr.errors import UsageError, shown
from ndr.run import Workshop
from ndr.sources.files import list_files
from ndr.sources.imports import Importer
from ndr.sources.simulate import SimulationSpec, simulate
from ndr.specs import checked
from ndr.summary import known_window_ends, stored
from ndr.table import PartKey
from ndr.tables.fg_a import fg_a
from ndr.time import iso, parse_instant


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
    spec = checked(SimulationSpec, {"hosts": 60, "days": 2, "formats": ("palo_alto",)}, "demo")
    made = simulate(out / "logs", spec)
    ours = argparse.Namespace(lake=str(out / "lake"), config=None, memory_limit="4GB", threads=None, verbose=False)
    with lakes.open_lake(ours, existing=False, writes=True) as opened, opened.lake.writing(0):
        config = opened.shop.config
        importer = Importer(opened.lake, opened.ledger, source_specs(config), config.project_parameters.clock)
        importer.files(list_files([str(out / "logs" / "palo_alto")]))
        built, _ = build_news(opened)
        found = {
            "busiest": _top(opened.shop, "sessions_cnt"),
            "most_novel": _top(opened.shop, "new_peer_cnt_lookback30d"),
        }
    told = {
        "sessions": made.sessions,
        "built": built,
        **found,
        "logs": str(out / "logs"),
        "truth": str(made.truth),
        "lake": str(out / "lake"),
    }
    if options.format == "json":
        print(json.dumps(told, indent=2, default=str))
        return 0
    print(f"{made.sessions} simulated sessions of {spec.hosts} hosts over {spec.days:g} days\n")
    for title, rows in (
        ("Busiest hosts of the last day", found["busiest"]),
        ("Hosts with most new peers", found["most_novel"]),
    ):
        print(title)
        write_rows(rows, "table")
        print()
    print(f"logs: {told['logs']}   what was planted: {told['truth']}   tables: {told['lake']}")
    print(f"next: ndr show fg_a --lake {told['lake']} --host {found['busiest'][0]['host_ip']}")
    return 0


def _top(shop: Workshop, column: str, limit: int = 10) -> list[dict[str, Any]]:
    """The hosts with the highest value over the last 24 hours."""
    end = known_window_ends(shop)[-1]
    rows = fg_a.unbound("rows")
    shown_columns = [
        "host_ip",
        "segment_id",
        "window_end_ts",
        "sessions_cnt",
        "peer_ip_nunique",
        "new_peer_cnt_lookback30d",
        "failed_ratio",
        "bytes_src_sum",
    ]
    top = (
        rows.filter(rows.window_label == "w_24h")
        .order_by(ibis.desc(column), "host_ip")
        .limit(limit)
        .select(*shown_columns)
    )
    files = stored(fg_a, shop, None, {PartKey(end - fg_a.every, end)})
    return [
        {**row, "window_end_ts": iso(row["window_end_ts"])}
        for row in shop.engine.fetch(shop.engine.compile(top), {"rows": files})
    ]
