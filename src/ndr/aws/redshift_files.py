"""The files on S3 that Redshift is given and gives: a few at a time, each small enough for this machine.

Redshift reads and writes them by its own role, which is not who writes here: both need the prefix.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ndr.aws import objects
from ndr.aws.clients import ServiceError, client, translated
from ndr.errors import AdapterError, shown
from ndr.log import log

_LARGEST_TEXT = 16 << 20
_PIECE = 1 << 20


class Footer(NamedTuple):
    """What a Parquet file says of itself."""

    size: int
    rows: int
    schema: pa.Schema


class Files:
    """Files on S3, by their URIs. All raise ServiceError where S3 refuses, or cannot be asked."""

    def __init__(self) -> None:
        self._s3 = client("s3")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._s3.close()

    def put(self, uri: str, body: bytes | Path) -> None:
        """Write a file, over what was there."""
        bucket, key = objects.split(uri)
        content = body if isinstance(body, bytes) else body.read_bytes()
        with translated(uri):
            self._s3.put_object(Bucket=bucket, Key=key, Body=content)

    def get(self, uri: str, path: Path) -> None:
        """Copy a file here.

        Raises:
            ServiceError: it is not there.
        """
        if not objects.copy(self._s3, uri, path):
            raise ServiceError(f"{shown(uri, 300)} is not there any more; see who removes files of that prefix.")

    def told(self, uri: str) -> Any:
        """A small file of JSON.

        Raises:
            ServiceError: it is not there, is large, or is no JSON.
        """
        bucket, key = objects.split(uri)
        with translated(uri), self._s3.get_object(Bucket=bucket, Key=key)["Body"] as body:
            text = body.read(_LARGEST_TEXT + 1)
        try:
            return json.loads(text if len(text) <= _LARGEST_TEXT else b"")
        except (ValueError, RecursionError) as error:
            raise ServiceError(f"{shown(uri, 300)} is no JSON, or larger than {_LARGEST_TEXT >> 20} MiB.") from error

    def footer(self, uri: str) -> Footer:
        """What a Parquet file says of itself; only its end is read.

        Raises:
            ServiceError: it is not there, or is no Parquet file.
        """
        bucket, key = objects.split(uri)
        with translated(uri):
            size = int(self._s3.head_object(Bucket=bucket, Key=key)["ContentLength"])
            try:
                with pq.ParquetFile(pa.PythonFile(_Ranges(self._s3, bucket, key, size), mode="r")) as file:
                    return Footer(size, file.metadata.num_rows, file.schema_arrow)
            except pa.ArrowException as error:
                raise ServiceError(f"{shown(uri, 300)} is no Parquet file: {shown(str(error), 200)}") from error

    def listed(self, folder: str) -> Iterator[str]:
        """The files in a folder and in its folders, by name."""
        return (each.uri for each in objects.objects(self._s3, folder))

    def forget(self, *folders: str) -> None:
        """Remove the files of folders that nobody else knows; that it does not work is no reason to fail."""
        try:
            for folder in folders:
                for uri in list(self.listed(folder)):
                    bucket, key = objects.split(uri)
                    with translated(uri):
                        self._s3.delete_object(Bucket=bucket, Key=key)
        except AdapterError as error:
            log("files of a run stay", places=" ".join(folders), reason=str(error))


class _Ranges(io.RawIOBase):
    """A file on S3, of which what is asked for is read, with the end of it at once."""

    def __init__(self, s3: Any, bucket: str, key: str, size: int) -> None:
        super().__init__()
        self._s3, self._bucket, self._key, self._size = s3, bucket, key, size
        self._at = self._start = max(0, size - _PIECE)
        self._end = self._range(self._start, size)

    def _range(self, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        asked = self._s3.get_object(Bucket=self._bucket, Key=self._key, Range=f"bytes={start}-{end - 1}")
        with asked["Body"] as body:
            found: bytes = body.read()
        return found

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int = -1) -> bytes:
        end = self._size if count < 0 else min(self._size, self._at + count)
        inside = self._at >= self._start
        found = self._end[self._at - self._start : end - self._start] if inside else self._range(self._at, end)
        self._at = end
        return found
