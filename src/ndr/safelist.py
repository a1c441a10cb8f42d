"""The safelist: what people know to be harmless, with reason, owner and expiry. It is applied when alerts are read.

It lies in the lake as ``safelist.json``, which may be edited by hand and is treated as hostile: plain data, closed
keys, bounded size. Nothing is computed again for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from ndr.errors import AdapterError, SpecError, UnknownNameError, near_miss, shown
from ndr.lake import Lake
from ndr.model.kinds import ENDPOINT, KINDS
from ndr.net import Network
from ndr.specs import checked
from ndr.tables.settings import Port, Spec
from ndr.time import iso, parse_instant

FILE = "safelist.json"
CRITERIA = ("host", "peer", "port", "network", "kind")
"""What an entry may ask of an alert; everything that it asks must hold."""
_SIZE_LIMIT = 4 << 20
_MOST = 10_000


@lru_cache(maxsize=4 * _MOST)
def _network(text: str) -> Network:
    return ip_network(text)


def _plain(network: Network) -> Network:
    """IPv4 written as IPv6 is IPv4."""
    address = network.network_address
    mapped = address.ipv4_mapped if address.version == 6 else None  # noqa: PLR2004 - a version of IP
    return ip_network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network  # noqa: PLR2004 - the prefix of such addresses


def _cidr(text: str) -> str:
    """An address or a network, in its canonical form."""
    try:
        network = _plain(ip_network(text.strip()))
    except ValueError as error:
        raise ValueError(f"{shown(text)!r} is no address and no network such as 10.1.0.0/16: {error}") from None
    return str(network.network_address if network.num_addresses == 1 else network)


def _address(text: str) -> str:
    """One address, in its canonical form."""
    found = _cidr(text)
    if "/" in found:
        raise ValueError(f"{shown(text)!r} is a network; a peer is one address, and a network is given as network")
    return found


def _kind(text: str) -> str:
    known = (*KINDS, ENDPOINT)
    if text not in known:
        raise UnknownNameError("kind", text, known)
    return text


def _said(text: str) -> str:
    """Words of a person: one line that is not empty."""
    told = " ".join(text.split())
    if not told or not told.isprintable():
        raise ValueError("it must be said in words, on one line")
    return told


def _moment(value: object) -> object:
    return parse_instant(value) if isinstance(value, str) else value


Moment = Annotated[datetime, BeforeValidator(_moment), PlainSerializer(iso, return_type=str)]
Cidr = Annotated[str, Field(max_length=64), AfterValidator(_cidr)]


class Entry(Spec):
    """One thing that is known to be harmless."""

    id: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,40}$")
    host: Cidr | None = None
    """The host that the alert is about, or its network."""
    peer: Annotated[str, Field(max_length=64), AfterValidator(_address)] | None = None
    port: Port | None = None
    network: Cidr | None = None
    """Where the peers are."""
    kind: Annotated[str, Field(max_length=40), AfterValidator(_kind)] | None = None
    """What leads the alert."""
    reason: Annotated[str, Field(max_length=500), AfterValidator(_said)]
    owner: Annotated[str, Field(max_length=200), AfterValidator(_said)]
    expires: Moment | None = None
    added: Moment | None = None

    @model_validator(mode="after")
    def _whole(self) -> Entry:
        if all(getattr(self, name) is None for name in CRITERIA):
            raise ValueError(f"an entry asks for at least one of {', '.join(CRITERIA)}")
        if not self.id:
            object.__setattr__(self, "id", self.name)
        return self

    @property
    def name(self) -> str:
        """What follows from the criteria alone: the same criteria are the same entry."""
        asked = json.dumps([getattr(self, criterion) for criterion in CRITERIA])
        return hashlib.sha256(asked.encode()).hexdigest()[:10]

    @property
    def by_peers(self) -> bool:
        """Whether it asks anything of the peers."""
        return not (self.peer is None and self.port is None and self.network is None)

    def active(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires

    def about(self, host: str, kind: str) -> bool:
        """Whether it is about alerts of such a host and kind."""
        return self.kind in {None, kind} and (self.host is None or _within(host, self.host))

    def covers(self, peers: Sequence[tuple[str, int | None]]) -> bool:
        """Whether every one of the pairs of peer and port that explain an alert is harmless; never without any."""
        return bool(peers) and all(self._covers(peer, port) for peer, port in peers)

    def _covers(self, peer: str, port: int | None) -> bool:
        return (
            self.peer in {None, peer}
            and self.port in {None, port}
            and (self.network is None or _within(peer, self.network))
        )


class Safelist(Spec):
    """What the file holds."""

    entries: tuple[Entry, ...] = Field(default=(), max_length=_MOST)

    @model_validator(mode="after")
    def _distinct(self) -> Safelist:
        ids = [entry.id for entry in self.entries]
        twice = next((each for each in ids if ids.count(each) > 1), None) if len(set(ids)) < len(ids) else None
        if twice:
            raise ValueError(f"the id {twice!r} stands there twice")
        return self


def _within(address: str, cidr: str) -> bool:
    network = _network(cidr)
    found = ip_address(address)
    return found.version == network.version and found in network


def read_safelist(lake: Lake) -> tuple[Entry, ...]:
    """The entries of a lake, expired ones included.

    Raises:
        SpecError: the file cannot be understood; then no alert is left out in silence, nothing is listed at all.
    """
    try:
        with lake.fetch(FILE).open("rb") as opened:
            raw = opened.read(_SIZE_LIMIT + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise AdapterError(f"{_named(lake)} cannot be read: {error.strerror}.") from error
    return _entries(raw, lake)


def _entries(raw: bytes, lake: Lake) -> tuple[Entry, ...]:
    if len(raw) > _SIZE_LIMIT:
        raise SpecError(f"{_named(lake)} is larger than {_SIZE_LIMIT >> 20} MiB; a safelist is small.")
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{_named(lake)} cannot be read as JSON: {shown(str(error), 200)}.") from None
    if not isinstance(values, dict):
        raise SpecError(f'{_named(lake)} must hold {{"entries": […]}}, not {type(values).__name__}.')
    return checked(Safelist, values, FILE).entries


def _named(lake: Lake) -> str:
    return shown(lake.path(FILE), 300)


def active_entries(lake: Lake, now: datetime | None = None) -> tuple[Entry, ...]:
    """The entries of a lake that have not expired, by the clock where no moment is given."""
    moment = now or datetime.now(UTC).replace(tzinfo=None)
    return tuple(entry for entry in read_safelist(lake) if entry.active(moment))


def entry_of(values: dict[str, Any]) -> Entry:
    """An entry as a person asked for it.

    Raises:
        SpecError: a value breaks its rule, or nothing is asked of an alert.
    """
    return checked(Entry, {name: value for name, value in values.items() if value is not None}, "safelist")


def add_entry(lake: Lake, entry: Entry) -> Entry | None:
    """Put an entry in; return the one with the same criteria that it takes the place of, if there was one."""
    before: list[Entry] = []

    def changed(raw: bytes | None) -> bytes:
        entries = _entries(raw, lake) if raw is not None else ()
        before[:] = [known for known in entries if known.name == entry.name][:1]
        kept = [known for known in entries if known.name != entry.name]
        if len(kept) >= _MOST:
            raise SpecError(f"{FILE}: it holds {_MOST:,} entries, and no more are read; remove what is not needed.")
        return _written([*kept, entry])

    lake.amend(FILE, changed)
    return before[0] if before else None


def remove_entry(lake: Lake, entry_id: str) -> Entry:
    """Take an entry out.

    Raises:
        SpecError: there is none of this id.
    """
    gone: list[Entry] = []

    def changed(raw: bytes | None) -> bytes:
        entries = _entries(raw, lake) if raw is not None else ()
        gone[:] = [entry for entry in entries if entry.id == entry_id]
        if not gone:
            close = near_miss(entry_id, [entry.id for entry in entries])
            raise SpecError(f"the safelist has no entry {shown(entry_id)!r}.{close} See ndr safelist list.")
        return _written(entry for entry in entries if entry is not gone[0])

    lake.amend(FILE, changed)
    return gone[0]


def _written(entries: Iterable[Entry]) -> bytes:
    told = {"entries": [entry.model_dump(mode="json", exclude_none=True) for entry in entries]}
    return (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()
