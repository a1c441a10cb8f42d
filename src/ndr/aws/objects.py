"""Files on S3: what lies in a folder there, and copies of it on this machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, NamedTuple

from ndr.aws.clients import ServiceBusyError, client, code_of, translated
from ndr.errors import AdapterError, DataError, NdrError, UsageError, shown
from ndr.tables.settings import s3_folder

THREADS = 16
"""Files that are copied at once."""
MISSING = frozenset(("404", "NoSuchKey"))
"""What S3 says of a file that is not there."""
_TRIES = 4
_PIECE = 1 << 20


class Object(NamedTuple):
    """A file on S3."""

    uri: str
    size: int


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def checked(prefix: str) -> str:
    """A folder of S3, without a slash at its end.

    Raises:
        UsageError: it is none.
    """
    try:
        return s3_folder(prefix)
    except ValueError as error:
        raise UsageError(f"{shown(str(error), 300)}.") from None


@contextmanager
def s3_client() -> Iterator[Any]:
    """A client of S3, closed at the end.

    Raises:
        ServiceError: AWS is not configured here.
    """
    s3 = client("s3", max_pool_connections=THREADS)
    try:
        yield s3
    finally:
        s3.close()


def objects(s3: Any, folder: str) -> Iterator[Object]:
    """The files in a folder of S3 and in its folders, by name; what only marks a folder is none.

    Raises:
        ServiceError: the bucket cannot be read.
    """
    bucket, start = split(folder.rstrip("/") + "/")
    with translated(folder):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start):
            for each in page.get("Contents", ()):
                if not each["Key"].endswith("/"):
                    yield Object(f"s3://{bucket}/{each['Key']}", each["Size"])


def copy(s3: Any, uri: str, path: Path) -> bool:
    """Copy a file of S3 here, whole or not at all; whether it is there. It is one call, unless the line breaks.

    Raises:
        ServiceError: S3 refuses, or cannot be asked.
        AdapterError: the disk is full, or the like.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an extra

    bucket, key = split(uri)
    draft = path.with_name(path.name + ".part")
    broken: BotoCoreError | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES):
            with translated(uri):
                try:
                    answer = s3.get_object(Bucket=bucket, Key=key)
                except ClientError as error:
                    if code_of(error) in MISSING:
                        return False
                    raise
            try:
                with closing(answer["Body"]) as body, draft.open("wb") as file:
                    shutil.copyfileobj(body, file, _PIECE)
            except BotoCoreError as error:  # cut short, too slow, or not what was sent
                broken = error
            else:
                draft.replace(path)
                return True
    except NdrError:
        raise
    except OSError as error:
        raise AdapterError(f"{shown(str(path), 300)} cannot be written: {error.strerror}.") from error
    draft.unlink(missing_ok=True)
    raise ServiceBusyError(
        f"{shown(uri, 300)} broke off: {shown(str(broken), 200)} Run the same command again later."
    ) from broken


def download(prefix: str, folder: Path) -> dict[Path, str]:
    """Copy the visible files in a folder of S3 here, byte by byte; path -> what it is called on S3, by that name.

    Raises:
        ServiceError: S3 refuses, or cannot be asked.
        AdapterError: the disk is full, or the like.
    """
    with s3_client() as s3, ThreadPoolExecutor(THREADS) as threads:
        hidden = re.compile(re.escape(checked(prefix)) + r"/(.*/)?\.")
        found = [each for each in objects(s3, checked(prefix)) if not hidden.match(each.uri)]
        if not found:
            return {}
        place = _made(folder)
        copies = {place / f"{number:06d}-{_plain(each.uri)}": each.uri for number, each in enumerate(found)}
        for uri, there in zip(
            copies.values(), threads.map(lambda path: copy(s3, copies[path], path), copies), strict=True
        ):
            if not there:
                raise ServiceBusyError(f"{shown(uri, 300)} was removed while it was read. Run the same command again.")
    return copies


def bring(prefix: str, names: Sequence[str], folder: Path) -> Path:
    """Copy the named files of a folder of S3 here, those that are there; return where they lie under their names.

    Raises:
        ServiceError: S3 refuses, or cannot be asked.
        AdapterError: the disk is full, or the like.
    """
    place, here = checked(prefix), _made(folder)
    with s3_client() as s3:
        for name in names:
            copy(s3, f"{place}/{name}", here / name)
    return here


@contextmanager
def borrowed(uri: str) -> Iterator[Path]:
    """A file of S3 here, to be changed; it goes back as it is then, and is removed there when it is empty or gone.

    Raises:
        DataError: there is no such file.
        ServiceError: S3 refuses, or cannot be asked.
    """
    bucket, key = split(uri)
    with TemporaryDirectory(prefix="ndr-s3-") as folder, s3_client() as s3:
        here = Path(folder) / _plain(uri)
        if not copy(s3, uri, here):
            raise DataError(f"there is no file {shown(uri, 300)}.")
        yield here
        with translated(uri):
            if here.exists() and here.stat().st_size:
                s3.put_object(Bucket=bucket, Key=key, Body=here.read_bytes())
            else:
                s3.delete_object(Bucket=bucket, Key=key)


def _made(folder: Path) -> Path:
    """A new folder in a folder of this machine."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(mkdtemp(prefix="s3-", dir=folder))
    except OSError as error:
        raise AdapterError(f"{shown(str(folder), 300)} cannot be written: {error.strerror}.") from error


def _plain(uri: str) -> str:
    """The last part of a name, in letters of any file system; its end, which tells what it is, is kept."""
    return re.sub(r"[^A-Za-z0-9._=+@:-]", "_", PurePosixPath(uri).name)[-150:]
