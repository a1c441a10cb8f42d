"""Records go into the online store: nothing lost, nothing doubled, however the service behaves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from standins.credentials import environment
from standins.feature_store import Faults, Store, feature_store

from ndr.arrow import arrow_schema
from ndr.aws.clients import ServiceBusyError, ServiceError
from ndr.aws.feature_store import ingest, retry
from ndr.aws.feature_store_groups import create
from ndr.aws.feature_store_records import shape_of
from ndr.errors import DataError, SpecError
from ndr.tables import TABLES
from ndr.tables.feature_groups import FeatureStore

PREDICTIONS = TABLES["predictions"]
GROUP = "ndr-soc-predictions"
END = datetime(2026, 3, 4, 10, 15)
QUARTER = timedelta(minutes=15)


@pytest.fixture
def store(nowhere: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A service with a feature group for predictions, which the environment leads to."""
    with feature_store() as made:
        known = environment(sagemaker=made.url, sagemaker_featurestore_runtime=made.url)
        for name, value in known.items():
            monkeypatch.setenv(name, value)
        create(spec(), GROUP, shape_of(PREDICTIONS), pause=lambda _: None)
        yield made


def spec(**values: Any) -> FeatureStore:
    return FeatureStore.model_validate(
        {"backoff_seconds": 0.002, "records_per_second": 20_000, "max_workers": 8, **values}
    )


