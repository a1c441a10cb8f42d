"""Addresses: which are hosts, and to which segment each belongs."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from ndr.net import UNKNOWN_SEGMENT

RANGE_SCHEMA = {
    "first_key": "string",
    "last_key": "string",
    "prefix_length": "int64",
    "segment": "string",
    "internal": "boolean",
}

_GROUPS = 8


def _count_groups(text: ir.StringValue) -> ir.IntegerValue:
    """Number of colon-separated groups; the empty text has none."""
    return ibis.ifelse(text == "", 0, text.length() - text.replace(":", "").length() + 1)


def split_up(ips: ir.Table) -> ir.Table:
    """``ip`` with ``parts``: the four octets, or the eight groups without leading zeros, of canonical text.

    It is done in two named steps because what one step writes the next reads many times.
    """
    halved = ips.select("ip", halves=ips.ip.split("::")).alias("halved")
    head, tail = halved.halves[0], halved.halves[1]
    zeros = ibis.literal("0:").repeat(_GROUPS - _count_groups(head) - _count_groups(tail))
    whole = ibis.cases(
        (halved.ip.contains("::"), ibis.ifelse(head == "", "", head + ":") + zeros + tail),
        (halved.ip.contains(":"), halved.ip),
        else_=halved.ip.replace(".", ":"),
    )
    return halved.select("ip", parts=whole.split(":")).alias("parted")


def _joined(parts: list[ir.StringValue], separator: str = "") -> ir.StringValue:
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + separator + part if separator else joined + part
    return joined


def address_key(parted: ir.Table) -> ir.StringValue:
    """The key of an address, as :func:`ndr.net.address_key` makes it."""
    four = _joined([parted.parts[i].lpad(3, "0") for i in range(4)], ".")
    six = _joined([parted.parts[i].lpad(4, "0") for i in range(_GROUPS)])
    return ibis.ifelse(parted.ip.contains(":"), ibis.literal(":") + six, four)


def default_segment(parted: ir.Table) -> ir.StringValue:
    """The address's /24 (IPv4) or /64 (IPv6) in canonical text, else ``SEG_UNKNOWN``.

    The last four groups of a /64 are zeros, so the canonical text shortens them and the zero groups just before them.
    """
    network = _joined([parted.parts[i] for i in range(4)], ":").re_replace(r"(^|:)0(:0)*$", "")
    return ibis.cases(
        (parted.ip.contains(":"), network + "::/64"),
        (parted.ip.contains("."), _joined([parted.parts[i] for i in range(3)], ".") + ".0/24"),
        else_=UNKNOWN_SEGMENT,
    )


def addresses(ips: ir.Table, networks: ir.Table) -> ir.Table:
    """One row per distinct address of ``ips.ip``: ``is_host`` (in an internal network) and ``segment_id``.

    The segment is that of the longest configured network that holds the address, else the default; a tie goes to the
    name that sorts last. Null addresses are left out.
    """
    parted = split_up(ips.filter(ips.ip.notnull()).distinct())
    keyed = parted.select("ip", key=address_key(parted), own_segment=default_segment(parted))
    hit = keyed.left_join(networks, [keyed.key >= networks.first_key, keyed.key <= networks.last_key])
    length = hit.prefix_length.cast("string").lpad(3, "0")
    named = ibis.ifelse(hit.segment.notnull(), length + hit.segment, ibis.null("string"))
    found = hit.group_by("ip").agg(
        is_host=hit.internal.fill_null(False).any(),  # noqa: FBT003 - the value itself
        own_segment=hit.own_segment.arbitrary(),
        ranked=named.max(),
    )
    return found.select("ip", "is_host", segment_id=ibis.coalesce(found.ranked.substr(3), found.own_segment))
