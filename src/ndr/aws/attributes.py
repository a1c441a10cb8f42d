"""Attributes of DynamoDB from and to plain data: numbers exactly, and nothing that a spec cannot hold."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ndr.errors import SpecError, shown

ITEM_LIMIT = 400 << 10
_DIGITS = 38
_SMALLEST, _LARGEST = Decimal("1E-130"), Decimal("9.9999999999999999999999999999999999999E+125")
_DEEPEST = 40


def encoded(value: Any, where: str) -> dict[str, Any]:
    """Plain data as an attribute.

    Raises:
        SpecError: a number is larger, smaller or longer than DynamoDB keeps.
    """
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, Mapping):
        return {"M": {key: encoded(item, f"{where}.{key}") for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [encoded(item, f"{where}[{place}]") for place, item in enumerate(value)]}
    return {"N": _number_text(value, where)}


def _number_text(value: float, where: str) -> str:
    if not isinstance(value, int) and value.is_integer() and abs(value) < 10**_DIGITS:
        value = int(value)
    if isinstance(value, int) and abs(value) >= 10**_DIGITS:
        raise SpecError(f"{shown(where, 300)}: the number has more than {_DIGITS} digits, which DynamoDB cannot keep.")
    number = Decimal(repr(value))
    if not number.is_finite() or (number and not _SMALLEST <= abs(number) <= _LARGEST):
        raise SpecError(f"{shown(where, 300)}: {value!r} is no number that DynamoDB can keep.")
    return str(number)


def decoded(attribute: Any, where: str, depth: int = 0) -> Any:
    """An attribute as plain data; whole numbers are int, others float.

    Raises:
        SpecError: it holds binary data or a set, a number that no float is, or is nested too deeply.
    """
    if depth > _DEEPEST:
        raise SpecError(f"{shown(where, 300)}: nested deeper than {_DEEPEST} levels; a spec is flat.")
    if not isinstance(attribute, Mapping) or len(attribute) != 1:
        raise SpecError(f"{shown(where, 300)}: {shown(attribute)} is no attribute of DynamoDB.")
    ((kind, value),) = attribute.items()
    if kind == "M" and isinstance(value, Mapping):
        return {key: decoded(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    if kind == "L" and isinstance(value, list):
        return [decoded(item, f"{where}[{place}]", depth + 1) for place, item in enumerate(value)]
    if kind == "N":
        return _number(str(value), where)
    if kind in {"S", "BOOL"}:
        return value
    if kind == "NULL":
        return None
    kinds = {"SS": "a set", "NS": "a set", "BS": "a set", "B": "binary data"}
    raise SpecError(
        f"{shown(where, 300)}: {kinds.get(kind, shown(kind))} cannot stand in a spec; write a list of texts or numbers."
    )


def _number(text: str, where: str) -> int | float:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise SpecError(f"{shown(where, 300)}: {shown(text)} is no number.") from None
    if not number.is_finite() or abs(number.adjusted()) > 2 * _DIGITS + 100:
        raise SpecError(f"{shown(where, 300)}: {shown(text)} is no number that a spec can hold; write a finite one.")
    if number == number.to_integral_value():
        return int(number)
    if Decimal(repr(float(number))) != number:
        raise SpecError(
            f"{shown(where, 300)}: {shown(text)} has more digits than a float keeps; write it as {float(number)!r}."
        )
    return float(number)


def size(attribute: Mapping[str, Any]) -> int:
    """The bytes that DynamoDB counts for an attribute, or a few more."""
    ((kind, value),) = attribute.items()
    if kind == "M":
        return 3 + sum(len(key.encode()) + 1 + size(item) for key, item in value.items())
    if kind == "L":
        return 3 + sum(1 + size(item) for item in value)
    return len(value.encode()) if kind == "S" else 21 if kind == "N" else 1
