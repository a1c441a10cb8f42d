"""What an endpoint is sent: every record once and in order, in bodies that keep to their limits."""

from __future__ import annotations

import json
import math
import random
import threading
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws.service import Call, Reply, Service, rows, said, scored, share, spec
from ndr.aws.answers import AnswerError
from ndr.aws.endpoint import Endpoint
from ndr.aws.payloads import parcels, records
from ndr.errors import DataError, NdrError, SpecError
from ndr.tables.inference import ModelChoice, Payload

MIB = 1 << 20
ENVELOPES = {"application/json": ('{"instances":[', ",", "]}"), "text/csv": ("", "\n", "")}


@given(
    st.lists(st.binary(min_size=1, max_size=30).filter(lambda record: b"," not in record and b"\n" not in record)),
    st.integers(1, 7),
    st.integers(46, 200),
    st.sampled_from([*ENVELOPES]),
)
def test_batches_lose_and_double_no_record(written: list[bytes], most: int, limit: int, kind: Any) -> None:
    model = ModelChoice(max_records_per_payload=most, max_payload_mb=(limit + 0.5) / MIB, content_type=kind)
    made = list(parcels(iter(written), model))
    head, between, tail = (text.encode() for text in ENVELOPES[kind])
    inner = [parcel.body[len(head) : len(parcel.body) - len(tail)].split(between) for parcel in made]
    assert [record for each in inner for record in each] == written
    assert [parcel.count for parcel in made] == [len(each) for each in inner]
    assert all(parcel.body.startswith(head) and parcel.body.endswith(tail) for parcel in made)
    assert all(len(parcel.body) <= limit and 1 <= parcel.count <= most for parcel in made)
    for parcel, following in zip(made, inner[1:], strict=False):
        larger = len(parcel.body) + len(between) + len(following[0])
        assert parcel.count == most or larger > limit, "a body that was not full was sent"


def test_a_record_that_no_body_can_hold_is_told_of(service: Service) -> None:
    with pytest.raises(SpecError, match=r"a row makes a payload of 56 bytes alone, .* allows 52; raise it"):
        Endpoint(spec(max_payload_mb=52.5 / MIB)).judge(rows(1))
    assert not service.calls
    assert Endpoint(spec(max_payload_mb=56 / MIB)).judge(rows(3)).num_rows == 3
    assert [len(call.body) for call in service.calls] == [56, 56, 56]


def test_nothing_is_sent_for_no_rows(service: Service) -> None:
    judged = Endpoint(spec()).judge(rows(0))
    assert judged.num_rows == 0
    assert judged.schema == Endpoint(spec()).judge(rows(1)).schema
    assert len(service.calls) == 1


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (4, [4]), (8, [4, 4]), (10, [4, 4, 2])])
def test_the_last_and_smaller_batch_is_sent_once(service: Service, count: int, sizes: list[int]) -> None:
    Endpoint(spec(max_records_per_payload=4)).judge(rows(count))
    assert [len(call.records) for call in service.calls] == sizes
    assert [record for call in service.calls for record in call.records] == list(range(count))


def test_bodies_keep_to_their_bytes(service: Service) -> None:
    Endpoint(spec(max_payload_mb=300 / MIB)).judge(rows(40))
    assert all(240 < len(call.body) <= 300 for call in service.calls[:-1])
    assert [record for call in service.calls for record in call.records] == list(range(40))


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_calls_are_under_way_than_allowed(service: Service, workers: int) -> None:
    together = threading.Barrier(workers)

    def answer(call: Call) -> Reply:
        together.wait(10)
        return scored(call, delay=0.01)

    service.answer = answer
    Endpoint(spec(max_records_per_payload=2, max_workers=workers)).judge(rows(24))
    assert len(service.calls) == 12
    assert service.most == workers


def test_scores_keep_the_order_of_rows(service: Service) -> None:
    delays = random.Random(7)  # noqa: S311 - no secret
    service.answer = lambda call: scored(call, delay=delays.choice([0.0, 0.01, 0.05]))
    judged = Endpoint(spec(max_records_per_payload=3, max_workers=4)).judge(rows(50))
    assert judged.column("prediction_score").to_pylist() == [share(n) for n in range(50)]
    assert judged.column("host_ip").to_pylist() == rows(50).column("host_ip").to_pylist()


def test_no_batch_is_sent_twice_but_those_that_failed(service: Service) -> None:
    failed: Counter[bytes] = Counter()
    lock = threading.Lock()

    def answer(call: Call) -> Reply:
        with lock:
            failed[call.body] += 1
            first = failed[call.body] == 1
        return Reply(b"", 500) if first and call.records[0] % 4 == 0 else scored(call)

    service.answer = answer
    judged = Endpoint(spec(max_records_per_payload=2, max_workers=3)).judge(rows(20))
    assert judged.column("prediction_score").to_pylist() == [share(n) for n in range(20)]
    tries = {json.loads(body)["instances"][0]["sessions_cnt"]: n for body, n in failed.items()}
    assert tries == {first: 2 if first % 4 == 0 else 1 for first in range(0, 20, 2)}


