"""The exchange of a lake on S3: where Spark and this process hand each other files, and what Spark is told of S3."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from ndr.aws.clients import ServiceError, client, translated
from ndr.aws.objects import THREADS, checked, objects, split
from ndr.lake import STAGING

_DAY = re.compile(r".*?/dt=[^/]+")
"""The folders whose files are asked for all at once."""
_LASTS = timedelta(days=1)
"""After which what lies in an exchange was left there: a process that was killed removes nothing."""
_AT_ONCE = 1000
"""Objects that S3 removes in one call."""


class S3Exchange:
    """A folder below the staging folder of a lake on S3; it is of this process alone and goes when it is closed.

    Raises:
        UsageError: the lake is on no S3.
        ServiceError: S3 refuses, or cannot be asked; so does every method that asks it.
    """

    def __init__(self, lake: str) -> None:
        self._common = f"{checked(lake)}/{STAGING}/spark-"
        self._own = f"{self._common}{uuid4().hex}"
        self._rounds = 0
        self._s3 = client("s3", max_pool_connections=THREADS)

    @cached_property
    def _folder(self) -> str:
        """When it is first needed, what others left is removed: whoever only reads a lake removes nothing."""
        self._remove(self._common, datetime.now(UTC) - _LASTS)
        return self._own

    def url(self, path: str) -> str:
        """What Spark calls a place of S3, by the client of its that reads and writes there."""
        return f"s3a://{path.removeprefix('s3://')}" if path.startswith("s3://") else path

    def size(self, paths: Sequence[str]) -> int | None:
        """The sum of their sizes, by a call for every day; those that are gone have none."""
        folders = sorted({found[0] if (found := _DAY.match(path)) else path.rpartition("/")[0] for path in paths})
        with ThreadPoolExecutor(THREADS) as threads:
            listed = threads.map(lambda folder: list(objects(self._s3, folder)), folders)
            known = {each.uri: each.size for found in listed for each in found}
        return sum(known.get(path, 0) for path in paths)

    def folder(self, name: str) -> str:
        """A folder below."""
        return f"{self._folder}/{self._rounds}/{name}"

    def files(self, name: str) -> list[str]:
        """Its Parquet files in the order of their names, and none of tasks that did not finish."""
        place = f"{self.folder(name)}/"
        found = (each.uri for each in objects(self._s3, place))
        return [uri for uri in found if uri.endswith(".parquet") and "/" not in uri.removeprefix(place)]

    def put(self, name: str, table: pa.Table) -> str:
        """Write a table beside the folders."""
        path = f"{self.folder(name)}.parquet"
        content = io.BytesIO()
        pq.write_table(table, content)
        bucket, key = split(path)
        with translated(path):
            self._s3.put_object(Bucket=bucket, Key=key, Body=content.getvalue())
        return path

    def clear(self) -> None:
        """Remove what is in the folder; no name in it is used twice, as stores differ in when they forget one."""
        self._remove(f"{self._folder}/")
        self._rounds += 1

    def close(self) -> None:
        """Remove the folder, if it was used; what S3 does not remove now, the next process does that needs one."""
        if "_folder" in self.__dict__:
            with suppress(ServiceError):
                self.clear()
        self._s3.close()

    def _remove(self, prefix: str, before: datetime | None = None) -> None:
        """Remove what lies below a prefix, also what only marks a folder; with a time, what was not written since."""
        bucket, _ = split(prefix)
        keys = self._keys(prefix, before)
        while some := list(islice(keys, _AT_ONCE)):
            with translated(prefix):
                answer = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})
            for error in answer.get("Errors", ())[:1]:
                raise ServiceError(
                    f"s3://{bucket}/{error.get('Key')}: {error.get('Code')} ({error.get('Message')}). "
                    "See that this role may remove it."
                )

    def _keys(self, prefix: str, before: datetime | None) -> Iterator[dict[str, str]]:
        bucket, start = split(prefix)
        with translated(prefix):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start):
                for each in page.get("Contents", ()):
                    if before is None or each["LastModified"] < before:
                        yield {"Key": each["Key"]}


def hadoop_settings(access: Mapping[str, str]) -> dict[str, str]:
    """How a session of Spark finds the S3 that ``access`` tells of; who it is there it finds out by Hadoop's own chain.

    >>> told = {"endpoint": "localhost:9000", "region": "x", "url_style": "path", "use_ssl": "false", "secret": "no"}
    >>> sorted(value for value in hadoop_settings(told).values())
    ['false', 'http://localhost:9000', 'keep', 'true', 'x']
    """
    ssl = access["use_ssl"]
    settings = {
        "endpoint": f"{'https' if ssl == 'true' else 'http'}://{access['endpoint']}",
        "endpoint.region": access["region"],
        "path.style.access": str(access["url_style"] == "path").lower(),
        "connection.ssl.enabled": ssl,
        "directory.marker.retention": "keep",  # else every file that is written asks to remove all folders above it
    }
    return {f"spark.hadoop.fs.s3a.{name}": value for name, value in settings.items()}
