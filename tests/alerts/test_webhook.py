"""A webhook that misbehaves: what is tried again, what is not, what is told, and what is never told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ndr.errors import SpecError, UsageError
from ndr.sinks.webhook import TOKEN, DeliveryError, Patience, checked_address, deliver, token_of_environment

SECRET = "s3cr3t-t0ken"  # noqa: S105 - of this test
Answer = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, **headers: str) -> Answer:
    def give(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return give


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


def garbage(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"\x00\xff no HTTP at all\r\n\r\n")


def half(request: BaseHTTPRequestHandler) -> None:
    """Says that it took the batch, and breaks off."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
    hang_up(request)


def drip(request: BaseHTTPRequestHandler) -> None:
    """A byte at a time, each soon enough, for ever."""
    try:
        for _ in range(200):
            request.wfile.write(b"H")
            time.sleep(0.02)
    except OSError:
        return


class Hook:
    """A server on this machine that answers as told, then 200."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.seen: list[tuple[dict[str, str], dict[str, Any], str]] = []
        self.waited: list[float] = []
        hook = self

        class Listening(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.seen.append((dict(self.headers), body, self.path))
                (hook.script.pop(0) if hook.script else answer(200))(self)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Listening)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/private-path?x=1"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def patience(self, **changes: Any) -> Patience:
        return Patience(**{"timeout": 2.0, "sleep": self.waited.append, **changes})

    def deliver(self, count: int = 2, **changes: Any) -> int:
        told = [(f"id{i}", {"id": f"id{i}"}) for i in range(count)]
        return deliver(self.url, told, "jsonl", token=SECRET, patience=self.patience(**changes))


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_alerts_come_in_batches_with_the_token_and_a_key(hook: Hook) -> None:
    assert hook.deliver(5, batch=2) == 3
    assert [[each["id"] for each in body["alerts"]] for _, body, _ in hook.seen] == [
        ["id0", "id1"], ["id2", "id3"], ["id4"],
    ]  # fmt: skip
    for headers, body, path in hook.seen:
        assert headers["Authorization"] == f"Bearer {SECRET}"
        assert headers["Content-Type"] == "application/json"
        assert body["format"] == "jsonl"
        assert path == "/hooks/private-path?x=1"
    assert len({headers["Idempotency-Key"] for headers, _, _ in hook.seen}) == 3


@pytest.mark.parametrize(
    "mishap",
    [answer(429), answer(500), answer(502), answer(503), answer(503, Retry_After="soon"), hang_up, garbage],
)
def test_what_may_pass_is_tried_again_with_the_same_key(hook: Hook, mishap: Answer) -> None:
    hook.script = [mishap, mishap]
    assert hook.deliver() == 1
    assert len(hook.seen) == 3
    assert len({headers["Idempotency-Key"] for headers, _, _ in hook.seen}) == 1
    first, second = hook.waited
    assert 0.25 <= first <= 0.5
    assert 0.5 <= second <= 1.0


def test_an_answer_that_breaks_off_after_yes_is_yes(hook: Hook) -> None:
    hook.script = [half]
    assert hook.deliver() == 1
    assert len(hook.seen) == 1


@pytest.mark.parametrize("patience", [{"timeout": 0.3}])
def test_a_slow_answer_is_not_waited_for(hook: Hook, patience: dict) -> None:
    hook.script = [lambda _: time.sleep(1.5), drip]
    start = time.monotonic()
    assert hook.deliver(**patience) == 1
    assert time.monotonic() - start < 1.4
    assert len(hook.seen) == 3


def test_the_other_side_says_how_long_to_wait(hook: Hook) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    hook.script = [answer(429, Retry_After="7"), answer(503, Retry_After=later)]
    hook.deliver()
    assert hook.waited[0] == 7
    assert 25 < hook.waited[1] <= 30


def test_too_long_a_wait_is_told_instead(hook: Hook) -> None:
    hook.script = [answer(429, Retry_After="86400")]
    with pytest.raises(DeliveryError, match="asks to wait 86400 s"):
        hook.deliver()
    assert hook.waited == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 501])
def test_a_refusal_names_what_was_delivered_and_what_not(hook: Hook, status: int) -> None:
    hook.script = [answer(200), *([answer(status)] * 5)]
    with pytest.raises(DeliveryError) as refused:
        hook.deliver(5, batch=2)
    assert refused.value.delivered == ("id0", "id1")
    assert refused.value.left == ("id2", "id3", "id4")
    assert refused.value.exit_code == 3
    assert len(hook.seen) == (6 if status >= 500 else 2)
    assert f"answers {status}" in str(refused.value)
    assert "2 alerts were delivered and 3 were not (id2, id3, id4)" in str(refused.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["http://127.0.0.1:9/other", "/elsewhere", "file:///etc/passwd", "//evil.example/x"])
def test_redirects_are_not_followed(hook: Hook, status: int, place: str) -> None:
    hook.script = [answer(status, Location=place)]
    with pytest.raises(DeliveryError, match="redirects are not followed"):
        hook.deliver()
    assert len(hook.seen) == 1


def test_secrets_are_never_told(hook: Hook) -> None:
    hook.script = [answer(500)] * 9
    with pytest.raises(DeliveryError) as refused:
        hook.deliver()
    assert SECRET not in str(refused.value)
    assert "private-path" not in str(refused.value)


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    waited: list[float] = []
    with pytest.raises(DeliveryError, match=r"does not answer .* 3 times"):
        deliver(f"http://127.0.0.1:{port}/", [("a", {})], "jsonl", patience=Patience(attempts=3, sleep=waited.append))
    assert len(waited) == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://siem.example/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "siem.example", "https://", "",
        "https://user:pass@siem.example/", "https://siem.example/a b", "https://siem.example/\r\nX: y",
        "https://siem.example:port/", "https://[::1/", "http://127.0.0.1.evil.example/", "http://localhost.example/",
    ],
)  # fmt: skip
def test_addresses_that_are_not_used(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        checked_address(url)
    assert "pass@" not in str(refused.value)


@pytest.mark.parametrize("url", ["https://siem.example/x", "http://127.0.0.1:8/x", "http://[::1]/", "http://localhost"])
def test_addresses_that_are_used(url: str) -> None:
    assert checked_address(url).hostname
    assert checked_address("http://siem.example/x", plain=True).hostname


@pytest.mark.parametrize("token", ["a\r\nX: y", "a b", "sécret"])
def test_a_token_that_cannot_stand_in_a_header_is_not_shown(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv(TOKEN, token)
    with pytest.raises(SpecError) as refused:
        token_of_environment()
    assert token not in str(refused.value)
    monkeypatch.setenv(TOKEN, "")
    assert token_of_environment() is None


def test_without_a_token_nothing_is_said_of_one(hook: Hook) -> None:
    deliver(hook.url, [("a", {})], "jsonl")
    assert "Authorization" not in hook.seen[0][0]


def test_nothing_to_tell_asks_nobody(hook: Hook) -> None:
    assert hook.deliver(0) == 0
    assert hook.seen == []
