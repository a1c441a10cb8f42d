"""A simulated enterprise: labelled logs of any size, for demonstrations, tests and benchmarks.

Desktops, printers, a VDI pool and servers live through days and weeks: people come and go, everyone has favourites that
slowly change, backups run at night, a vulnerability scanner is allowed to scan, some things fail. In the last 30 % of
the time, or in its last ``attack_days``, some hosts are attacked or abused; ``truth.json`` says which, when and how.
The logs are written as the devices would write them, so that the real sources read them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from ndr.errors import AdapterError, UnknownNameError, UsageError, shown
from ndr.sources.simulation.attacks import ATTACKS, Played, alerts, play_all, threats, truth
from ndr.sources.simulation.flows import BLOCKED, FLOW, milliseconds
from ndr.sources.simulation.habits import Life
from ndr.sources.simulation.network import INTERNAL_NETWORKS, Array, Network, network
from ndr.sources.simulation.writing import FORMATS, DailyLog

_HOUR: Final = timedelta(hours=1)
_BLOCK: Final = 150_000  # sessions in memory at once, about
_ALERTED: Final = 1e-4  # share of ordinary sessions that a firewall warns about
_REPEATED: Final = 0.05  # share of denied sessions and pings that are logged with a repeat count
_ICMP: Final = 2


class SimulationSpec(BaseModel):
    """What to simulate; the same specification gives the same files, byte for byte."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: int = Field(60, ge=1, le=100_000, description="hosts of the enterprise, servers and printers included")
    days: float = Field(2, gt=0, le=3660, description="length of the simulated time")
    start: datetime = Field(datetime(2026, 3, 2), description="its beginning, UTC; the default is a Monday")
    seed: int = Field(7, ge=0, lt=1 << 63, description="another seed is another enterprise")
    sessions_per_host_day: float = Field(
        600,
        ge=0,
        le=1e6,
        description="sessions of a host and day, averaged over a week; what runs by the clock comes on top",
    )
    formats: tuple[Literal["palo_alto", "zeek"], ...] = Field(("palo_alto", "zeek"), min_length=1)
    attacks: tuple[str, ...] = Field(tuple(ATTACKS), description="kinds of attack; may be empty")
    attack_days: float | None = Field(
        None, gt=0, description="attacks lie in the last days, as many as this says; without it in the last 30 %"
    )
    time_zone: str = Field("Europe/Berlin", description="where the people live whose rhythm it is")

    @field_validator("start")
    @classmethod
    def _utc(cls, start: datetime) -> datetime:
        if start.tzinfo is not None:
            raise ValueError("must carry no zone: it means UTC")
        return start

    @field_validator("attacks")
    @classmethod
    def _known(cls, attacks: tuple[str, ...]) -> tuple[str, ...]:
        for kind in attacks:
            if kind not in ATTACKS:
                raise UnknownNameError("attack", kind, ATTACKS)
        return attacks

    @field_validator("attack_days")
    @classmethod
    def _simulated(cls, attack_days: float | None, others: ValidationInfo) -> float | None:
        days = others.data.get("days")
        if attack_days is not None and days is not None and attack_days > days:
            raise ValueError(f"attacks cannot begin before the simulated time: days is only {days:g}")
        return attack_days

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{shown(name)!r} is not a time zone: write it like Europe/Berlin") from None
        return name


@dataclass(frozen=True)
class Simulated:
    """What was written."""

    files: tuple[Path, ...]
    """The logs, by format and day."""
    sessions: int
    """Sessions in the logs of each format."""
    threats: int
    """THREAT lines, which only the Palo Alto log has."""
    truth: Path
    inventory: Path
    configuration: Path
    """``project_parameters`` that fit the network."""


def simulate(out: Path, spec: SimulationSpec, progress: Callable[[float], None] | None = None) -> Simulated:
    """Writes the logs, ``truth.json``, ``inventory.csv`` and ``network.yaml`` into the directory ``out``.

    ``progress`` is told the share that is done, now and then. Sessions still open at the end are left out.

    Raises:
        UsageError: ``out`` holds something already.
        AdapterError: something cannot be written.
    """
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{shown(str(out))!r} is not an empty directory: give the name of a new one.")
        out.mkdir(parents=True, exist_ok=True)
        return _simulate(out, spec, progress or (lambda _share: None))
    except OSError as error:
        raise AdapterError(f"cannot write the simulation to {shown(str(out))!r}: {error}.") from error


