"""Answers: what an endpoint says, as one score and perhaps a label per record, or an error that shows what it said.

A JSON answer is a list, or an object with the list under ``predictions``, ``outputs`` or ``scores``. An item is a
number, a list ``[score]`` or ``[score, label]``, or an object. A CSV answer has a line ``score`` or ``score,label`` per
record, or all scores in one line. A score of 0 is a score. Labels are ``anomalous``, ``anomaly``, true or 1, and
``normal``, false or 0.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ndr.errors import AdapterError, shown
from ndr.model.detector import ANOMALOUS, NORMAL
from ndr.tables.inference import PredictionSchema

CONTENT_TYPES = ("application/json", "text/csv")
_LISTS = ("predictions", "outputs", "scores")
_SCORES = ("prediction_score", "score", "anomaly_score", "probability", "prediction")
_LABELS = ("prediction_label", "label", "predicted_label")
_MEANINGS = {
    **dict.fromkeys((ANOMALOUS, "anomaly", "true", "1"), ANOMALOUS),
    **dict.fromkeys((NORMAL, "false", "0"), NORMAL),
}
_PAIR = 2


class _Text(str):
    """A field of CSV, which may be a number; a text in JSON is none."""

    __slots__ = ()


class AnswerError(AdapterError):
    """An endpoint answered, but not with one score per record."""


def _wrong(fact: str, seen: object, advice: str) -> AnswerError:
    """The error that shows a piece of the answer, never the whole."""
    return AnswerError(f"{fact}, seen {shown(seen, 120)}. {advice}")


@dataclass(frozen=True)
class Answer:
    """The body of an answer, and in which format it is."""

    body: bytes
    content_type: str

    @property
    def whole(self) -> bool:
        """Whether it ends as it must: what is empty, or opens a bracket and does not close it, was cut off."""
        text = self.body.strip()
        closing = {b"{": b"}", b"[": b"]"}.get(text[:1], text[-1:])
        return bool(text) and (self.content_type != "application/json" or text.endswith(closing))


@dataclass(frozen=True)
class Verdict:
    """What an endpoint says of one record: a score in [0, 1], and a label if it gives one."""

    score: float
    label: str | None


def verdicts(answer: Answer, count: int, schema: PredictionSchema) -> list[Verdict]:
    """One verdict per record, in the order of the records.

    Raises:
        AnswerError: the answer has another form, another number of scores, or a score that is none.
    """
    try:
        text = answer.body.decode("utf-8")
        lines = text.splitlines() if answer.content_type == "text/csv" else []
        items = _of_lines(lines, count) if lines else _items(json.loads(text))
    except (ValueError, RecursionError, csv.Error) as error:
        seen = answer.body[:200].decode("utf-8", "replace")
        advice = f"{error}. See whether the endpoint serves the model that is meant" if str(error) else "Look at it"
        raise _wrong(f"its answer cannot be read as {answer.content_type}", seen, f"{shown(advice, 200)}.") from None
    if len(items) != count:
        fact = f"it gave {len(items)} scores for {count} records"
        raise _wrong(fact, text, "One score per record is needed, in the order of the records.")
    return [_verdict(item, place, schema) for place, item in enumerate(items, 1)]


def _of_lines(lines: Sequence[str], count: int) -> list[Any]:
    """The records of CSV; a single line may hold all scores."""
    rows = [[_Text(field.strip()) for field in row] for row in csv.reader(lines, strict=True) if row]
    return [[field] for field in rows[0]] if len(rows) == 1 and len(rows[0]) == count else list(rows)


def _items(parsed: Any) -> list[Any]:
    """The list of results in a JSON answer."""
    found = parsed
    if isinstance(parsed, dict):
        found = next((parsed[key] for key in _LISTS if key in parsed), None)
    if not isinstance(found, list):
        raise _wrong(
            "its answer has no list of results", json.dumps(parsed),
            f"They must be a list, or stand in an object under {', '.join(_LISTS)}.",
        )  # fmt: skip
    return found


def _verdict(item: Any, place: int, schema: PredictionSchema) -> Verdict:
    """A number, a list or an object as score and label."""
    score, label = item, None
    if isinstance(item, dict):
        score, label = _of_object(item, place, schema)
    elif isinstance(item, list):
        if not 1 <= len(item) <= _PAIR:
            advice = "A list must be [score] or [score, label]."
            raise _wrong(f"result {place} has {len(item)} entries", json.dumps(item), advice)
        score, label = item[0], item[1] if len(item) == _PAIR else None
        if isinstance(label, float):
            raise _wrong(
                f"result {place} holds two fractions, such as one probability per class", json.dumps(item),
                "Let the endpoint give one score per record, or objects and prediction_schema.score_column.",
            )  # fmt: skip
    return Verdict(_score(score, place, schema.score_range), _label(label, place))


def _of_object(item: dict[str, Any], place: int, schema: PredictionSchema) -> tuple[Any, Any]:
    """Score and label as they stand in an object: under the configured keys, else under the first usual ones."""
    chosen = [schema.score_column] if schema.score_column else _SCORES
    key = next((key for key in chosen if key in item), None)
    if key is None:
        raise _wrong(
            f"result {place} has no {' or '.join(chosen)}", json.dumps(item),
            "Say in prediction_schema.score_column where the score stands.",
        )  # fmt: skip
    labels = [schema.label_column] if schema.label_column else _LABELS
    label = next((item[key] for key in labels if key in item), None)
    return item[key], int(label) if isinstance(label, float) and label.is_integer() else label


def _score(value: Any, place: int, ends: tuple[float, float]) -> float:
    """A score in [0, 1] of what was given."""
    score = math.nan
    with contextlib.suppress(ValueError, OverflowError):
        score = float(value) if isinstance(value, int | float | _Text) and not isinstance(value, bool) else math.nan
    if not math.isfinite(score):
        raise _wrong(f"the score of result {place} is no finite number", value, "A score is one, and 0 counts.")
    share = (score - ends[0]) / (ends[1] - ends[0])
    if not 0 <= share <= 1:
        raise _wrong(
            f"the score of result {place} is not between {ends[0]:g} and {ends[1]:g}", value,
            "If the model's scores have other ends, say so in prediction_schema.score_range: [normal, anomalous].",
        )  # fmt: skip
    return share + 0.0


def _label(value: Any, place: int) -> str | None:
    """A label in our words; None where the endpoint gave none."""
    if value is None or value == "":
        return None
    meaning = _MEANINGS.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    if meaning is None:
        raise _wrong(f"the label of result {place} is unknown", value, f"Known: {', '.join(_MEANINGS)}.")
    return meaning
