"""Calls of a SageMaker endpoint: one try after another, with waits between, until it answers or there is no use."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, TypeAlias

from ndr.aws.answers import CONTENT_TYPES, Answer
from ndr.aws.clients import THROTTLED, ServiceError, client
from ndr.errors import AdapterError, shown
from ndr.log import log
from ndr.tables.inference import ModelChoice

LONGEST_WAIT = 120.0
"""Seconds; a service that wants to be left alone for longer is asked again by whoever runs the command again."""
_LARGEST_ANSWER = 32 << 20
_PIECE = 1 << 16
_CONNECT_SECONDS = 10.0
_THROTTLED = THROTTLED | {"ModelNotReadyException"}
_BUSY = frozenset((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS))
_ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "Let whoever runs this call it: sagemaker:InvokeEndpoint.",
    HTTPStatus.FORBIDDEN: "Let whoever runs this call it: sagemaker:InvokeEndpoint.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Lower model.max_payload_mb.",
    HTTPStatus.FAILED_DEPENDENCY: "The model itself failed; look into the logs of its container.",
}
Pause: TypeAlias = Callable[[float], object]


class EndpointError(AdapterError):
    """An endpoint refuses, or cannot be asked; asking again as before is of no use."""


class EndpointBusyError(EndpointError):
    """An endpoint gave no answer in any of the tries; a later run may have more luck."""

    retryable = True


@dataclass(frozen=True)
class _Trouble:
    """Why a try failed, whether another may do better, and the seconds that the service asks to wait."""

    reason: str
    again: bool
    after: float = 0.0
    detail: str = ""
    advice: str = "See that it is in service in this region, and takes model.content_type."
    cause: Exception | None = None

    @property
    def told(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


class Calls:
    """One endpoint, and how patiently it is asked, by several threads at once if need be."""

    def __init__(self, model: ModelChoice, pause: Pause | None = None) -> None:
        self.model = model
        self._pause = pause
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The client of boto3; it is made when it is first asked for, for that takes a while.

        Raises:
            EndpointError: boto3 is not installed, or AWS is not configured.
        """
        with self._lock:
            self._client = self._client or _client(self.model)
        return self._client

    def ask(self, body: bytes, stopped: threading.Event) -> Answer:
        """The answer to a body. Each wait is a random part of a limit that doubles, or what the service asks for.

        Raises:
            EndpointBusyError: the service was throttled, unreachable, slow or broken in every try.
            EndpointError: it refuses the call, there are no credentials, or another call has ``stopped`` all.
        """
        started, tries = time.monotonic(), 0
        while True:
            answer = self._try(body)
            tries += 1
            if isinstance(answer, Answer):
                return answer
            if not answer.again:
                raise EndpointError(
                    f"endpoint {self.model.endpoint_name!r}: {answer.told}. {answer.advice}"
                ) from answer.cause
            limit = min(LONGEST_WAIT, self.model.backoff_seconds * 2 ** (tries - 1))
            wait = max(random.uniform(0, limit), answer.after)  # noqa: S311 - it spreads calls, it keeps no secret
            hopeless = tries > self.model.max_retries or wait > LONGEST_WAIT
            if not hopeless:
                log("endpoint asked again", endpoint=self.model.endpoint_name, reason=answer.reason, wait=wait)
                (self._pause or stopped.wait)(wait)
            if hopeless or stopped.is_set():
                raise self._tired(answer, tries, time.monotonic() - started) from answer.cause

    def _tired(self, trouble: _Trouble, tries: int, seconds: float) -> EndpointBusyError:
        asked = f" and asks to be left alone for {trouble.after:.0f} s" if trouble.after > LONGEST_WAIT else ""
        return EndpointBusyError(
            f"endpoint {self.model.endpoint_name!r} gave no answer in {tries} {'try' if tries == 1 else 'tries'} "
            f"({seconds:.1f} s){asked}: {trouble.told}. Run the same command again later, or raise model.max_retries."
        )

    def _try(self, body: bytes) -> Answer | _Trouble:
        model, asked = self.model, self.client
        until = time.monotonic() + model.timeout_seconds
        try:
            response = asked.invoke_endpoint(
                EndpointName=model.endpoint_name, Body=body, ContentType=model.content_type, Accept=model.accept
            )
            text = _read(response["Body"], until)
        except Exception as error:  # noqa: BLE001 - the client lets several kinds of errors of other packages through
            return replace(_trouble(error), cause=error)
        if len(text) > _LARGEST_ANSWER:
            fact = f"its answer is larger than {_LARGEST_ANSWER >> 20} MiB"
            return _Trouble(fact, again=False, advice="One score per record is needed, and perhaps a label.")
        said = str(response.get("ContentType") or "").partition(";")[0].strip().lower()
        answer = Answer(text, said if said in CONTENT_TYPES else model.accept)
        return answer if answer.whole else _Trouble("its answer was cut off", again=True)


