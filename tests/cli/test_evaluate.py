"""``ndr evaluate``: scores of any program against a truth, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.test_refusals import refused
from day.lakes import START, hour, ndr, record, run, write

TRUTH = [{"kind": "dga", "host": "10.1.1.1", "start": "2026-03-04T10:20Z", "end": "2026-03-04T10:40Z"}]
HEADER = "host,window_start,window_end,score\n"
SCORES = HEADER + "".join(
    f"10.1.1.{n},2026-03-04T10:{start}Z,2026-03-04T1{end}Z,{score}\n"
    for n, start, end, score in (
        (1, "15", "0:30", 0.5), (1, "30", "0:45", 0.9), (2, "30", "0:45", 0.8), (3, "00", "1:00", 0),
    )
)  # fmt: skip


@pytest.fixture
def given(tmp_path: Path) -> tuple[str, ...]:
    truth, scores = tmp_path / "truth.json", tmp_path / "scores.csv"
    truth.write_text(json.dumps(TRUTH))
    scores.write_text(SCORES)
    return ("evaluate", "--truth", str(truth), "--scores", str(scores))


def test_scores_are_judged_as_data(given: tuple[str, ...]) -> None:
    answer = ndr(*given, "--k", 1, "--format", "json")
    assert (answer.code, answer.err) == (0, "")
    told = answer.data
    wanted = {"recall_at_1": 1.0, "precision_at_1": 1.0, "average_precision": 1.0, "roc_auc": 1.0, "host_days": 3}
    assert {name: told[name] for name in wanted} == wanted
    assert told["per_kind"]["dga"]["delay_seconds"] == 25 * 60
    assert (told["k"], told["of"], told["rows"]["positive"]) == (1, "scores", 2)


def test_scores_are_judged_for_people(given: tuple[str, ...]) -> None:
    answer = ndr(*given, "--k", 1)
    assert answer.code == 0
    lines = {line.split("  ")[0]: line.split() for line in answer.out.splitlines() if line}
    assert lines["recall"][-1] == lines["ROC-AUC"][-1] == "1"
    assert lines["median delay"][-2:] == ["25", "min"]
    assert lines["dga"] == ["dga", "1", "1", "1", "25", "min", "1"]


def test_what_is_unknown_is_a_dash(given: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text("[]")
    answer = ndr(*given)
    lines = {line.split("  ")[0]: line.split() for line in answer.out.splitlines() if line}
    assert lines["recall"][-1] == lines["ROC-AUC"][-1] == lines["median delay"][-1] == "-"
    assert lines["attacks"][-1] == "0"


def test_what_cannot_be_evaluated_is_refused(given: tuple[str, ...], tmp_path: Path, lake: Path) -> None:
    refused(ndr(*given[:3]), 2, "give --lake, --scores or both")
    refused(ndr(*given, "--k", 0), 2, "whole number from 1")
    refused(ndr(*given[:3], "--lake", lake), 2, "there is no lake")
    (tmp_path / "scores.csv").write_text(HEADER + "10.1.1.1,2026-03-04,2026-03-05,often\n")
    refused(ndr(*given), 3, "scores.csv:2: the score 'often' is no finite number")
    (tmp_path / "scores.csv").write_text(HEADER + "10.1.1.1,2026-03-07,2026-03-08,1\n")
    refused(ndr(*given), 3, "none of the 1 attacks", "from 2026-03-07 to 2026-03-07")
    (tmp_path / "truth.json").write_text("{}")
    refused(ndr(*given), 3, "must hold a list")


def test_the_predictions_of_a_lake_stand_beside_other_scores(
    given: tuple[str, ...], tmp_path: Path, lake: Path
) -> None:
    run(lake, write(tmp_path / "log.json", hour(16)), "--warmup")
    own = ndr(*given[:3], "--lake", lake, "--format", "json").data
    assert (own["of"], own["days"], own["host_days"]) == ("predictions", 1, 5)
    assert own["rows"]["rows"] > own["rows"]["positive"] > 0
    both = ndr(*given, "--lake", lake, "--format", "json").data
    assert (both["of"], both["host_days"]) == ("scores", 3)
    assert both["predictions"] == {name: value for name, value in own.items() if name not in {"truth", "k", "of"}}
    lines = [line.split() for line in ndr(*given, "--lake", lake).out.splitlines()]
    assert ["measure", "scores", "predictions"] in lines


def test_a_lake_without_predictions_says_what_is_lacking(given: tuple[str, ...], tmp_path: Path, lake: Path) -> None:
    run(lake, write(tmp_path / "log.json", [record(START, source_ip="192.0.2.1")]), code=3)
    refused(ndr(*given[:3], "--lake", lake), 3, "holds no predictions", "ndr train")
