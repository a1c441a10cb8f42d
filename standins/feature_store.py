"""The Feature Store of SageMaker in memory, over HTTP: as strict as the service is known to be, unreliable as asked.

``python -m standins.feature_store --delay 0.02`` serves until it is stopped, and prints its address first.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from standins.feature_store_groups import Groups, RefusedError, checked_record

GROUP_CALLS = frozenset(("CreateFeatureGroup", "DescribeFeatureGroup", "UpdateFeatureGroup", "DeleteFeatureGroup"))


@dataclass
class Faults:
    """How unreliable the service is: shares of the calls that put records, and the seconds that each call takes."""

    throttled: float = 0.0
    broken: float = 0.0
    lost_before: float = 0.0
    """The connection ends, and nothing was done."""
    lost_after: float = 0.0
    """The connection ends, and all was done."""
    unprocessed: float = 0.0
    """Share of the records of a batch that are left to be sent again."""
    delay: float = 0.0
    refused: frozenset[str] = frozenset()
    """Identifiers of records that are never taken."""
    forbidden: bool = False
    seed: int = 1


@dataclass
class Store:
    """What the service holds, and what it was asked."""

    faults: Faults = field(default_factory=Faults)
    url: str = ""
    others: str = ""
    """Where calls go that are about other things than feature groups."""
    groups: Groups = field(default_factory=Groups)
    records: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """(group, identifier) -> the record with the latest event time."""
    puts: list[tuple[str, str, str]] = field(default_factory=list)
    """(group, identifier, event time) of every record that was taken, in order, repetitions included."""
    calls: list[str] = field(default_factory=list)
    """The name of every call."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - no secret

    def fate(self) -> str:
        """What happens to a call that puts records."""
        drawn = self.chance.random()
        for name in ("throttled", "broken", "lost_before", "lost_after"):
            share = getattr(self.faults, name)
            if drawn < share:
                return name
            drawn -= share
        return "fine"

    def put(self, group: str, record: Any, stores: Any) -> None:
        """Take a record; one with an older event time than the one that is there changes nothing."""
        facts = self.groups.found(group)
        values = checked_record(facts, record, stores)
        identifier, moment = values[facts["RecordIdentifierFeatureName"]], values[facts["EventTimeFeatureName"]]
        if identifier in self.faults.refused:
            raise RefusedError("ValidationError", f"record {identifier} is never taken")
        self.puts.append((group, identifier, moment))
        before = self.records.get((group, identifier))
        if before is None or before[facts["EventTimeFeatureName"]] <= moment:
            self.records[group, identifier] = values

    def of(self, group: str) -> dict[str, dict[str, str]]:
        """Identifier -> record, of a group."""
        return {identifier: record for (name, identifier), record in self.records.items() if name == group}


