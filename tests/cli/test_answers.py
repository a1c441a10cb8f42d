"""What the command line answers: data on stdout and nothing else, in the format that was asked for."""

from __future__ import annotations

import csv
import io
import json
import shlex
from pathlib import Path

import pytest

from day.lakes import HOSTS, QUARTER, START, hour, ndr, run, write


@pytest.fixture(scope="module")
def there(tmp_path_factory) -> Path:
    """A lake in a folder with an awkward name."""
    folder = tmp_path_factory.mktemp("answers") / 'a lake\'s "name" with spaces, %s; -- 水 [x] *'
    run(folder, write(folder.parent / "log.json", hour(16)))
    return folder


def test_json_is_one_value_on_stdout(there: Path) -> None:
    log = there.parent / "log.json"
    lists = (["plan", "fg_a"], ["build", "fg_a", "delta"], ["status", "--verify"], ["show", "fg_a"], ["show", "delta"])
    for command in lists:
        answer = ndr(*command, "--lake", there, "--format", "json")
        assert (answer.code, answer.err) == (0, ""), command
        assert isinstance(answer.data, list), command
    for command in (["run", log, "--lake", there], ["spec", "show"], ["spec", "lint"], ["catalog"]):
        answer = ndr(*command, "--format", "json")
        assert (answer.code, answer.err) == (0, ""), command
        assert isinstance(answer.data, dict), command


def test_the_summary_of_a_run_has_what_was_promised(there: Path) -> None:
    summary = run(there, there.parent / "log.json")
    promised = "records_read sessions quarantined filtered skipped_files hosts windows tables built lake"
    assert set(promised.split()) <= set(summary)
    assert summary["lake"] == str(there)


@pytest.mark.parametrize("started", ["pytest", ".venv/bin/ndr", "/opt/my ndr/bin/ndr"])
def test_what_could_be_asked_next_can_be_pasted(there: Path, started: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [started])
    told = ndr("run", there.parent / "log.json", "--lake", there).out.splitlines()[-1]
    program, *words = shlex.split(told.removeprefix("more: "))
    assert program == ("ndr" if started == "pytest" else started)
    assert ndr(*words).code == 0


def test_every_other_format_is_well_formed(there: Path) -> None:
    for command in (["plan", "fg_a"], ["status"], ["show", "fg_a"], ["show", "delta"]):
        rows = list(csv.DictReader(io.StringIO(ndr(*command, "--lake", there, "--format", "csv").out)))
        assert rows == [] if command[0] == "plan" else rows
        assert ndr(*command, "--lake", there).code == 0
    assert ndr("spec", "show").out.startswith("project_name:")
    assert ndr("catalog").out.startswith("#")
    assert list(csv.DictReader(io.StringIO(ndr("catalog", "--format", "csv").out)))


def test_logs_go_to_stderr_as_json_lines(there: Path) -> None:
    answer = ndr("run", there.parent / "log.json", "--lake", there, "--format", "json", "--verbose")
    assert answer.data["built"] == {}
    assert all(json.loads(line)["event"] for line in answer.err.splitlines())
    assert answer.err


def test_help_and_version_end_well() -> None:
    for arguments in (["--help"], ["--version"], ["run", "--help"], ["spec", "show", "--help"]):
        answer = ndr(*arguments)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out


def test_show_a_host_at_a_moment(there: Path) -> None:
    def shown(*options: object) -> list[dict]:
        return ndr("show", "fg_a", "--lake", there, "--format", "json", *options).data

    end = START + 2 * QUARTER
    rows = shown("--host", HOSTS[0], "--at", f"{end.isoformat()}Z")
    assert {row["host_ip"] for row in rows} == {HOSTS[0]}
    assert {row["window_end_ts"] for row in rows} == {"2026-03-04T10:30:00Z"}
    assert [row["window_label"] for row in rows] == ["w_15m", "w_1h", "w_24h", "w_30m", "w_8h"]
    quarter, hour_long = rows[0], rows[1]
    assert quarter["sessions_cnt"] == 1
    assert hour_long["sessions_cnt"] == 2
    assert shown("--at", "2026-03-04T10:20") == shown("--at", "2026-03-04T10:30Z") != shown("--at", "2026-03-04T10:31Z")
    assert shown("--at", "2026-03-04T11:30+01:00") == shown("--at", "2026-03-04T10:30Z")
    assert {row["window_end_ts"] for row in shown()} == {"2026-03-04T11:00:00Z"}
    assert len(shown("--limit", "3")) == 3
    assert shown("--host", "10.99.99.99") == []
    assert ndr("show", "fg_a", "--lake", there, "--host", "x' OR '1'='1").code == 2
    assert shown("--at", "2031-01-01") == []


def test_show_delta_holds_what_arrived_in_the_slice(there: Path) -> None:
    answer = ndr("show", "delta", "--lake", there, "--at", "2026-03-04T10:20", "--format", "json")
    assert {row["slice_start_ts"] for row in answer.data} == {"2026-03-04T10:15:00Z"}


def test_status_counts_parts_and_rows(there: Path) -> None:
    rows = {row["table"]: row for row in ndr("status", "--lake", there, "--format", "json").data}
    assert (rows["sessions"]["parts"], rows["sessions"]["rows"]) == (1, 16)
    assert rows["delta"]["parts"] == rows["fg_a"]["parts"] == 4
    assert rows["fg_a"]["from"] == "2026-03-04T10:00:00Z"
    assert rows["fg_a"]["to"] == "2026-03-04T11:00:00Z"


def test_status_finds_files_that_changed_or_went(tmp_path: Path, lake: Path) -> None:
    run(lake, write(tmp_path / "log.json", hour(16)))
    changed, lost = sorted((lake / "delta").rglob("*.parquet"))[:2]
    changed.write_bytes(changed.read_bytes() + b"x")
    assert ndr("status", "--lake", lake).code == 0, "contents are only compared when that is asked for"
    lost.unlink()
    answer = ndr("status", "--verify", "--lake", lake, "--format", "json")
    assert answer.code == 3
    found = {row["table"]: (row["lost"], row["changed"]) for row in answer.data}
    assert found.pop("delta") == (1, 1)
    assert set(found.values()) == {(0, 0)}


def test_build_makes_what_plan_lists_and_then_nothing(tmp_path: Path, lake: Path) -> None:
    run(lake, write(tmp_path / "log.json", hour(16)))
    next((lake / "delta").rglob("*.parquet")).unlink()
    planned = ndr("plan", "fg_a", "--lake", lake, "--format", "json").data
    assert ndr("build", "fg_a", "--lake", lake, "--format", "json").data == planned != []
    assert ndr("plan", "fg_a", "--lake", lake, "--format", "json").data == []
    assert ndr("plan", "fg_a", "--lake", lake).out == ""


def test_lint_names_keys_without_a_meaning(tmp_path: Path) -> None:
    config = tmp_path / "old.yaml"
    config.write_text("jobs: {delta_builder: {operators: [{type: count}]}}\n", encoding="utf-8")
    answer = ndr("spec", "lint", "--config", config, "--format", "json")
    assert answer.code == 0
    assert [remark["key"] for remark in answer.data["remarks"]] == ["jobs.delta_builder.operators"]
