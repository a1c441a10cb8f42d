"""Jobs as a scheduler starts them: batch by batch they come to what one run of everything comes to."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from day.lakes import QUARTER, START, Answer, made, ndr, record, run, write
from ndr.jobs import JOBS, PIPELINES

QUARTERS = [START + n * QUARTER for n in range(4)]
FEATURES = PIPELINES["15m_streaming"].jobs


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Four batches by name; the last brings a session of the first quarter hour."""
    folder = tmp_path / "in"
    for n, start in enumerate(QUARTERS):
        rows = [record(start + i * timedelta(seconds=40)) for i in range(8)]
        late = [record(QUARTERS[0] + timedelta(minutes=3))] if n == 3 else []
        write(folder / f"B{n}" / "traffic.json", [*rows, *late])
    return folder


@pytest.fixture
def config(tmp_path: Path, logs: Path) -> Path:
    file = tmp_path / "specs.json"
    jobs = {"delta_builder": {"input": {"s3_prefix": str(logs)}}}
    file.write_text(json.dumps({"project_name": "p", "feature_spec_version": "1.10", "jobs": jobs}))
    return file


def job(name: str, config: Path, lake: Path, *arguments: object) -> Answer:
    named = ("--project-name", "p", "--feature-spec-version", "1.10", "--config", config, "--lake", lake)
    return ndr("job", name, *named, *arguments)


def batch(n: int) -> tuple[str, ...]:
    start = QUARTERS[n]
    times = ("--batch-start-ts-iso", f"{start.isoformat()}Z", "--batch-end-ts-iso", f"{(start + QUARTER).isoformat()}Z")
    return ("--mini-batch-id", f"B{n}", *times)


def done(name: str, config: Path, lake: Path, *arguments: object) -> dict[str, Any]:
    answer = job(name, config, lake, *arguments)
    assert answer.code == 0, answer.err
    assert answer.out.count("\n") == 1, "stdout gets one line"
    return answer.data


def failure(answer: Answer) -> dict[str, Any]:
    assert answer.code
    assert not answer.out
    return json.loads(answer.err.splitlines()[-1])


def test_jobs_batch_by_batch_make_the_bytes_of_runs_batch_by_batch(config: Path, tmp_path: Path, logs: Path) -> None:
    jobs, runs = tmp_path / "jobs", tmp_path / "runs"
    for n, start in enumerate(QUARTERS):
        for name in FEATURES:
            done(name, config, jobs, *batch(n))
        span = ("--batch-start", start.isoformat(), "--batch-end", (start + QUARTER).isoformat())
        run(runs, logs / f"B{n}", "--mini-batch-id", f"B{n}", *span, "--config", config)
    assert made(jobs)
    assert made(jobs) == made(runs)


def test_a_job_started_again_makes_nothing_and_changes_no_byte(config: Path, lake: Path) -> None:
    for n in (0, 1):
        for name in FEATURES:
            done(name, config, lake, *batch(n))
    before = made(lake)
    for name in FEATURES:
        assert done(name, config, lake, *batch(0))["parts"] == {}
    assert made(lake) == before


def test_a_later_job_makes_what_the_jobs_before_it_did_not(config: Path, lake: Path) -> None:
    done("delta_builder", config, lake, *batch(0))
    assert {"pair_counts", "fg_a"} <= set(done("fg_c_builder", config, lake, *batch(0))["parts"])


def test_auto_is_the_quarter_hour_before_the_moment_that_a_schedule_fires(config: Path, lake: Path, logs: Path) -> None:
    write(logs / "dt=2026-03-04" / "hh=11" / "mm=00" / "x.json", [record(START + timedelta(minutes=61))])
    told = done("delta_builder", config, lake, "--mini-batch-id", "auto", "--batch-end-ts-iso", "2026-03-04T11:16:40Z")
    assert (told["batch"], told["interval"]) == ("20260304T1100Z", "[2026-03-04T11:00:00Z, 2026-03-04T11:15:00Z)")
    assert told["sessions"] == 1


def test_a_batch_whose_logs_have_not_come_is_to_be_tried_again(config: Path, lake: Path) -> None:
    arguments = ("--mini-batch-id", "B9", *batch(3)[2:])
    told = failure(job("delta_builder", config, lake, *arguments))
    assert (told["error"], told["retryable"], told["action"], told["batch"]) == ("NotReadyError", True, "retry", "B9")
    assert "B9" in told["message"]


def test_features_of_a_batch_that_was_not_imported_are_to_be_tried_again(config: Path, lake: Path) -> None:
    told = failure(job("fg_a_builder", config, lake, *batch(0)))
    assert (told["error"], told["action"]) == ("NotReadyError", "retry")


def test_a_file_that_cannot_be_read_leaves_the_rest_done(config: Path, lake: Path, logs: Path) -> None:
    (logs / "B0" / "broken.json.gz").write_bytes(b"\x1f\x8b not gzip")
    answer = job("delta_builder", config, lake, *batch(0))
    assert answer.code == 4
    assert list(answer.data["refused"]) == [str(logs / "B0" / "broken.json.gz")]
    assert answer.data["sessions"] == 8


