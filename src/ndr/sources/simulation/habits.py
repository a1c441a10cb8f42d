"""What they do: what people and programs do at will, and what runs by the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from ndr.sources.simulation.flows import FLOW, Habit, exchange, milliseconds
from ndr.sources.simulation.network import SERVERS, Array, Network, scattered
from ndr.sources.simulation.rhythm import RHYTHMS, WEEK, hour_of_week
from ndr.time import DAY

PEOPLE: Final = ("desktop", "vdi")
_SERVED: Final = tuple(dict.fromkeys(SERVERS))
_INSIDE: Final = (*PEOPLE, *_SERVED)

HABITS: Final = (
    Habit("dns-base", "udp", 53, _INSIDE, ("dc",), 45, 130, 0.03, 0.5, share=0.3, rhythm="programs"),
    Habit("ssl", "tcp", 443, PEOPLE, ("internet",), 1800, 9000, 25, 1.6, share=0.27),
    Habit("quic-base", "udp", 443, PEOPLE, ("internet",), 2500, 12000, 40, 1.5, share=0.06),
    Habit("web-browsing", "tcp", 80, PEOPLE, ("internet",), 500, 3000, 6, 1.4, share=0.02),
    Habit("http-proxy", "tcp", 3128, PEOPLE, ("proxy",), 1500, 8000, 20, 1.5, share=0.05),
    Habit("ssl", "tcp", 443, ("proxy",), ("internet",), 1800, 9000, 25, 1.6, share=0.05),
    Habit("ms-ds-smb", "tcp", 445, PEOPLE, ("file",), 6000, 40000, 90, 1.8, share=0.05),
    Habit("kerberos", "tcp", 88, (*PEOPLE, "file", "app"), ("dc",), 1700, 1600, 0.05, 0.4, share=0.035),
    Habit("ldap", "tcp", 389, _INSIDE, ("dc",), 900, 2600, 1, 1.0, share=0.03, rhythm="programs"),
    Habit("imap", "tcp", 993, PEOPLE, ("mail",), 900, 6000, 60, 1.7, share=0.03),
    Habit("ssl", "tcp", 443, ("outside",), ("web",), 900, 7000, 15, 1.3, share=0.035, rhythm="public"),
    Habit("smtp-base", "tcp", 25, ("outside",), ("mail",), 9000, 500, 3, 1.4, share=0.008, rhythm="public"),
    Habit("smtp-base", "tcp", 25, ("mail",), ("internet",), 9000, 500, 3, 1.4, share=0.004, rhythm="programs"),
    Habit("unknown-tcp", "tcp", 23, ("outside",), ("web", "mail"), 0, 0, 0.01, chances="noise", share=0.004,
          rhythm="flat"),
    Habit("mssql-db", "tcp", 1433, ("app",), ("db",), 1500, 8000, 120, 2.0, share=0.02, rhythm="programs"),
    Habit("postgres", "tcp", 5432, ("web", "app"), ("db",), 1500, 8000, 20, 1.8, share=0.02, rhythm="programs"),
    Habit("ssl", "tcp", 8443, PEOPLE, ("app",), 1500, 8000, 30, 1.5, share=0.02),
    Habit("lpd-raw", "tcp", 9100, PEOPLE, ("printer",), 300_000, 300, 6, 1.2, share=0.003),
    Habit("ssh", "tcp", 22, ("admin",), ("server",), 5000, 20000, 900, 1.6, share=0.002),
    Habit("ms-rdp", "tcp", 3389, ("admin",), ("server", "vdi"), 200_000, 3e6, 1500, 1.3, share=0.001),
    Habit("ping", "icmp", -1, ("admin", "server"), ("server", "desktop"), 224, 224, 3, 0.2, share=0.002),
)  # fmt: skip


@dataclass(frozen=True)
class Round:
    """A habit that runs by the clock: its visits happen once a period each."""

    habit: Habit
    every: timedelta
    between: tuple[float, float] = (0, 24)
    """Local hours between which it happens, for what is done daily."""
    ports: tuple[int, ...] = ()
    one_client: bool = False
    """One client visits every server; else every client visits a server of its own."""


_SCANNED: Final = (21, 22, 23, 80, 135, 139, 443, 445, 1433, 3389, 5900, 8080)
ROUNDS: Final = (
    Round(Habit("ping", "icmp", -1, ("dc",), ("server",), 56, 56, 0.01, 0.1), timedelta(minutes=5),
          one_client=True),
    Round(Habit("snmp-base", "udp", 161, ("file",), ("printer",), 90, 140, 0.02, 0.3), timedelta(minutes=15),
          one_client=True),
    Round(Habit("ntp-base", "udp", 123, ("host",), ("dc",), 48, 48, 0.02, 0.3), timedelta(hours=2)),
    Round(Habit("ms-update", "tcp", 443, PEOPLE, ("update",), 700, 2500, 2, 0.6), timedelta(hours=4)),
    Round(Habit("backup", "tcp", 10_000, ("server",), ("backup",), 6e9, 4e5, 2400, 0.7, "steady"), DAY, (22, 27)),
    Round(Habit("unknown-tcp", "tcp", 0, ("scanner",), ("host",), 200, 300, 0.5, 0.8, "probe"), DAY, (1, 4), _SCANNED,
          one_client=True),
)  # fmt: skip
"""Monitoring, time, updates, nightly backups, and the vulnerability scanner that is allowed to scan."""

_FAVOURITES: Final = 60
_DRIFT: Final = 30  # days after which a favourite has been replaced by another
_CURIOSITY: Final = 0.004  # share of sessions that go to a peer outside the favourites
_ABSENT: Final = 0.07  # share of days on which a person stays away
_ZIPF: Final = np.cumsum(1.0 / np.arange(1, _FAVOURITES + 1) ** 1.15)
_POPULARITY: Final = 2.5  # some internet sites are everybody's favourites


class Life:
    """The ordinary life of a network, an interval at a time."""

    def __init__(self, net: Network, start: datetime, zone: ZoneInfo, sessions_per_host_day: float) -> None:
        self.net, self.start, self.zone = net, start, zone
        at_home = {"update": net.members["internet"][:1], **net.members}
        self.habits = [h for h in HABITS if len(net.role(*h.clients)) and len(net.role(*h.servers))]
        self.rounds = [(r, *self._pairs(r, at_home)) for r in ROUNDS]
        shares = sum(habit.share for habit in self.habits)
        self.hourly = [net.hosts * sessions_per_host_day / 24 * h.share / shares for h in self.habits]
        self.liveliness = np.exp(0.6 * (scattered(net.seed, 10, np.arange(len(net.six))) * 3.4 - 1.7))
        self.shift = (scattered(net.seed, 11, np.arange(len(net.six))) * 3).astype(np.int64) - 1
        outside = net.members["outside"]
        self.liveliness[outside] = 1 / np.arange(1, len(outside) + 1) ** 1.2  # the first are gateways of many people

    def busiest_hour(self) -> float:
        """Sessions expected in the busiest hour of a week."""
        peaks = (RHYTHMS[h.rhythm].max() / RHYTHMS[h.rhythm].mean() for h in self.habits)
        return float(sum(peak * rate for peak, rate in zip(peaks, self.hourly, strict=True)))

    def between(self, rng: np.random.Generator, start: datetime, end: datetime) -> Array:
        """The sessions that begin in ``[start, end)``, in no order."""
        day = (start - self.start) // DAY
        parts = [np.zeros(0, FLOW)]
        for number, habit in enumerate(self.habits):
            parts.append(self._at_will(rng, number, habit, (start, end)))
        for round_, client, server, port, phase in self.rounds:
            visits, times = _visits(phase, round_.every, start, end)
            times += rng.integers(0, 400, len(times))
            flows = exchange(self.net, rng, round_.habit, client[visits], server[visits], times, day=day)
            flows["destination_port"] = port[visits]
            parts.append(flows)
        return np.concatenate(parts)

    def _at_will(self, rng: np.random.Generator, number: int, habit: Habit, span: tuple[datetime, datetime]) -> Array:
        net, (start, end) = self.net, span
        day = (start - self.start) // DAY
        clients, servers = net.role(*habit.clients), net.role(*habit.servers)
        hour, week = hour_of_week(start, self.zone), RHYTHMS[habit.rhythm]
        awake = week[(hour + self.shift[clients]) % WEEK] * self.liveliness[clients]
        if habit.rhythm == "office":
            awake *= scattered(net.seed, 12, clients, (hour // 24) + 7 * (day // 7)) > _ABSENT
        usual = float(self.liveliness[clients].sum()) * week.mean()
        hours = (end - start) / timedelta(hours=1)
        count = rng.poisson(self.hourly[number] * hours * awake.sum() / usual)
        edges = np.cumsum(awake)
        chosen = np.searchsorted(edges, rng.random(count) * edges[-1], side="right").clip(max=len(clients) - 1)
        client = clients[chosen]
        peer = servers[self._peers(rng, number, client, day, len(servers), popular=habit.servers == ("internet",))]
        other = client != peer
        times = milliseconds(start) + (rng.random(count) * (end - start).total_seconds() * 1000).astype(np.int64)
        return exchange(net, rng, habit, client[other], peer[other], times[other], day=day)

    def _peers(
        self, rng: np.random.Generator, number: int, client: Array, day: int, servers: int, *, popular: bool
    ) -> Array:
        """Each client's favourites, the first most often; they drift slowly, and now and then it is a stranger."""
        rank = np.searchsorted(_ZIPF, rng.random(len(client)) * _ZIPF[-1], side="right")
        stray = rng.random(len(client)) < _CURIOSITY
        rank = np.where(stray, rng.integers(_FAVOURITES, 1 << 40, len(client)), rank)
        turn = (day + (scattered(self.net.seed, 20 + number, client, rank) * _DRIFT).astype(np.int64)) // _DRIFT
        place = scattered(self.net.seed, 60 + number, client, rank, turn)
        place = np.where(stray | (not popular), place, place**_POPULARITY)
        return (place * servers).astype(np.int64)

    def _pairs(self, round_: Round, members: dict[str, Array]) -> tuple[Array, Array, Array, Array]:
        """Client, server, port and time of the first visit of all visits of a round."""
        clients = np.concatenate([members[role] for role in round_.habit.clients])
        servers = np.concatenate([members[role] for role in round_.habit.servers])
        ports = np.array(round_.ports or (round_.habit.port,))
        clients = clients[: 1 if round_.one_client else None] if len(servers) else clients[:0]
        if round_.one_client:
            client, server, port = (a.ravel() for a in np.meshgrid(clients, servers, ports, indexing="ij"))
        else:
            own = (scattered(self.net.seed, 101, clients) * len(servers)).astype(np.int64)
            client, server, port = clients, servers[own], np.full(len(clients), ports[0])
        other = client != server
        client, server, port = client[other], server[other], port[other]
        early, late = (timedelta(hours=hour) / timedelta(days=1) for hour in round_.between)
        place = early + (late - early) * scattered(self.net.seed, 100, client, server, port)
        away = self.start.replace(tzinfo=ZoneInfo("UTC")).astimezone(self.zone).utcoffset() or timedelta()
        every = round_.every / timedelta(milliseconds=1)
        phase = (place * every - away / timedelta(milliseconds=1)).astype(np.int64) % int(every)
        return client, server, port, phase


def _visits(phase: Array, every: timedelta, start: datetime, end: datetime) -> tuple[Array, Array]:
    """Which of the phases come up in ``[start, end)``, as often as they do, and when."""
    period = every // timedelta(milliseconds=1)
    first = -((phase - milliseconds(start)) // period)  # the first k with phase + k * period >= start
    count = -((phase - milliseconds(end)) // period) - first
    which = np.repeat(np.arange(len(phase)), count)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    return which, phase[which] + (first[which] + nth) * period
