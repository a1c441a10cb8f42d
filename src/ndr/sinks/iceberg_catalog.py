"""The catalogs of Iceberg, configured as for all of PyIceberg, and foreign errors as ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
    ValidationException,
    WaitingForLockException,
)
from pyiceberg.utils.config import Config

from ndr.errors import NdrError, shown
from ndr.sinks.iceberg_batches import IcebergBusyError, IcebergError

_BUSY = (
    CommitFailedException, CommitStateUnknownException, ValidationException, WaitingForLockException,
    ServerError, ServiceUnavailableError, TooManyRequestsError,
)  # fmt: skip
_BUSY_NAMES = {
    "OperationalError", "IntegrityError", "ConnectionError", "ConnectTimeout", "ReadTimeout", "Timeout",
    "ConnectionClosedError", "EndpointConnectionError", "ReadTimeoutError", "ConnectTimeoutError",
}  # fmt: skip
"""Classes of SQLAlchemy (of which one says that another run made the same thing first), requests and botocore."""
_BUSY_WORDS = re.compile(
    r"throttl|slow_?down|too ?many ?requests|concurrentmodification|service_?unavailable|internal_?(failure|error)"
    r"|network_connection|request_?time_?out|database is locked|cannot refresh a staged table",
    re.IGNORECASE,
)
_SECRET_KEYS = re.compile(r"secret|password|token|credential|access-key|sasl", re.IGNORECASE)
_SECRET = 6
"""Letters that a secret has at least; a shorter value, such as ``true``, would make holes in every message."""


def properties(name: str) -> dict[str, str]:
    """How a catalog is configured in PyIceberg's file or environment, and what of AWS's environment it lets open.

    Raises:
        IcebergError: nothing is configured under that name, or the configuration cannot be read.
    """
    try:
        known = Config()
        told = known.get_catalog_config(name) or known.get_catalog_config(name.replace("_", "-")) or {}
    except Exception as error:  # of YAML, of types: PyIceberg has no class for it
        raise IcebergError(
            f"PyIceberg's configuration cannot be read ({type(error).__name__}): mend .pyiceberg.yaml or the "
            "variables PYICEBERG_CATALOG__…"
        ) from error
    if not told:
        variable = f"PYICEBERG_CATALOG__{name.upper().replace('-', '_')}__"
        raise IcebergError(
            f"no catalog {shown(name)!r} is configured: set {variable}TYPE=glue, or _URI and "
            "_WAREHOUSE, or write it into .pyiceberg.yaml, as for all of PyIceberg."
        )
    return {**_of_aws(), **{key: str(value) for key, value in told.items()}}


def _of_aws() -> Mapping[str, str]:
    """What Arrow's client of S3 is told, because it would ask Amazon for a region, wherever the endpoint is."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    told = {"py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO", "s3.endpoint": endpoint, "s3.region": region}
    return {key: value for key, value in told.items() if value}


@contextmanager
def opened(name: str, table: str) -> Iterator[Catalog]:
    """A catalog, until the end of the block; foreign errors of the block are translated.

    Raises:
        IcebergBusyError: another try may do better.
        IcebergError: it will not.
    """
    told = properties(name)
    try:
        with closing(load_catalog(name, **told)) as catalog:
            yield catalog
    except NdrError:
        raise
    except Exception as error:  # a catalog may be any of PyIceberg's, and each has errors of its own
        said = f"{type(error).__name__}: {_discreet(str(error), told)}"
        where = f"table {table} of the Iceberg catalog {shown(name)!r}"
        if _busy(error):
            raise IcebergBusyError(f"{where} is busy or cannot be reached ({said}).") from error
        raise IcebergError(
            f"{where} cannot be written ({said}). See that the catalog, its warehouse and this role's permissions "
            "are as in docs/aws/failures.md."
        ) from error


def _busy(error: BaseException) -> bool:
    if isinstance(error, _BUSY) or {kind.__name__ for kind in type(error).__mro__} & _BUSY_NAMES:
        return True
    return bool(_BUSY_WORDS.search(str(error)))


def _discreet(text: str, told: Mapping[str, str]) -> str:
    """A foreign error's words without the secrets of the configuration."""
    text = text.partition("\n[SQL:")[0]
    known = [*told.items(), *((key.replace("_", "-"), value) for key, value in os.environ.items())]
    hidden = {value for key, value in known if _SECRET_KEYS.search(key) and len(value) >= _SECRET}
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, "…")
    return shown(re.sub(r"(\w+://[^\s/:@]*):[^\s/@]+@", r"\1:…@", text), 300)
