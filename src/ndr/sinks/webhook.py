"""Webhook: alerts as JSON to an address of other people, in batches, with patience and without telling secrets."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from random import SystemRandom
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ndr import __version__
from ndr.errors import AdapterError, SpecError, UsageError, shown

TOKEN = "NDR_WEBHOOK_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable with the secret that is sent as bearer token."""
_TOO_MANY, _OK, _SERVER_ERROR, _REDIRECT = 429, 200, 500, 300


@dataclass(frozen=True)
class Patience:
    """How a webhook is asked."""

    batch: int = 100
    """Alerts of one request."""
    attempts: int = 5
    timeout: float = 10.0
    """Seconds in which each answer must begin and end."""
    pause: float = 0.5
    """Seconds before the second attempt; each further one waits up to twice as long."""
    longest: float = 60.0
    """Seconds that are waited at most, also when the other side asks for more."""
    sleep: Callable[[float], None] = time.sleep


class DeliveryError(AdapterError):
    """Alerts that a webhook did not take."""

    retryable = True

    def __init__(self, where: str, why: str, delivered: Sequence[str], left: Sequence[str]) -> None:
        self.delivered, self.left = tuple(delivered), tuple(left)
        ids = ", ".join(self.left[:5]) + (", …" if len(self.left) > 5 else "")  # noqa: PLR2004 - enough to find them
        super().__init__(
            f"the webhook {where} {why}: {len(self.delivered)} alerts were delivered and {len(self.left)} were not "
            f"({ids}). Run the same command again: what was delivered has the same Idempotency-Key."
        )


class _RefusedError(Exception):
    """One request was not taken."""

    def __init__(self, why: str, *, again: bool, wait: float = 0.0) -> None:
        super().__init__(why)
        self.again, self.wait = again, wait


def checked_address(url: str, *, plain: bool = False) -> SplitResult:
    """The address of a webhook.

    Raises:
        UsageError: it is no https address, and neither on this machine nor allowed; or it holds a password.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError("the webhook is no address: write it like https://siem.example/hooks/ndr.")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"the address of the webhook holds a password: put a token into {TOKEN} instead.")
    if parts.scheme != "https" and not (parts.scheme == "http" and (plain or _on_this_machine(host))):
        raise UsageError(
            f"alerts are sent to https addresses only, and {shown(f'{parts.scheme}://{host}')} is none; "
            "--webhook-plain allows http."
        )
    return parts


def _on_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_of_environment() -> str | None:
    """The secret, if there is one.

    Raises:
        SpecError: it cannot stand in a header; it is not shown.
    """
    token = os.environ.get(TOKEN)
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise SpecError(f"{TOKEN} holds something else than printable characters without spaces.")
    return token or None


def deliver(
    url: str, alerts: Sequence[tuple[str, Mapping[str, Any]]], kind: str, *,
    token: str | None = None, plain: bool = False, patience: Patience | None = None,
) -> int:  # fmt: skip
    """POST alerts (id and content), in order; return how many requests it took.

    The body is ``{"format": kind, "alerts": […]}``; the same body has the same ``Idempotency-Key``. Redirects are not
    followed. Answers 429 and 5xx, time-outs and broken connections are tried again, other refusals are not.

    Raises:
        UsageError: the address may not be used.
        DeliveryError: a batch was refused, or not taken after all attempts; those after it were not sent.
    """
    patience = patience or Patience()
    parts = checked_address(url, plain=plain)
    where = f"{parts.scheme}://{parts.netloc}"  # the path may be a secret
    ids = [name for name, _ in alerts]
    batches = range(0, len(alerts), patience.batch)
    for start in batches:
        body = json.dumps({"format": kind, "alerts": [told for _, told in alerts[start : start + patience.batch]]})
        try:
            _insist(parts, body.encode(), token, patience)
        except _RefusedError as refused:
            raise DeliveryError(where, str(refused), ids[:start], ids[start:]) from refused.__cause__
    return len(batches)


def _insist(parts: SplitResult, body: bytes, token: str | None, patience: Patience) -> None:
    """Send one batch until it is taken."""
    chance = SystemRandom()
    for attempt in range(1, patience.attempts + 1):
        try:
            return _post(parts, body, token, patience.timeout)
        except _RefusedError as refused:
            wait = max(refused.wait, patience.pause * 2 ** (attempt - 1) * chance.uniform(0.5, 1))
            if not refused.again:
                raise
            if refused.wait > patience.longest:
                raise _RefusedError(f"{refused} and asks to wait {refused.wait:.0f} s", again=False) from None
            if attempt == patience.attempts:
                raise _RefusedError(f"{refused}, {attempt} times", again=False) from refused.__cause__
            patience.sleep(min(wait, patience.longest))
    raise _RefusedError("was not asked", again=False)


def _post(parts: SplitResult, body: bytes, token: str | None, timeout: float) -> None:
    """One request; the whole of it takes no longer than the time-out, however slowly the other side answers."""
    connection = _connection(parts, timeout)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    late = threading.Timer(timeout, _hang_up, [connection])
    late.daemon = True
    try:
        connection.connect()
        late.start()
        connection.request("POST", path, body, _headers(body, token))
        with connection.getresponse() as response:
            asked, place = response.getheader("Retry-After"), response.getheader("Location")
    except (OSError, http.client.HTTPException) as error:
        raise _RefusedError(f"does not answer ({_words(error)})", again=True) from error
    finally:
        late.cancel()
        connection.close()
    _judge(response.status, place, asked)


def _connection(parts: SplitResult, timeout: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=timeout)
    return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=ssl.create_default_context())


def _hang_up(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _headers(body: bytes, token: str | None) -> dict[str, str]:
    told = {
        "Content-Type": "application/json",
        "User-Agent": f"ndr/{__version__}",
        "Idempotency-Key": hashlib.sha256(body).hexdigest()[:32],
    }
    return told | {"Authorization": f"Bearer {token}"} if token else told


def _judge(status: int, place: str | None, asked: str | None) -> None:
    """Whether an answer means that a batch was taken."""
    if _OK <= status < _REDIRECT:
        return
    if _REDIRECT <= status < 400 and place:  # noqa: PLR2004 - where the statuses of mistakes begin
        elsewhere = urlsplit(place)
        to = shown(f"{elsewhere.scheme}://{elsewhere.netloc}" if elsewhere.netloc else "another path", 120)
        raise _RefusedError(f"answers {status} and sends to {to}; redirects are not followed", again=False)
    again = status == _TOO_MANY or status >= _SERVER_ERROR
    raise _RefusedError(f"answers {status}", again=again, wait=_seconds(asked) if again else 0.0)


def _seconds(asked: str | None) -> float:
    """How long ``Retry-After`` asks to wait; 0 where it says nothing that can be understood."""
    if not asked:
        return 0.0
    if asked.strip().isascii() and asked.strip().isdigit():
        return float(asked)
    try:
        moment = parsedate_to_datetime(asked)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _words(error: Exception) -> str:
    return shown(str(error) or type(error).__name__, 120)
