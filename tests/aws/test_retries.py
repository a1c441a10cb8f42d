"""A service that is slow, busy, broken or gone is asked again, with patience and within limits."""

from __future__ import annotations

import logging
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from aws.service import SECRET, Reply, Service, rows, said, scored, share, spec
from ndr.aws.calls import EndpointBusyError, EndpointError
from ndr.aws.endpoint import Endpoint
from ndr.errors import NdrError

BUSY = Reply(b"", 429)
BROKEN = said({"message": "out of order"}, status=500)


def model_error(status: int | None) -> Reply:
    """What SageMaker says when the model's own container fails."""
    facts = {"OriginalStatusCode": status} if status else {}
    body = {"Message": "Received error from primary", "OriginalMessage": "the model is at a loss", **facts}
    return said(body, status=424, headers={"x-amzn-ErrorType": "ModelError"})


def error_of(status: int, kind: str) -> Reply:
    return said({"message": "for a reason"}, status=status, headers={"x-amzn-ErrorType": kind})


TRANSIENT = {
    "429": BUSY,
    "500": BROKEN,
    "502 in HTML": Reply(b"<html><h1>Bad gateway</h1></html>", 502, "text/html"),
    "503": error_of(503, "ServiceUnavailable"),
    "530": error_of(530, "InternalDependencyException"),
    "408": Reply(b"", 408),
    "throttling with status 400": error_of(400, "ThrottlingException"),
    "the model is not ready": error_of(429, "ModelNotReadyException"),
    "the model's 500": model_error(500),
    "the model's 503": model_error(503),
    "the model does not say": model_error(None),
    "cut off in the body": said({"predictions": [0.1] * 50}, cut=20),
    "cut off between pieces": said({"predictions": [0.1] * 50}, chunked=True, cut=28),
    "cut off with its length in order": Reply(b'{"predictions":[0.1,0.'),
    "nothing at all": Reply(b""),
    "an error that is cut off": Reply(b'{"message": "out of order"}', 500, cut=5),
    "no answer": Reply(cut=0),
}
FINAL = {
    "a wrong call": error_of(400, "ValidationError"),
    "not allowed": error_of(403, "AccessDeniedException"),
    "not there": error_of(404, "ValidationError"),
    "too large": Reply(b"", 413),
    "the model refuses": model_error(400),
    "a redirection": Reply(b"", 301),
    "a refusal that is no object": Reply(b"[1, 2]", 400),
}


@pytest.mark.parametrize("trouble", TRANSIENT.values(), ids=TRANSIENT)
def test_what_passes_is_asked_again_and_scored_once(service: Service, trouble: Reply) -> None:
    service.replies(trouble, trouble, scored)
    judged = Endpoint(spec()).judge(rows(3))
    assert judged.column("prediction_score").to_pylist() == [share(n) for n in range(3)]
    assert len(service.calls) == 3
    assert len({call.body for call in service.calls}) == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
@pytest.mark.parametrize("trouble", [BUSY, BROKEN, TRANSIENT["no answer"], TRANSIENT["cut off in the body"]])
def test_patience_has_an_end(service: Service, trouble: Reply, retries: int) -> None:
    service.replies(trouble)
    with pytest.raises(EndpointBusyError, match=rf"'detector-1' gave no answer in {retries + 1} tr") as caught:
        Endpoint(spec(max_retries=retries)).judge(rows(3))
    assert caught.value.retryable
    assert len(service.calls) == retries + 1


ADVICE = {"not allowed": "sagemaker:InvokeEndpoint", "too large": "max_payload_mb", "the model refuses": "logs of its"}


@pytest.mark.parametrize(("case", "trouble"), FINAL.items(), ids=FINAL)
def test_what_stays_wrong_is_not_asked_again(service: Service, case: str, trouble: Reply) -> None:
    service.replies(trouble)
    with pytest.raises(EndpointError, match="detector-1") as caught:
        Endpoint(spec()).judge(rows(3))
    assert ADVICE.get(case, "") in str(caught.value)
    assert not caught.value.retryable
    assert caught.value.__cause__ is not None
    assert len(service.calls) == 1


def test_an_endpoint_that_is_too_slow_is_not_waited_for(service: Service) -> None:
    service.replies(lambda call: scored(call, delay=1.0), scored)
    judged = Endpoint(spec(timeout_seconds=0.4)).judge(rows(2))
    assert judged.num_rows == 2
    assert len(service.calls) == 2

    service.replies(lambda call: scored(call, delay=1.0))
    with pytest.raises(EndpointBusyError, match="ReadTimeoutError"):
        Endpoint(spec(timeout_seconds=0.4, max_retries=1)).judge(rows(2))


