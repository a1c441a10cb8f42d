"""The Data API of Redshift: statements run by and by on a real PostgreSQL, sessions keep their temporary tables.

It misbehaves as it is told: answers are lost, calls throttled, statements fail, sessions end.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standins import s3 as s3_server
from standins.postgres import Postgres
from standins.redshift_sql import SETUP, RefusedError, Result, execute

_LONGEST, _MOST = 100_000, 40
_CONNECTS = ("ClusterIdentifier", "WorkgroupName", "Database", "SecretArn", "DbUser")
_TRANSACTION = "BEGIN ISOLATION LEVEL SERIALIZABLE"


class ServiceRefusalError(Exception):
    """An error as the service answers it."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass
class Session:
    """A connection that outlives its statements."""

    id: str
    connection: Any
    pid: int
    ends: float = 0.0
    busy: bool = False


@dataclass
class Statement:
    """What was sent by one call, and what became of it."""

    id: str
    sqls: list[str]
    session: Session
    batch: bool
    name: str = ""
    status: str = "SUBMITTED"
    error: str = ""
    results: list[Result] = field(default_factory=list)
    created: float = field(default_factory=time.time)


@dataclass
class Trouble:
    """What goes wrong, how often."""

    where: str
    times: int
    code: str = ""
    status: int = 400
    lost: bool = False
    seconds: float = 0.0