class _Line(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: Store

    def do_POST(self) -> None:
        """Answer what has a body, or is named by a header."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        time.sleep(self.store.faults.delay)
        if target and target not in GROUP_CALLS:
            self._passed_on(body)
            return
        try:
            if target:
                with self.store.lock:
                    self.store.calls.append(target)
                    self._answer(200, self.store.groups.call(target, json.loads(body)))
            elif self.path == "/BatchGetRecord":
                self._answer(200, self._many(json.loads(body)))
            else:
                self._put(body)
        except RefusedError as error:
            self._refuse(error)

    do_PUT = do_POST  # noqa: N815 - as the library has it

    def do_GET(self) -> None:
        """Answer GetRecord."""
        asked = urlsplit(self.path)
        query, group = parse_qs(asked.query), unquote(asked.path.rpartition("/")[2])
        try:
            self.store.groups.found(group)
            record = self.store.records.get((group, query["RecordIdentifierValueAsString"][0]))
            self._answer(200, {"Record": _wire(record)} if record else {})
        except RefusedError as error:
            self._refuse(error)

    def _put(self, body: bytes) -> None:
        """PutRecord and BatchWriteRecord, or what happens to them."""
        store = self.store
        with store.lock:
            many = self.path == "/BatchWriteRecord"
            store.calls.append("BatchWriteRecord" if many else "PutRecord")
            if store.faults.forbidden:
                raise RefusedError("AccessForbidden", "not allowed", 403)
            fate = store.fate()
            if fate == "throttled":
                raise RefusedError("ThrottlingException", "Rate exceeded", 400)
            if fate == "broken":
                raise RefusedError("InternalFailure", "out of order", 500)
            answer: dict[str, Any] = {}
            if fate != "lost_before":
                told = json.loads(body)
                if many:
                    answer = self._batch(told)
                else:
                    store.put(unquote(self.path.rpartition("/")[2]), told.get("Record"), told.get("TargetStores"))
        if fate.startswith("lost"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(200, answer if many else None)

    def _batch(self, told: Any) -> dict[str, Any]:
        """The entries that failed, and those that were left."""
        errors, left = [], []
        entries = told["Entries"]
        if not 1 <= len(entries) <= 25:  # noqa: PLR2004 - the limit of the service
            raise RefusedError("ValidationError", f"{len(entries)} entries")
        for entry in entries:
            if self.store.chance.random() < self.store.faults.unprocessed:
                left.append(entry)
                continue
            try:
                self.store.put(entry["FeatureGroupName"], entry["Record"], entry.get("TargetStores"))
            except RefusedError as error:
                errors.append({"Entry": entry, "ErrorCode": error.code, "ErrorMessage": str(error)})
        return {"Errors": errors, "UnprocessedEntries": left}

    def _many(self, told: Any) -> dict[str, Any]:
        """The records of BatchGetRecord."""
        found = [
            {"FeatureGroupName": each["FeatureGroupName"], "RecordIdentifierValueAsString": identifier,
             "Record": _wire(self.store.records[each["FeatureGroupName"], identifier])}
            for each in told["Identifiers"]
            for identifier in each["RecordIdentifiersValueAsString"]
            if (each["FeatureGroupName"], identifier) in self.store.records
        ]  # fmt: skip
        return {"Records": found, "Errors": [], "UnprocessedIdentifiers": []}

    def _passed_on(self, body: bytes) -> None:
        """Ask the other service, and say what it says."""
        if not self.store.others:
            self._refuse(RefusedError("UnknownOperationException", "there is no such call here"))
            return
        other = HTTPConnection(urlsplit(self.store.others).netloc, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            other.request("POST", self.path, body, headers)
            answer = other.getresponse()
            said, kind = answer.read(), answer.getheader("Content-Type") or ""
        finally:
            other.close()
        error = {"X-Amzn-ErrorType": answer.getheader("x-amzn-errortype") or ""}
        self._send(answer.status, said, kind, {name: value for name, value in error.items() if value})

    def _refuse(self, error: RefusedError) -> None:
        said = json.dumps({"__type": error.code, "Message": str(error)}).encode()
        self._send(error.status, said, "application/json", {"X-Amzn-ErrorType": error.code})

    def _answer(self, status: int, told: Any) -> None:
        self._send(status, b"" if told is None else json.dumps(told).encode(), "application/x-amz-json-1.1", {})

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def _wire(record: dict[str, str]) -> list[dict[str, str]]:
    return [{"FeatureName": name, "ValueAsString": value} for name, value in record.items()]


@contextmanager
def feature_store(faults: Faults | None = None, others: str = "") -> Iterator[Store]:
    """A service without feature groups. Calls of SageMaker about other things go to the address ``others``."""
    asked = faults or Faults()
    store = Store(asked, others=others, chance=random.Random(asked.seed))  # noqa: S311 - no secret
    line = type("Line", (_Line,), {"store": store})
    with ThreadingHTTPServer(("127.0.0.1", 0), line) as server:
        server.daemon_threads = True
        store.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield store
        finally:
            server.shutdown()
            thread.join()


def main(argv: Sequence[str]) -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m standins.feature_store", description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="how long each call takes")
    with feature_store(Faults(delay=parser.parse_args(argv).delay)) as store:
        print(store.url, flush=True)  # noqa: T201 - it is asked for
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
