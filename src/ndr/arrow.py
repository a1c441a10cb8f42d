"""Arrow: what each declared type of a column is in memory, in files and in requests."""

from __future__ import annotations

from functools import cache

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa

from ndr.errors import DeclarationError
from ndr.table import Columns

_PLAIN = {
    "string": pa.string(), "boolean": pa.bool_(), "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(),
    "int64": pa.int64(), "float32": pa.float32(), "float64": pa.float64(), "date": pa.date32(),
    "timestamp(6)": pa.timestamp("us"),
}  # fmt: skip


def arrow_schema(columns: Columns) -> pa.Schema:
    """Declared columns as an Arrow schema.

    Raises:
        DeclarationError: a column is of a type that is kept nowhere here.
    """
    return pa.schema([pa.field(name, arrow_type(declared)) for name, declared in columns.items()])


@cache
def arrow_type(declared: str) -> pa.DataType:
    """A declared type as one of Arrow, those of lists and structs too.

    Raises:
        DeclarationError: columns of this type are kept nowhere here.
    """
    return _arrow(ibis.dtype(declared))


def _arrow(dtype: dt.DataType) -> pa.DataType:
    if isinstance(dtype, dt.Array):
        return pa.list_(_arrow(dtype.value_type))
    if isinstance(dtype, dt.Struct):
        return pa.struct([(name, _arrow(inner)) for name, inner in dtype.items()])
    if str(dtype) not in _PLAIN:
        raise DeclarationError(f"columns of type {dtype} are kept nowhere here; the types are {', '.join(_PLAIN)}.")
    return _PLAIN[str(dtype)]
