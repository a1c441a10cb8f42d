"""What the items of a ledger on DynamoDB hold.

Each kind of item has a hash key of its own and sorts by time, so that a read costs what its interval holds, however
long the history is. Bulky values are JSON, deflated.

=====================  =====================================  ====================================================
``<lake>#…``           sorted by                              one item is
=====================  =====================================  ====================================================
parts#table#version    start#known_at#horizon                 a part
counts                 table#version                          the rows of a table
files                  path                                   where the part stands that owns a file, or once did
unwanted               path                                   a file that nobody owns, unless a part says that it does
publications#version   reference                              how a publication came about
asked#version          reference                              a request for baselines
builds                 finished                               the record of a commit
units                  id                                     an import, without its slices
slices                 day#id#generation                      the slices of an import on one day
arrivals               last known_at#id#generation            an import, by when the last of its records was known
contents#sha, heads#   id                                     an import, by the hash of its content, its first bytes
batch_units            end#id                                 an import, by its named batch
short                  length                                 a length shorter than a head that contents had
days                   decade                                 since when each day is known
unsettled              id#generation                          slices that no finished run has built on
settled                ``-``                                  the fingerprint of the last finished run
batches, batch_names   day; name                              the named batches of a day by end; one by name
writer                 ``lease``; ``fence``                   who writes now; who may, and the transactions
=====================  =====================================  ====================================================
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ndr.aws.ledger_wire import Changes, Item, Key, escaped
from ndr.ledger import Part, Unit
from ndr.table import PartKey
from ndr.time import EPOCH

Span = tuple[int, int, int]
"""Start of a slice and when it was known, in microseconds since 1970, and how many records it has."""
_MICROSECOND = timedelta(microseconds=1)
LARGE = 24
"""From how many days on the slices of an import are written before it and count only once it is there."""


def text(moment: datetime) -> str:
    """A moment as text that sorts as time does."""
    return moment.isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """The moment of a text."""
    return datetime.fromisoformat(text)


def pack(value: Any) -> bytes:
    """Plain data, small; TypeError where they are not plain."""
    return zlib.compress(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), 9)


def unpack(data: bytes) -> Any:
    """What was packed."""
    return json.loads(zlib.decompress(data))


def parts_of(table: str, version: str) -> str:
    """What the parts of a table are about."""
    return f"parts#{escaped(table)}#{escaped(version)}"


def place(part: Part) -> Key:
    """Where a part stands."""
    key = part.key
    return parts_of(part.table, part.version), f"{text(key.start)}#{text(key.known_at)}#{key.horizon}"


def part_item(part: Part) -> Item:
    """A part, without its place."""
    return {"id": part.id, "rows": part.rows, "path": part.path, "checksum": part.checksum}


def part(table: str, version: str, item: Item) -> Part:
    """The part of an item."""
    start, known_at, horizon = item["sk"].split("#", 2)
    key = PartKey(moment(start), moment(known_at), horizon)
    return Part(table, version, key, item["id"], item["rows"], item["path"], item["checksum"])


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def since_epoch(number: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return EPOCH + number * _MICROSECOND


def day_of(start: int) -> str:
    """The day of a moment."""
    return f"{since_epoch(start):%Y-%m-%d}"


def spans(slices: Mapping[PartKey, int]) -> list[Span]:
    """Slices as they are kept, in order."""
    return sorted((micros(key.start), micros(key.known_at), rows) for key, rows in slices.items())


def slices_of(item: Item) -> list[Span]:
    """The slices that an item of slices holds."""
    return [tuple(each) for each in unpack(item["slices"])]


def by_day(found: Iterable[Span]) -> dict[str, list[Span]]:
    """Slices by the day of their start."""
    days: dict[str, list[Span]] = {}
    for span in found:
        days.setdefault(day_of(span[0]), []).append(span)
    return days


def unit_item(unit: Unit) -> Item:
    """An import without its slices; ``generation`` tells it from other imports of the same content."""
    slices, report = spans(unit.slices), pack(dict(unit.report))
    told = pack([slices, unit.checksum, unit.path]) + report
    item: Item = {
        "origin": unit.origin, "source": unit.source, "bytes": unit.content_bytes, "content": unit.content_sha256,
        "head": unit.head_sha256, "path": unit.path, "checksum": unit.checksum, "report": report,
        "days": json.dumps(list(by_day(slices))), "rows": sum(rows for _, _, rows in slices),
        "last": text(since_epoch(max(known for _, known, _ in slices))) if slices else "",
        "generation": hashlib.sha256(told).hexdigest()[:16],
    }  # fmt: skip
    return item | {"batch_end": text(unit.batch_end)} if unit.batch_end else item


def unit_of(item: Item, slices: Mapping[PartKey, int]) -> Unit:
    """The import of an item, with the slices given."""
    end = moment(item["batch_end"]) if "batch_end" in item else None
    return Unit(
        item["sk"], item["origin"], item["source"], item["bytes"], item["content"], item["head"], end, item["path"],
        item["checksum"], slices, unpack(item["report"]),
    )  # fmt: skip


def index(name: str, item: Item) -> Changes:
    """The items by which an import is found, its slices apart."""
    found: Changes = {
        ("arrivals", f"{item['last']}#{generation(name, item)}"): {"days": item["days"]},
        (f"contents#{item['content']}", name): {},
        (f"heads#{item['head']}", name): {"bytes": item["bytes"], "content": item["content"]},
    }
    if "batch_end" in item:
        found["batch_units", f"{item['batch_end']}#{name}"] = {}
    return found


def generation(name: str, item: Item) -> str:
    """Which import of which content: ``id#generation``."""
    return f"{name}#{item['generation']}"


def days_of(item: Item) -> list[str]:
    """The days on which an import has slices."""
    return list(json.loads(item["days"]))


def slice_keys(name: str, item: Item) -> list[Key]:
    """Where the slices of an import stand."""
    return [("slices", f"{day}#{generation(name, item)}") for day in days_of(item)]


def slice_items(name: str, item: Item, slices: Iterable[Span]) -> Changes:
    """The slices of an import, day by day."""
    days = by_day(slices)
    later: Item = {"later": 1} if len(days) > LARGE else {}
    return {
        ("slices", f"{day}#{generation(name, item)}"): {"slices": pack(found), **later} for day, found in days.items()
    }


def step_of(item: Item) -> tuple[str, str]:
    """The id and the generation of the import that an item of slices or arrivals is about."""
    _, name, told = item["sk"].split("#")
    return name, told