def _client(model: ModelChoice) -> Any:
    """A client with credentials and addresses as AWS is configured here, and no retries of its own."""
    try:
        return client(
            "sagemaker-runtime", model.region, connect_timeout=min(model.timeout_seconds, _CONNECT_SECONDS),
            read_timeout=model.timeout_seconds, retries={"total_max_attempts": 1},
            max_pool_connections=model.max_workers,
        )  # fmt: skip
    except ServiceError as error:
        raise EndpointError(f"endpoint {model.endpoint_name!r}: {error} model.region says where it is.") from error


def _read(body: Any, until: float) -> bytes:
    """The answer's body, or the beginning of one that is too large.

    The client limits the wait for each piece; whoever sends a byte now and then would never be done.
    """
    pieces: list[bytes] = []
    size = 0
    with body as stream:
        while size <= _LARGEST_ANSWER and (piece := stream.read1(_PIECE)):
            if time.monotonic() > until:
                raise TimeoutError("its answer came too slowly")
            pieces.append(piece)
            size += len(piece)
    return b"".join(pieces)


def _trouble(error: Exception) -> _Trouble:
    """An error of the client as what to do about it."""
    from botocore import exceptions as aws  # noqa: PLC0415 - an extra
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    if isinstance(error, aws.ClientError):
        return _refusal(error.response)
    lost = (aws.HTTPClientError, aws.ConnectionError, aws.IncompleteReadError, HTTPError, HTTPException, OSError)
    advice = "Configure AWS as for all of its tools, by AWS_PROFILE for example, and see what this tells."
    return _Trouble(type(error).__name__, isinstance(error, lost), detail=shown(str(error), 160), advice=advice)


def _refusal(response: Any) -> _Trouble:
    """An answer of the service that says no: throttling and its own faults pass, what is wrong with the call stays."""
    facts, code = response.get("ResponseMetadata", {}), str(response.get("Error", {}).get("Code", ""))
    status = int(facts.get("HTTPStatusCode") or 0)
    detail = shown(str(response.get("Error", {}).get("Message") or ""), 160)
    advice = _ADVICE.get(status, _Trouble.advice)
    if code == "ModelError":
        status = int(response.get("OriginalStatusCode") or HTTPStatus.INTERNAL_SERVER_ERROR)
        detail = shown(str(response.get("OriginalMessage") or detail), 160)
    again = code in _THROTTLED or status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    named = f"status {status}" if code in ("", str(status)) else f"{shown(code)}, status {status}"
    return _Trouble(named, again, _retry_after(facts.get("HTTPHeaders", {}).get("retry-after")), detail, advice)


def _retry_after(text: str | None) -> float:
    """The seconds that a service asks to wait, given as such or as a date; 0 where it says nothing that is one."""
    try:
        return float(min(max(0, int(text or "0")), 10**9))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return 0.0
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (zoned - datetime.now(UTC)).total_seconds())