def _simulate(out: Path, spec: SimulationSpec, progress: Callable[[float], None]) -> Simulated:
    net = network(spec.hosts, spec.seed)
    start, end = spec.start, spec.start + timedelta(days=spec.days)
    played = play_all(net, spec.attacks, spec.seed, (start, end), spec.attack_days)
    sessions = alerted = 0
    with ExitStack() as open_logs:
        logs = [open_logs.enter_context(DailyLog(out, FORMATS[name](net))) for name in dict.fromkeys(spec.formats)]
        for until, flows in _ended(net, spec, played):
            for log in logs:
                log.write(flows)
            alerted += int(flows["threat"].sum())
            sessions += len(flows)
            progress((until - start) / (end - start))
    truths = sorted((truth(net, p) for p in played), key=lambda t: (t["start"], t["kind"]))
    return Simulated(
        files=tuple(path for log in logs for path in log.files),
        sessions=sessions - alerted,
        threats=alerted,
        truth=_text(out / "truth.json", json.dumps(truths, indent=1)),
        inventory=_inventory(out / "inventory.csv", net, max(1, ceil(spec.days))),
        configuration=_configuration(out / "network.yaml", net, spec),
    )


def _ended(net: Network, spec: SimulationSpec, played: list[Played]) -> Iterator[tuple[datetime, Array]]:
    """Blocks of sessions in the order of their ends, each with the moment until which it reaches."""
    life = Life(net, spec.start, ZoneInfo(spec.time_zone), spec.sessions_per_host_day)
    step = _HOUR / max(1, ceil(life.busiest_hour() / _BLOCK))
    attacking = np.concatenate([np.zeros(0, FLOW), *(p.flows for p in played), *(alerts(p) for p in played)])
    attacking = attacking[np.argsort(attacking["start"], kind="stable")]
    still_open = np.zeros(0, FLOW)
    at, end, number = spec.start, spec.start + timedelta(days=spec.days), 0
    while at < end:
        until = min(at + step, end)
        rng = np.random.default_rng([spec.seed, 1, number])
        ordinary = life.between(rng, at, until)
        edges = np.searchsorted(attacking["start"], [milliseconds(at), milliseconds(until)])
        begun = [_repeated(rng, ordinary), _alerted(rng, ordinary), attacking[edges[0] : edges[1]]]
        flows = np.concatenate([still_open, *begun])
        ended = flows["end"] < milliseconds(until)
        still_open, flows = flows[~ended], flows[ended]
        yield until, flows[np.argsort(flows["end"], kind="stable")]
        at, number = until, number + 1


def _repeated(rng: np.random.Generator, flows: Array) -> Array:
    """A firewall tells alike denied sessions and pings as one, now and then."""
    alike = BLOCKED[flows["outcome"]] | (flows["transport"] == _ICMP)
    told = alike & (rng.random(len(flows)) < _REPEATED)
    flows["repeat"] = np.where(told, rng.integers(2, 6, len(flows)), 1)
    return flows


def _alerted(rng: np.random.Generator, flows: Array) -> Array:
    return threats(flows[(rng.random(len(flows)) < _ALERTED) & (flows["packets_in"] > 0)])


def _text(path: Path, text: str) -> Path:
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
    return path


def _inventory(path: Path, net: Network, days: int) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("ip_address", "machine_name", "active"))
        table.writerows((ip, name, str(active).lower()) for ip, name, active in net.inventory(days))
    return path


def _configuration(path: Path, net: Network, spec: SimulationSpec) -> Path:
    settings = {
        "internal_networks": list(INTERNAL_NETWORKS),
        "segments": net.segments,
        "calendar": {"time_zone": spec.time_zone},
    }
    return _text(path, yaml.safe_dump({"project_parameters": settings}, sort_keys=False).rstrip())
