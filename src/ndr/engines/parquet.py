"""Parquet: sorted rows become the files of parts, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import groupby, pairwise

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ndr.ahead import ahead
from ndr.engine import Output
from ndr.errors import AdapterError, NdrError, shown

ROW_GROUP, _CELLS, _VECTOR = 131_072, 1 << 23, 2_048


def write_parts(batches: Iterable[pa.RecordBatch], schema: pa.Schema, outputs: Sequence[Output]) -> list[int]:
    """Write rows sorted by the outputs' columns, each output's rows to its file; return their numbers.

    Rows of no output are left out, an output without rows leaves no file. Memory holds one row group and one batch.

    Raises:
        AdapterError: a file cannot be written.
    """
    names = list(outputs[0].where)
    paths = {tuple(output.where[name] for name in names): output.path for output in outputs}
    counts = dict.fromkeys(paths, 0)
    try:
        for key, pieces in groupby(_runs(ahead(iter(batches)), names), key=lambda run: run[0]):
            if key in paths:
                counts[key] = _write((piece for _, piece in pieces), schema, paths[key])
    except NdrError:  # who makes the rows says it better
        raise
    except (OSError, pa.ArrowException) as error:
        raise AdapterError(f"a table file cannot be written: {shown(str(error), 300)}") from error
    return list(counts.values())


def _runs(
    batches: Iterable[pa.RecordBatch], names: Sequence[str]
) -> Iterator[tuple[tuple[datetime, ...], pa.RecordBatch]]:
    """The batches cut where the values of the named columns change."""
    for batch in batches:
        if not batch.num_rows:
            continue
        keys = [batch.column(name) for name in names]
        changed = pa.array([False] * (batch.num_rows - 1), pa.bool_())
        for column in keys:
            changed = pc.or_(changed, pc.not_equal(column[1:], column[:-1]))
        cuts = [0, *(i + 1 for i in pc.indices_nonzero(changed).to_pylist()), batch.num_rows]
        for start, end in pairwise(cuts):
            yield tuple(column[start].as_py() for column in keys), batch.slice(start, end - start)


def row_group(columns: int) -> int:
    """Rows of a row group: fewer in wide tables, so that readers can leave out what they do not look for."""
    return min(ROW_GROUP, max(1, _CELLS // columns // _VECTOR) * _VECTOR)


def _write(pieces: Iterable[pa.RecordBatch], schema: pa.Schema, path: str) -> int:
    texts = [field.name for field in schema if field.type == pa.string()]
    rows = row_group(len(schema))
    waiting: list[pa.RecordBatch] = []
    held = written = 0
    with closing(pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts)) as file:
        for piece in pieces:
            waiting.append(piece)
            held += piece.num_rows
            while held >= rows:
                whole = pa.Table.from_batches(waiting).combine_chunks()
                file.write_table(whole.slice(0, rows).select(schema.names).cast(schema), rows)
                rest = whole.slice(rows)
                waiting, held, written = rest.to_batches(), rest.num_rows, written + rows
        if held:
            whole = pa.Table.from_batches(waiting).combine_chunks()
            file.write_table(whole.select(schema.names).cast(schema), rows)
    return written + held
