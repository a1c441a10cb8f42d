"""Reading S3 in DuckDB: its own client, loaded from the package that is installed beside it, never from elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import duckdb

from ndr.errors import AdapterError, shown

Access: TypeAlias = Callable[[], Mapping[str, str]]
"""Tells ``key_id``, ``secret``, ``session_token``, ``region``, ``endpoint``, ``url_style`` and ``use_ssl`` as they are
now; a ``ca_file`` if there is a special one."""
SCHEME = "s3://"
_PACKAGE = "duckdb_extension_httpfs"
_NAMES = ("key_id", "secret", "session_token", "region", "endpoint", "url_style", "use_ssl")
_HIDDEN = ("secret", "session_token", "key_id")
_LASTS = 300.0
"""Seconds; clients of AWS renew what expires at least ten minutes before it does."""
_SETTINGS = (
    "SET allow_persistent_secrets = false",
    "SET enable_global_s3_configuration = false",  # what the access says holds, nothing of the environment
    "SET s3_url_compatibility_mode = true",  # a name is a name: no pattern, no options
    "SET http_retries = 4",
)
_BUSY = frozenset((408, 429, 500, 502, 503, 504))
_BROKEN = ("could not connect", "could not resolve", "timeout", "timed out", "etag", "expiredtoken", "connection")


class RemoteReadError(AdapterError):
    """Files on S3 cannot be read this time: S3 is throttled, unreachable or broken, or a file was just replaced."""

    retryable = True


class Remote:
    """What one connection knows of S3."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, access: Access | None) -> None:
        self._connection, self._access = connection, access
        self._told: dict[str, str] = {}
        self._asked = -_LASTS
        self._loaded = False

    def reach(self, paths: Iterable[str]) -> None:
        """Make ready for reading these paths.

        Raises:
            AdapterError: they cannot be read here.
        """
        if not any(path.startswith(SCHEME) for path in paths):
            return
        if self._access is None:
            raise AdapterError(
                "files on S3 are to be read, and this engine was not told how; open the lake by its address."
            )
        if not self._loaded:
            self._load()
            self._loaded = True
        if time.monotonic() - self._asked >= _LASTS:
            self._tell(dict(self._access()))
            self._asked = time.monotonic()

    def _load(self) -> None:
        found = find_spec(_PACKAGE)
        folders = found.submodule_search_locations if found else None
        place = Path(next(iter(folders or [""]))) / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
        if not place.is_file():
            raise AdapterError(
                f"reading S3 needs {_PACKAGE} of version {duckdb.__version__}, which is not here; install ndr[aws]."
            )
        try:
            self._connection.load_extension(str(place))
            for setting in _SETTINGS:
                self._connection.execute(setting)
        except duckdb.Error as error:
            raise AdapterError(f"DuckDB cannot load {place}: {shown(str(error), 300)}") from error

    def _tell(self, told: dict[str, str]) -> None:
        if told == self._told:
            return
        values = ", ".join(f"{name.upper()} ${place}" for place, name in enumerate(_NAMES, 1))
        try:
            self._connection.execute(
                f"CREATE OR REPLACE TEMPORARY SECRET ndr (TYPE s3, {values})", [told.get(name, "") for name in _NAMES]
            )
            if "ca_file" in told:
                self._connection.execute("SET ca_cert_file = $1", [told["ca_file"]])
        except duckdb.Error:
            raise AdapterError("DuckDB does not take the credentials and the address of S3 as they are.") from None
        self._told = told

    def error(self, error: Exception) -> AdapterError:
        """A failure of DuckDB in our words, without anything that opens a door."""
        text = str(error).partition("\n\nLINE ")[0]  # and not the whole query
        for name in _HIDDEN:
            if self._told.get(name):
                text = text.replace(self._told[name], "…")
        if self._told and text.startswith(("HTTP Error", "IO Error")) and _passing(text.lower()):
            return RemoteReadError(
                f"files on S3 cannot be read now: {shown(text, 400)}. Run the same command again later."
            )
        return AdapterError(f"DuckDB failed: {shown(text, 500)}")


def _passing(text: str) -> bool:
    """Whether another try may do better."""
    status = re.search(r"\bhttp (\d{3})\b", text)
    if status and "expiredtoken" not in text:
        return int(status[1]) in _BUSY
    return any(word in text for word in _BROKEN)
