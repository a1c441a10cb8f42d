"""What several declarations give their recipes: the networks and the named batches as small tables."""

from __future__ import annotations

from typing import Any

from ndr.features.addresses import RANGE_SCHEMA
from ndr.net import ranges
from ndr.table import Context, Given
from ndr.time import SLICE, floor


def _network_rows(context: Context) -> list[tuple[Any, ...]]:
    found = ranges(context.settings.internal_networks, context.settings.segments)
    return [(r.first_key, r.last_key, r.prefix_length, r.segment, r.internal) for r in found]


def _batch_rows(context: Context) -> list[tuple[Any, ...]]:
    wanted = {part.known_at for part in context.parts}
    return [
        (end, name) for end, name in sorted(context.batches.items()) if floor(end, SLICE) in wanted or end in wanted
    ]


NETWORKS = Given(RANGE_SCHEMA, _network_rows)
BATCHES = Given({"batch_end_ts": "timestamp(6)", "mini_batch_id": "string"}, _batch_rows)
PLACES = {
    "src_is_host": "boolean",
    "dst_is_host": "boolean",
    "src_segment_id": "string",
    "dst_segment_id": "string",
}
"""Where the ends of a pair are: the same four columns in every table of pairs."""
