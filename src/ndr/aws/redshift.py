"""Redshift as its Data API is asked: statements that share one session, each done once however often it is sent.

Facts of the service that no stand-in proves, as its documentation has them: temporary tables live as long as the
session, which ends some time after its last statement; one statement of a session runs at a time; a batch of up to 40
statements is one transaction; a call that repeats a client token within some hours starts nothing and gives the same
answer; a call that names a session names no cluster, database or secret; results are kept for a day.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Self, TypeVar

from ndr.aws.clients import ServiceBusyError, ServiceError, client, code_of, translated
from ndr.errors import shown
from ndr.log import log
from ndr.tables.destinations import RedshiftAccess

LONGEST_STATEMENT, MOST_STATEMENTS = 100_000, 40
"""Bytes of one statement, and statements of one transaction, that the service takes."""
IDLE_SECONDS = 600
"""How long a session waits for its next statement."""
_TRIES = 8
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_BUSY = frozenset(("ActiveSessionsExceededException", "ActiveStatementsExceededException", "InternalServerException"))
_PASSING = re.compile(
    r"serializ|isolation violation|deadlock|could not serialize|connection|timed? ?out|restart|resiz|cancell?ed"
    r"|shutting down|terminat|try again|unavailable|slow ?down",
    re.IGNORECASE,
)
"""What databases say when the same statement may do better a little later."""
_CUT_OFF = re.compile(
    r"terminating connection|connection (was |is |has been )?(closed|lost|reset|terminated)", re.IGNORECASE
)
"""What statements end with when their connection does."""
_IN_USE = re.compile(r"\bbusy\b|\bin use\b", re.IGNORECASE)
"""What the service says of a session whose last statement is not over."""
Pause = Callable[[float], object]
T = TypeVar("T")


class StatementError(ServiceError):
    """The database refuses a statement; the same one will be refused again."""


class StatementBusyError(StatementError, ServiceBusyError):
    """A statement came to nothing for reasons that pass: a conflict, a time-out, a restart."""


class SessionLostError(ServiceBusyError):
    """The session is gone, and its temporary tables with it; what was done in it has to begin again."""


class Session:
    """One session with a database; it begins with its first statement and ends by itself."""

    def __init__(self, access: RedshiftAccess, name: str, *, seconds: float = 1_800, pause: Pause = time.sleep) -> None:
        """``name`` tells operators in Redshift's list of statements who asks; a statement may take ``seconds``.

        Raises:
            ServiceError: boto3 is not installed, or AWS is not configured here.
        """
        self._access, self._name = access, name
        self._seconds, self._pause = seconds, pause
        self._client = client("redshift-data", access.region, retries={"total_max_attempts": 1})
        self._session = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def run(self, sql: str) -> int:
        """Run one statement; return how many rows it made or changed, -1 where nobody says.

        Raises:
            StatementError: the database refuses it.
            StatementBusyError: it failed for reasons that pass, or took too long and was cancelled.
            SessionLostError: the session is gone.
            ServiceError: the service refuses the call, or cannot be asked.
        """
        return int(self._finished(self._sent("execute_statement", Sql=_fitting(sql))).get("ResultRows", -1))

    def together(self, *sqls: str) -> list[int]:
        """Run statements as one transaction; return the rows of each as :meth:`run` does, with the same errors."""
        if len(sqls) > MOST_STATEMENTS:
            raise StatementError(f"{len(sqls)} statements are more than the {MOST_STATEMENTS} of one transaction.")
        told = self._finished(self._sent("batch_execute_statement", Sqls=[_fitting(sql) for sql in sqls]))
        return [int(each.get("ResultRows", -1)) for each in told.get("SubStatements", [])]

    def rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a SELECT, page by page; errors as in :meth:`run`."""
        identity = self._sent("execute_statement", Sql=_fitting(sql))
        self._finished(identity)
        more: dict[str, str] = {}
        while True:
            page = self._asked("get_statement_result", Id=identity, **more)
            yield from (tuple(map(_value, row)) for row in page.get("Records", []))
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}

    def one(self, sql: str) -> tuple[Any, ...]:
        """The only row of a SELECT; errors as in :meth:`run`."""
        found = list(self.rows(sql))
        if len(found) != 1:
            raise StatementError(f"{self._place} gave {len(found)} rows where one was asked for.")
        return found[0]

    @property
    def _place(self) -> str:
        return f"Redshift {self._access.cluster_identifier or self._access.workgroup_name}/{self._access.database}"

    def _sent(self, operation: str, **sql: Any) -> str:
        """Send a statement until the service says that it has it; the token lets it be run once."""
        if self._session:
            where: dict[str, Any] = {"SessionId": self._session}
        else:
            named = {
                "ClusterIdentifier": self._access.cluster_identifier, "WorkgroupName": self._access.workgroup_name,
                "Database": self._access.database, "SecretArn": self._access.secret_arn,
                "DbUser": None if self._access.secret_arn else self._access.db_user,
            }  # fmt: skip
            where = {name: value for name, value in named.items() if value}
        told = self._asked(
            operation, **sql, **where, StatementName=f"ndr {self._name}"[:500], ClientToken=str(uuid.uuid4()),
            SessionKeepAliveSeconds=IDLE_SECONDS,
        )  # fmt: skip
        self._session = told.get("SessionId") or self._session
        return str(told["Id"])

    def _finished(self, identity: str) -> Mapping[str, Any]:
        """What became of a statement; one that is waited for in vain is cancelled."""
        until, wait = time.monotonic() + self._seconds, _FIRST_WAIT
        over = False
        try:
            while time.monotonic() < until:
                told: Mapping[str, Any] = self._asked("describe_statement", Id=identity)
                over = told.get("Status") in {"FINISHED", "FAILED", "ABORTED"}
                if told.get("Status") == "FINISHED":
                    return told
                if over:
                    raise self._refusal(told)
                self._pause(wait)
                wait = min(wait * 1.5, _LONGEST_WAIT)
            raise StatementBusyError(
                f"{self._place}: a statement took longer than {self._seconds:.0f} s and was cancelled. "
                "See in its list of queries what it waited for, and run the same command again."
            )
        finally:
            if not over:
                with suppress(Exception):
                    self._client.cancel_statement(Id=identity)

    def _refusal(self, told: Mapping[str, Any]) -> ServiceError:
        words = str(told.get("Error") or "nothing")
        if _CUT_OFF.search(words):
            return self._lost()
        passing = told.get("Status") == "ABORTED" or bool(_PASSING.search(words))
        advice = "Run the same command again later." if passing else "Mend the spec, or what this role may do there."
        kind = StatementBusyError if passing else StatementError
        return kind(
            f"{self._place} refuses a statement of {shown(self._name)}: it says {shown(words, 300)!r}. {advice}"
        )

    def _lost(self) -> SessionLostError:
        return SessionLostError(
            f"{self._place}: the session is gone, and its temporary tables with it. Run the same command again."
        )

    def _asked(self, operation: str, **asked: Any) -> dict[str, Any]:
        """The answer to a call, sent again while the service is busy or its answers are lost."""
        for tries in range(1, _TRIES + 1):
            try:
                with translated(self._place):
                    answer: dict[str, Any] = getattr(self._client, operation)(**asked)
                    return answer
            except ServiceError as error:
                code, words = code_of(error.__cause__ or error), str(error.__cause__ or error)
                in_use = "SessionId" in asked and bool(_IN_USE.search(words))
                if "SessionId" in asked and not in_use and re.search(r"\bsession\b", words, re.IGNORECASE):
                    raise self._lost() from error
                busy = error.retryable or in_use or code in _BUSY
                if not busy:
                    raise
                if tries == _TRIES:
                    raise ServiceBusyError(str(error)) from error
                wait = random.uniform(0, min(20.0, 0.25 * 2**tries))  # noqa: S311 - it spreads calls, it keeps no secret
                log("Redshift asked again", operation=operation, reason=words[:200], wait=wait)
                self._pause(wait)
        raise AssertionError


def once_more(work: Callable[[], T]) -> T:
    """What the work gives; it begins again once, when its session is gone.

    Raises:
        SessionLostError: that of the second time is gone too.
    """
    try:
        return work()
    except SessionLostError as error:
        log("Redshift session lost", reason=str(error))
        return work()


def _fitting(sql: str) -> str:
    if len(sql.encode()) > LONGEST_STATEMENT:
        raise StatementError(
            f"a statement of {len(sql.encode()):,} bytes is longer than the {LONGEST_STATEMENT:,} that Redshift's Data "
            "API takes; keep fewer columns."
        )
    return sql


def _value(cell: Mapping[str, Any]) -> Any:
    """The value of a cell, which is an object of one key that tells its type."""
    return None if cell.get("isNull") else next(iter(cell.values()), None)
