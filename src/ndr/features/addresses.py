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


def _groups(ip: ir.StringValue) -> ir.ArrayValue:
    """The eight groups of an IPv6 address in canonical text, without leading zeros."""
    head = ip.re_extract(r"^(.*)::", 1)
    tail = ip.re_extract(r"::(.*)$", 1)
    zeros = ibis.literal("0:").repeat(_GROUPS - _count_groups(head) - _count_groups(tail))
    whole = ibis.ifelse(head == "", "", head + ":") + zeros + tail
    return ibis.ifelse(ip.contains("::"), whole, ip).split(":")


def address_key(ip: ir.StringValue) -> ir.StringValue:
    """The key of an address in canonical text, as :func:`ndr.net.address_key` makes it."""
    four = ip.replace(".", ":").split(":").map(lambda octet: octet.lpad(3, "0")).join(".")
    six = _groups(ip).map(lambda group: group.lpad(4, "0"))[:_GROUPS].join("")
    return ibis.ifelse(ip.contains(":"), ibis.literal(":") + six, four)


def default_segment(ip: ir.StringValue) -> ir.StringValue:
    """The address's /24 (IPv4) or /64 (IPv6) in canonical text, else ``SEG_UNKNOWN``.

    The last four groups of a /64 are zeros, so the canonical text shortens them and the zero groups just before them.
    """
    four = ip.re_extract(r"^(\d+\.\d+\.\d+)\.\d+$", 1)
    network = _groups(ip)[:4].join(":").re_replace(r"(^|:)0(:0)*$", "")
    return ibis.cases(
        (ip.contains(":"), network + "::/64"),
        (four != "", four + ".0/24"),
        else_=UNKNOWN_SEGMENT,
    )


def addresses(ips: ir.Table, networks: ir.Table) -> ir.Table:
    """One row per distinct address of ``ips.ip``: ``is_host`` (in an internal network) and ``segment_id``.

    The segment is that of the longest configured network that holds the address, else the default; a tie goes to the
    name that sorts last. Null addresses are left out.
    """
    keyed = ips.filter(ips.ip.notnull()).distinct().mutate(address_key=lambda t: address_key(t.ip))
    hit = keyed.left_join(networks, [keyed.address_key >= networks.first_key, keyed.address_key <= networks.last_key])
    ranked = ibis.ifelse(
        hit.segment.notnull(), hit.prefix_length.cast("string").lpad(3, "0") + hit.segment, ibis.null("string")
    )
    found = hit.group_by("ip").agg(is_host=hit.internal.fill_null(False).any(), ranked=ranked.max())  # noqa: FBT003
    return found.select("ip", "is_host", segment_id=ibis.coalesce(found.ranked.substr(3), default_segment(found.ip)))
