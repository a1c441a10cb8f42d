"""A SageMaker endpoint as a scorer: it is sent the features of rows and gives their scores."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa

from ndr.arrow import arrow_type
from ndr.aws.answers import AnswerError, Verdict, verdicts
from ndr.aws.calls import Calls, Pause
from ndr.aws.payloads import Parcel, parcels, records
from ndr.errors import SpecError
from ndr.model.detector import ANOMALOUS, JUDGED, NORMAL
from ndr.model.kinds import ENDPOINT, KINDS
from ndr.tables.inference import Inference
from ndr.tables.predictions import FEATURES

_HIGHEST = math.nextafter(1.0, 0.0)
T = TypeVar("T")


class Endpoint:
    """The scorer of a spec that names an endpoint.

    The score is the endpoint's, in [0, 1]; the label too if it gives one, else rows at or above 1 - ``alert_share`` are
    anomalous. ``evidence`` is -ln(1 - score); nothing is known of what speaks in it, so that the explanation tells the
    row's top deviations without contributions.
    """

    def __init__(self, spec: Inference, pause: Pause | None = None) -> None:
        """The waits between tries are slept through, or are given to ``pause``.

        Raises:
            SpecError: the spec names no endpoint.
        """
        if not spec.model.endpoint_name:
            raise SpecError("inference_predictions: model.endpoint_name is not set, so there is no endpoint to ask.")
        self._spec = spec
        self._calls = Calls(spec.model, pause)
        self._endpoint = spec.model.endpoint_name
        self.name = spec.model.model_name or self._endpoint
        self.version = spec.model.model_version or self._endpoint
        self.features: tuple[str, ...] = spec.payload.feature_columns or FEATURES

    def judge(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Rows of the matrix as predictions, in the same order. For no rows nothing is asked.

        Raises:
            AdapterError: the endpoint cannot be asked, gave no answer in all tries, or one that makes no sense.
            DataError: a feature is no column of the rows, or holds no numbers.
            SpecError: a row is larger than a payload may be.
        """
        model = self._spec.model
        written = records(rows, self.features, self._spec.payload, model.content_type)
        found = [v for part in _in_order(self._ask, parcels(written, model), model.max_workers) for v in part]
        return self._predictions(rows, found)

    def _ask(self, parcel: Parcel, stopped: threading.Event) -> list[Verdict]:
        answer = self._calls.ask(parcel.body, stopped)
        try:
            return verdicts(answer, parcel.count, self._spec.prediction_schema)
        except AnswerError as error:
            raise AnswerError(f"endpoint {self._endpoint!r}: {error}") from None

    def _predictions(self, rows: pa.RecordBatch, found: list[Verdict]) -> pa.RecordBatch:
        least, count = 1 - self._spec.alert_share, len(found)
        judged: dict[str, Any] = {
            "model_name": [self.name] * count,
            "model_version": [self.version] * count,
            "inference_ts": rows.column("window_end_ts"),
            "prediction_score": [verdict.score for verdict in found],
            "prediction_label": [v.label or (ANOMALOUS if v.score >= least else NORMAL) for v in found],
            "evidence": [0.0 - math.log1p(-min(verdict.score, _HIGHEST)) for verdict in found],
            "leading_kind": [ENDPOINT] * count,
            **{f"evidence_{kind}": [None] * count for kind in KINDS},
            "explanation": [_told(each) for each in rows.column("top_deviations").to_pylist()],
            "techniques": [""] * count,
        }
        kept = {name: rows.column(name) for name in rows.schema.names if name not in judged}
        added = {name: pa.array(judged[name], arrow_type(dtype)) for name, dtype in JUDGED.items()}
        return pa.RecordBatch.from_pydict({**kept, **added})


def _told(deviations: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Top deviations as an explanation: nobody says what each contributes."""
    return [
        {
            "feature": each["metric"], "contribution": None, "value": each["value"], "baseline": each["baseline"],
            "source": each["source"], "technique": None,
        }
        for each in deviations or []
    ]  # fmt: skip


def _in_order(ask: Callable[[Parcel, threading.Event], T], waiting: Iterable[Parcel], workers: int) -> Iterator[T]:
    """What each parcel gives, in their order, with at most ``workers`` under way; the first error stops all."""
    stopped = threading.Event()
    under_way: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers, "endpoint") as pool:
        try:
            for parcel in waiting:
                if len(under_way) == workers:
                    yield under_way.popleft().result()
                under_way.append(pool.submit(ask, parcel, stopped))
            while under_way:
                yield under_way.popleft().result()
        finally:
            stopped.set()
            for call in under_way:
                call.cancel()
