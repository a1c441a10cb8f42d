"""What DynamoDB does to readers: pages, batches done by halves, conflicts, throttling, and writers in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from aws.ledgers import TABLE, Calls, ledger, opened, part, seen, table, unit
from ndr.aws import ledger_table
from ndr.aws.clients import ServiceBusyError, ServiceError
from ndr.aws.ledger import DynamoLedger
from ndr.aws.ledger_wire import TRANSACTION, packed
from ndr.time import DAY, Interval

__all__ = ["ledger", "table"]
DAYS = range(0, 96 * 4, 96)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_table, "_pause", lambda attempt: None)


def _events(ledger: DynamoLedger) -> Any:
    return ledger._table.client.meta.events


def _live(ledger: DynamoLedger) -> None:
    with ledger.writing(0):
        for n in DAYS:
            ledger.import_units([unit(f"u{n}", n, n + 30, n + 60)], [])
            ledger.commit([part(n + k) for k in range(4)], [], {})
            ledger.name_batch(f"B{n}", Interval(part(n).key.start, part(n).key.known_at))
        ledger.settle("print")
        ledger.import_units([unit("last", 400)], [])
        ledger.announce([], ["a", "b", "c"])


def _small_pages(ledger: DynamoLedger) -> Calls:
    _events(ledger).register("before-parameter-build.dynamodb.Query", lambda params, **_: params.update(Limit=1))
    return Calls(ledger)


def test_many_pages_tell_what_one_tells(ledger: DynamoLedger) -> None:
    _live(ledger)
    expected = seen(ledger, "delta")
    with opened() as other:
        calls = _small_pages(other)
        assert seen(other, "delta") == expected
        assert calls.kinds["Query"] > 60


def test_more_than_a_megabyte_is_read_page_by_page(ledger: DynamoLedger) -> None:
    parts = [part(n, checksum="x" * 9000) for n in range(130)]
    ledger.commit(parts, [], {})
    with opened() as other:
        calls = Calls(other)
        assert other.parts("delta", "1") == parts
        assert calls.kinds["Query"] == 2
        assert other.parts("delta", "1", Interval(part(60).key.start, part(61).key.known_at)) == parts[60:62]


def test_more_imports_than_one_call_gives_are_asked_for_in_several(ledger: DynamoLedger) -> None:
    units = sorted((unit(f"u{n}", n) for n in range(105)), key=lambda each: each.id)
    ledger.import_units(units, [])
    with opened() as other:
        calls = Calls(other)
        assert other.units() == units
    assert calls.kinds["BatchGetItem"] == 2
    assert ledger.row_count("sessions", "1") == 105


def test_batches_done_by_halves_are_asked_for_again(ledger: DynamoLedger) -> None:
    units = sorted((unit(f"u{n}", n) for n in range(7)), key=lambda each: each.id)
    ledger.import_units(units, [])
    asked = []

    def halve(parsed: dict[str, Any], **_: Any) -> None:
        found = parsed["Responses"][TABLE]
        asked.append(len(found))
        left = [{name: item[name] for name in ("pk", "sk")} for item in found[2:]]
        parsed["Responses"][TABLE] = found[:2]
        parsed["UnprocessedKeys"] = {TABLE: {"Keys": left, "ConsistentRead": True}} if left else {}

    _events(ledger).register("after-call.dynamodb.BatchGetItem", halve)
    assert ledger.units() == units
    assert asked == [7, 5, 3, 1]


def test_what_stays_undone_is_an_error_that_may_pass(ledger: DynamoLedger) -> None:
    ledger.import_units([unit("u", 1)], [])

    def nothing(parsed: dict[str, Any], **_: Any) -> None:
        keys = [{name: item[name] for name in ("pk", "sk")} for item in parsed["Responses"][TABLE]]
        parsed.update(Responses={TABLE: []}, UnprocessedKeys={TABLE: {"Keys": keys}})

    _events(ledger).register("after-call.dynamodb.BatchGetItem", nothing)
    with pytest.raises(ServiceBusyError, match="throttled"):
        ledger.units()


def _cancelled(
    ledger: DynamoLedger, reasons: list[str], times: int, operation: str = "TransactWriteItems"
) -> list[int]:
    """Let transactions be cancelled so many times; counts the tries."""
    tries = [0]

    def cancel(params: Any, **_: Any) -> Any:
        tries[0] += 1
        if tries[0] <= times:
            response = {
                "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
                "CancellationReasons": [{"Code": code} for code in reasons],
            }
            raise ClientError(response, operation)

    _events(ledger).register(f"before-call.dynamodb.{operation}", cancel)
    return tries


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_transaction_that_collides_is_tried_again(ledger: DynamoLedger, reason: str) -> None:
    with ledger.writing(0):
        tries = _cancelled(ledger, ["None", reason], 3)
        ledger.commit([part(0)], [], {})
    assert tries == [4]
    assert ledger.parts("delta", "1") == [part(0)]


def test_a_transaction_that_collides_for_ever_is_an_error_that_may_pass(ledger: DynamoLedger) -> None:
    with ledger.writing(0):
        tries = _cancelled(ledger, ["TransactionConflict", "None"], 1000)
        with pytest.raises(ServiceBusyError, match="again and again"):
            ledger.commit([part(0)], [], {})
    assert tries == [9]
    assert ledger.parts("delta", "1") == []


def test_a_transaction_that_is_wrong_is_not_tried_again(ledger: DynamoLedger) -> None:
    with ledger.writing(0):
        tries = _cancelled(ledger, ["None", "ValidationError"], 1000)
        with pytest.raises(ServiceError) as caught:
            ledger.commit([part(0)], [], {})
    assert tries == [1]
    assert not caught.value.retryable


def test_a_runner_that_collides_while_it_takes_the_lease_takes_it_then(ledger: DynamoLedger) -> None:
    tries = _cancelled(ledger, ["TransactionConflict", "None"], 1)
    with ledger.writing(5):
        assert tries == [2]


def _between_pages(reader: DynamoLedger, act: Callable[[], object], times: int = 1) -> None:
    """Let something happen after the first page of a query."""
    left = [times]

    def first(parsed: dict[str, Any], **_: Any) -> None:
        if "LastEvaluatedKey" in parsed and left[0] > 0:
            left[0] -= 1
            act()

    _events(reader).register("after-call.dynamodb.Query", first)


def test_readers_see_a_commit_as_a_whole_or_not_at_all(ledger: DynamoLedger) -> None:
    old, new = ([part(n, id=name) for n in range(5)] for name in ("old", "new"))
    ledger.commit(old, [], {})
    with opened() as reader:
        _small_pages(reader)
        _between_pages(reader, lambda: ledger.commit(new, [], {}))
        assert reader.parts("delta", "1") == new


def test_readers_see_an_import_with_what_it_replaces(ledger: DynamoLedger) -> None:
    old = [unit(f"old{n}", n) for n in range(3)]
    ledger.import_units(old, [])
    with opened() as reader:
        _small_pages(reader)
        _between_pages(reader, lambda: ledger.import_units([unit("grown", 0, 1, 2)], old))
        assert [each.origin for each in reader.units(Interval(part(0).key.start, part(0).key.start + DAY))] == [
            "grown.json"
        ]


def test_a_reader_that_is_overtaken_every_time_says_so(ledger: DynamoLedger) -> None:
    ledger.commit([part(n) for n in range(3)], [], {})
    with opened() as reader:
        _small_pages(reader)
        with ledger.writing(0):
            _between_pages(reader, lambda: ledger.settle("print"), 1000)
            with pytest.raises(ServiceBusyError, match="without a pause"):
                reader.parts("delta", "1")


def test_a_reader_waits_for_a_transaction_that_is_under_way(ledger: DynamoLedger) -> None:
    ledger.commit([part(0)], [], {})
    tries = _cancelled(ledger, ["TransactionConflict"], 3, "TransactGetItems")
    assert ledger.parts("delta", "1") == [part(0)]
    assert tries[0] >= 5


def test_what_dynamodb_cannot_keep_is_refused_before_anything_is_changed(ledger: DynamoLedger) -> None:
    with pytest.raises(ServiceError, match="more than DynamoDB keeps"):
        ledger.commit([part(0), part(1, checksum="x" * 400_000)], [], {})
    assert ledger.parts("delta", "1") == []


def test_transactions_hold_what_the_service_takes() -> None:
    atoms = [{("a", f"{n}.{k}"): {"x": "y" * 20_000} for k in range(30)} for n in range(9)]
    found = list(packed(atoms))
    assert [len(each) for each in found] == [90, 90, 90], "atoms stay whole"
    assert len(list(packed([{("a", f"{n}"): {"x": "y" * 300_000}} for n in range(30)]))) == 4
    assert [len(each) for each in packed([{("a", f"{n}"): None for n in range(250)}], 4)] == [95, 95, 60]
    assert TRANSACTION == 99, "and the fence"


def test_nothing_is_asked_of_a_table_that_is_not_there(aws: str) -> None:
    ledger = DynamoLedger("none", "s3://lakes/one")
    for ask in (ledger.last_arrival, ledger.units, lambda: ledger.commit([part(0)], [], {})):
        with pytest.raises(ServiceError, match="table none") as caught:
            ask()
        assert not caught.value.retryable
    ledger.close()
    assert boto3.client("dynamodb").list_tables()["TableNames"] == []
