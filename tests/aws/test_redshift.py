"""Statements share a session and are done once, whatever happens to calls and answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from aws.warehouse import ROLE, Warehouse
from ndr.aws import redshift
from ndr.aws.clients import ServiceBusyError, ServiceError
from ndr.aws.redshift import Session, SessionLostError, StatementBusyError, StatementError, once_more
from ndr.tables.destinations import RedshiftAccess


def fast(seconds: float) -> None:
    time.sleep(min(seconds, 0.02))


def opened(warehouse: Warehouse, **options: Any) -> Session:
    return Session(RedshiftAccess(**warehouse.access), "a test", **{"pause": fast, **options})


@pytest.fixture
def session(warehouse: Warehouse) -> Iterator[Session]:
    with opened(warehouse) as session:
        yield session


def test_temporary_tables_live_from_one_statement_to_the_next(session: Session) -> None:
    session.run("CREATE TEMPORARY TABLE held (a INTEGER)")
    assert session.run("INSERT INTO held VALUES (1), (2)") == 2
    assert sorted(session.rows("SELECT a FROM held")) == [(1,), (2,)]


def test_another_session_sees_no_temporary_tables_of_the_first(session: Session, warehouse: Warehouse) -> None:
    session.run("CREATE TEMPORARY TABLE held (a INTEGER)")
    with opened(warehouse) as other, pytest.raises(StatementError, match='relation "held" does not exist'):
        other.run("SELECT a FROM held")


def test_rows_come_page_by_page_with_their_types(session: Session, warehouse: Warehouse) -> None:
    warehouse.table("cmdb.t", "a BIGINT, b DOUBLE PRECISION, c VARCHAR, d BOOLEAN")
    warehouse.sql("INSERT INTO cmdb.t SELECT n, n / 2.0, 'n' || n, n > 5 FROM generate_series(1, 8) AS n")
    warehouse.sql("INSERT INTO cmdb.t VALUES (9, NULL, '', NULL)")
    found = list(session.rows("SELECT * FROM cmdb.t ORDER BY a"))
    assert found == [(n, n / 2, f"n{n}", n > 5) for n in range(1, 9)] + [(9, None, "", None)]
    pages = [asked for name, asked in warehouse.service.calls if name == "GetStatementResult"]
    assert len(pages) == 3
    assert list(session.rows("SELECT * FROM cmdb.t WHERE a > 100")) == []


def test_one_row_is_one_row(session: Session) -> None:
    assert session.one("SELECT 1, 'x'") == (1, "x")
    with pytest.raises(StatementError, match="gave 0 rows"):
        session.one("SELECT 1 WHERE 1 = 2")


def test_a_transaction_is_all_or_nothing(session: Session, warehouse: Warehouse) -> None:
    warehouse.table("cmdb.t", "a INTEGER", (1,))
    with pytest.raises(StatementError, match="division by zero"):
        session.together("DELETE FROM cmdb.t", "INSERT INTO cmdb.t VALUES (2)", "SELECT 1 / 0")
    assert warehouse.sql("SELECT a FROM cmdb.t") == [(1,)]
    assert session.together("DELETE FROM cmdb.t", "INSERT INTO cmdb.t VALUES (2), (3)") == [1, 2]


def test_what_is_too_much_for_the_service_is_not_sent(session: Session, warehouse: Warehouse) -> None:
    with pytest.raises(StatementError, match="more than the 40"):
        session.together(*["SELECT 1"] * 41)
    with pytest.raises(StatementError, match="longer than the 100,000"):
        session.run("SELECT '" + "x" * 100_000 + "'")
    assert warehouse.service.calls == []


@pytest.mark.parametrize("operation", ["ExecuteStatement", "BatchExecuteStatement", "DescribeStatement"])
def test_a_lost_answer_repeats_nothing(session: Session, warehouse: Warehouse, operation: str) -> None:
    warehouse.table("cmdb.t", "a INTEGER")
    warehouse.service.loses(operation, times=2)
    session.run("INSERT INTO cmdb.t VALUES (1)")
    session.together("INSERT INTO cmdb.t VALUES (2)", "INSERT INTO cmdb.t VALUES (3)")
    assert warehouse.sql("SELECT a FROM cmdb.t ORDER BY a") == [(1,), (2,), (3,)]
    assert sum(name == operation for name, _ in warehouse.service.calls) >= 3
    assert len(warehouse.service.statements) == 2


def test_the_same_statement_twice_is_done_twice(session: Session, warehouse: Warehouse) -> None:
    warehouse.table("cmdb.t", "a INTEGER")
    session.run("INSERT INTO cmdb.t VALUES (1)")
    session.run("INSERT INTO cmdb.t VALUES (1)")
    assert warehouse.sql("SELECT COUNT(*) FROM cmdb.t") == [(2,)]


@pytest.mark.parametrize(
    ("code", "status"),
    [("ThrottlingException", 400), ("ActiveStatementsExceededException", 400), ("InternalServerException", 500),
     ("ActiveSessionsExceededException", 400)],
)  # fmt: skip
def test_a_busy_service_is_asked_again(session: Session, warehouse: Warehouse, code: str, status: int) -> None:
    for operation in ("ExecuteStatement", "DescribeStatement", "GetStatementResult"):
        warehouse.service.refuses(operation, code, status=status, times=2)
    assert session.one("SELECT 1") == (1,)


def test_a_service_that_stays_busy_is_an_error_that_passes(session: Session, warehouse: Warehouse) -> None:
    warehouse.service.refuses("ExecuteStatement", "ThrottlingException", times=100)
    with pytest.raises(ServiceBusyError) as raised:
        session.run("SELECT 1")
    assert raised.value.retryable
    assert "Redshift main/dev" in str(raised.value)
    assert len(warehouse.service.calls) == 8


def test_a_call_that_is_refused_is_an_error_that_stays(session: Session, warehouse: Warehouse) -> None:
    warehouse.service.refuses("ExecuteStatement", "AccessDeniedException")
    with pytest.raises(ServiceError, match="AccessDeniedException") as raised:
        session.run("SELECT 1")
    assert not raised.value.retryable
    assert len(warehouse.service.calls) == 1


def test_a_statement_that_fails_says_why(session: Session) -> None:
    with pytest.raises(StatementError, match='column "nothing" does not exist') as raised:
        session.run("SELECT nothing")
    assert not raised.value.retryable
    assert "a test" in str(raised.value)


@pytest.mark.parametrize(
    "words",
    ["ERROR: 1023 DETAIL: Serializable isolation violation on table - 100", "ERROR: deadlock detected",
     "ERROR: Assert: cluster is resizing, try again later"],
)  # fmt: skip
def test_a_conflict_is_an_error_that_passes(session: Session, warehouse: Warehouse, words: str) -> None:
    warehouse.service.fails("SELECT 1", words)
    with pytest.raises(StatementBusyError) as raised:
        session.run("SELECT 1")
    assert raised.value.retryable
    assert session.one("SELECT 1") == (1,)


def test_a_statement_that_takes_too_long_is_cancelled(warehouse: Warehouse) -> None:
    warehouse.table("cmdb.t", "a INTEGER")
    warehouse.service.holds("INSERT", 30)
    started = time.monotonic()
    with opened(warehouse, seconds=0.3) as session, pytest.raises(StatementBusyError, match="took longer than 0 s"):
        session.run("INSERT INTO cmdb.t VALUES (1)")
    (statement,) = warehouse.service.statements
    while statement.status == "STARTED" and time.monotonic() < started + 10:
        time.sleep(0.02)
    assert statement.status == "ABORTED"
    assert warehouse.sql("SELECT * FROM cmdb.t") == []


def test_whoever_stops_waiting_stops_the_statement(warehouse: Warehouse) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    warehouse.service.holds("SELECT 7", 30)
    with opened(warehouse, pause=interrupted) as session, pytest.raises(KeyboardInterrupt):
        session.run("SELECT 7")
    assert [name for name, _ in warehouse.service.calls][-1] == "CancelStatement"


def test_a_session_that_is_gone_is_told(session: Session, warehouse: Warehouse) -> None:
    session.run("CREATE TEMPORARY TABLE held (a INTEGER)")
    warehouse.service.end_sessions()
    with pytest.raises(SessionLostError) as raised:
        session.run("SELECT a FROM held")
    assert raised.value.retryable


def test_work_begins_again_once_when_its_session_is_gone(warehouse: Warehouse) -> None:
    tries = []

    def work() -> Any:
        with opened(warehouse) as session:
            session.run("CREATE TEMPORARY TABLE held (a INTEGER)")
            if not tries:
                warehouse.service.end_sessions()
            tries.append(1)
            return session.one("SELECT COUNT(*) FROM held")

    assert once_more(work) == (0,)
    assert len(tries) == 2


def test_statements_at_once_each_have_their_own_session(warehouse: Warehouse) -> None:
    warehouse.table("cmdb.t", "a INTEGER")
    errors = []

    def work(number: int) -> None:
        try:
            with opened(warehouse) as session:
                session.run("CREATE TEMPORARY TABLE held AS SELECT 1 AS a")
                session.together("LOCK cmdb.t", "INSERT INTO cmdb.t SELECT COUNT(*) FROM cmdb.t")
        except ServiceError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert warehouse.sql("SELECT a FROM cmdb.t ORDER BY a") == [(0,), (1,), (2,), (3,)]


def test_a_workgroup_or_a_secret_goes_where_it_belongs(warehouse: Warehouse) -> None:
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:warehouse-AbCdEf"
    access = RedshiftAccess(workgroup_name="main", database="dev", secret_arn=arn, db_user="unused", iam_role=ROLE)
    with Session(access, "a test", pause=fast) as session:
        session.run("SELECT 1")
        session.run("SELECT 2")
    first, second = (asked for name, asked in warehouse.service.calls if name == "ExecuteStatement")
    assert (first["WorkgroupName"], first["SecretArn"], first["Database"]) == ("main", arn, "dev")
    assert not {"ClusterIdentifier", "DbUser", "SessionId"} & set(first)
    assert not {"WorkgroupName", "SecretArn", "Database"} & set(second)
    assert first["SessionKeepAliveSeconds"] == redshift.IDLE_SECONDS
