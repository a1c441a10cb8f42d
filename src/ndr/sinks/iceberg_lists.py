"""What PyIceberg 0.12 loses on its way to a file: it writes a null list of structs as an empty one.

https://github.com/apache/iceberg-python/issues/3833 is the flaw; whoever reads such a file cannot tell them apart.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io.pyarrow import ArrowProjectionVisitor

_projected: Any = ArrowProjectionVisitor.list


def _list(self: Any, list_type: Any, lists: Any, values: Any) -> Any:
    made = _projected(self, list_type, lists, values)
    if made is None or made.null_count == lists.null_count:
        return made
    return pc.if_else(lists.is_valid(), made, pa.scalar(None, made.type))


def keep_null_lists() -> None:
    """Let null lists stay null in all that PyIceberg reads and writes in this process."""
    projection: Any = ArrowProjectionVisitor
    projection.list = _list
