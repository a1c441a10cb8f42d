"""Spark itself on a real server of S3: it reads a lake in place, and makes the bytes that the embedded engine makes.

pip's Spark has no client of S3. Hadoop's lies inside a package of SageMaker; S3A_JARS names the folder with both files:

    pip download --no-deps --no-binary :all: sagemaker-pyspark==1.4.5
    tar xzf sagemaker_pyspark-1.4.5.tar.gz --strip-components=3 --wildcards '*/hadoop-aws-*' '*/aws-java-sdk-bundle-*'
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from standins.dynamodb import make_ledger_table

import sparks
from day.lakes import QUARTER, START, record, write
from house.rooms import ROOT

JARS = sorted(Path(os.environ.get("S3A_JARS", "/none")).glob("*.jar"))
SETTINGS = {
    "spark.jars": ",".join(map(str, JARS)),
    # Hadoop 3.3's client in Spark 4.0: Hadoop 3.4 names another chain, and writes some numbers with their units.
    "spark.hadoop.fs.s3a.aws.credentials.provider": "com.amazonaws.auth.EnvironmentVariableCredentialsProvider",
    "spark.hadoop.fs.s3a.threads.keepalivetime": "60",
    "spark.hadoop.fs.s3a.connection.establish.timeout": "5000",
    "spark.hadoop.fs.s3a.connection.timeout": "200000",
    "spark.hadoop.fs.s3a.multipart.purge.age": "86400",
}
BATCHES = ("B0", "B_1-.b")
WHY_NOT = sparks.why_not() or (None if JARS else "no client of S3 for Spark here: S3A_JARS")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Specs, and the logs of two batches."""
    for n, name in enumerate(BATCHES):
        rows = [record(START + n * QUARTER + i * timedelta(seconds=40)) for i in range(8)]
        write(tmp_path / "in" / name / "traffic.json", rows)
    jobs = {"delta_builder": {"input": {"s3_prefix": str(tmp_path / "in")}}}
    file = tmp_path / "specs.json"
    file.write_text(json.dumps({"project_name": "p", "feature_spec_version": "1", "jobs": jobs}))
    return file


def job(name: str, n: int, config: Path, lake: str, *more: str) -> dict[str, Any]:
    """A job, in a process of its own, of which Spark is told by a file as on a cluster."""
    folder = config.parent / "conf"
    folder.mkdir(exist_ok=True)
    (folder / "spark-defaults.conf").write_text("".join(f"{key} {value}\n" for key, value in SETTINGS.items()))
    start, end = (f"{(START + each * QUARTER).isoformat()}Z" for each in (n, n + 1))
    said = ["--project-name", "p", "--feature-spec-version", "1", "--config", str(config), "--lake", lake]
    said += ["--mini-batch-id", BATCHES[n], "--batch-start-ts-iso", start, "--batch-end-ts-iso", end, *more]
    command = [sys.executable, str(ROOT / "docker" / "start.py"), "job", name, "--threads", "2", *said]
    with sparks.spark_environment():
        environment = {**os.environ, "SPARK_CONF_DIR": str(folder)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def objects(raw: Any, lake: str) -> dict[str, str]:
    """What lies in the lake, and the hash of its bytes."""
    bucket, _, prefix = lake.removeprefix("s3://").partition("/")
    found = raw.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
    return {each["Key"].removeprefix(prefix): each["ETag"] for each in found}


@pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")
def test_a_job_on_spark_leaves_the_bytes_on_s3_that_the_embedded_engine_leaves(
    root: str, config: Path, raw: Any
) -> None:
    make_ledger_table("ndr-ledger")
    found = []
    for engine in ("duckdb", "spark"):
        lake = f"{root}/x=1!/{engine}"  # all that a prefix may hold, and what looks like a column
        for n in range(len(BATCHES)):
            job("delta_builder", n, config, lake)
        told = job("fg_a_builder", 1, config, lake, "--engine", engine)
        assert told["engine"] == engine
        assert set(told["parts"]) == {"pair_counts", "pair_days", "fg_a"}
        assert bool(told["spent"]) == (engine == "spark")
        found.append(objects(raw, lake))
    assert found[0] == found[1], "and nothing else: the exchange is empty"
    assert len(found[0]) > len(BATCHES)
