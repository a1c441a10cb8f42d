"""Records that the Feature Store did not take: a file of JSON lines that can be sent again.

A line tells the group, the record's identifier, its event time, the reason, and the record itself. A later line about
the same record stands for all before it. Lines are written as records fail; whoever is stopped leaves them there.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from ndr.aws.feature_store_records import Record
from ndr.errors import AdapterError, DataError, shown
from ndr.tables.feature_groups import GROUP_NAME


class Failures:
    """The file of failed records, by any number of threads; tidied when it is left."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier run left.

        Raises:
            DataError: a line is none of such a file.
            AdapterError: the file cannot be read.
        """
        self.path = path
        self.count = 0
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._done: set[tuple[str, str, str]] = set()
        self._last: dict[tuple[str, str, str], int] = {}
        self._end = 0
        for place, end, record in self._lines():
            self._last[record.key], self._end = place, end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()
            self._file = None
        if self._done or self.count:
            self._tidy()

    def waiting(self) -> Iterator[Record]:
        """The records of earlier runs, each once, as it failed last."""
        for place, end, record in self._lines():
            if end > self._end:  # it was written since
                return
            if self._last[record.key] == place:
                yield record

    def taken(self, record: Record) -> None:
        """Note that the service has a record now: earlier lines about it are out of date."""
        if record.key in self._last:
            with self._lock:
                self._done.add(record.key)

    def failed(self, record: Record, reason: str) -> None:
        """Write a record down.

        Raises:
            AdapterError: the file cannot be written.
        """
        line = {
            "group": record.group, "identifier": record.identifier, "event_time": record.event_time,
            "reason": shown(reason, 300), "record": dict(record.values),
        }  # fmt: skip
        with self._lock:
            try:
                if self._file is None:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    self._file = self.path.open("ab", buffering=0)
                    self._file.truncate(self._end)
                self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            except OSError as error:
                raise AdapterError(f"{shown(str(self.path), 300)} cannot be written: {error.strerror}.") from error
            self.count += 1

    def _tidy(self) -> None:
        """Leave the last line about each record that the service did not take since."""
        last: dict[tuple[str, str, str], int] = {record.key: place for place, _, record in self._lines()}
        kept = self.path.with_name(f"{self.path.name}.part")
        try:
            with self.path.open("rb") as lines, kept.open("wb") as file:
                places = sorted(place for key, place in last.items() if key not in self._done)
                for place in places:
                    lines.seek(place)
                    file.write(lines.readline())
                file.flush()
                os.fsync(file.fileno())
            kept.replace(self.path)
        except OSError as error:
            raise AdapterError(f"{shown(str(self.path), 300)} cannot be written: {error.strerror}.") from error

    def _lines(self) -> Iterator[tuple[int, int, Record]]:
        """Every record with the start and end of its line."""
        if not self.path.exists():
            return
        try:
            with self.path.open("rb") as file:
                place = 0
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):  # cut off when somebody was killed
                        return
                    yield place, place + len(line), _read(line, f"{shown(str(self.path), 300)}:{number}")
                    place += len(line)
        except OSError as error:
            raise AdapterError(f"{shown(str(self.path), 300)} cannot be read: {error.strerror}.") from error


def _read(line: bytes, where: str) -> Record:
    try:
        told: Any = json.loads(line)
        texts = [told["group"], told["identifier"], told["event_time"], *told["record"], *told["record"].values()]
        fine = all(isinstance(text, str) for text in texts) and re.fullmatch(GROUP_NAME, told["group"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        fine = None
    if not fine:
        raise DataError(
            f"{where} is no line of failed records: {shown(line[:60].decode(errors='replace'))}. Such a file is "
            "written by ndr feature-store ingest; give that one."
        )
    return Record(told["group"], told["identifier"], told["event_time"], tuple(told["record"].items()))
