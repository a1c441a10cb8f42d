"""From any format's draft to sessions: one set of rules for times, addresses, ports, amounts and names.

Addresses and names are looked at once per distinct value.
"""

from __future__ import annotations

import functools
import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ndr.errors import SpecError, UnknownNameError, shown
from ndr.sources.casting import cast_columns, present, time_zones
from ndr.sources.source import SourceSpec
from ndr.tables.sessions import SESSION_FIELDS
from ndr.time import EPOCH

LATEST = datetime(2100, 1, 1)
MAX_PORT = 65535
MAX_AMOUNT = 1 << 48
"""More bytes or packets than any session has; sums of such numbers would leave 64 bits."""
MAX_DURATION = 366 * 86_400_000_000
"""A session longer than a year of microseconds is a device without a clock."""

_NAMES = ("application", "rule", "machine_name", "sensor")
_PROTOCOLS = {
    "0": "hopopt", "1": "icmp", "2": "igmp", "4": "ipip", "6": "tcp", "17": "udp", "27": "rdp", "33": "dccp",
    "41": "ipv6", "46": "rsvp", "47": "gre", "50": "esp", "51": "ah", "58": "icmp", "88": "eigrp", "89": "ospf",
    "94": "ipip", "97": "etherip", "103": "pim", "108": "ipcomp", "112": "vrrp", "115": "l2tp", "132": "sctp",
    "136": "udplite", "icmp6": "icmp", "icmpv6": "icmp", "ipv6-icmp": "icmp", "icmp-v6": "icmp",
}  # fmt: skip
_PORTLESS = frozenset(_PROTOCOLS.values()) - {"tcp", "udp", "rdp", "dccp", "sctp", "udplite"} | {"arp", "rarp", "llc"}
_PORTED = ("tcp", "udp", "sctp", "dccp", "udplite")
_IPV4 = r"^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$"
_TRUTHS = {"true": True, "t": True, "1": True, "yes": True, "false": False, "f": False, "0": False, "no": False}
_NOTHING = ("", "-")


@dataclass(frozen=True)
class Converted:
    """What became of a draft: ``read == sessions.num_rows + len(faults) + sum(filtered.values())``."""

    sessions: pa.Table
    faults: list[tuple[int, str]]
    """line and reason of every record that cannot be a session"""
    filtered: Counter[str]
    mended: Counter[str]


def check_spec(spec: SourceSpec) -> None:
    """Raises SpecError where ``time_zone`` or ``earliest`` means nothing."""
    if spec.time_zone not in time_zones():
        raise UnknownNameError("time zone", spec.time_zone, time_zones())
    _earliest(spec.earliest)


@functools.lru_cache(maxsize=1 << 17)
def canonical_ip(text: str) -> str | None:
    """The address in canonical text form (IPv4-mapped IPv6 as IPv4, without a zone), None where it is none."""
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def clean_name(text: str) -> str | None:
    """A name as the log gives it, without outer blanks and with control characters written out; None if it is empty."""
    text = text.strip()
    return None if text in _NOTHING else shown(text, 8 * len(text))  # an escape is longer than what it stands for


