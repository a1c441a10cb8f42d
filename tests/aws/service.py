"""An endpoint that runs here and misbehaves as it is told: a real HTTP server on the loopback address."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa

from ndr.tables.inference import Inference

SECRET = "not-a-secret-of-anybody"  # noqa: S105 - made up
NAME = "detector-1"
FEATURES = ("sessions_cnt", "pair_rarity_max")
DEVIATIONS = pa.list_(
    pa.struct(
        [("metric", pa.string()), *((n, pa.float64()) for n in ("z", "value", "baseline")), ("source", pa.string())]
    )
)


@dataclass(frozen=True)
class Call:
    """What the service was sent."""

    path: str
    headers: dict[str, str]
    body: bytes
    place: int
    """How many calls came before."""

    @property
    def instances(self) -> list[dict[str, Any]]:
        return json.loads(self.body)["instances"]

    @property
    def records(self) -> list[int]:
        """The rows as their number of sessions, which is their place in :func:`rows`."""
        return [each["sessions_cnt"] for each in self.instances]


@dataclass(frozen=True)
class Reply:
    """What the service answers."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    """After so many bytes the line goes dead."""
    drip: float = 0.0
    """Seconds before each byte of the body."""
    chunked: bool = False
    """Whether the length is told piece by piece."""

    @property
    def pieces(self) -> list[bytes]:
        """The body as it leaves."""
        size = 1 if self.drip else 9 if self.chunked else max(len(self.body), 1)
        cut = [self.body[start : start + size] for start in range(0, len(self.body), size)]
        return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*cut, b""]] if self.chunked else cut


def said(answer: Any, **facts: Any) -> Reply:
    """An answer in JSON."""
    return Reply(json.dumps(answer).encode(), **facts)


def share(record: int) -> float:
    """The score that the well-behaved service gives."""
    return record % 1000 / 1000


def scored(call: Call, **facts: Any) -> Reply:
    """The answer of a well-behaved service."""
    return said({"predictions": [share(record) for record in call.records]}, **facts)


class Service:
    """Calls that came, how many were under way at once, and what they are answered."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.under_way = self.most = self.connections = 0
        self.answer: Callable[[Call], Reply] = scored
        self._lock = threading.Lock()
        self.url = ""

    def replies(self, *replies: Reply | Callable[[Call], Reply]) -> None:
        """Answer the first calls so, and all that follow as the last."""

        def answer(call: Call) -> Reply:
            reply = replies[min(call.place, len(replies) - 1)]
            return reply(call) if callable(reply) else reply

        self.answer = answer

    @contextmanager
    def taken(self, path: str, headers: dict[str, str], body: bytes) -> Iterator[Reply]:
        with self._lock:
            call = Call(path, headers, body, len(self.calls))
            self.calls.append(call)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        reply = self.answer(call)
        time.sleep(reply.delay)
        with self._lock:  # before the answer leaves, or the next call could come first
            self.under_way -= 1
        yield reply


@contextmanager
def running() -> Iterator[Service]:
    """A service that is there as long as the block."""
    service = Service()

    class Line(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            service.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with service.taken(self.path, headers, body) as reply:
                try:
                    self._send(reply)
                except OSError:  # the other side did not wait
                    self.close_connection = True

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            length = ("Transfer-Encoding", "chunked") if reply.chunked else ("Content-Length", str(len(reply.body)))
            for name, value in [("Content-Type", reply.content_type), length, *reply.headers.items()]:
                self.send_header(name, value)
            self.end_headers()
            for piece in reply.pieces if reply.drip else [b"".join(reply.pieces)[: reply.cut]]:
                time.sleep(reply.drip)
                self.wfile.write(piece)
            if reply.cut is not None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Line) as server:
        server.daemon_threads = True
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


def rows(count: int, **columns: list[Any]) -> pa.RecordBatch:
    """Rows of a matrix whose feature sessions_cnt is their place."""
    told = [{"metric": "bytes_src_sum", "z": 9.0, "value": 7.0, "baseline": 1.0, "source": "host"}]
    return pa.RecordBatch.from_pydict(
        {
            "host_ip": pa.array([f"10.0.{place // 256}.{place % 256}" for place in range(count)], pa.string()),
            "window_end_ts": pa.array([datetime(2026, 3, 2, 9, 15)] * count, pa.timestamp("us")),
            "top_deviations": pa.array([told] * count, DEVIATIONS),
            "sessions_cnt": pa.array(range(count), pa.int64()),
            "pair_rarity_max": pa.array([0.5] * count, pa.float64()),
            **columns,
        }
    )


def spec(*, payload: Any = None, schema: Any = None, alert_share: float = 0.001, **model: Any) -> Inference:
    """The configuration of an endpoint that is asked again at once."""
    return Inference.model_validate(
        {
            "model": {"endpoint_name": NAME, "backoff_seconds": 0.002, **model},
            "payload": {"feature_columns": FEATURES, **(payload or {})},
            "prediction_schema": schema or {},
            "alert_share": alert_share,
        }
    )
