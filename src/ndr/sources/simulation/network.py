"""Who there is: hosts, their addresses and names, the servers they use, and the internet around them.

No address of anybody real appears: the simulated internet lives in the ranges set aside for benchmarks and
documentation (198.18.0.0/15, 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SERVERS: Final = ("dc", "file", "web", "db", "mail", "backup", "proxy", "scanner", "app", "dc", "app", "web", "file")
"""Roles of the servers, in the order in which a growing network gets them; afterwards they repeat from the db on."""

INTERNAL_NETWORKS: Final = ("10.0.0.0/8", "fd5e:0:1::/48")
PER_SEGMENT: Final = 200  # hosts in a /24
_SEGMENTS: Final = {  # role -> name of its segments, their first second and third octet
    "server": ("SEG_SERVERS", 10, 0),
    "web": ("SEG_DMZ", 60, 0),
    "mail": ("SEG_DMZ", 60, 0),
    "desktop": ("SEG_DESKTOPS", 64, 0),
    "vdi": ("SEG_VDI", 128, 0),
    "printer": ("SEG_PRINTERS", 192, 0),
}
_NAMES: Final = {"desktop": "PC", "printer": "PRN"}
_OUTSIDERS: Final = 250
_VDI_NAMES: Final = 3  # machine names in a pool for each address of the pool
_DUAL_STACK_SHARE: Final = 0.4
_DUAL_STACK: Final = ("desktop", *dict.fromkeys(SERVERS))


def hashed(*parts: int | Array) -> Array:
    """64 bits that look random and depend on nothing but ``parts`` (splitmix64 over each in turn)."""
    state: Array = np.asarray(np.uint64(0x243F6A8885A308D3))
    with np.errstate(over="ignore"):
        for part in parts:
            state = (state ^ np.asarray(part).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return state


def scattered(*parts: int | Array) -> Array:
    """A number in [0, 1) that looks random and depends on nothing but ``parts``."""
    return np.asarray(hashed(*parts) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


@dataclass
class Network:
    """Everything that has an address; an address is known by its number in ``addresses``, hosts come first."""

    seed: int
    roles: list[str]
    """The role of each host."""
    addresses: list[str] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)
    """Machine names; the first ones belong to the hosts, the others to the VDI pool."""
    members: dict[str, Array] = field(default_factory=dict)
    """Role -> the addresses that have it; also ``server``, ``host``, ``admin``, ``internet`` and ``outside``."""
    six: Array = field(default_factory=lambda: np.zeros(0, np.int32))
    """The IPv6 address of the machine behind an address, -1 where there is none."""
    segments: dict[str, str] = field(default_factory=dict)
    """CIDR -> name."""

    @property
    def hosts(self) -> int:
        """How many hosts there are."""
        return len(self.roles)

    def add(self, address: str) -> int:
        """The number of a further address."""
        self.addresses.append(address)
        return len(self.addresses) - 1

    def role(self, *names: str) -> Array:
        """The addresses that have any of these roles, in order."""
        return np.concatenate([self.members.get(name, np.zeros(0, np.int32)) for name in names])

    def twin(self, address: Array) -> Array:
        """The IPv6 address of the same machine, or -1."""
        return np.where(address < len(self.six), self.six[np.minimum(address, len(self.six) - 1)], -1)

    def machine(self, host: Array, day: int) -> Array:
        """The number of the machine that has the address on that day, -1 for what is not a host.

        A desktop is always the same machine; an address of the VDI pool is another one every day.
        """
        pool = self.members["vdi"]
        number = np.where(host < self.hosts, host, -1)
        if len(pool):
            names = len(pool) * _VDI_NAMES
            slot = (host - pool[0] + day * (len(pool) + 1)) % names
            number = np.where((host >= pool[0]) & (host <= pool[-1]), self.hosts + slot, number)
        return number

    def inventory(self, days: int) -> list[tuple[str, str, bool]]:
        """Address, machine name and whether it is the current one, for every host and every name it bore."""
        hosts = np.arange(self.hosts)
        last = self.machine(hosts, days - 1)
        borne = {(host, number) for day in range(days) for host, number in enumerate(self.machine(hosts, day).tolist())}
        return [
            (self.addresses[host], self.machines[number], number == last[host].item()) for host, number in sorted(borne)
        ]


def _roles(hosts: int) -> list[str]:
    servers = 0 if hosts == 1 else min(hosts // 2, 7 + max(1, hosts // 20))
    printers = hosts // 15
    vdi = hosts // 6 if hosts >= 12 else 0  # noqa: PLR2004 - a pool of two is the smallest
    more = [SERVERS[3 + i % (len(SERVERS) - 3)] for i in range(max(0, servers - len(SERVERS)))]
    served = [*SERVERS[:servers], *more]
    return served + ["printer"] * printers + ["vdi"] * vdi + ["desktop"] * (hosts - servers - printers - vdi)


def network(hosts: int, seed: int) -> Network:
    """The enterprise of ``hosts`` hosts: servers (ten at 60), printers, a VDI pool, desktops."""
    net = Network(seed, _roles(hosts))
    _place_hosts(net)
    own = np.arange(hosts, dtype=np.int32)
    roles = np.array(net.roles)
    for role in (*dict.fromkeys(SERVERS), "printer", "vdi", "desktop"):
        net.members[role] = own[roles == role]
    net.members["server"] = own[np.isin(roles, SERVERS)]
    net.members["host"] = own
    net.members["admin"] = net.members["desktop"][: 1 + hosts // 40]
    names = len(net.members["vdi"]) * _VDI_NAMES
    net.machines.extend(f"VDI-{number:05d}" for number in range(names))
    _place_internet(net, min(100_000, 2_000 + 20 * hosts))
    return net


def _place_hosts(net: Network) -> None:
    placed: dict[str, int] = {}
    six = []
    dual_stack = scattered(net.seed, 1, np.arange(net.hosts)) < _DUAL_STACK_SHARE
    for host, role in enumerate(net.roles):
        name, second, third = _SEGMENTS.get(role, _SEGMENTS["server"])
        number = placed.get(name, 0)
        placed[name] = number + 1
        row, last = divmod(number, PER_SEGMENT)
        second, third = second + (third + row) // 256, (third + row) % 256
        net.segments[f"10.{second}.{third}.0/24"] = name
        net.add(f"10.{second}.{third}.{last + 10}")
        net.machines.append(f"{_NAMES.get(role, f'SRV-{role.upper()}')}-{number:05d}")
        dual = role in _DUAL_STACK and bool(dual_stack[host])
        prefix = f"fd5e:0:1:{second << 8 | third:x}::"
        six.append(str(IPv6Address(f"{prefix}{last + 10:x}")) if dual else "")
        if dual:
            net.segments[f"{prefix}/64"] = name
    net.six = np.full(net.hosts, -1, np.int32)
    for host, address in enumerate(six):
        if address:
            net.six[host] = net.add(address)


def _place_internet(net: Network, size: int) -> None:
    """Internet servers (every other has IPv6 too), then the clients outside; the first of those are NAT gateways."""
    first = len(net.addresses)
    step = 131_072 // size
    base = int(IPv4Address("198.18.0.0"))
    for address in base + np.arange(size) * step + (scattered(net.seed, 2, np.arange(size)) * step).astype(np.int64):
        net.add(str(IPv4Address(int(address))))
    net.members["internet"] = np.arange(first, first + size, dtype=np.int32)
    outside = [net.add(f"192.0.2.{number + 1}") for number in range(_OUTSIDERS)]
    net.members["outside"] = np.array(outside, np.int32)
    twins = np.full(len(net.addresses), -1, np.int32)
    twins[: len(net.six)] = net.six
    for site in range(0, size, 2):
        twins[first + site] = net.add(str(IPv6Address(f"2001:db8:{site >> 12:x}:{site & 0xFFF:x}::{1 + site % 7:x}")))
    net.six = twins
