"""Servers of S3 that are not as they should be, and what tests do with a lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from ndr.aws.s3 import S3Lake

PLACE = "delta/dt=2026-03-04/hh=10/mm=15/B1.v1.parquet"
SECRETS = ("open-sesame", "token-of-nobody")


class Answer(BaseHTTPRequestHandler):
    """Says that it is out of order."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815 - the server's own names

    def log_message(self, *_: Any) -> None: ...


class CutShort(Answer):
    """Says half of what it means to say; at the fourth time everything."""

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"0123456789"[: 10 if len(self.asked) == 4 else 5])
        self.close_connection = True


@contextmanager
def serving(kind: type[Answer]) -> Iterator[tuple[str, list[str]]]:
    """The address of a strange server of S3, and what it was asked."""
    kind.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", kind.asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def put(lake: S3Lake, place: str, content: bytes) -> str:
    Path(lake.stage(place)).write_bytes(content)
    return lake.publish(place)


def calls(lake: S3Lake, does: Callable[[], object]) -> list[str]:
    """The operations that something asks of S3."""
    asked: list[str] = []
    lake._s3.meta.events.register("before-call", lambda model, **_: asked.append(model.name), unique_id="asked")
    does()
    lake._s3.meta.events.unregister("before-call", unique_id="asked")
    return asked
