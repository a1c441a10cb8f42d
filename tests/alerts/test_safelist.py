"""What is known to be harmless: it applies when alerts are read, to what it covers whole, until it expires."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from threading import Thread
from typing import Any

import pytest

from alerts.scored import DAY, HOSTS, Scored, judged, talked
from ndr.alerts import alerts
from ndr.alerts.peers import MOST
from ndr.errors import SpecError
from ndr.safelist import FILE, Entry, active_entries, add_entry, entry_of, read_safelist, remove_entry


@pytest.fixture
def world(lake) -> Iterator[Scored]:
    made = Scored(lake)
    yield made
    made.close()


def entry(**criteria: Any) -> Entry:
    return entry_of({"reason": "known", "owner": "soc", **criteria})


def listed(world: Scored, *entries: Entry, budget: int = 10) -> list[str]:
    return [alert.host_ip for alert in alerts(world.shop, budget=budget, safelist=entries)]


@pytest.mark.parametrize(
    ("criteria", "covers"),
    [
        ({"host": HOSTS[0]}, True),
        ({"host": "10.1.0.0/16"}, True),
        ({"host": "::ffff:10.1.1.1"}, True),
        ({"host": HOSTS[1]}, False),
        ({"host": "fd00::/8"}, False),
        ({"kind": "exfiltration"}, True),
        ({"kind": "beacon"}, False),
        ({"peer": "203.0.113.9"}, True),
        ({"peer": "203.0.113.8"}, False),
        ({"port": 443}, True),
        ({"port": 22}, False),
        ({"network": "203.0.113.0/24"}, True),
        ({"network": "203.0.113.9"}, True),
        ({"network": "198.51.100.0/24"}, False),
        ({"host": HOSTS[0], "peer": "203.0.113.9", "port": 443, "kind": "exfiltration"}, True),
        ({"host": HOSTS[0], "peer": "203.0.113.9", "port": 443, "kind": "scan"}, False),
        ({"host": HOSTS[1], "peer": "203.0.113.9"}, False),
    ],
)
def test_everything_that_an_entry_asks_must_hold(world: Scored, criteria: dict[str, Any], *, covers: bool) -> None:
    world.score(judged())
    world.talk(talked(HOSTS[0], "203.0.113.9", source_bytes=10**9), talked(HOSTS[0], "10.1.1.250", 53))
    assert listed(world, entry(**criteria)) == ([] if covers else [HOSTS[0]])


def test_an_alert_with_one_peer_that_is_not_known_is_told(world: Scored) -> None:
    world.score(judged())
    world.talk(*(talked(HOSTS[0], peer, source_bytes=10**9) for peer in ("203.0.113.9", "203.0.113.8", "192.0.2.1")))
    assert listed(world, entry(network="203.0.113.0/24")) == [HOSTS[0]]
    assert listed(world, entry(port=443)) == []


def test_what_hides_behind_many_peers_is_told(world: Scored) -> None:
    """A scan of a harmless network and one address more: that is not among the five that are shown."""
    world.score(judged(leading_kind="scan"))
    world.talk(*(talked(HOSTS[0], f"10.2.0.{i}", 445, destination_bytes=0) for i in range(30)))
    assert listed(world, entry(network="10.2.0.0/16")) == []
    world.talk(*(talked(HOSTS[0], f"10.99.0.{i}", 445, destination_bytes=0, sessions_cnt=2) for i in range(3)))
    assert listed(world, entry(network="10.2.0.0/16")) == [HOSTS[0]]


def test_an_alert_of_too_many_peers_or_none_is_not_about_peers(world: Scored) -> None:
    world.score(judged(leading_kind="scan"), judged(HOSTS[1]))
    some = [talked(HOSTS[0], f"10.2.{i // 250}.{i % 250}", 445, destination_bytes=0) for i in range(2 * MOST)]
    world.talk(*some)
    assert set(listed(world, entry(port=445), entry(network="0.0.0.0/0"))) == {HOSTS[0], HOSTS[1]}
    assert listed(world, entry(host=HOSTS[0])) == [HOSTS[1]]


def test_the_budget_refills(world: Scored) -> None:
    world.score(*(judged(host, evidence=20.0 - i) for i, host in enumerate(HOSTS)))
    world.talk(*(talked(host, "203.0.113.9", source_bytes=10**9) for host in HOSTS[:8]))
    assert listed(world, budget=2) == list(HOSTS[:2])
    assert listed(world, entry(host=HOSTS[0]), budget=2) == list(HOSTS[1:3])
    assert listed(world, entry(peer="203.0.113.9"), budget=2) == list(HOSTS[8:10])
    marked = alerts(world.shop, budget=2, safelist=[entry(host=HOSTS[0]), entry(host=HOSTS[5])], covered=True)
    assert [(alert.host_ip, bool(alert.suppressed_by)) for alert in marked] == [
        (HOSTS[0], True), (HOSTS[1], False), (HOSTS[2], False),
    ]  # fmt: skip


def test_an_expired_entry_does_nothing(world: Scored) -> None:
    world.score(judged())
    add_entry(world.lake, entry(host=HOSTS[0], expires="2020-04-01"))
    early = active_entries(world.lake, datetime(2020, 3, 31, 23, 59))
    assert listed(world, *early) == []
    assert active_entries(world.lake, datetime(2020, 4, 1)) == ()
    assert [alert.host_ip for alert in alerts(world.shop)] == [HOSTS[0]], "by now it is over"


def test_the_safelist_of_the_lake_applies_at_once(world: Scored) -> None:
    world.score(judged(), judged(HOSTS[1]))
    add_entry(world.lake, entry(host=HOSTS[0]))
    assert [alert.host_ip for alert in alerts(world.shop)] == [HOSTS[1]]
    remove_entry(world.lake, read_safelist(world.lake)[0].id)
    assert len(alerts(world.shop)) == 2


def test_the_same_criteria_are_the_same_entry(world: Scored) -> None:
    first = entry(host="10.1.0.0/16", added="2026-03-04T10:00Z", expires="2026-04-01")
    assert add_entry(world.lake, first) is None
    assert read_safelist(world.lake) == (first,)
    second = entry(host="10.1.0.0/16", reason="still")
    assert add_entry(world.lake, second) == first
    assert read_safelist(world.lake) == (second,)
    with pytest.raises(SpecError, match=f"Did you mean '{second.id}'"):
        remove_entry(world.lake, second.id[:-1])


def test_nobody_loses_an_entry_to_another_who_writes(world: Scored) -> None:
    def some(start: int) -> None:
        for i in range(start, start + 10):
            add_entry(world.lake, entry(port=i))

    threads = [Thread(target=some, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_safelist(world.lake)) == 40


HOSTILE = {
    "no mapping": "[]",
    "no JSON": "{",
    "no text": "\xff\xfe",
    "deep": "[" * 100_000,
    "long": " " * (5 << 20),
    "unknown key": '{"entries": [], "x": 1}',
    "unknown criterion": '{"entries": [{"hots": "10.0.0.1", "reason": "r", "owner": "o"}]}',
    "nothing asked": '{"entries": [{"reason": "r", "owner": "o"}]}',
    "no reason": '{"entries": [{"host": "10.0.0.1", "owner": "o"}]}',
    "empty reason": '{"entries": [{"host": "10.0.0.1", "reason": " \\n", "owner": "o"}]}',
    "control characters": '{"entries": [{"host": "10.0.0.1", "reason": "\\u001b[2J", "owner": "o"}]}',
    "no address": '{"entries": [{"host": "10.0.0.300", "reason": "r", "owner": "o"}]}',
    "host bits": '{"entries": [{"network": "10.0.0.1/8", "reason": "r", "owner": "o"}]}',
    "a network as peer": '{"entries": [{"peer": "10.0.0.0/8", "reason": "r", "owner": "o"}]}',
    "port": '{"entries": [{"port": 70000, "reason": "r", "owner": "o"}]}',
    "kind": '{"entries": [{"kind": "becon", "reason": "r", "owner": "o"}]}',
    "time": '{"entries": [{"port": 1, "expires": "never", "reason": "r", "owner": "o"}]}',
    "number as time": '{"entries": [{"port": 1, "expires": [], "reason": "r", "owner": "o"}]}',
    "twice": '{"entries": [{"port": 1, "reason": "r", "owner": "o"}, {"port": 1, "reason": "r", "owner": "o"}]}',
    "long reason": json.dumps({"entries": [{"port": 1, "reason": "r" * 10_000, "owner": "o"}]}),
    "id": '{"entries": [{"id": "../x", "port": 1, "reason": "r", "owner": "o"}]}',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_cannot_be_understood_leaves_nothing_out_in_silence(world: Scored, text: str) -> None:
    (world.root / FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(SpecError) as refused:
        read_safelist(world.lake)
    assert len(str(refused.value)) < 700
    assert str(refused.value).isprintable()
    world.score(judged())
    with pytest.raises(SpecError):
        alerts(world.shop)


def test_a_file_written_by_hand_needs_no_ids(world: Scored) -> None:
    text = '{"entries": [{"host": "10.1.1.1", "reason": "r", "owner": "o", "expires": "2026-04-01T10:00+02:00"}]}'
    (world.root / FILE).write_text(text)
    (found,) = read_safelist(world.lake)
    assert found.expires == datetime(2026, 4, 1, 8)
    assert found.id == entry(host="10.1.1.1").id
    assert found.active(found.expires - DAY)