def test_a_failure_stops_what_was_not_sent(service: Service) -> None:
    service.answer = lambda call: Reply(b"", 400) if 4 in call.records else scored(call, delay=0.01)
    with pytest.raises(NdrError, match="status 400"):
        Endpoint(spec(max_records_per_payload=2, max_workers=2)).judge(rows(1000))
    assert len(service.calls) < 10
    assert service.under_way == 0


def written(features: tuple[str, ...], kind: str, payload: Payload | None = None, **columns: Any) -> list[str]:
    """Rows as they are sent."""
    batch = pa.RecordBatch.from_pydict(columns)
    return [record.decode() for record in records(batch, features, payload or Payload(), kind)]


def test_what_is_no_number_is_sent_as_null() -> None:
    values = pa.array([0.1, math.nan, math.inf, -math.inf, None, -0.0])
    sent = [json.loads(text) for text in written(("x",), "application/json", x=values)]
    assert [each["x"] for each in sent] == [0.1, None, None, None, None, 0.0]
    assert written(("n", "x"), "text/csv", n=pa.array(range(6)), x=values) == [
        "0,0.1",
        *(f"{n}," for n in range(1, 5)),
        "5,-0.0",
    ]


def test_a_line_of_unknown_values_is_a_line() -> None:
    assert written(("x",), "text/csv", x=pa.array([None, 1.5], pa.float64())) == ['""', "1.5"]


def test_features_are_sent_in_the_declared_order() -> None:
    columns: dict[str, Any] = {
        "a": pa.array([1], pa.int32()),
        "b": pa.array([True]),
        "c": pa.array([2.5], pa.float32()),
    }
    assert written(("c", "a", "b"), "application/json", **columns) == ['{"c":2.5,"a":1,"b":1}']
    assert written(("b", "c", "a"), "text/csv", **columns) == ["1,2.5,1"]


def test_large_counts_stay_exact() -> None:
    assert written(("n",), "text/csv", n=pa.array([2**53 + 1])) == [str(2**53 + 1)]


def test_values_are_cut_off_and_then_scaled() -> None:
    payload = Payload.model_validate(
        {
            "feature_columns": ["sessions_cnt"],
            "outlier_params": {"sessions_cnt": {"low": 10, "high": 100}},
            "scaler_params": {"sessions_cnt": {"center": 40, "scale": 20}},
        }
    )
    values = pa.array([0, 10, 40, 100, 10**9, None])
    sent = [json.loads(text) for text in written(("sessions_cnt",), "application/json", payload, sessions_cnt=values)]
    assert [each["sessions_cnt"] for each in sent] == [-1.5, -1.5, 0.0, 3.0, 3.0, None]


def test_a_bound_of_zero_is_a_bound() -> None:
    payload = Payload.model_validate(
        {"feature_columns": ["sessions_cnt"], "outlier_params": {"sessions_cnt": {"high": 0}}}
    )
    assert written(("sessions_cnt",), "text/csv", payload, sessions_cnt=pa.array([-5, 5])) == ["-5.0", "0.0"]


def test_what_grows_beyond_all_numbers_is_null() -> None:
    payload = Payload.model_validate(
        {"feature_columns": ["sessions_cnt"], "scaler_params": {"sessions_cnt": {"scale": 1e-300}}}
    )
    values = pa.array([1e300, 0.0])
    assert written(("sessions_cnt",), "text/csv", payload, sessions_cnt=values) == ['""', "0.0"]


@pytest.mark.parametrize(("name", "fact"), [("host_ip", "of type string"), ("window_end_ts", "of type timestamp")])
def test_texts_and_times_are_not_sent(name: str, fact: str) -> None:
    with pytest.raises(DataError, match=f"'{name}' is {fact}"):
        list(records(rows(1), (name,), Payload(), "application/json"))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="no column 'bytes_src_sum'"):
        list(records(rows(1), ("bytes_src_sum",), Payload(), "application/json"))


def test_csv_is_asked_and_answered_in_csv(service: Service) -> None:
    service.replies(Reply(b"0.25\n0\n1\n", content_type="text/csv; charset=utf-8"))
    judged = Endpoint(spec(content_type="text/csv", accept="text/csv")).judge(rows(3))
    assert judged.column("prediction_score").to_pylist() == [0.25, 0.0, 1.0]
    (call,) = service.calls
    assert call.body == b"0,0.5\n1,0.5\n2,0.5"
    assert call.headers["content-type"] == call.headers["accept"] == "text/csv"
    assert call.path == "/endpoints/detector-1/invocations"


def test_an_answer_is_read_as_what_it_says_it_is(service: Service) -> None:
    service.replies(said([0.5]))
    assert Endpoint(spec(accept="text/csv")).judge(rows(1)).num_rows == 1
    service.replies(Reply(b"<html>moved</html>", content_type="text/html"))
    with pytest.raises(AnswerError, match=r"'detector-1': its answer cannot be read as application/json, seen <html>"):
        Endpoint(spec()).judge(rows(1))
