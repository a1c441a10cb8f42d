"""Truth: the attacks that are known to lie in some logs, and how well a ranking of hosts finds them.

A truth file is a JSON list with an object per attack: ``kind``, ``host``, ``start`` and ``end``; ``peers``,
``technique`` and ``description`` if they are known, and whatever else. ``ndr simulate`` writes one beside its logs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, model_validator

from ndr.errors import AdapterError, DataError, SpecError, UsageError, shown
from ndr.sources.convert import canonical_ip
from ndr.specs import checked
from ndr.time import Interval, iso, parse_instant

_SIZE_LIMIT: Final = 64 << 20


def _address(text: str) -> str:
    ip = canonical_ip(text)
    if ip is None:
        raise ValueError("is not an IP address")
    return ip


def _moment(text: object) -> datetime:
    try:
        return parse_instant(text if isinstance(text, str) else repr(text))
    except UsageError as error:
        raise ValueError(str(error)) from None


def _plain(text: str) -> str:
    return shown(text, 8000)  # an escape is longer than what it stands for


Address = Annotated[str, AfterValidator(_address)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Text = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_plain)]


class KnownAttack(BaseModel):
    """One attack: what it was, which host did it or was made to do it, when, and with whom."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    kind: Annotated[Text, StringConstraints(min_length=1)]
    host: Address
    start: Moment
    end: Moment
    """Its last moment: ``end >= start``."""
    peers: tuple[Address, ...] = ()
    technique: Text = ""
    description: Text = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"ends at {iso(self.end)}, before its start at {iso(self.start)}")
        return self

    def touches(self, span: Interval) -> bool:
        """Whether any of the attack lies in the span."""
        return self.start < span.end and span.start <= self.end


def read_truth(path: str | Path) -> list[KnownAttack]:
    """The attacks of a truth file, in its order; no attack at all is a truth as well.

    Raises:
        AdapterError: the file cannot be read.
        DataError: it is no such list, or an attack in it breaks a rule; the message names the attack and the key.
    """
    name = shown(str(path), 300)
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_SIZE_LIMIT + 1)
    except OSError as error:
        raise AdapterError(f"the truth file {name} cannot be read: {error.strerror}.") from error
    if len(raw) > _SIZE_LIMIT:
        raise DataError(f"the truth file {name} is larger than {_SIZE_LIMIT >> 20} MiB: it is no list of attacks.")
    try:
        attacks = json.loads(raw)
    except RecursionError:
        raise DataError(f"the truth file {name} is nested too deeply: it must be a flat list of attacks.") from None
    except ValueError as error:
        raise DataError(f"the truth file {name} is not JSON: {shown(str(error), 200)}.") from None
    if not isinstance(attacks, list):
        raise DataError(f"the truth file {name} must hold a list of attacks, not {type(attacks).__name__}.")
    return [_attack(name, number, values) for number, values in enumerate(attacks)]


def _attack(name: str, number: int, values: object) -> KnownAttack:
    if not isinstance(values, dict):
        raise DataError(
            f"the truth file {name}: attack [{number}] must be an object with kind, host, start and end, "
            f"seen {shown(values)}."
        )
    try:
        listed = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return checked(KnownAttack, listed, f"[{number}]")
    except SpecError as error:
        raise DataError(f"the truth file {name}: {error}") from None


@dataclass(frozen=True)
class Found:
    """Where a ranking has the host of an attack."""

    attack: KnownAttack
    rank: int | None
    """Place of the host among the hosts, from 1; None where the ranking does not have it."""

    def row(self) -> dict[str, Any]:
        """As a row to print."""
        one = self.attack
        return {"attack": one.kind, "host_ip": one.host, "start": iso(one.start), "end": iso(one.end),
                "rank": self.rank}  # fmt: skip


def found_by(ranked: Iterable[tuple[str, Interval | None]], truth: Sequence[KnownAttack]) -> list[Found]:
    """Where a ranking has each attack, best place first.

    ``ranked`` are hosts, the most suspicious first, each with the window for which it is ranked, or None if all of the
    time is meant. A host takes one place, that of its first row. A row finds an attack when the attack touches its
    window: a host that stood out on the day before was not found for what it did today. So an attack that only a later
    row of its host finds has the place that this row would take if nothing of the host came before it.
    """
    wanted = dict(enumerate(truth))
    ranks: dict[int, int] = {}
    seen: set[str] = set()
    for host, window in ranked:
        seen.add(host)
        hit = [n for n, a in wanted.items() if a.host == host and (window is None or a.touches(window))]
        for number in hit:
            ranks[number] = len(seen)
            del wanted[number]
        if not wanted:
            break
    return sorted((Found(attack, ranks.get(number)) for number, attack in enumerate(truth)), key=_best_first)


def _best_first(found: Found) -> tuple[bool, int, datetime, str]:
    return found.rank is None, found.rank or 0, found.attack.start, found.attack.kind


@dataclass(frozen=True)
class Recall:
    """How many of the attacking hosts are among the first ``k`` of a ranking."""

    k: int
    hosts: int
    """Hosts that attacked, or were made to; one that did several things counts once."""
    found: tuple[str, ...]
    """Those among the first ``k``, in the order of the ranking."""
    missed: tuple[str, ...]
    """The others."""

    @property
    def share(self) -> float | None:
        """Recall: the share that was found; None when there is nothing to find."""
        return len(self.found) / self.hosts if self.hosts else None

    @property
    def reachable(self) -> int:
        """How many a perfect ranking would find: there are ``k`` places only."""
        return min(self.k, self.hosts)

    def __str__(self) -> str:
        """Like ``recall at 10: 8 of 12 attacking hosts (67%; 10 fit in)``."""
        if self.share is None:
            return f"recall at {self.k}: nothing was to be found"
        most = f"; {self.reachable} fit in" if self.reachable < self.hosts else ""
        return f"recall at {self.k}: {len(self.found)} of {self.hosts} attacking hosts ({self.share:.0%}{most})"


def recall_at(found: Sequence[Found], k: int) -> Recall:
    """Recall among the first ``k`` hosts, of what :func:`found_by` gave.

    Raises:
        UsageError: ``k`` is not positive.
    """
    if k < 1:
        raise UsageError(f"recall at {k}: the number of places must be at least 1.")
    ranked = sorted(found, key=_best_first)
    top = dict.fromkeys(f.attack.host for f in ranked if f.rank is not None and f.rank <= k)
    hosts = dict.fromkeys(f.attack.host for f in ranked)
    return Recall(k, len(hosts), tuple(top), tuple(host for host in hosts if host not in top))


def part_in(host: str, truth: Sequence[KnownAttack], window: Interval | None = None) -> str:
    """What the truth says of a host: ``port_scan``, ``target of brute_force``, several after commas, or nothing.

    That a host is the target of an attack is no false alarm either.
    """
    near = [attack for attack in truth if window is None or attack.touches(window)]
    own = [attack.kind for attack in near if attack.host == host]
    suffered = [f"target of {attack.kind}" for attack in near if host in attack.peers]
    return ", ".join(dict.fromkeys([*own, *suffered]))
