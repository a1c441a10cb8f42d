"""Jobs on Spark, as a scheduler starts them: they leave the bytes that jobs on DuckDB leave."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from day.lakes import HOSTS, QUARTER, START, Answer, files, ndr, record, write
from ndr.engines.spark import Spark

BATCHES = ("B0", "B1")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Specs that ask for Spark, and the logs of two batches."""
    for n, name in enumerate(BATCHES):
        start = START + n * QUARTER
        rows = [record(start + i * timedelta(seconds=40), source_ip=HOSTS[i % 4], source_bytes=i) for i in range(12)]
        write(tmp_path / "in" / name / "traffic.json", rows)
    jobs = {"delta_builder": {"input": {"s3_prefix": str(tmp_path / "in")}}}
    file = tmp_path / "specs.json"
    values = {"project_name": "p", "feature_spec_version": "1", "jobs": jobs, "pipeline_defaults": {"engine": "spark"}}
    file.write_text(json.dumps(values))
    return file


def job(name: str, n: int, config: Path, lake: Path, *more: str) -> Answer:
    named = ("--project-name", "p", "--feature-spec-version", "1", "--config", config, "--lake", lake)
    start, end = (f"{(START + each * QUARTER).isoformat()}Z" for each in (n, n + 1))
    when = ("--mini-batch-id", BATCHES[n], "--batch-start-ts-iso", start, "--batch-end-ts-iso", end)
    return ndr("job", name, *named, *when, "--threads", "2", *more)


def done(*arguments: Any) -> dict[str, Any]:
    answer = job(*arguments)
    assert answer.code == 0, answer.err[-3000:]
    assert answer.out.count("\n") == 1, "stdout gets one line"
    return dict(answer.data)


def test_a_job_on_spark_leaves_the_bytes_that_one_on_duckdb_leaves_and_duckdb_goes_on(
    config: Path, tmp_path: Path, spark: Spark
) -> None:
    assert spark._spark.version  # it is started once, and every job finds it
    mixed, plain = tmp_path / "mixed", tmp_path / "plain"
    for n in range(len(BATCHES)):
        for lake in (mixed, plain):
            done("delta_builder", n, config, lake, "--engine", "duckdb")
        told = done("pair_counts_builder", n, config, plain, "--engine", "duckdb")
        assert (told["engine"], told["spent"]) == ("duckdb", {})
    told = done("pair_counts_builder", 0, config, mixed)
    assert (told["engine"], told["parts"]) == ("spark", {"pair_counts": 1})
    assert told["spent"]["pair_counts"]["builds"] == 1
    assert 1 <= told["spent"]["pair_counts"]["jobs"] < 30
    done("pair_counts_builder", 1, config, mixed, "--engine", "duckdb")
    for engine in ("duckdb", "spark"):
        again = done("pair_counts_builder", 0, config, mixed, "--engine", engine)
        assert (again["engine"], again["parts"], again["spent"]) == (engine, {}, {}), "what is there is not made again"
    assert len(files(mixed, "pair_counts")) == len(BATCHES)
    assert files(mixed) == files(plain)
    assert not list((mixed / "_staging").glob("exchange-*/*"))
