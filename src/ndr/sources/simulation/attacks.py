"""Who attacks: every kind of attack, with the truth about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from ndr.sources.simulation.flows import FLOW, Habit, exchange, iso_ms, milliseconds
from ndr.sources.simulation.network import Array, Network, scattered

_SECOND: Final = 1000  # times of flows are milliseconds
_HOUR: Final = 3600 * _SECOND
_DAY: Final = 24 * _HOUR
_LAST_PART: Final = 0.3  # of the time, in which attacks lie unless it is said otherwise
_WELL_KNOWN: Final = 1024
_NOBODY: Final[tuple[tuple[str, ...], tuple[str, ...]]] = ((), ())  # who does it and to whom is up to the scene


@dataclass(frozen=True)
class Scene:
    """One attack about to happen: on which host, when, and with what luck."""

    net: Network
    rng: np.random.Generator
    host: int
    start: int
    """First moment and ``length`` in milliseconds."""
    length: int
    outside: int
    """An address outside that the attacker owns; nobody else talks with it."""

    def times(self, count: int) -> Array:
        """Moments spread over the attack at random, in order."""
        return self.start + np.sort(self.rng.integers(0, self.length, count))

    def ticks(self, seconds: float, jitter: float) -> Array:
        """A regular beat; each pause differs from ``seconds`` by up to ``jitter`` (a share of it)."""
        count = max(1, int(self.length / (seconds * _SECOND)))
        pauses = seconds * _SECOND * (1 + jitter * (2 * self.rng.random(count) - 1))
        return self.start + np.cumsum(pauses).astype(np.int64) - int(pauses[0])

    def flows(self, habit: Habit, server: Array | int, start: Array) -> Array:
        """Sessions from the host by a habit, over IPv4; none if there is no server."""
        if not np.size(server):
            return np.zeros(0, FLOW)
        client = np.full(len(start), self.host)
        server = np.broadcast_to(server, len(start))
        return exchange(self.net, self.rng, habit, client, server, start, day=0, six=False)

    def others(self, count: int, *roles: str) -> Array:
        """Up to ``count`` other hosts that have the roles."""
        there = self.net.role(*roles)
        there = there[there != self.host]
        return self.rng.permutation(there)[:count]


@dataclass(frozen=True)
class Attack:
    """A kind of attack."""

    kind: str
    technique: str
    description: str
    hours: float
    """How long it takes, if there is time."""
    play: Callable[[Scene], Array]
    alerts: int = 0
    """How many THREAT lines it causes."""


def _port_scan(scene: Scene) -> Array:
    target = scene.others(1, "server", "desktop")
    ports = scene.rng.permutation(_WELL_KNOWN * 2)[: _WELL_KNOWN + 1] + 1
    flows = scene.flows(
        Habit("unknown-tcp", "tcp", 0, *_NOBODY, 0, 0, 0.02, 0.5, "probe"), target[:1], scene.times(len(ports))
    )
    flows["destination_port"] = ports[: len(flows)]
    return flows


def _host_sweep(scene: Scene) -> Array:
    """Every address of the host's own /24, whether somebody lives there or not."""
    own = scene.net.addresses[scene.host]
    known = {address: number for number, address in enumerate(scene.net.addresses[: scene.net.hosts])}
    targets = [f"{own.rpartition('.')[0]}.{last}" for last in range(1, 255)]
    numbers = np.array([known[a] if a in known else scene.net.add(a) for a in targets if a != own])
    pings = scene.flows(
        Habit("ping", "icmp", -1, *_NOBODY, 56, 56, 0.005, 0.5, "sweep"), numbers, scene.times(len(numbers))
    )
    knocks = scene.flows(
        Habit("ms-ds-smb", "tcp", 445, *_NOBODY, 0, 0, 0.02, 0.5, "dead"), numbers, pings["start"] + _SECOND // 2
    )
    flows = np.concatenate([pings, knocks])
    flows["outward"] = False
    return flows


def _lateral(application: str, port: int, seconds: float, sent: float, *roles: str) -> Callable[[Scene], Array]:
    def play(scene: Scene) -> Array:
        peers = scene.others(12, *roles)
        visits = np.repeat(peers, 3)
        habit = Habit(application, "tcp", port, *_NOBODY, sent, 20_000, seconds, 0.8, "steady")
        return scene.flows(habit, visits, scene.times(len(visits)))

    return play


def _beacon(seconds: float, jitter: float) -> Callable[[Scene], Array]:
    def play(scene: Scene) -> Array:
        habit = Habit("ssl", "tcp", 443, *_NOBODY, 420, 260, 0.3, 0.15, "steady")
        return scene.flows(habit, scene.outside, scene.ticks(seconds, jitter))

    return play


def _exfiltration_burst(scene: Scene) -> Array:
    habit = Habit("ssl", "tcp", 443, *_NOBODY, 180e6, 30_000, 40, 0.4, "steady")
    return scene.flows(habit, scene.outside, scene.times(24))


def _exfiltration_slow(scene: Scene) -> Array:
    habit = Habit("ssl", "tcp", 443, *_NOBODY, 3.5e6, 6_000, 12, 0.25, "steady")
    return scene.flows(habit, scene.outside, scene.ticks(1500, 0.4))


