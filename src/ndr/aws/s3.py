"""A lake on S3, and what an engine needs to read it there.

An object appears whole and at once, over what was there; readers see it from that moment on. Copies for reading and
files that are not yet published lie in a folder of this machine.
"""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from ndr.aws.clients import ServiceError, client, code_of, translated
from ndr.aws.copies import Copies
from ndr.aws.objects import MISSING, THREADS, checked, copy, objects, s3_client, split
from ndr.errors import AdapterError, LakeBusyError, UsageError, shown
from ndr.lake import checksum

_PLACE = re.compile(r"[^\x00-\x1f\x7f?*\[\\]+")
"""Letters of a name in the lake: none that a reader of S3 takes for a pattern, or for the start of its own options."""
_DAY = re.compile(r"(?:.*/)?dt=[^/]+/")
"""The folders whose files are asked for all at once."""
_COPIES = 32
"""How many copies are kept for reading; a reader is done with one long before there are so many new ones."""
_LARGE = 64 << 20
"""Bytes from which on an object is written in several parts."""
_TRIES = 20
_OUTRUN = frozenset(("PreconditionFailed", "ConditionalRequestConflict", *MISSING))


def access() -> dict[str, str]:
    """Who an engine is on S3 and where that is, by AWS's standard chain; asked again, it tells what holds then.

    Raises:
        ServiceError: there are no credentials.
    """
    import boto3  # noqa: PLC0415 - an extra, and slow to load

    session = boto3.session.Session()
    with s3_client() as s3, translated("the credentials of AWS"):
        found = session.get_credentials()
        if found is None:
            raise ServiceError("there are no credentials of AWS here; set AWS_PROFILE or the like, as for its tools.")
        frozen = found.get_frozen_credentials()
        endpoint, region = s3.meta.endpoint_url, s3.meta.region_name
    scheme, _, host = endpoint.partition("://")
    return {
        "key_id": frozen.access_key,
        "secret": frozen.secret_key,
        "session_token": frozen.token or "",
        "region": region,
        "endpoint": host.rstrip("/"),
        "url_style": "vhost" if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else "path",
        "use_ssl": str(scheme == "https").lower(),
    }


