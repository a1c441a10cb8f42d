"""Recording: proxies in front of stand-ins that note each call as IAM would judge it: action, resource, condition keys.

They stand on the wire, so that nothing gets past them: neither other processes nor clients that are not boto3.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from urllib.parse import urlsplit

from standins.permissions import Call
from standins.requests import Answer, Request, calls_of

_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade", "proxy-connection"}
_PATIENCE = 120


@dataclass
class Recording:
    """Where clients are to go, by service, and what they have asked for so far."""

    file: Path | None = None
    endpoints: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    sessions: dict[str, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def note(self, request: Request, answer: Answer) -> None:
        """Keep what a request asked for; a session of Redshift is known by its answer."""
        with self._lock:
            found = calls_of(request, answer, self.sessions)
            self.calls += found
            if self.file is not None:
                with self.file.open("a", encoding="utf-8") as lines:
                    lines.writelines(f"{json.dumps(call._asdict())}\n" for call in found)

    def distinct(self) -> list[Call]:
        """The calls, each once, in order."""
        seen = {(call.action, call.resource, tuple(sorted(call.context.items()))): call for call in self.calls}
        return [seen[key] for key in sorted(seen)]


@contextmanager
def recording(upstreams: Mapping[str, str], file: Path | None = None) -> Iterator[Recording]:
    """Proxies for services by their names in environment(), such as ``s3``; a file gets a line of JSON per call."""
    made = Recording(file)
    with ExitStack() as stack:
        for service, url in upstreams.items():
            made.endpoints[service] = stack.enter_context(_proxy(service, url, made))
        yield made


@contextmanager
def _proxy(service: str, url: str, told: Recording) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"service": service, "netloc": urlsplit(url).netloc, "told": told})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Hands a request on as it came, for its signature covers the host that the client knows."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _PATIENCE
    service: str
    netloc: str
    told: Recording

    def _hand_on(self) -> None:
        body = self._body()
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        if body or self.command in {"PUT", "POST"}:
            kept["Content-Length"] = str(len(body))
        upstream = HTTPConnection(self.netloc, timeout=_PATIENCE)
        try:
            upstream.request(self.command, self.path, body=body, headers=kept)
            answer = upstream.getresponse()
            said = answer.read()
        except (OSError, HTTPException):
            self.told.note(self._request(body), Answer())
            self.close_connection = True  # an answer that is lost behind us is lost for the client
            return
        finally:
            upstream.close()
        self.told.note(self._request(body), Answer(answer.status, said))
        self._answer(answer.status, answer.reason, answer.getheaders(), said)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _hand_on  # noqa: N815 - as the class above calls them

    def _request(self, body: bytes) -> Request:
        return Request(self.service, self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)

    def _answer(self, status: int, reason: str, headers: list[tuple[str, str]], said: bytes) -> None:
        self.send_response_only(status, reason)
        for name, value in headers:
            if name.lower() not in _HOP and (name.lower() != "content-length" or self.command == "HEAD"):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