def test_an_answer_that_comes_drop_by_drop_is_not_waited_for(service: Service) -> None:
    service.replies(said([0.25] * 9, drip=0.03), scored)
    judged = Endpoint(spec(timeout_seconds=0.4)).judge(rows(9))
    assert judged.column("prediction_score").to_pylist() == [share(n) for n in range(9)]
    service.calls.clear()
    service.replies(said([0.25, 0.5, 0.75], drip=0.001))
    assert Endpoint(spec()).judge(rows(3)).column("prediction_score").to_pylist() == [0.25, 0.5, 0.75]


def test_an_answer_without_end_is_not_read_to_the_end(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ndr.aws.calls._LARGEST_ANSWER", 1 << 17)
    service.replies(Reply(b" " * (1 << 20)))
    with pytest.raises(EndpointError, match="larger than"):
        Endpoint(spec()).judge(rows(1))
    assert len(service.calls) == 1


def test_an_answer_in_pieces_is_an_answer(service: Service) -> None:
    service.answer = lambda call: scored(call, chunked=True)
    scorer = Endpoint(spec(max_records_per_payload=20))
    assert scorer.judge(rows(50)).column("prediction_score").to_pylist() == [share(n) for n in range(50)]


def test_calls_share_a_connection(service: Service) -> None:
    Endpoint(spec(max_records_per_payload=2)).judge(rows(10))
    assert (len(service.calls), service.connections) == (5, 1)


def test_an_endpoint_that_is_not_there_is_told_of(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(EndpointBusyError, match=r"3 tries .*EndpointConnectionError"):
            Endpoint(spec(max_retries=2)).judge(rows(1))
    assert not service.calls


def waits(service: Service, *troubles: Reply, **model: Any) -> list[float]:
    """How long was waited between the calls, without waiting."""
    slept: list[float] = []
    service.replies(*troubles, scored)
    Endpoint(spec(**model), slept.append).judge(rows(1))
    return slept


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_says_how_long_to_wait(service: Service, status: int) -> None:
    assert waits(service, Reply(b"", status, headers={"Retry-After": "7"})) == [7.0]


def test_a_service_says_until_when_to_wait(service: Service) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    (slept,) = waits(service, Reply(b"", 503, headers={"Retry-After": until}))
    assert 25 < slept <= 30


@pytest.mark.parametrize("text", ["soon", "-5", "", "1e400", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970"])
def test_what_is_no_time_to_wait_is_not_waited(service: Service, text: str) -> None:
    (slept,) = waits(service, Reply(b"", 503, headers={"Retry-After": text}), backoff_seconds=0.5)
    assert 0 <= slept <= 0.5


@pytest.mark.parametrize("text", ["3600", "9" * 400])
def test_who_wants_to_be_left_alone_for_long_is(service: Service, text: str) -> None:
    service.replies(Reply(b"", 503, headers={"Retry-After": text}))
    with pytest.raises(EndpointBusyError, match=r"1 try .* asks to be left alone for"):
        Endpoint(spec()).judge(rows(1))
    assert len(service.calls) == 1


def test_waits_are_spread_below_a_limit_that_doubles(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = waits(service, *[BUSY] * 6, max_retries=6, backoff_seconds=30)
    limits = [30, 60, 120, 120, 120, 120]
    assert all(0 <= wait <= limit for wait, limit in zip(slept, limits, strict=True))
    assert len(set(slept)) == 6
    monkeypatch.setattr("ndr.aws.calls.random.uniform", lambda low, high: high)
    service.calls.clear()
    assert waits(service, *[BUSY] * 6, max_retries=6, backoff_seconds=30) == limits


def test_logs_hold_neither_secrets_nor_what_was_sent(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ndr")
    service.replies(model_error(500), said({"message": "the body was 10.0.0.1"}, status=500), scored)
    Endpoint(spec()).judge(rows(2))
    told = [str(getattr(record, "fields", record.getMessage())) for record in caplog.records if record.name == "ndr"]
    assert len(told) == 2
    for text in told:
        assert "detector-1" in text
        assert not any(kept in text for kept in (SECRET, "AKIDNOBODY", "instances", "sessions_cnt", "10.0.0.1", "loss"))


def test_a_refusal_is_shown_in_part(service: Service) -> None:
    service.replies(said({"message": "no " * 5000}, status=400))
    with pytest.raises(NdrError) as caught:
        Endpoint(spec()).judge(rows(1))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("missing", "fact"),
    [("AWS_ACCESS_KEY_ID", "redentials"), ("AWS_DEFAULT_REGION", "region")],
)
def test_what_is_not_configured_is_named(
    service: Service, monkeypatch: pytest.MonkeyPatch, missing: str, fact: str
) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(EndpointError, match=fact) as caught:
        Endpoint(spec()).judge(rows(1))
    assert not caught.value.retryable
    assert not service.calls


def test_the_region_can_be_configured(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    Endpoint(spec(region="eu-west-3")).judge(rows(1))
    assert "/eu-west-3/sagemaker/" in service.calls[0].headers["authorization"]


def test_the_extra_is_named_when_it_is_missing(nowhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(EndpointError, match=r"install ndr\[aws\]"):
        Endpoint(spec()).judge(rows(1))