class S3Lake:
    """A lake below a prefix of S3; folders of it may be mounted from elsewhere on S3.

    ``lock`` makes this the only writer; ``check`` raises where another one has taken over: then nothing is changed.
    With ``in_place`` engines find every file where it is: other machines have none of our copies.

    Raises:
        UsageError: the prefix is none.
        ServiceError: AWS is not configured here.
    """

    def __init__(
        self, root: str, scratch: Path, mounts: Mapping[str, str] | None = None,
        lock: Callable[[float], AbstractContextManager[None]] | None = None, check: Callable[[], None] = lambda: None,
        *, in_place: bool = False,
    ) -> None:  # fmt: skip
        self._root, self._in_place = checked(root), in_place
        self._mounts = {folder: checked(place) for folder, place in (mounts or {}).items()}
        self._staged, self._copies = scratch / "staged", scratch / "copies"
        self._held = Copies(scratch / "held")
        self._lock, self.check = lock, check
        self._s3 = client("s3", max_pool_connections=THREADS)
        self._known: dict[str, int] = {}
        """Files that are there, and their bytes."""
        self._listed: set[str] = set()
        """Folders of days, the files of which are known."""
        self._fetched: list[Path] = []
        self._staged.mkdir(parents=True, exist_ok=True)

    @property
    def uri(self) -> str:
        """``s3://bucket/prefix``."""
        return self._root

    def close(self) -> None:
        """Let go of the connections."""
        self._s3.close()

    @contextmanager
    def writing(self, wait_seconds: float) -> Iterator[None]:
        """Be the only writer, by the lock that was given.

        Raises:
            LakeBusyError: another writer did not finish in time.
            UsageError: no lock was given: the lake may only be read.
        """
        if self._lock is None:
            raise UsageError(f"the lake {self._root} was opened for reading only.")
        with self._lock(wait_seconds):
            shutil.rmtree(self._staged, ignore_errors=True)
            self._staged.mkdir(parents=True, exist_ok=True)
            self._known.clear()
            self._listed.clear()
            self._held.forget_all()
            yield

    def path(self, relative: str) -> str:
        """``s3://bucket/key`` of a file of the lake.

        Raises:
            AdapterError: no file of a lake may be called so.
        """
        if not _PLACE.fullmatch(relative) or {"", ".", ".."} & set(relative.split("/")):
            raise AdapterError(
                f"{shown(relative, 300)!r} cannot be the name of a file on S3; rename what it is named after."
            )
        folders = [folder for folder in self._mounts if relative.startswith(f"{folder}/")]
        if folders:
            folder = max(folders, key=len)
            return self._mounts[folder] + relative[len(folder) :]
        return f"{self._root}/{relative}"

    def ready(self, relatives: Sequence[str]) -> list[str]:
        """Where engines find files that they are about to read: copies of the small ones, the others in place.

        Raises:
            ServiceError: S3 refuses, or cannot be asked.
            AdapterError: the disk is full, or the like.
        """
        if self._in_place:
            return [self.path(relative) for relative in relatives]
        sizes = {relative: self._known[relative] for relative in relatives if self.has(relative)}
        copies = self._held.bring(sizes, lambda relative, here: copy(self._s3, self.path(relative), here))
        return [str(copies.get(relative) or self.path(relative)) for relative in relatives]

    def stage(self, relative: str) -> str:
        """Where to write a file on this machine before it is published."""
        return str(self._staged / relative.replace("/", "~"))

    def publish(self, relative: str) -> str:
        """Upload a staged file, over what was there; return its checksum.

        Raises:
            AdapterError: nothing was staged, or S3 refuses it.
        """
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415 - slow to load

        staged, place = Path(self.stage(relative)), self.path(relative)
        self.check()
        try:
            digest = checksum(staged)
            with translated(place):
                self._upload(staged, place, TransferConfig(multipart_threshold=_LARGE, max_concurrency=THREADS))
            size = staged.stat().st_size
            staged.unlink()
        except AdapterError:
            raise
        except OSError as error:
            raise AdapterError(f"{shown(str(staged), 300)} cannot be read: {error.strerror}.") from error
        self._known[relative] = size
        self._held.forget(relative)
        self._held.make_room()
        return digest

    def _upload(self, staged: Path, place: str, config: Any) -> None:
        from boto3.exceptions import S3UploadFailedError  # noqa: PLC0415 - slow to load

        bucket, key = split(place)
        try:
            self._s3.upload_file(str(staged), bucket, key, Config=config)
        except S3UploadFailedError as error:  # it hides what S3 said
            raise error.__context__ or error from error

    def has(self, relative: str) -> bool:
        """Whether the file is there; the other files of its day are then known too."""
        day = _DAY.match(relative)
        if day and day[0] not in self._listed:
            base = self.path(day[0] + "x")[:-1]
            self._known |= {day[0] + each.uri.removeprefix(base): each.size for each in objects(self._s3, base)}
            self._listed.add(day[0])
        if relative not in self._known and (size := self._size(relative)) is not None:  # it may have come since
            self._known[relative] = size
        return relative in self._known

    def _size(self, relative: str) -> int | None:
        """The bytes of a file; None where there is none."""
        place = self.path(relative)
        bucket, key = split(place)
        with translated(place):
            try:
                return int(self._s3.head_object(Bucket=bucket, Key=key)["ContentLength"])
            except self._s3.exceptions.ClientError as error:
                if code_of(error) in MISSING:
                    return None
                raise

    def remove(self, relative: str) -> None:
        """Remove a file; one that is gone is fine."""
        self.check()
        place = self.path(relative)
        bucket, key = split(place)
        with translated(place):
            self._s3.delete_object(Bucket=bucket, Key=key)
        self._known.pop(relative, None)
        self._held.forget(relative)

    def fetch(self, relative: str) -> Path:
        """A copy of the file, as it is now; the folders are those of the lake. It is kept for some copies more."""
        place, here = self.path(relative), self._copies / relative
        here.unlink(missing_ok=True)
        copy(self._s3, place, here)
        self._fetched = [*(path for path in self._fetched if path != here), here]
        for old in self._fetched[:-_COPIES]:
            old.unlink(missing_ok=True)
        del self._fetched[:-_COPIES]
        return here

    def amend(self, relative: str, change: Callable[[bytes | None], bytes]) -> None:
        """Put what ``change`` makes of a small file in its place; it is asked again where another change came first.

        Raises:
            LakeBusyError: another one came first every time.
        """
        place = self.path(relative)
        bucket, key = split(place)
        started = time.monotonic()
        for _ in range(_TRIES):
            content, tag = self._content(place)
            new = change(content)
            with translated(place):
                try:
                    self._s3.put_object(Bucket=bucket, Key=key, Body=new, **tag)
                except self._s3.exceptions.ClientError as error:
                    if code_of(error) not in _OUTRUN:
                        raise
                else:
                    self._known[relative] = len(new)
                    self._held.forget(relative)
                    return
            time.sleep(random.uniform(0.01, 0.2))  # noqa: S311 - no secret
        raise LakeBusyError(place, time.monotonic() - started)

    def _content(self, place: str) -> tuple[bytes | None, dict[str, str]]:
        """What lies there, and the condition under which that is still so."""
        bucket, key = split(place)
        with translated(place):
            try:
                answer = self._s3.get_object(Bucket=bucket, Key=key)
            except self._s3.exceptions.NoSuchKey:
                return None, {"IfNoneMatch": "*"}
            with answer["Body"] as body:
                return body.read(), {"IfMatch": answer["ETag"]}
