"""What a session is here: one row of a structured array, and the ways in which a session can go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from ndr.sources.simulation.network import Array, Network
from ndr.time import EPOCH

FLOW: Final = np.dtype(
    [
        ("start", "i8"),  # milliseconds since the epoch
        ("end", "i8"),
        ("source", "i4"),  # number of an address
        ("destination", "i4"),
        ("source_port", "i4"),  # -1: none
        ("destination_port", "i4"),
        ("sent", "i8"),  # bytes with headers
        ("received", "i8"),
        ("packets_out", "i8"),
        ("packets_in", "i8"),
        ("machine", "i4"),  # number of a machine name, -1: none
        ("application", "i2"),
        ("outcome", "i1"),
        ("transport", "i1"),
        ("six", "?"),
        ("inward", "?"),  # from outside
        ("outward", "?"),  # to outside
        ("threat", "?"),
        ("repeat", "i1"),
    ]
)
TRANSPORTS: Final = ("tcp", "udp", "icmp")
HEADERS: Final = np.array([52, 28, 28])
"""Bytes of header in a packet of each transport; IPv6 has 20 more."""
LONGEST: Final = 12 * 3_600_000  # no session is longer than half a day

_SIX: Final = 0.7  # share of the sessions of two dual-stack machines that use IPv6


def milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def iso_ms(ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601, as the logs write it."""
    return (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") + "Z"


@dataclass(frozen=True)
class Outcome:
    """How a session went, in the words of a firewall and of Zeek."""

    action: str
    reason: str
    state: str
    history: str
    answered: bool = True


OUTCOMES: Final = {
    "closed": Outcome("allow", "tcp-fin", "SF", "ShADadFf"),
    "client-reset": Outcome("allow", "tcp-rst-from-client", "RSTO", "ShADadR"),
    "server-reset": Outcome("allow", "tcp-rst-from-server", "RSTR", "ShADadr"),
    "left-open": Outcome("allow", "aged-out", "S1", "ShADad"),
    "unanswered": Outcome("allow", "aged-out", "S0", "S", answered=False),
    "refused": Outcome("allow", "tcp-rst-from-server", "REJ", "Sr", answered=False),
    "denied": Outcome("deny", "policy-deny", "S0", "S", answered=False),
    "dropped": Outcome("drop", "policy-deny", "S0", "S", answered=False),
    "reset-both": Outcome("reset-both", "policy-deny", "RSTOS0", "SR", answered=False),
    "replied": Outcome("allow", "aged-out", "SF", "Dd"),
    "no-reply": Outcome("allow", "aged-out", "S0", "D", answered=False),
    "datagram-denied": Outcome("deny", "policy-deny", "S0", "D", answered=False),
    "echoed": Outcome("allow", "aged-out", "OTH", "-"),
    "no-echo": Outcome("allow", "aged-out", "OTH", "-", answered=False),
    "echo-dropped": Outcome("drop", "policy-deny", "OTH", "-", answered=False),
}
_NUMBER: Final = {name: number for number, name in enumerate(OUTCOMES)}
_ANSWERED: Final = np.array([outcome.answered for outcome in OUTCOMES.values()])
BLOCKED: Final = np.array([outcome.action != "allow" for outcome in OUTCOMES.values()])
_REJECTED: Final = np.array([outcome.state == "REJ" for outcome in OUTCOMES.values()])
_CUT: Final = np.array([outcome.state == "RSTOS0" for outcome in OUTCOMES.values()])
_RETRIED: Final = np.array([name in ("unanswered", "no-reply") for name in OUTCOMES])

CHANCES: Final[dict[str, dict[str, float]]] = {
    "tcp": {
        "closed": 0.88, "client-reset": 0.055, "server-reset": 0.025, "left-open": 0.027,
        "unanswered": 0.006, "refused": 0.003, "denied": 0.003, "reset-both": 0.001,
    },
    "udp": {"replied": 0.988, "no-reply": 0.008, "datagram-denied": 0.004},
    "icmp": {"echoed": 0.99, "no-echo": 0.008, "echo-dropped": 0.002},
    "noise": {"denied": 0.9, "dropped": 0.06, "unanswered": 0.03, "refused": 0.01},
    "probe": {"refused": 0.55, "unanswered": 0.2, "denied": 0.1, "closed": 0.12, "client-reset": 0.03},
    "guess": {"closed": 0.6, "server-reset": 0.39, "refused": 0.01},
    "steady": {"closed": 0.97, "left-open": 0.03},
    "dead": {"unanswered": 0.8, "refused": 0.15, "denied": 0.05},
    "sweep": {"no-echo": 0.75, "echoed": 0.25},
}  # fmt: skip
"""How likely each outcome is: on ordinary days for each transport, then for things that mostly fail."""


@dataclass(frozen=True)
class Habit:
    """Something that some machines do with others."""

    application: str
    transport: str
    port: int
    clients: tuple[str, ...]
    servers: tuple[str, ...]
    sent: float
    """Median payload in bytes; so for ``received``."""
    received: float
    seconds: float
    """Median duration."""
    spread: float = 1.2
    """Sigma of the log-normal distributions of payload and duration."""
    chances: str = ""
    """Key of ``CHANCES``; its transport when empty."""
    share: float = 0.0
    """Share of the sessions that people and programs begin at will."""
    rhythm: str = "office"


APPLICATIONS: Final[dict[str, str]] = {
    "incomplete": "-", "not-applicable": "-", "dns-base": "dns", "kerberos": "krb_tcp", "ldap": "ldap_tcp",
    "ms-ds-smb": "gssapi,smb", "ssl": "ssl", "web-browsing": "http", "quic-base": "quic,ssl", "ntp-base": "ntp",
    "smtp-base": "smtp", "imap": "ssl", "lpd-raw": "-", "ssh": "ssh", "ms-rdp": "rdp", "mssql-db": "-",
    "postgres": "-", "http-proxy": "http", "ping": "-", "snmp-base": "snmp", "backup": "ssl", "unknown-tcp": "-",
    "ms-update": "ssl",
}  # fmt: skip
"""A firewall's name of an application -> Zeek's name of the service; ``incomplete``: nobody answered."""
_APPLICATION: Final = {name: number for number, name in enumerate(APPLICATIONS)}


def draw_outcomes(rng: np.random.Generator, chances: str, count: int) -> Array:
    """Outcomes at random, as numbers."""
    table = CHANCES[chances]
    edges = np.cumsum(list(table.values()))
    numbers = np.array([_NUMBER[name] for name in table], np.int8)
    drawn: Array = numbers[
        np.searchsorted(edges, rng.random(count) * edges[-1], side="right").clip(max=len(numbers) - 1)
    ]
    return drawn


def exchange(  # noqa: PLR0913 - who, with whom, when and what are four facts, and chance and place two more
    net: Network,
    rng: np.random.Generator,
    habit: Habit,
    client: Array,
    server: Array,
    start: Array,
    *,
    day: int,
    six: bool = True,
) -> Array:
    """One session for each client, server and start: its course, sizes and names drawn from the habit."""
    count = len(start)
    flows = np.zeros(count, FLOW)
    flows["start"] = start
    flows["machine"] = net.machine(client, day)
    flows["inward"] = client >= net.hosts
    flows["outward"] = server >= net.hosts
    _address(net, rng, flows, client, server, chance=_SIX if six else 0.0)
    flows["transport"] = TRANSPORTS.index(habit.transport)
    flows["destination_port"] = habit.port
    flows["source_port"] = rng.integers(49_152, 65_536, count) if habit.port >= 0 else -1
    flows["outcome"] = draw_outcomes(rng, habit.chances or habit.transport, count)
    payload_out = _sizes(rng, habit.sent, habit.spread, count, 2e11)
    payload_in = _sizes(rng, habit.received, habit.spread, count, 2e11)
    length = _sizes(rng, habit.seconds * 1000, habit.spread, count, LONGEST)
    _fill(flows, rng, payload_out, payload_in, length)
    answered = _ANSWERED[flows["outcome"]]
    unserved = np.where(BLOCKED[flows["outcome"]], _APPLICATION["not-applicable"], _APPLICATION["incomplete"])
    flows["application"] = np.where(answered, _APPLICATION[habit.application], unserved)
    return flows


def _sizes(rng: np.random.Generator, median: float, spread: float, count: int, most: float) -> Array:
    sizes: Array = np.minimum(median * np.exp(spread * rng.standard_normal(count)), most).astype(np.int64)
    return sizes


def _address(
    net: Network, rng: np.random.Generator, flows: Array, client: Array, server: Array, *, chance: float
) -> None:
    """Machines that both have IPv6 use it with the given chance."""
    client_six, server_six = net.twin(client), net.twin(server)
    six = (client_six >= 0) & (server_six >= 0) & (rng.random(len(flows)) < chance)
    flows["six"] = six
    flows["source"] = np.where(six, client_six, client)
    flows["destination"] = np.where(six, server_six, server)


def _fill(flows: Array, rng: np.random.Generator, payload_out: Array, payload_in: Array, length: Array) -> None:
    """Bytes, packets and end that fit the outcome: nothing is carried where nobody answered."""
    transport, outcome = flows["transport"], flows["outcome"]
    answered, rejected, cut = _ANSWERED[outcome], _REJECTED[outcome], _CUT[outcome]
    tcp = transport == 0
    tries = np.where(_RETRIED[outcome], rng.integers(1, 4, len(flows)), np.where(cut, 2, 1))
    payload_failed = np.where(tcp, 0, payload_out.clip(max=512) * tries)
    payload_out = np.where(answered, payload_out, payload_failed)
    payload_in = np.where(answered, payload_in, 0)
    out = np.where(tcp, 4, 1) + payload_out // 1400 + np.where(tcp, payload_in // 2800, 0)
    back = np.where(tcp, 3, 1) + payload_in // 1400 + np.where(tcp, payload_out // 2800, 0)
    flows["packets_out"] = np.where(answered, out, tries)
    flows["packets_in"] = np.where(answered, back, rejected)
    header = HEADERS[transport] + 20 * flows["six"]
    flows["sent"] = payload_out + header * flows["packets_out"]
    flows["received"] = payload_in + header * flows["packets_in"]
    waited = np.array([0, 0, 1_000, 3_000])[tries]
    failed = np.where(rejected | cut, 1 + length % 40, waited)
    flows["end"] = flows["start"] + np.where(answered, length.clip(min=1), failed)