def convert(draft: pa.Table, spec: SourceSpec) -> Converted:
    """Sessions out of a draft, in its order."""
    draft = draft.combine_chunks()
    filtered = Counter(present(draft, "filtered").drop_null().to_pylist())
    draft = draft.filter(pc.is_null(present(draft, "filtered"))) if filtered else draft
    cast = cast_columns(draft, spec)
    ends = {name: _addresses(present(draft, name)) for name in ("source_ip", "destination_ip")}
    start, end, mends = _times(cast)
    reasons = _reasons(present(draft, "fault"), start, end, ends.values(), _earliest(spec.earliest))
    faults: list[tuple[int, str]] = []
    if reasons.null_count < len(reasons):
        good, bad = pc.is_null(reasons), pc.is_valid(reasons)
        faults = list(zip(draft["line"].filter(bad).to_pylist(), reasons.filter(bad).to_pylist(), strict=True))
        draft, cast = draft.filter(good), cast.filter(good)
        ends = {name: column.filter(good) for name, column in ends.items()}
        start, end = start.filter(good), end.filter(good)
        mends = {kind: where.filter(good) for kind, where in mends.items()}
    mended = Counter({kind: pc.sum(where).as_py() or 0 for kind, where in mends.items()})
    columns = {"event_start": start.cast(pa.timestamp("us")), "event_end": end.cast(pa.timestamp("us")), **ends}
    columns |= _names(draft) | {"established": _mapped(present(draft, "established"), _truth, pa.bool_())}
    columns |= _amounts(draft, cast, mended) | _ports(draft, cast, columns["network_transport"], mended)
    sessions = pa.table([columns[name] for name in SESSION_FIELDS.names], names=SESSION_FIELDS.names)
    return Converted(sessions.cast(SESSION_FIELDS), faults, filtered, +mended)


