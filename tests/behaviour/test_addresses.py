"""Addresses, segments and hosts, against Python's own ipaddress."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import duckdb
import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from behaviour.hosts import cells, row, rows_of
from handmade import OTHER, session
from laws.comparing import looks
from laws.pipeline import ARROW
from ndr import net
from ndr.errors import SpecError
from ndr.features.addresses import RANGE_SCHEMA, address_key, addresses, default_segment, split_up
from oracle import OracleConfig

GROUPS = st.lists(st.sampled_from((0, 0, 0, 1, 0xF, 0xA0, 0x1234, 0xFFFF)), min_size=8, max_size=8)
SIXES = GROUPS.map(lambda groups: IPv6Address(b"".join(g.to_bytes(2, "big") for g in groups)))
ADDRESSES = st.one_of(st.ip_addresses(v=4), SIXES, st.ip_addresses(v=6)).filter(
    lambda ip: not (isinstance(ip, IPv6Address) and ip.ipv4_mapped)  # those are IPv4 by the time they get here
)
NEAR = st.sampled_from(
    [ip_address(a) for a in ("10.0.0.0", "10.0.0.255", "10.0.1.0", "10.1.2.3", "2001:db8::", "fd00::1")]
)
NETWORKS = st.tuples(st.one_of(NEAR, ADDRESSES), st.integers(0, 128)).map(
    lambda drawn: str(ip_network((drawn[0], min(drawn[1], drawn[0].max_prefixlen)), strict=False))
)
TABLE = ibis.table({"ip": "string"}, name="ips")
TOLD = str(
    ibis.to_sql(
        split_up(TABLE).select("ip", key=address_key, segment=default_segment),
        dialect="duckdb",
    )
)
RANGES = ibis.table(RANGE_SCHEMA, name="networks")
PLACED = str(ibis.to_sql(addresses(TABLE, RANGES), dialect="duckdb"))


def _ask(query: str, ips: Sequence[str | None], networks: Sequence[net.Range] = ()) -> list[tuple[object, ...]]:
    with duckdb.connect(":memory:") as con:
        con.register("ips", pa.table({"ip": pa.array(ips, pa.string())}))
        columns = {name: pa.array([getattr(r, name) for r in networks], ARROW[t]) for name, t in RANGE_SCHEMA.items()}
        con.register("networks", pa.table(columns))
        return con.execute(query).fetchall()


@given(st.lists(ADDRESSES, min_size=20, max_size=60, unique=True))
@looks(40)
def test_keys_and_default_segments_are_those_of_ipaddress(ips: list[IPv4Address | IPv6Address]) -> None:
    for ip, key, segment in _ask(TOLD, [str(ip) for ip in ips]):
        address = ip_address(str(ip))
        assert key == net.address_key(address), ip
        assert segment == str(ip_network((address, 24 if address.version == 4 else 64), strict=False)), ip


@given(st.lists(st.ip_addresses(v=4) | st.ip_addresses(v=6), min_size=2, max_size=20))
@looks(50)
def test_keys_of_a_family_sort_as_its_addresses(ips: list[IPv4Address | IPv6Address]) -> None:
    for family in (4, 6):
        some = [ip for ip in ips if ip.version == family]
        assert sorted(some, key=int) == sorted(some, key=net.address_key)


@given(
    st.lists(st.one_of(NEAR, ADDRESSES), min_size=1, max_size=30, unique=True),
    st.lists(NETWORKS, min_size=1, max_size=4, unique=True),
    st.dictionaries(NETWORKS, st.sampled_from(("a", "b", "z", "ÅÄ")), max_size=6),
)
@looks(60)
def test_hosts_and_segments_are_those_of_the_longest_prefix(
    ips: list[IPv4Address | IPv6Address], internal: list[str], segments: dict[str, str]
) -> None:
    config = OracleConfig(internal_networks=tuple(internal), segments=segments)
    found = _ask(PLACED, [*(str(ip) for ip in ips), None], net.ranges(internal, segments))
    assert len(found) == len(ips)
    for ip, is_host, segment in found:
        assert (is_host, segment) == (oracle.is_host(str(ip), config), oracle.segment_of(str(ip), config)), ip


@pytest.mark.parametrize("network", ["::/0", "2000::/3", "2000::/8", "::/1"])
def test_no_ipv4_address_lies_in_an_ipv6_network(network: str) -> None:
    ips = ["0.0.0.0", "10.0.0.1", "200.1.2.3", "201.1.2.3", "255.255.255.255"]  # noqa: S104 - addresses, not sockets
    found = _ask(PLACED, ips, net.ranges([network], {network: "six"}))
    assert {(is_host, segment == "six") for _, is_host, segment in found} == {(False, False)}


def test_segments_longest_prefix_wins() -> None:
    segment_of = {
        host: found["segment_id"]
        for (host, _), found in rows_of(
            *(
                session(source_ip=ip)
                for ip in ("10.9.9.9", "10.1.1.1", "10.1.2.1", "10.1.2.8", "192.168.7.7", "fd00::1")
            ),
            config="segments",
        ).items()
    }
    assert segment_of == {
        "10.9.9.9": "site", "10.1.1.1": "office", "10.1.2.1": "servers", "10.1.2.8": "printer",
        "192.168.7.7": "192.168.7.0/24", "fd00::1": "fd00::/64",
    }  # fmt: skip


def test_peers_in_risky_segments_are_counted() -> None:
    made = [session(destination_ip=ip) for ip in ("203.0.113.5", "203.0.113.6", "10.1.2.1", "10.1.2.8", OTHER)]
    found = row(*made, session(destination_ip="203.0.113.5", repeat_cnt=4), config="segments")
    names = ("high_risk_segment_sessions_cnt", "high_risk_segment_unique_dsts", "has_high_risk_segment_interaction")
    assert cells(found, *names) == (7, 3, 1)
    assert found["peer_segment_nunique"] == 4
    assert cells(row(session()), *names) == (0, 0, 0)


def test_ipv6_hosts_and_peers_are_like_any_other() -> None:
    six = {"source_ip": "fd00:1::1", "destination_ip": "2001:db8:1::5"}
    found = row(
        session(**six), session(**(six | {"destination_ip": "2001:db8:2::5"})), host="fd00:1::1", config="segments"
    )
    assert cells(found, "peer_ip_nunique", "peer_segment_nunique", "segment_id") == (2, 2, "fd00:1::/64")


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0/8", "no network", "", "fd00::1/8", "10.0.0.0/33"])
def test_what_is_no_network_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SpecError, match=r"is not a network: .* Write it like 10\.0\.0\.0/8"):
        net.parse_network(text)
