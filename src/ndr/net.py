"""Networks: which addresses are hosts, and which segment an address belongs to; the configuration side.

Addresses are compared as *keys*: text of fixed width per family whose order is the numeric order, so that a network
is a range of keys on every engine. The matching expressions stand in :mod:`ndr.features.addresses`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from ndr.errors import SpecError, shown

UNKNOWN_SEGMENT = "SEG_UNKNOWN"
DEFAULT_INTERNAL = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")

Network = IPv4Network | IPv6Network


def parse_network(text: str) -> Network:
    """A CIDR as a network.

    Raises:
        SpecError: it is none, or has host bits set.
    """
    try:
        return ip_network(text)
    except ValueError as error:
        raise SpecError(f"{shown(text)!r} is not a network: {error}. Write it like 10.0.0.0/8 or fd00::/8.") from None


def address_key(address: IPv4Address | IPv6Address) -> str:
    """``010.001.002.003``, or a colon and the 32 hexadecimal digits of an IPv6 address.

    A colon sorts after every digit, so that no IPv4 address lies in a range of IPv6 ones: 2000::/3 or ::/0.
    """
    if isinstance(address, IPv4Address):
        return ".".join(f"{octet:03d}" for octet in address.packed)
    return ":" + address.packed.hex()


@dataclass(frozen=True)
class Range:
    """The keys of one configured network, both ends included; ``segment`` null when it only says what is internal."""

    first_key: str
    last_key: str
    prefix_length: int
    segment: str | None
    internal: bool


def ranges(internal: Iterable[str], segments: Mapping[str, str]) -> list[Range]:
    """One range per configured network: the internal ones, then the named segments."""
    named = [(parse_network(cidr), name, False) for cidr, name in segments.items()]
    plain = [(parse_network(cidr), None, True) for cidr in internal]
    return [
        Range(address_key(net[0]), address_key(net[-1]), net.prefixlen, name, is_internal)
        for net, name, is_internal in (*plain, *named)
    ]
