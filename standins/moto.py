"""Moto: DynamoDB, S3 and the control plane of SageMaker in memory, served over HTTP by a thread of this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

SERVICES = ("s3", "dynamodb", "sagemaker", "sts")
"""What tests ask of it; environment(**dict.fromkeys(SERVICES, url)) leads there."""


@contextmanager
def moto() -> Iterator[str]:
    """The address of a server that knows nothing yet; it is gone at the end."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - slow to load

    log = logging.getLogger("werkzeug")
    before = log.level
    log.setLevel(logging.ERROR)  # one line per request, else
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()
        log.setLevel(before)


def forget(url: str) -> None:
    """Let the server be as new."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
    finally:
        connection.close()
