"""Enterprises to compare rankings on: attacks of every kind on the last day, and perhaps the very same ones before."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from ndr.cli.demo import DEMO
from ndr.cli.lakes import OpenLake, open_lake
from ndr.cli.running import source_specs
from ndr.news import build_features
from ndr.sources.files import list_files
from ndr.sources.imports import Importer
from ndr.sources.simulate import SimulationSpec, simulate
from ndr.sources.simulation.attacks import play_all
from ndr.sources.simulation.flows import milliseconds
from ndr.sources.simulation.network import network
from ndr.sources.simulation.writing import FORMATS, DailyLog
from ndr.sources.truth import KnownAttack, read_truth

_DAY_MS = 86_400_000
_FORMAT = "palo_alto"


@dataclass(frozen=True)
class World:
    """Where the attacks lie beside the last day."""

    name: str
    title: str
    earlier: tuple[int, ...] = ()
    """How many days before the very same attacks happened as well."""
    quiet_days: int = 0
    """Days that are scored before the attacks."""


WORLDS = {
    world.name: world
    for world in (
        World("after", "Attacks after the baseline only"),
        World("once", "The same attacks six days earlier as well, inside the baseline", (6,)),
        World("daily", "The same attacks on every day of the baseline as well", tuple(range(3, 10))),
        World("quiet", "One quiet day is scored before that of the attacks", (), 1),
    )
}


def specification(world: World, seed: int) -> SimulationSpec:
    """The demo's enterprise."""
    demo = SimulationSpec.model_validate(DEMO)
    return demo.model_copy(update={"seed": seed, "days": demo.days + world.quiet_days})


def logs(world: World, seed: int, folder: Path) -> tuple[Path, list[KnownAttack]]:
    """Write the logs and tell the attacks of the last day."""
    spec = specification(world, seed)
    made = simulate(folder / "logs", spec)
    if world.earlier:
        _write_earlier(world.earlier, spec, folder / "earlier")
    return folder, read_truth(made.truth)


def _write_earlier(days: Sequence[int], spec: SimulationSpec, folder: Path) -> None:
    """The attacks' own sessions once more, whole days earlier."""
    net = network(spec.hosts, spec.seed)
    span = (spec.start, spec.start + timedelta(days=spec.days))
    played = np.concatenate([each.flows for each in play_all(net, spec.attacks, spec.seed, span, spec.attack_days)])
    for back in days:
        flows = played.copy()
        flows["start"] -= back * _DAY_MS
        flows["end"] -= back * _DAY_MS
        flows = flows[flows["start"] >= milliseconds(spec.start)]
        with DailyLog(folder / str(back), FORMATS[_FORMAT](net)) as log:
            log.write(flows[np.argsort(flows["end"], kind="stable")])


@contextmanager
def lake(world: World, seed: int, folder: Path) -> Iterator[tuple[OpenLake, list[KnownAttack]]]:
    """A lake with all that scores are made of."""
    there, attacks = logs(world, seed, folder)
    ours = argparse.Namespace(lake=str(folder / "lake"), config=None, memory_limit="4GB", threads=None, verbose=False)
    with open_lake(ours, existing=False, writes=True) as opened, opened.lake.writing(0):
        config = opened.shop.config
        importer = Importer(opened.lake, opened.ledger, source_specs(config), config.project_parameters.clock)
        importer.files(list_files([str(path) for path in sorted(there.glob(f"**/{_FORMAT}"))]))
        build_features(opened.shop, lambda *_: None)
        yield opened, attacks
