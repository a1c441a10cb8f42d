"""One writer at a time: who waits, who is replaced, and what becomes of a writer that sleeps through its lease."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import boto3
import pytest

from aws.ledgers import LAKE, TABLE, Killed, ledger, opened, part, table
from ndr.aws.ledger import DynamoLedger
from ndr.aws.ledger_lease import WriterReplacedError
from ndr.errors import DataError, LakeBusyError
from ndr.time import SLICE, Interval

__all__ = ["ledger", "table"]
LEASE = 0.6
WRITER = f"""
import sys
from ndr.aws.ledger import DynamoLedger
from ndr.errors import NdrError
from ndr.ledger import Part
from ndr.table import PartKey
from ndr.time import EPOCH
ledger = DynamoLedger({TABLE!r}, {LAKE!r}, {LEASE})
part = Part("delta", "1", PartKey(EPOCH, EPOCH), sys.argv[1], 1, "", "")
try:
    with ledger.writing(float(sys.argv[2])):
        print("writing", flush=True)
        sys.stdin.readline()
        ledger.commit([part], [], {{}})
        print("committed", flush=True)
except NdrError as error:
    print(type(error).__name__, error.retryable, flush=True)
"""


@contextmanager
def other_process(name: str, wait: float = 0) -> Iterator[subprocess.Popen[str]]:
    """A writer that says when it is one, and commits a part when it is told to."""
    with subprocess.Popen(  # noqa: S603 - a fixed command
        [sys.executable, "-c", WRITER, name, str(wait)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def _says(process: subprocess.Popen[str], tell: str = "") -> str:
    assert process.stdin
    assert process.stdout
    with suppress(BrokenPipeError):
        process.stdin.write(tell)
        process.stdin.flush()
    return process.stdout.readline().strip()


def test_of_two_writers_one_writes_and_the_other_is_told(table: str) -> None:
    with opened() as one, opened() as other:
        with one.writing(0):
            with pytest.raises(LakeBusyError, match="nothing was changed") as caught, other.writing(0):
                pass
            assert caught.value.retryable
            with opened("s3://lakes/two") as beside, beside.writing(0):
                beside.commit([part(0)], [], {})
            one.commit([part(1)], [], {})
        with other.writing(0):
            other.commit([part(2)], [], {})
        assert [each.id for each in one.parts("delta", "1")] == ["id1", "id2"]


def test_a_writer_waits_for_its_turn(table: str) -> None:
    done: list[str] = []

    def wait() -> None:
        with opened() as other, other.writing(30):
            done.append("other")

    with opened() as one:
        with one.writing(0):
            thread = threading.Thread(target=wait)
            thread.start()
            time.sleep(0.8)
            done.append("one")
        thread.join(30)
    assert done == ["one", "other"]


def test_a_writer_stays_one_for_longer_than_a_lease_lasts(table: str) -> None:
    with opened(lease_seconds=LEASE) as one, opened(lease_seconds=LEASE) as other, one.writing(0):
        with pytest.raises(LakeBusyError), other.writing(4 * LEASE):
            pass
        one.commit([part(0)], [], {})


def test_a_killed_writer_is_replaced_after_its_lease(table: str) -> None:
    with other_process("killed") as process, opened() as ledger:
        assert _says(process) == "writing"
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(LakeBusyError), ledger.writing(0):
            pass
        with ledger.writing(20):
            ledger.commit([part(0)], [], {})
        assert len(ledger.parts("delta", "1")) == 1


def test_a_writer_that_slept_through_its_lease_changes_nothing(table: str) -> None:
    with other_process("asleep") as process, opened() as ledger:
        assert _says(process) == "writing"
        os.kill(process.pid, signal.SIGSTOP)
        with ledger.writing(20):
            ledger.commit([part(0)], [], {})
        os.kill(process.pid, signal.SIGCONT)
        assert _says(process, "\n") == "WriterReplacedError True"
        assert ledger.parts("delta", "1") == [part(0)]
        with ledger.writing(0):
            ledger.commit([part(1)], [], {})


def test_a_writer_whose_lease_ran_out_puts_no_file_in_place(table: str) -> None:
    with opened(lease_seconds=LEASE) as late:
        late.check_writer()
        with late.writing(0):
            late.check_writer()
            late._table.lease._renew = lambda writer: None
            time.sleep(1.5 * LEASE)
            with pytest.raises(WriterReplacedError):
                late.check_writer()


def test_a_replaced_writer_does_not_give_back_the_lease_of_the_next(table: str) -> None:
    with opened(lease_seconds=LEASE) as late, opened() as ledger, opened() as third:
        late._table.lease._renew = lambda writer: None
        turn = late.writing(0)
        turn.__enter__()
        with ledger.writing(20):
            with pytest.raises(WriterReplacedError, match="run it again"):
                late.commit([part(0)], [], {})
            turn.__exit__(None, None, None)
            with pytest.raises(LakeBusyError), third.writing(0):
                pass
            ledger.commit([part(1)], [], {})
        assert ledger.parts("delta", "1") == [part(1)]


def test_the_lease_of_a_dead_writer_with_a_fast_clock_ends_all_the_same(table: str) -> None:
    with opened(lease_seconds=LEASE) as ledger, ledger.writing(0):
        lease = boto3.client("dynamodb").get_item(TableName=TABLE, Key=ledger._table.lease._key)["Item"]
    lease |= {"until": {"S": "2199-01-01T00:00:00"}, "writer": {"S": "dead"}}
    boto3.client("dynamodb").put_item(TableName=TABLE, Item=lease)
    with opened() as ledger, ledger.writing(20):
        ledger.commit([part(0)], [], {})


@pytest.mark.parametrize("error", [DataError("x"), Killed()])
def test_whoever_fails_lets_the_next_one_write(ledger: DynamoLedger, error: BaseException) -> None:
    with pytest.raises(type(error)), ledger.writing(0):
        raise error
    with ledger.writing(0):
        pass


def test_of_two_that_replace_a_dead_writer_one_wins(table: str) -> None:
    with other_process("killed") as process:
        assert _says(process) == "writing"
        process.kill()
    with other_process("one", 20) as one, other_process("two", 20) as two:
        said = {name: threading.Event() for name in ("one", "two")}
        lines: list[str] = []

        def listen(process: subprocess.Popen[str], name: str) -> None:
            lines.append(f"{name} {_says(process)}")
            said[name].set()

        threads = [threading.Thread(target=listen, args=pair) for pair in ((one, "one"), (two, "two"))]
        for thread in threads:
            thread.start()
        while not lines:
            time.sleep(0.05)
        time.sleep(3 * LEASE)
        assert len(lines) == 1, "the winner renews its lease"
        first = one if lines[0].startswith("one") else two
        assert _says(first, "\n") == "committed"
        for thread in threads:
            thread.join(20)
        assert len(lines) == 2
        assert _says(two if first is one else one, "\n") == "committed"


def test_writes_for_themselves_exclude_each_other(table: str) -> None:
    failures: list[BaseException] = []

    def live(n: int) -> None:
        try:
            with opened() as ledger:
                ledger.name_batch(f"B{n}", Interval(part(n).key.start, part(n).key.start + SLICE))
                ledger.commit([part(n)], [], {})
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=live, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    with opened() as ledger:
        assert (len(ledger.batches()), ledger.row_count("delta", "1")) == (4, 40)