class Redshift:
    """The service; tests script its troubles and look at what it was asked."""

    def __init__(self, postgres: Postgres, s3_url: str, *, page: int = 1_000) -> None:
        self.url = ""
        self.page = page
        self.statements: list[Statement] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._postgres, self._lock = postgres, threading.RLock()
        self._s3 = s3_server.client(s3_url)
        self._sessions: dict[str, Session] = {}
        self._tokens: dict[str, tuple[str, dict[str, Any]]] = {}
        self._apis: list[Trouble] = []
        self._sqls: list[Trouble] = []
        self._threads: list[threading.Thread] = []

    def refuses(self, operation: str, code: str, *, status: int = 400, times: int = 1) -> None:
        """Answer the next calls of an operation with an error."""
        self._apis.append(Trouble(operation, times, code, status))

    def loses(self, operation: str, *, times: int = 1) -> None:
        """Do what the next calls of an operation ask, and say nothing."""
        self._apis.append(Trouble(operation, times, lost=True))

    def fails(self, pattern: str, error: str, *, times: int = 1) -> None:
        """Let the next statements that match fail with an error."""
        self._sqls.append(Trouble(pattern, times, error))

    def holds(self, pattern: str, seconds: float, *, times: int = 1) -> None:
        """Let the next statements that match take longer."""
        self._sqls.append(Trouble(pattern, times, seconds=seconds))

    def end_sessions(self) -> None:
        """End all sessions, as a restart of the cluster does."""
        with self._lock:
            for session in self._sessions.values():
                session.connection.close()
            self._sessions.clear()

    @property
    def ran(self) -> list[str]:
        """The statements that were sent, one by one."""
        return [sql for statement in self.statements for sql in statement.sqls]

    def close(self) -> None:
        """Let go of all connections."""
        for thread in self._threads:
            thread.join(30)
        self.end_sessions()
        self._s3.close()

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """What an operation says.

        Raises:
            ServiceRefusalError: it is refused.
            ConnectionAbortedError: it was done, and its answer is lost.
        """
        with self._lock:
            self.calls.append((operation, asked))
            trouble = _next(self._apis, lambda each: each.where == operation)
            if trouble and trouble.code:
                raise ServiceRefusalError(trouble.code, "as it was told", trouble.status)
            operations = {
                "ExecuteStatement": self._execute, "BatchExecuteStatement": self._execute,
                "DescribeStatement": self._describe, "GetStatementResult": self._result,
                "CancelStatement": self._cancel,
            }  # fmt: skip
            if operation not in operations:
                raise ServiceRefusalError("UnknownOperationException", operation)
            said = operations[operation](asked)
            if trouble and trouble.lost:
                raise ConnectionAbortedError
            return said

    def _execute(self, asked: dict[str, Any]) -> dict[str, Any]:
        sqls = [asked["Sql"]] if "Sql" in asked else asked["Sqls"]
        token = asked.get("ClientToken", "")
        if token in self._tokens:
            body, said = self._tokens[token]
            if body != json.dumps(asked, sort_keys=True):
                raise ServiceRefusalError("ValidationException", "the client token was used for another statement")
            return said
        if len(sqls) > _MOST or max(map(len, sqls)) > _LONGEST:
            raise ServiceRefusalError("ValidationException", "too many statements, or one that is too long")
        if any(re.search(r";\s*\S", re.sub(r"'[^']*'", "", sql)) for sql in sqls):
            raise ServiceRefusalError("ValidationException", "one statement only")
        session = self._session(asked)
        made = Statement(str(uuid.uuid4()), sqls, session, "Sqls" in asked, asked.get("StatementName", ""))
        self.statements.append(made)
        session.busy = True
        session.ends = time.monotonic() + asked.get("SessionKeepAliveSeconds", 0)
        said = {"Id": made.id, "CreatedAt": made.created, "Database": "dev"}
        if session.id:
            said["SessionId"] = session.id
        self._tokens[token] = (json.dumps(asked, sort_keys=True), said)
        self._threads.append(threading.Thread(target=self._run, args=(made,), daemon=True))
        self._threads[-1].start()
        return said

    def _session(self, asked: dict[str, Any]) -> Session:
        if known := asked.get("SessionId"):
            if any(name in asked for name in _CONNECTS):
                raise ServiceRefusalError("ValidationException", "a session knows its database")
            session = self._sessions.get(known)
            if session is None or (not session.busy and session.ends < time.monotonic()):
                raise ServiceRefusalError("ValidationException", f"Session {known} is not available.")
            if session.busy:
                raise ServiceRefusalError("ValidationException", f"Session {known} is busy.")
            return session
        if not asked.get("Database") or bool(asked.get("ClusterIdentifier")) == bool(asked.get("WorkgroupName")):
            raise ServiceRefusalError("ValidationException", "which database of which cluster or workgroup?")
        kept = asked.get("SessionKeepAliveSeconds")
        connection = self._postgres.connect()
        pid = connection.run("SELECT pg_backend_pid()")[0][0]
        session = Session(str(uuid.uuid4()) if kept else "", connection, pid)
        if kept:
            self._sessions[session.id] = session
        return session

    def _run(self, statement: Statement) -> None:
        connection = statement.session.connection
        statement.status = "STARTED"
        try:
            connection.run(_TRANSACTION)
            for sql in statement.sqls:
                self._misbehave(connection, sql)
                statement.results.append(execute(connection, self._s3, sql))
            connection.run("COMMIT")
            status, error = "FINISHED", ""
        except Exception as caught:  # noqa: BLE001 - whatever the database says
            with suppress(Exception):
                connection.run("ROLLBACK")
            status, error = _failure(caught)
        with self._lock:
            statement.session.busy = False
            statement.error, statement.status = error, status
            if not statement.session.id:
                connection.close()

    def _misbehave(self, connection: Any, sql: str) -> None:
        with self._lock:
            trouble = _next(self._sqls, lambda each: bool(re.search(each.where, sql, re.IGNORECASE)))
        if trouble and trouble.seconds:
            connection.run(f"SELECT pg_sleep({trouble.seconds})")
        if trouble and trouble.code:
            raise RefusedError(trouble.code)

    def _found(self, asked: dict[str, Any]) -> tuple[Statement, int]:
        identity, _, place = asked["Id"].partition(":")
        for statement in self.statements:
            if statement.id == identity:
                return statement, int(place or 1) - 1
        raise ServiceRefusalError("ResourceNotFoundException", f"Query {identity} does not exist")

    def _describe(self, asked: dict[str, Any]) -> dict[str, Any]:
        statement, _ = self._found(asked)
        said: dict[str, Any] = {"Id": statement.id, "Status": statement.status, "CreatedAt": statement.created}
        if statement.error:
            said["Error"] = statement.error
        if statement.status == "FINISHED":
            said |= {"ResultRows": statement.results[-1].count, "HasResultSet": bool(statement.results[-1].columns)}
        if statement.batch:
            said["SubStatements"] = [
                {"Id": f"{statement.id}:{place}", "Status": statement.status, "ResultRows": result.count,
                 "HasResultSet": bool(result.columns)}
                for place, result in enumerate(statement.results, 1)
            ]  # fmt: skip
        return said

    def _result(self, asked: dict[str, Any]) -> dict[str, Any]:
        statement, place = self._found(asked)
        if statement.status != "FINISHED" or not statement.results[place].columns:
            raise ServiceRefusalError("ResourceNotFoundException", "Query does not have result.")
        result, start = statement.results[place], int(asked.get("NextToken", 0))
        end = start + self.page
        said: dict[str, Any] = {
            "ColumnMetadata": [{"name": name, "label": name} for name, _ in result.columns],
            "Records": [[_cell(value) for value in row] for row in result.rows[start:end]],
            "TotalNumRows": len(result.rows),
        }
        return said | ({"NextToken": str(end)} if end < len(result.rows) else {})

    def _cancel(self, asked: dict[str, Any]) -> dict[str, Any]:
        statement, _ = self._found(asked)
        if statement.status in {"FINISHED", "FAILED", "ABORTED"}:
            raise ServiceRefusalError(
                "ValidationException", "Could not cancel a query that is already in FINISHED state."
            )
        other = self._postgres.connect()
        try:
            other.run(f"SELECT pg_cancel_backend({statement.session.pid})")
        finally:
            other.close()
        return {"Status": True}