def test_a_spec_of_another_project_is_refused(config: Path, lake: Path) -> None:
    answer = ndr("job", "fg_a_builder", "--project-name", "other", "--feature-spec-version", "1.10", "--config", config,
                 "--lake", lake, *batch(0))  # fmt: skip
    told = failure(answer)
    assert (told["action"], told["exit_code"]) == ("mend_spec", 3)
    assert not lake.exists()


def test_without_a_model_there_is_nothing_to_score_yet_and_the_batch_is_finished(config: Path, lake: Path) -> None:
    done("delta_builder", config, lake, *batch(0))
    answer = job("inference_predictions", config, lake, *batch(0))
    assert answer.code == 0, answer.err
    assert answer.data["model_version"] is None
    assert "no model in force" in answer.err
    assert "predictions" not in answer.data["parts"]


def test_provisional_baselines_are_made_once_however_often_they_are_asked_for(
    config: Path, lake: Path, logs: Path
) -> None:
    rows = [record(START - timedelta(days=1) + n * QUARTER) for n in range(60)]
    write(logs / "past.json", [*rows, record(START + timedelta(days=1))])
    run(lake, logs / "past.json", "--config", config)
    when = ("--reference-time-iso", "2026-03-04T07:00:00Z", "--mode", "REGULAR")
    first = done("fg_b_builder", config, lake, *when)
    assert (first["provisional"], first["reference_time"]) == (True, "2026-03-04T00:00:00Z")
    again = done("fg_b_builder", config, lake, *when)
    assert (again["provisional"], again["parts"]) == (True, {})


def test_a_mistake_of_ours_is_told_as_one_without_a_traceback(
    config: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setitem(__import__("ndr.cli.jobs", fromlist=["x"]).BATCH_JOBS, "fg_a_builder", broken)
    told = failure(job("fg_a_builder", config, lake, *batch(0)))
    assert (told["error"], told["action"]) == ("KeyError", "report_bug")
    assert told["at"]


def test_jobs_that_build_nothing_tell_how_their_specs_are_understood(config: Path, lake: Path) -> None:
    specs = json.loads(config.read_text())
    specs["jobs"]["non_persistent_prefixes"] = {"prefixes": ["VDI-"]}
    config.write_text(json.dumps(specs))
    assert done("non_persistent_prefixes", config, lake)["spec"] == {"prefixes": ["VDI-"]}
    assert "internal_networks" in done("project_parameters", config, lake)["spec"]
    assert not lake.exists(), "they need no lake"


def test_baselines_of_a_midnight_without_data_are_refused(config: Path, lake: Path) -> None:
    done("delta_builder", config, lake, *batch(0))
    answer = job("fg_b_builder", config, lake, "--reference-time-iso", "2026-03-04T05:00:00Z", "--mode", "BACKFILL")
    assert "2026-03-04T00:00:00Z" in failure(answer)["message"]


@pytest.mark.parametrize("name", JOBS)
def test_every_job_says_which_of_its_arguments_is_missing(name: str) -> None:
    told = failure(ndr("job", name))
    assert (told["job"], told["exit_code"], told["action"]) == (name, 2, "mend_arguments")
    assert "--project-name" in told["message"]


def test_a_step_that_accepts_refused_files_tells_them_and_is_done(config: Path, lake: Path, logs: Path) -> None:
    (logs / "B0" / "broken.json.gz").write_bytes(b"\x1f\x8b not gzip")
    answer = job("delta_builder", config, lake, *batch(0), "--accept-refused")
    assert answer.code == 0
    assert len(answer.data["refused"]) == 1
    assert '"event": "refused"' in answer.err


def test_of_several_machines_of_a_step_one_works(
    config: Path, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "resourceconfig.json"
    monkeypatch.setattr("ndr.cli.jobs.RESOURCES", told)
    told.write_text(json.dumps({"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}))
    assert "skipped" in done("delta_builder", config, lake, *batch(0))
    assert not lake.exists()
    told.write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]}))
    assert done("delta_builder", config, lake, *batch(0))["sessions"] == 8


def test_the_engine_is_that_of_the_configuration_unless_the_command_names_one(
    config: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pyspark.sql", "pyspark.errors"):
        monkeypatch.setitem(sys.modules, module, None)
    specs = json.loads(config.read_text())
    config.write_text(json.dumps({**specs, "pipeline_defaults": {"engine": "spark"}}))
    told = failure(job("delta_builder", config, lake, *batch(0)))
    assert (told["error"], told["action"], told["retryable"]) == ("AdapterError", "look", False)
    assert "install ndr[spark]" in told["message"]
    assert done("delta_builder", config, lake, *batch(0), "--engine", "duckdb")["engine"] == "duckdb"


def test_a_master_that_is_none_is_refused_before_anything_is_made(config: Path, lake: Path) -> None:
    told = failure(job("delta_builder", config, lake, *batch(0), "--engine", "spark", "--master", "mesos://x"))
    assert (told["action"], told["exit_code"]) == ("mend_arguments", 2)
    assert "mesos" in told["message"]
    assert not made(lake)
