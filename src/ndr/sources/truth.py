"""Truth: the attacks that are known to lie in some logs.

A truth file is a JSON list with an object per attack: ``kind``, ``host``, ``start`` and ``end``; ``peers``,
``technique`` and ``description`` if they are known, and whatever else. ``ndr simulate`` writes one beside its logs.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, model_validator

from ndr.errors import AdapterError, DataError, SpecError, UsageError, shown
from ndr.sources.convert import canonical_ip
from ndr.specs import checked
from ndr.time import iso, parse_instant

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
