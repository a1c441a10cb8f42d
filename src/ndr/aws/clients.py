"""Clients of AWS: credentials, regions and addresses only as AWS's standard chain has them, and foreign errors as ours.

Whoever wants other addresses sets ``AWS_ENDPOINT_URL`` or ``AWS_ENDPOINT_URL_<SERVICE>``, as for all of AWS's tools.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from ndr.errors import AdapterError, shown

THROTTLED = frozenset(
    ("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
     "RequestLimitExceeded", "TooManyRequestsException", "LimitExceededException", "SlowDown",
     "ProvisionedThroughputExceededException", "TransactionInProgressException", "ActiveStatementsExceededException")
)  # fmt: skip
"""Codes by which services say that the same call may succeed a little later."""


class ServiceError(AdapterError):
    """A service of AWS refuses, or cannot be asked; asking again as before is of no use."""


class ServiceBusyError(ServiceError):
    """A service of AWS was throttled, unreachable or broken; a later run may have more luck."""

    retryable = True


def client(service: str, region: str | None = None, **config: Any) -> Any:
    """A client of boto3; ``config`` are those of botocore, beside retries with waits of the standard kind.

    Raises:
        ServiceError: boto3 is not installed, or AWS is not configured here.
    """
    try:
        import boto3  # noqa: PLC0415 - an extra, and slow to load
        from botocore.config import Config  # noqa: PLC0415
    except ImportError as error:
        raise ServiceError("AWS needs boto3, which is not here; install ndr[aws].") from error
    settings = {"retries": {"mode": "standard", "total_max_attempts": 5}, "connect_timeout": 10, "read_timeout": 60}
    try:
        return boto3.session.Session(region_name=region).client(service, config=Config(**(settings | config)))
    except Exception as error:
        raise ServiceError(
            f"{service} of AWS cannot be asked: {shown(str(error), 200)} "
            "Set AWS_PROFILE, AWS_REGION or the like, as for all of AWS's tools."
        ) from error


def code_of(error: BaseException) -> str:
    """The code by which a service said no, such as NoSuchKey; empty for any other error."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Errors of boto3 as ours; ``what`` names the place, such as ``"s3://bucket/key"``.

    Raises:
        ServiceBusyError: another try may do better.
        ServiceError: it will not.
    """
    try:
        from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004, PLC0415
    except ImportError as error:
        raise ServiceError("AWS needs boto3, which is not here; install ndr[aws].") from error
    try:
        yield
    except ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        busy = code_of(error) in THROTTLED or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        said = shown(str(error.response.get("Error", {}).get("Message") or ""), 200)
        advice = "Run the same command again later." if busy else "See that it exists and that this role may use it."
        kind = ServiceBusyError if busy else ServiceError
        raise kind(f"{shown(what, 300)}: {shown(code_of(error))} ({said}). {advice}") from error
    except (ConnectionError, HTTPClientError) as error:
        raise ServiceBusyError(
            f"{shown(what, 300)} cannot be reached: {shown(str(error), 200)}. Run the same command again later."
        ) from error
    except BotoCoreError as error:
        raise ServiceError(
            f"{shown(what, 300)}: {shown(str(error), 200)}. Configure AWS as for all of its tools, "
            "by AWS_PROFILE for example."
        ) from error
