"""Every form in which endpoints answer, and what is no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws.service import Reply, Service, rows, said, spec
from ndr.aws.answers import Answer, AnswerError, Verdict, verdicts
from ndr.aws.endpoint import Endpoint
from ndr.errors import NdrError
from ndr.tables.inference import PredictionSchema

JSON, CSV = "application/json", "text/csv"
YES, NO = "anomalous", "normal"


def read(body: Any, count: int = 2, kind: str = JSON, **schema: Any) -> list[tuple[float, str | None]]:
    """Scores and labels of an answer."""
    text = body if isinstance(body, str) else json.dumps(body)
    found = verdicts(Answer(text.encode(), kind), count, PredictionSchema.model_validate(schema))
    assert all(isinstance(each, Verdict) for each in found)
    return [(each.score, each.label) for each in found]


PLAIN: dict[str, Any] = {
    "a list": [0, 0.5],
    "predictions": {"predictions": [0, 0.5]},
    "outputs": {"outputs": [0, 0.5]},
    "scores": {"scores": [{"score": 0}, {"score": 0.5}]},
    "lists of one": {"predictions": [[0.0], [0.5]]},
    "objects": [{"prediction_score": 0}, {"prediction_score": 0.5}],
    "objects of probability": [{"probability": 0}, {"probability": 0.5, "prediction": 1}],
    "objects of prediction": [{"prediction": 0}, {"prediction": 0.5}],
    "objects of anomaly_score": [{"anomaly_score": -0.0}, {"anomaly_score": 0.5}],
    "all forms in one": [0, {"score": 0.5, "label": None}],
}
LABELLED: dict[str, Any] = {
    "pairs": [[0, 0], [0.5, 1]],
    "words": [[0, "normal"], [0.5, "Anomaly"]],
    "truths": [[0, False], [0.5, True]],
    "objects": [{"score": 0, "predicted_label": 0.0}, {"score": 0.5, "predicted_label": 1.0}],
    "our objects": {"predictions": [{"prediction_score": 0, "prediction_label": NO}, {"score": 0.5, "label": YES}]},
}
LINES = {
    "a line each": ("0\n0.5\n", None, None),
    "Windows' ends": ("0\r\n0.5\r\n", None, None),
    "one line": ("0,0.5", None, None),
    "labels": ("0, 0\n0.5, 1", NO, YES),
    "words": ('0,"normal"\n\n0.5,"anomalous"', NO, YES),
}


@pytest.mark.parametrize("body", PLAIN.values(), ids=PLAIN)
def test_scores_are_read_in_every_form(body: Any) -> None:
    assert read(body) == [(0.0, None), (0.5, None)]
    assert str(read(body)[0][0]) == "0.0"


@pytest.mark.parametrize("body", LABELLED.values(), ids=LABELLED)
def test_labels_are_read_in_every_form(body: Any) -> None:
    assert read(body) == [(0.0, NO), (0.5, YES)]


@pytest.mark.parametrize(("body", "first", "second"), LINES.values(), ids=LINES)
def test_lines_are_read(body: str, first: str | None, second: str | None) -> None:
    assert read(body, kind=CSV) == [(0.0, first), (0.5, second)]


def test_one_line_for_one_record_may_hold_a_label() -> None:
    assert read("0.75,1", count=1, kind=CSV) == [(0.75, YES)]


def test_keys_can_be_chosen() -> None:
    body = [{"score": 9, "p": 0.25, "kind": 1, "label": 0}]
    assert read(body, 1, score_column="p", label_column="kind") == [(0.25, YES)]
    with pytest.raises(AnswerError, match="result 1 has no risk, seen"):
        read(body, 1, score_column="risk")


@pytest.mark.parametrize(
    ("ends", "given", "share"), [((-1, 1), 0, 0.5), ((0, 100), 25, 0.25), ((0, -1), -1, 1.0), ((0.5, -0.5), 0.5, 0.0)]
)
def test_scores_of_other_ends_are_made_shares(ends: tuple[float, float], given: float, share: float) -> None:
    assert read([given], 1, score_range=ends) == [(share, None)]


WRONG: dict[str, tuple[Any, str]] = {
    "too few": ([0.1], "it gave 1 scores for 2 records"),
    "too many": ({"predictions": [0.1] * 3}, "it gave 3 scores for 2 records"),
    "none": ([], "it gave 0 scores for 2 records"),
    "no list": ({"score": 0.4}, "no list of results"),
    "a number": (0.4, "no list of results"),
    "null": ({"predictions": None, "outputs": [0.1, 0.2]}, "no list of results"),
    "named results": ({"predictions": {"0": 0.1, "1": 0.2}}, "no list of results"),
    "NaN": ("[0.1, NaN]", "the score of result 2 is no finite number"),
    "infinite": ("[0.1, 1e999]", "the score of result 2 is no finite number"),
    "beyond all": (f"[0.1, {10**400}]", "the score of result 2 is no finite number"),
    "a text": ([0.1, "0.2"], "the score of result 2 is no finite number"),
    "a truth": ([0.1, True], "the score of result 2 is no finite number"),
    "unknown": ([0.1, None], "the score of result 2 is no finite number"),
    "unknown in an object": ([0.1, {"score": None, "prediction": 0.3}], "the score of result 2 is no finite number"),
    "above 1": ([0.1, 1.01], "result 2 is not between 0 and 1, seen 1.01"),
    "below 0": ([0.1, -0.01], "result 2 is not between 0 and 1"),
    "one probability per class": ([[0.9, 0.1], [0.5, 0.5]], "result 1 holds two fractions"),
    "three entries": ([[0.9, 0, 1], 0.1], "result 1 has 3 entries"),
    "an empty list": ([[], 0.1], "result 1 has 0 entries"),
    "no known key": ([{"risk": 0.1}, 0.1], "result 1 has no prediction_score or score"),
    "an unknown label": ([[0.1, -1], 0.1], "the label of result 1 is unknown, seen -1"),
    "a label that is a list": ([{"score": 0.1, "label": []}, 0.1], "the label of result 1 is unknown"),
    "no JSON": ("{'predictions': [0.1]}", "cannot be read as application/json"),
    "too deep": ("[" * 100_000 + "]" * 100_000, "cannot be read as application/json"),
}


@pytest.mark.parametrize(("body", "fact"), WRONG.values(), ids=WRONG)
def test_what_is_no_answer_is_told_and_shown_in_part(body: Any, fact: str) -> None:
    with pytest.raises(AnswerError) as caught:
        read(body)
    assert fact in str(caught.value)
    assert not caught.value.retryable
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("body", "fact"),
    [
        ("0.1", "it gave 1 scores for 2 records"),
        ("0.1\n0.2\n0.3", "it gave 3 scores for 2 records"),
        ("score\n0.1", "the score of result 1 is no finite number, seen score"),
        ("0.1\nnan", "the score of result 2 is no finite number"),
        ("0.1,0.7\n0.2,0.8", "the label of result 1 is unknown, seen 0.7"),
        ('0.1\n"0.2', "cannot be read as text/csv"),
        ("<html>\n</html>", "the score of result 1 is no finite number"),
    ],
)
def test_what_is_no_csv_is_told(body: str, fact: str) -> None:
    with pytest.raises(AnswerError) as caught:
        read(body, kind=CSV)
    assert fact in str(caught.value)


def test_bytes_that_are_no_text_are_told() -> None:
    with pytest.raises(AnswerError, match="cannot be read"):
        verdicts(Answer(b"\xff\xfe[0.1]", JSON), 1, PredictionSchema())


@given(
    st.binary(max_size=60) | st.text('[]{}:,"01.eN-apredictonsl \n', max_size=60).map(str.encode),
    st.sampled_from([JSON, CSV]),
)
def test_whatever_is_said_gives_scores_or_an_error_of_ours(body: bytes, kind: str) -> None:
    try:
        found = verdicts(Answer(body, kind), 2, PredictionSchema())
    except NdrError:
        return
    assert len(found) == 2
    assert all(0 <= each.score <= 1 for each in found)


def test_a_wrong_answer_is_not_asked_for_again(service: Service) -> None:
    for reply in (said([0.1]), Reply(b"[0.1, NaN, 0.2]"), Reply(b"<html></html>", content_type="text/html")):
        service.calls.clear()
        service.replies(reply)
        with pytest.raises(AnswerError, match="endpoint 'detector-1': ") as caught:
            Endpoint(spec()).judge(rows(3))
        assert not caught.value.retryable
        assert len(service.calls) == 1
