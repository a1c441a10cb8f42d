"""What DynamoDB takes: the items of a ledger in its notation, and how many changes one transaction holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, str]
"""What an item is about, and its place among those."""
Item: TypeAlias = dict[str, Any]
"""Texts, integers and bytes by name."""
Changes: TypeAlias = dict[Key, Item | None]
"""Items as they shall be; None for those that shall be no more."""

TRANSACTION = 99
"""How many items one transaction changes at most: the service takes 100, and one is the fence."""
_TRANSACTION_BYTES = 3_000_000  # the service takes 4 MB
ITEM_BYTES = 400_000


def escaped(text: str) -> str:
    """A text as one step of a key, which are parted by ``#``."""
    return text.replace("%", "%25").replace("#", "%23")


def fits(changes: Changes, room: int = 0) -> bool:
    """Whether one transaction holds the changes, and so many more."""
    size = sum(size_of(key, item) for key, item in changes.items())
    return len(changes) + room <= TRANSACTION and size <= _TRANSACTION_BYTES


def packed(atoms: Iterable[Changes], room: int = 0) -> Iterator[Changes]:
    """Changes for transactions, as few as hold them in order; an atom is only split where none holds it."""
    some: Changes = {}
    for atom in atoms:
        if some and not fits(some | atom, room):
            yield some
            some = {}
        some = some | atom
        while len(some) + room > TRANSACTION:
            yield {key: some.pop(key) for key in list(some)[: TRANSACTION - room]}
    if some:
        yield some


def size_of(key: Key, item: Item | None) -> int:
    """How much the service counts, and some more: keys, names and values."""
    values = [str(value).encode() if not isinstance(value, bytes) else value for value in (item or {}).values()]
    return sum(map(len, (*key, *values, *(item or {})))) + 300


def typed(value: str | int | bytes) -> dict[str, Any]:
    """A value as DynamoDB writes it."""
    if isinstance(value, bytes):
        return {"B": value}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def plain(raw: Mapping[str, Mapping[str, Any]]) -> Item:
    """An item as we read it."""
    return {
        name: int(each["N"]) if "N" in each else bytes(each["B"]) if "B" in each else str(each["S"])
        for name, each in raw.items()
    }