def _next(troubles: list[Trouble], suits: Any) -> Trouble | None:
    for trouble in troubles:
        if trouble.times and suits(trouble):
            trouble.times -= 1
            return trouble
    return None


def _failure(error: Exception) -> tuple[str, str]:
    facts = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    if facts.get("C") == "57014":
        return "ABORTED", "Query cancelled on user's request"
    if facts.get("C") == "40001":
        return "FAILED", "ERROR: 1023 DETAIL: Serializable isolation violation on table - 100"
    if not facts and not isinstance(error, RefusedError):
        return "FAILED", "FATAL: terminating connection due to administrator command"
    return "FAILED", f"ERROR: {facts.get('M') or error}"


def _cell(value: Any) -> dict[str, Any]:
    if value is None:
        return {"isNull": True}
    kinds = ((bool, "booleanValue"), (int, "longValue"), (float, "doubleValue"))
    return {next((name for kind, name in kinds if isinstance(value, kind)), "stringValue"): _plain(value)}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else str(value)


@contextmanager
def redshift(postgres: Postgres, s3_url: str, *, page: int = 1_000) -> Iterator[Redshift]:
    """The service on such a server; what is stored there stays."""
    service = Redshift(postgres, s3_url, page=page)

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            try:
                status, said = 200, service.answer(operation, body)
            except ServiceRefusalError as error:
                status, said = error.status, {"__type": error.code, "message": str(error)}
            except ConnectionAbortedError:
                self.close_connection = True
                return
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    _set_up(postgres)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        service.close()


def _set_up(postgres: Postgres) -> None:
    connection = postgres.connect()
    try:
        known = {row[0] for row in connection.run("SELECT relname FROM pg_class WHERE relname = 'svv_columns'")}
        for statement in () if known else SETUP:
            connection.run(statement)
    finally:
        connection.close()
