"""Deliveries of jobs to other systems: each part once, again when it was made anew, whatever stops in the middle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from standins.credentials import environment
from standins.feature_store import feature_store

from day.lakes import DAY, HOSTS, QUARTER, ndr, run, write
from day.pasts import BASELINES, METRICS, MONDAY, some
from ndr.cli import destinations
from ndr.errors import AdapterError

TUESDAY = MONDAY + DAY
BATCH = TUESDAY + 6 * QUARTER
LAST = BATCH + QUARTER
TABLE = "ml.scored"
Job = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scored lake and the logs of one more batch, and its configuration."""
    folder = tmp_path_factory.mktemp("delivered")
    jobs = {
        "fg_b_builder": BASELINES | {"horizons": ["1d"], "safety_gaps": {"1d": {"tail_days": 1}}},
        "fg_c_builder": {"metrics": METRICS},
        "delta_builder": {"input": {"s3_prefix": str(folder / "in")}},
        "inference_predictions": {},
        "prediction_feature_join": {"destination": {"type": "iceberg", "iceberg": {"catalog": "soc", "table": TABLE}}},
        "feature_store_ingest": {"feature_groups": {"predictions": "scores"}, "backoff_seconds": 0.01},
    }
    (folder / "specs.json").write_text(json.dumps({"jobs": jobs}))
    log = write(folder / "logs/all.json", some(MONDAY, 100, 3))
    write(folder / "in" / "last" / "traffic.json", some(BATCH))
    run(folder / "lake", log, "--warmup", "--config", folder / "specs.json")
    return folder


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlCatalog:
    known = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}/warehouse"}
    for name, value in known.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__SOC__{name.upper()}", value)
    (tmp_path / "warehouse").mkdir()
    return SqlCatalog("soc", **known)


@pytest.fixture
def job(past: Path, tmp_path: Path) -> Job:
    """A job of the last batch, in a copy of the lake."""
    lake = shutil.copytree(past / "lake", tmp_path / "lake")
    when = (
        "--mini-batch-id", "last", "--batch-start-ts-iso", f"{BATCH.isoformat()}Z",
        "--batch-end-ts-iso", f"{LAST.isoformat()}Z",
    )  # fmt: skip

    def do(name: str, *more: object) -> dict[str, Any]:
        named = ("--project-name", "default", "--feature-spec-version", "1", "--config", past / "specs.json")
        answer = ndr("job", name, *named, "--lake", lake, *when, *more)
        assert answer.code == 0, answer.err
        return answer.data

    do("delta_builder")
    return do


def rows(catalog: SqlCatalog) -> list[dict[str, Any]]:
    found = catalog.load_table(TABLE).scan().to_arrow().to_pylist()
    return sorted(found, key=lambda row: (row["record_id"], row["model_version"]))


def test_a_part_is_brought_once(job: Job, catalog: SqlCatalog) -> None:
    first = job("prediction_feature_join")
    assert first["delivered_rows"] > 0
    held = rows(catalog)
    assert len(held) == first["delivered_rows"]
    assert {row["window_end_ts"] for row in held} >= {LAST}
    assert job("prediction_feature_join")["delivered_rows"] == 0
    assert rows(catalog) == held


def test_what_was_stopped_before_it_was_noted_is_brought_again_and_not_doubled(
    job: Job, catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise AdapterError("killed")

    with monkeypatch.context() as stopped:
        stopped.setattr(destinations, "_note", killed)
        with pytest.raises(AssertionError, match="killed"):
            job("prediction_feature_join")
    held = rows(catalog)
    assert held
    assert job("prediction_feature_join")["delivered_rows"] > 0
    assert rows(catalog) == held


def test_a_replayed_batch_replaces_its_rows(job: Job, catalog: SqlCatalog, past: Path) -> None:
    job("prediction_feature_join")
    before = {row["record_id"] for row in rows(catalog)}
    file = past / "in" / "last" / "traffic.json"
    text = file.read_text()
    kept = [
        line
        for line in text.splitlines()
        if json.loads(line)["source_ip"] == json.loads(text.splitlines()[0])["source_ip"]
    ]
    try:
        file.write_text("".join(f"{line}\n" for line in kept))
        job("delta_builder")
        assert job("prediction_feature_join")["delivered_rows"] > 0
    finally:
        file.write_text(text)
    after = rows(catalog)
    assert {row["record_id"] for row in after} != before or len(after) != len(before)
    assert len({(row["record_id"], row["model_version"]) for row in after}) == len(after)


def test_a_destination_that_was_emptied_is_filled_when_asked(job: Job, catalog: SqlCatalog) -> None:
    job("prediction_feature_join")
    held = rows(catalog)
    catalog.drop_table(TABLE)
    assert job("prediction_feature_join")["delivered_rows"] == 0
    job("prediction_feature_join", "--again")
    assert held
    assert rows(catalog) == held


def test_a_record_that_is_refused_is_kept_until_it_is_taken(
    job: Job, past: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with feature_store() as store:
        for name, value in environment(sagemaker=store.url, sagemaker_featurestore_runtime=store.url).items():
            monkeypatch.setenv(name, value)
        assert ndr("feature-store", "create", "--config", past / "specs.json", "--group", "predictions").code == 0
        bad = f"{HOSTS[0]}|w_15m|{LAST.isoformat()}Z"
        store.faults = replace(store.faults, refused=frozenset([bad]))
        for _ in range(2):
            told = job("feature_store_ingest", "--accept-refused")
            assert told["failed"] == ["quarantine/feature_store-predictions.jsonl"]
        kept = tmp_path / "lake" / told["failed"][0]
        assert [json.loads(line)["identifier"] for line in kept.read_text().splitlines()] == [bad]
        store.faults = replace(store.faults, refused=frozenset())
        assert job("feature_store_ingest")["failed"] == []
        assert bad in store.of("scores")
        assert not kept.exists()
        puts = len(store.puts)
        assert job("feature_store_ingest")["predictions online"] == 0
        assert len(store.puts) == puts, "what was taken is not sent again"