def _earliest(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise SpecError(f"earliest is {shown(text)!r}; write a UTC date like 2020-01-31.") from None


def _micros(moment: datetime) -> int:
    return int((moment - EPOCH).total_seconds()) * 1_000_000


def _times(cast: pa.Table) -> tuple[pa.Array, pa.Array, dict[str, pa.Array]]:
    """Start and end; where one is missing, from the other and the duration. ``event_end``, the clock, is believed."""
    start, end, length = (cast[name].combine_chunks() for name in ("event_start", "event_end", "duration"))
    negative = pc.fill_null(pc.less(length, 0), fill_value=False)
    length = pc.max_element_wise(length, 0, skip_nulls=False)
    last = pc.coalesce(end, pc.add(start, length), start)
    first = pc.coalesce(start, pc.subtract(end, length), end)
    turned = pc.fill_null(pc.greater(first, last), fill_value=False)
    first = pc.min_element_wise(first, last, skip_nulls=False)
    endless = pc.fill_null(pc.greater(pc.subtract(last, first), MAX_DURATION), fill_value=False)
    first = pc.if_else(endless, last, first)
    return first, last, {"negative_duration": pc.or_(negative, turned), "endless_duration": endless}


def _reasons(
    faults: pa.Array, start: pa.Array, end: pa.Array, addresses: Iterable[pa.Array], earliest: datetime
) -> pa.Array:
    """Why each record cannot be a session, null where it can; the format's own reason comes first."""
    outside = pc.or_kleene(
        pc.or_kleene(pc.less(end, _micros(earliest)), pc.greater_equal(end, _micros(LATEST))), pc.less(start, 0)
    )
    checks = [
        (pc.is_null(end), "no_time"),
        (outside, "time_out_of_range"),
        *((pc.is_null(column), "bad_ip") for column in addresses),
    ]
    reasons = faults
    for wrong, reason in checks:
        if pc.any(wrong).as_py():
            reasons = pc.coalesce(reasons, pc.if_else(wrong, reason, None).cast(pa.string()))
    return reasons


def _amounts(draft: pa.Table, cast: pa.Table, mended: Counter[str]) -> dict[str, pa.Array]:
    """Bytes, packets and the repeat count: null where unknown, negative or too large."""
    columns = {}
    for name in ("source_bytes", "destination_bytes", "source_packets", "destination_packets"):
        kind = name.rpartition("_")[2]
        number = cast[name].combine_chunks()
        _count_lost(draft, name, number, kind, mended)
        number = _within(number, 0, None, f"negative_{kind}", mended)
        columns[name] = _within(number, 0, MAX_AMOUNT, f"{kind}_overflow", mended)
    number = cast["repeat_cnt"].combine_chunks()
    _count_lost(draft, "repeat_cnt", number, "repeat_cnt", mended)
    columns["repeat_cnt"] = _within(number, 1, 2**31 - 1, "bad_repeat_cnt", mended)
    return columns


def _ports(draft: pa.Table, cast: pa.Table, transport: pa.Array, mended: Counter[str]) -> dict[str, pa.Array]:
    """Ports: null where the protocol has none, where it is not known to have any and the port is 0, or out of range."""
    portless = pc.is_in(transport, value_set=pa.array(sorted(_PORTLESS)))
    perhaps = pc.invert(pc.is_in(transport, value_set=pa.array(_PORTED)))
    columns = {}
    for name in ("source_port", "destination_port"):
        number = pc.if_else(portless, None, cast[name].combine_chunks())
        none = pc.fill_null(pc.and_(perhaps, pc.equal(number, 0)), fill_value=False)
        _count_lost(draft, name, number, "port", mended, unless=portless)
        columns[name] = _within(pc.if_else(none, None, number), 0, MAX_PORT, "port_out_of_range", mended)
    return columns


def _within(number: pa.Array, least: int, most: int | None, kind: str, mended: Counter[str]) -> pa.Array:
    """The numbers, null and counted where they lie outside the bounds."""
    bounds = pc.min_max(number)
    if bounds["min"].as_py() is None or (bounds["min"].as_py() >= least and bounds["max"].as_py() <= (most or 2**63)):
        return number
    outside = pc.less(number, least)
    if most is not None:
        outside = pc.or_(outside, pc.greater(number, most))
    mended[kind] += pc.sum(outside).as_py() or 0
    return pc.if_else(pc.fill_null(outside, fill_value=False), None, number)


def _count_lost(
    draft: pa.Table, name: str, number: pa.Array, kind: str, mended: Counter[str], *, unless: pa.Array | None = None
) -> None:
    """Counts texts that are there but did not become a number."""
    if name not in draft.column_names or draft[name].null_count == number.null_count:
        return
    lost = pc.and_(pc.is_null(number), pc.is_valid(draft[name].combine_chunks()))
    lost = lost if unless is None else pc.and_not(lost, unless)
    for value in present(draft, name).filter(lost).to_pylist():
        if value.strip() not in _NOTHING:
            mended[f"{kind}_overflow" if value.strip().lstrip("+-").isdigit() else f"bad_{kind}"] += 1


# ------------------------------------------------------------------------------------------------ per distinct value


def _mapped(column: pa.Array, change: Callable[[str], object], kind: pa.DataType | None = None) -> pa.Array:
    """``change`` of every value, called once per distinct value."""
    if column.null_count == len(column):
        return pa.nulls(len(column), kind or pa.string())
    coded = column.dictionary_encode()
    changed = pa.array([change(value) for value in coded.dictionary.to_pylist()], kind or pa.string())
    return changed.take(coded.indices)


def _addresses(column: pa.Array) -> pa.Array:
    coded = column.dictionary_encode()
    plain = pc.match_substring_regex(coded.dictionary, _IPV4)
    if pc.all(plain).as_py():
        return column
    values = zip(coded.dictionary.to_pylist(), plain.to_pylist(), strict=True)
    changed = pa.array([text if same else canonical_ip(text) for text, same in values], pa.string())
    return changed.take(coded.indices)


def _names(draft: pa.Table) -> dict[str, pa.Array]:
    changes: dict[str, Callable[[str], object]] = {
        "network_transport": _transport, "event_action": _lower, "event_reason": _lower, "event_name": _upper,
        **dict.fromkeys(_NAMES, clean_name),
    }  # fmt: skip
    columns = {name: _mapped(present(draft, name), change) for name, change in changes.items()}
    missing = {"network_transport": "unknown", "event_action": "unknown", "event_name": "TRAFFIC"}
    return columns | {name: pc.fill_null(columns[name], fill_value=value) for name, value in missing.items()}


def _lower(text: str) -> str | None:
    name = clean_name(text)
    return name and name.lower()


def _upper(text: str) -> str | None:
    name = clean_name(text)
    return name and name.upper()


def _transport(text: str) -> str | None:
    name = _lower(text)
    return name and _PROTOCOLS.get(name, name)


def _truth(text: str) -> bool | None:
    return _TRUTHS.get(text.strip().lower())