def _dga(scene: Scene) -> Array:
    """Names that nobody registered (asked of the DNS server, or outside where there is none), and dead addresses."""
    servers = scene.others(1, "dc")
    asked = servers[:1] if len(servers) else scene.outside
    names = scene.flows(Habit("dns-base", "udp", 53, *_NOBODY, 48, 110, 0.02, 0.2, "udp"), asked, scene.times(600))
    dead = np.array([scene.net.add(f"203.0.113.{20 + number}") for number in range(200)])
    habit = Habit("unknown-tcp", "tcp", 443, *_NOBODY, 0, 0, 0.02, 0.5, "dead")
    return np.concatenate([names, scene.flows(habit, dead, scene.times(len(dead)))])


def _brute_force(scene: Scene) -> Array:
    habit = Habit("ssh", "tcp", 22, *_NOBODY, 1900, 2400, 1.4, 0.25, "guess")
    return scene.flows(habit, scene.others(1, "server", "desktop")[:1], scene.times(1500))


def _mining(scene: Scene) -> Array:
    """One session to the pool after the other, each about an hour long."""
    begins = scene.ticks(3600, 0.02)
    flows = scene.flows(
        Habit("unknown-tcp", "tcp", 3333, *_NOBODY, 90_000, 160_000, 1, 0.1, "steady"), scene.outside, begins
    )
    ends = np.append(begins[1:], min(begins[-1] + _HOUR, scene.start + scene.length)) - 2 * _SECOND
    flows["end"] = np.maximum(flows["start"] + _SECOND, ends)
    return flows


ATTACKS: Final = {
    attack.kind: attack
    for attack in (
        Attack("port_scan", "T1046", "over a thousand ports of one host", 0.15, _port_scan, 3),
        Attack("host_sweep", "T1018", "ping and SMB to every address of its /24", 0.2, _host_sweep, 1),
        Attack("lateral_smb", "T1021.002", "SMB to a dozen hosts within an hour", 0.7,
               _lateral("ms-ds-smb", 445, 12, 400_000, "desktop", "server"), 0),
        Attack("lateral_rdp", "T1021.001", "remote desktops on a dozen hosts", 2,
               _lateral("ms-rdp", 3389, 240, 150_000, "desktop", "server"), 0),
        Attack("lateral_ssh", "T1021.004", "SSH to servers, one after the other", 1,
               _lateral("ssh", 22, 120, 30_000, "server"), 0),
        Attack("beacon_fast", "T1071.001", "HTTPS every minute, jitter a tenth", 10, _beacon(60, 0.1), 1),
        Attack("beacon_slow", "T1071.001", "HTTPS every half hour, jitter a fifth", 400, _beacon(1800, 0.2), 0),
        Attack("exfiltration_burst", "T1041", "gigabytes uploaded within half an hour", 0.5, _exfiltration_burst, 0),
        Attack("exfiltration_slow", "T1030", "a few megabytes uploaded every 25 minutes", 400, _exfiltration_slow, 0),
        Attack("dga", "T1568.002", "names nobody registered, and dead addresses", 1.5, _dga, 2),
        Attack("brute_force", "T1110", "passwords guessed over SSH", 0.6, _brute_force, 2),
        Attack("mining", "T1496", "long regular sessions to a mining pool", 12, _mining, 0),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Played:
    """An attack that happened."""

    attack: Attack
    host: int
    flows: Array


def play_all(
    net: Network, kinds: tuple[str, ...], seed: int, span: tuple[datetime, datetime], last_days: float | None = None
) -> list[Played]:
    """The attacks, in the last days or the last 30 % of the span, on different hosts as far as there are.

    What is still open at the end is left out; an attack that finds no victim (no other host, no time) does not happen.
    """
    victims = net.members["desktop"] if len(net.members["desktop"]) else net.members["host"]
    order = victims[np.argsort(scattered(net.seed, 40, victims), kind="stable")]
    end = milliseconds(span[1])
    begin = end - int(last_days * _DAY if last_days else (end - milliseconds(span[0])) * _LAST_PART)
    played = []
    for number, kind in enumerate(kinds):
        attack, rng = ATTACKS[kind], np.random.default_rng([seed, 41, number])
        length = min(int(attack.hours * _HOUR), int((end - begin) * 0.95))
        start = begin + int(rng.integers(0, end - begin - length))
        host = int(order[number % len(order)])
        scene = Scene(net, rng, host, start, length, net.add(f"198.51.100.{number + 1}"))
        flows = attack.play(scene)
        flows = flows[flows["end"] < end]
        if len(flows):
            played.append(Played(attack, host, flows))
    return played


def truth(net: Network, played: Played) -> dict[str, object]:
    """What is true of an attack: its host, its exact interval, kind, technique and peers."""
    flows = played.flows
    peers = sorted({net.addresses[number] for number in np.unique(flows["destination"]).tolist()})
    return {
        "host": net.addresses[played.host],
        "start": iso_ms(int(flows["start"].min())),
        "end": iso_ms(int(flows["end"].max())),
        "kind": played.attack.kind,
        "technique": played.attack.technique,
        "sessions": len(flows),
        "peers": peers,
        "description": played.attack.description,
    }


def alerts(played: Played) -> Array:
    """The THREAT lines of an attack: a few of its sessions, once more."""
    return threats(played.flows[:: max(1, len(played.flows) // max(1, played.attack.alerts))][: played.attack.alerts])


def threats(flows: Array) -> Array:
    """A THREAT line for each session, written while it was going on."""
    lines = flows.copy()
    lines["threat"] = True
    lines["end"] = lines["start"] + (lines["end"] - lines["start"]) // 2
    return lines