def rows(count: int, version: str = "m1", end: datetime = END, **columns: Any) -> pa.RecordBatch:
    """Predictions of as many hosts; all but the first have no machine name."""
    hosts = [f"10.0.{n // 250}.{n % 250}" for n in range(count)]
    known: dict[str, Any] = {
        "record_id": [f"{host}|w_15m|{end.isoformat()}Z" for host in hosts],
        "host_ip": hosts,
        "window_label": ["w_15m"] * count,
        "window_end_ts": [end] * count,
        "feature_spec_version": ["1"] * count,
        "model_version": [version] * count,
        "prediction_score": [n / count for n in range(count)],
        "machine_name": ["pc-1"] * min(1, count) + [None] * (count - 1),
        "is_cold_start": [n % 2 for n in range(count)],
        **columns,
    }
    schema = arrow_schema(PREDICTIONS.columns)
    return pa.RecordBatch.from_arrays(
        [pa.array(known.get(field.name, [None] * count), field.type) for field in schema], schema=schema
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_is_a_record_with_its_values_as_text(store: Store, tmp_path: Path) -> None:
    done = ingest(spec(), "soc", PREDICTIONS, [rows(300), rows(300, end=END + QUARTER)], tmp_path / "failed.jsonl")
    assert (done.sent, done.failed, done.retried) == (600, 0, 0)
    found = store.of(GROUP)
    assert len(found) == len(store.puts) == 600
    record = found["10.0.0.1|w_15m|2026-03-04T10:15:00Z"]
    assert record == {
        "record_id": "10.0.0.1|w_15m|2026-03-04T10:15:00Z", "host_ip": "10.0.0.1", "window_label": "w_15m",
        "window_end_ts": "2026-03-04T10:15:00Z", "feature_spec_version": "1", "model_version": "m1",
        "prediction_score": record["prediction_score"], "is_cold_start": "1",
    }  # fmt: skip
    assert float(record["prediction_score"]) == 1 / 300
    assert found["10.0.0.0|w_15m|2026-03-04T10:15:00Z"]["machine_name"] == "pc-1"
    assert not (tmp_path / "failed.jsonl").exists()


def test_what_is_unknown_or_no_number_is_left_out(store: Store, tmp_path: Path) -> None:
    odd = rows(
        4, prediction_score=[float("nan"), float("inf"), None, 0.0], techniques=["", "T1046", None, "T1046 T1041"],
        top_deviations=[None, [], [{"metric": "deny_cnt", "z": float("nan"), "value": 1.5}], None],
    )  # fmt: skip
    ingest(spec(), "soc", PREDICTIONS, [odd], tmp_path / "failed.jsonl")
    found = list(store.of(GROUP).values())
    by_host = {record["host_ip"]: record for record in found}
    assert [by_host[f"10.0.0.{n}"].get("prediction_score") for n in range(4)] == [None, None, None, "0"]
    assert [by_host[f"10.0.0.{n}"].get("techniques") for n in range(4)] == [None, "T1046", None, "T1046 T1041"]
    assert by_host["10.0.0.1"]["top_deviations"] == "[]"
    told = json.loads(by_host["10.0.0.2"]["top_deviations"])
    assert told == [{"metric": "deny_cnt", "z": None, "value": 1.5, "baseline": None, "source": None}]


FAULTS = {
    "throttled": Faults(throttled=0.4), "broken": Faults(broken=0.3), "lost before": Faults(lost_before=0.3),
    "lost after": Faults(lost_after=0.3),
    "all at once": Faults(throttled=0.1, broken=0.1, lost_before=0.1, lost_after=0.1, unprocessed=0.2),
}  # fmt: skip


@pytest.mark.parametrize("at_once", [1, 10])
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_nothing_is_lost_and_nothing_doubled(store: Store, tmp_path: Path, faults: Faults, at_once: int) -> None:
    store.faults = faults
    done = ingest(
        spec(max_retries=20, records_per_call=at_once), "soc", PREDICTIONS, [rows(200)], tmp_path / "failed.jsonl"
    )
    assert (done.sent, done.failed) == (200, 0)
    assert done.retried > 0
    assert len(store.of(GROUP)) == 200
    assert {key for _, key, _ in store.puts} == set(rows(200).column("record_id").to_pylist())


def test_a_batch_of_records_is_one_call(store: Store, tmp_path: Path) -> None:
    store.calls.clear()
    ingest(spec(records_per_call=25), "soc", PREDICTIONS, [rows(100)], tmp_path / "failed.jsonl")
    assert store.calls.count("BatchWriteRecord") == 4
    assert len(store.of(GROUP)) == 100


@pytest.mark.parametrize("at_once", [1, 25])
def test_a_refused_record_is_written_down_and_no_other_suffers(store: Store, tmp_path: Path, at_once: int) -> None:
    bad = "10.0.0.7|w_15m|2026-03-04T10:15:00Z"
    store.faults = Faults(refused=frozenset([bad]))
    failed = tmp_path / "kept" / "failed.jsonl"
    done = ingest(spec(records_per_call=at_once), "soc", PREDICTIONS, [rows(50)], failed)
    assert (done.sent, done.failed) == (49, 1)
    (line,) = lines(failed)
    assert (line["group"], line["identifier"], line["event_time"]) == (GROUP, bad, "2026-03-04T10:15:00Z")
    assert "is never taken" in line["reason"]
    assert line["record"]["host_ip"] == "10.0.0.7"
    assert len(store.of(GROUP)) == 49
    assert store.of(GROUP).keys().isdisjoint([bad])


def test_what_failed_can_be_sent_alone(store: Store, tmp_path: Path) -> None:
    ids = rows(50).column("record_id").to_pylist()
    failed = tmp_path / "failed.jsonl"
    store.faults = Faults(refused=frozenset(ids[:5]))
    ingest(spec(), "soc", PREDICTIONS, [rows(50)], failed)
    store.faults = Faults(refused=frozenset(ids[:2]))
    store.puts.clear()
    done = retry(spec(), failed)
    assert (done.sent, done.failed) == (3, 2)
    assert sorted(key for _, key, _ in store.puts) == sorted(ids[2:5])
    assert {line["identifier"] for line in lines(failed)} == set(ids[:2])
    store.faults = Faults()
    assert retry(spec(), failed).facts()["sent"] == 2
    assert failed.read_text(encoding="utf-8") == ""
    assert len(store.of(GROUP)) == 50


def test_a_later_run_takes_back_what_it_could_send(store: Store, tmp_path: Path) -> None:
    """Else an old value, sent again one day, would come in the place of a newer one."""
    ids, failed = rows(3).column("record_id").to_pylist(), tmp_path / "failed.jsonl"
    store.faults = Faults(refused=frozenset(ids))
    ingest(spec(), "soc", PREDICTIONS, [rows(3)], failed)
    store.faults = Faults(refused=frozenset(ids[:1]))
    done = ingest(spec(), "soc", PREDICTIONS, [rows(3, machine_name=["newer"] * 3)], failed)
    assert (done.sent, done.failed) == (2, 1)
    (line,) = lines(failed)
    assert (line["identifier"], line["record"]["machine_name"]) == (ids[0], "newer")


def test_a_record_that_is_too_large_is_not_even_sent(store: Store, tmp_path: Path) -> None:
    failed = tmp_path / "failed.jsonl"
    done = ingest(spec(), "soc", PREDICTIONS, [rows(2, machine_name=["x" * 400_000, "y"])], failed)
    assert (done.sent, done.failed) == (1, 1)
    assert "the service takes 358,400" in lines(failed)[0]["reason"]
    assert len(store.puts) == 1


def test_an_older_event_time_does_not_come_in_the_place_of_a_newer(store: Store, tmp_path: Path) -> None:
    same = {"record_id": ["one"]}
    newer = rows(1, end=END + QUARTER, **same)
    ingest(spec(), "soc", PREDICTIONS, [newer], tmp_path / "f")
    ingest(spec(), "soc", PREDICTIONS, [rows(1, **same)], tmp_path / "f")
    assert store.of(GROUP)["one"]["window_end_ts"] == "2026-03-04T10:30:00Z"


def test_rows_of_two_models_are_not_sent_together(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"model_version m1 and m2 would be the same records"):
        ingest(spec(), "soc", PREDICTIONS, [rows(5), rows(5, "m2")], tmp_path / "failed.jsonl")


def test_who_may_not_put_records_is_told_at_once(store: Store, tmp_path: Path) -> None:
    store.faults = Faults(forbidden=True)
    failed = tmp_path / "failed.jsonl"
    with pytest.raises(ServiceError, match=r"AccessForbidden") as caught:
        ingest(spec(), "soc", PREDICTIONS, [rows(500)], failed)
    assert not caught.value.retryable
    assert len(store.calls) < 30
    assert not failed.exists()


def test_a_service_that_takes_nothing_is_left_alone(store: Store, tmp_path: Path) -> None:
    store.faults = Faults(throttled=1.0)
    with pytest.raises(ServiceBusyError, match=r"200 records failed one after the other") as caught:
        ingest(spec(max_retries=1), "soc", PREDICTIONS, [rows(5_000)], tmp_path / "failed.jsonl")
    assert caught.value.retryable
    assert store.calls.count("PutRecord") < 600
    assert not store.of(GROUP)


def test_a_service_that_is_gone_is_busy(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_FEATURESTORE_RUNTIME", "http://127.0.0.1:9")
    done = ingest(spec(max_retries=2), "soc", PREDICTIONS, [rows(5)], tmp_path / "failed.jsonl")
    assert (done.sent, done.failed, done.retried) == (0, 5, 10)
    assert all("EndpointConnectionError" in line["reason"] for line in lines(tmp_path / "failed.jsonl"))


def test_no_more_records_a_second_than_configured(store: Store, tmp_path: Path) -> None:
    started = time.perf_counter()
    ingest(spec(records_per_second=200), "soc", PREDICTIONS, [rows(120)], tmp_path / "failed.jsonl")
    assert time.perf_counter() - started >= (120 - 20) / 200 - 0.01


def test_a_group_that_lacks_features_is_told_of_before_anything_is_sent(store: Store, tmp_path: Path) -> None:
    group = store.groups.found(GROUP)
    group["FeatureDefinitions"] = [f for f in group["FeatureDefinitions"] if f["FeatureName"] != "evidence"]
    with pytest.raises(SpecError, match=r"feature evidence is not there instead of Fractional.*feature-store create"):
        ingest(spec(), "soc", PREDICTIONS, [rows(5)], tmp_path / "failed.jsonl")
    with pytest.raises(SpecError, match=r"ndr-other-predictions is not as table predictions needs it"):
        ingest(spec(), "other", PREDICTIONS, [rows(5)], tmp_path / "failed.jsonl")
    assert not store.puts


def test_a_file_that_was_cut_off_is_gone_on_with(store: Store, tmp_path: Path) -> None:
    failed, ids = tmp_path / "failed.jsonl", rows(4).column("record_id").to_pylist()
    store.faults = Faults(refused=frozenset(ids))
    ingest(spec(), "soc", PREDICTIONS, [rows(4)], failed)
    failed.write_bytes(failed.read_bytes()[:-40])
    done = retry(spec(), failed)
    assert (done.sent, done.failed) == (0, 3)
    assert len(lines(failed)) == 3


@pytest.mark.parametrize(
    "text", ["nonsense\n", "{}\n", '{"group": "../x", "identifier": "1", "record": {}}\n', "[1]\n"]
)
def test_a_file_of_something_else_is_refused(store: Store, tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"other\.jsonl:1 is no line of failed records"):
        retry(spec(), path)
    assert path.read_text(encoding="utf-8") == text
    with pytest.raises(DataError, match="there is no file"):
        retry(spec(), tmp_path / "none.jsonl")


def test_rows_that_cannot_be_read_end_it_all(store: Store, tmp_path: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield rows(5)
        raise DataError("the file is gone")

    with pytest.raises(DataError, match="the file is gone"):
        ingest(spec(), "soc", PREDICTIONS, broken(), tmp_path / "failed.jsonl")
    with pytest.raises(DataError, match="2 rows have no record_id"):
        ingest(spec(), "soc", PREDICTIONS, [rows(2, record_id=[None, ""])], tmp_path / "failed.jsonl")
