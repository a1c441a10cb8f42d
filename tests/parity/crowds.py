"""Many small worlds in one: each has hosts of its own, so that one query looks at them all and mixes none of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from laws.keeping_time import pairs_of
from oracle import OracleConfig
from oracle_baselines import BaselineConfig
from strategies import ANCHORS, random_ends, random_sessions
from strategies_baselines import HOSTS, PUBLICATIONS, STRANGERS, Case, random_case

Row = dict[str, Any]
Publications = tuple[tuple[datetime, bool, tuple[str, ...]], ...]
WORLDS = 24
"""As many as have room in the networks of the hosts: each address moves on by ten."""
INSIDE = re.compile(r"(10\.1\.[12]\.|192\.168\.7\.|fd00:[12]::)(\w)")
EVERYBODY = ("224.0.0.251", "239.255.255.250", "255.255.255.255", "ff02::fb", "::1")
MOST = 2**53 + 1
"""The first whole number that a float does not hold."""
UNKNOWN = (
    "source_port", "destination_port", "source_bytes", "destination_bytes", "source_packets", "destination_packets",
    "event_reason", "established", "repeat_cnt", "application", "rule", "machine_name", "sensor",
)  # fmt: skip
TURNS = (
    datetime(2026, 3, 8, 7), datetime(2026, 3, 29, 1), datetime(2026, 10, 25, 1), datetime(2026, 11, 1, 6),
    datetime(2026, 3, 1), datetime(2026, 1, 1),
)  # fmt: skip
"""Clocks change, months and years begin."""


def moved(address: str, world: int) -> str:
    """The same host in another world; addresses outside are everybody's."""
    found = INSIDE.fullmatch(address)
    if not found or not world:
        return address
    number = int(found[2], 16) + 10 * world
    return f"{found[1]}{number:x}" if ":" in address else f"{found[1]}{number}"


def _nasty(rng: Random, row: Row) -> Row:
    """The session, with something else that is seldom met."""
    start, end = row["event_start"], row["event_end"]
    others: list[Callable[[], Row]] = [
        lambda: dict.fromkeys(UNKNOWN),
        lambda: {"destination_ip": rng.choice(EVERYBODY), "network_transport": "udp", "destination_port": 5353},
        lambda: {"destination_port": rng.choice((0, 65_535)), "source_port": rng.choice((0, 65_535))},
        lambda: {"event_start": end, "source_bytes": 0, "destination_bytes": 0, "source_packets": 0},
        lambda: {"repeat_cnt": rng.choice((0, 1000, 2**20)), "event_action": "deny"},
        lambda: {"source_bytes": MOST, "destination_bytes": MOST + 2},
        lambda: {"destination_bytes": 2**40 + rng.randrange(9), "source_bytes": None},
        lambda: {"event_name": "THREAT", "event_action": rng.choice(("alert", "block", "reset-client", "")) },
        lambda: {"event_reason": rng.choice(("tcp-rst", "TCP-RST", "ßtraße", "%_'\\", "")), "established": None},
        lambda: {"network_transport": rng.choice(("icmp", "ospf", "sctp")), "destination_port": None},
        lambda: {"event_start": start - timedelta(days=1, microseconds=1)},
        lambda: {"destination_ip": row["source_ip"]},
        lambda: {"event_action": rng.choice(("allow", "permit", "dropped", "rejection", "start", "passed"))},
        lambda: {"event_start": end - timedelta(seconds=1, microseconds=rng.choice((0, 1)))},
    ]  # fmt: skip
    return {**row, **rng.choice(others)()}


def sessions_of(
    seeds: Sequence[int], config: OracleConfig, own: Sequence[Row] = ()
) -> tuple[list[Row], list[datetime]]:
    """The sessions of as many worlds as there are seeds, besides those of one that is given; and window ends."""
    rows, ends = list(own), {ANCHORS[0]}
    for world, seed in enumerate(seeds):
        rng = Random(seed)  # noqa: S311 - made-up data, not secrets
        anchor = rng.choice((*ANCHORS, *TURNS))
        made = random_sessions(rng, rng.choice((1, 3, 10, 40, 80)), anchor=anchor, clock=config.clock)
        rows += [_in_world(row if rng.random() < 0.7 else _nasty(rng, row), world % WORLDS) for row in made]
        ends.update(random_ends(rng, 2, anchor=anchor))
    return rows, sorted(ends)


def beats_of(seeds: Iterable[int], end: datetime, length: timedelta) -> list[Row]:
    """Sessions of pairs with a rhythm and without; the pairs of a world share the services of the others."""
    return [
        _in_world(row, world % WORLDS)
        for world, seed in enumerate(seeds)
        for row in pairs_of(Random(seed), end, length)  # noqa: S311 - made-up data
    ]


def _in_world(row: Row, world: int) -> Row:
    return {**row, **{name: moved(row[name], world) for name in ("source_ip", "destination_ip")}}


def case_of(seeds: Sequence[int], config: BaselineConfig, publications: Publications) -> Case:
    """What is known of the networks of many worlds, whose segments are their own too."""
    cases = []
    for world, seed in enumerate(seeds):
        rng = Random(seed)  # noqa: S311 - made-up data

        def pick(options: Sequence[Any], rng: Random = rng) -> Any:
            return publications if options is PUBLICATIONS else rng.choice(options)

        case = random_case(pick, config, rng.choice((5, 20, 60)))
        cases.append(
            replace(case, **{name: [_renamed(row, world % WORLDS) for row in getattr(case, name)] for name in KEPT})
        )
    return Case(publications=publications, **{name: _distinct(cases, name) for name in KEPT})


KEPT = ("past", "now", "days", "machines", "pair_counts", "beacons", "slow_beacons")
_HOSTS = HOSTS | STRANGERS


def _distinct(cases: Iterable[Case], name: str) -> list[Row]:
    return [row for case in cases for row in getattr(case, name)]


def _renamed(row: Row, world: int) -> Row:
    """A row in another world."""
    found = dict(row)
    for name, value in row.items():
        if name in ("host_ip", "ip_address", "src_ip", "dst_ip") and value in _HOSTS:
            found[name] = _host(value, world)
        elif name in ("segment_id", "src_segment_id"):
            found[name] = f"{value}~{world}"
    if "record_id" in row:
        found["record_id"] = row["record_id"].replace(row["host_ip"], found["host_ip"])
    return found


def _host(address: str, world: int) -> str:
    head, sign, tail = address.rpartition(":" if ":" in address else ".")
    return f"{head}{sign}{int(tail) + 100 * world}"
