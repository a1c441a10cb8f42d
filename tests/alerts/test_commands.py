"""``ndr alerts`` and ``ndr safelist`` as people and programs call them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from alerts.scored import DAY, HOSTS, Model, Scored, T, judged, talked
from alerts.test_webhook import Hook, answer
from day.lakes import Answer, ndr
from ndr.scoring import LakeModels
from ndr.sinks.webhook import TOKEN


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LakeModels, "in_force", lambda _: Model())


@pytest.fixture
def scored(lake: Path) -> Path:
    world = Scored(lake)
    world.score(*(judged(host, evidence=20.0 - i) for i, host in enumerate(HOSTS[:4])))
    world.score(judged(HOSTS[0], T + 3 * DAY, machine_name='=cmd|"x', leading_kind="scan", techniques=""))
    world.talk(*(talked(host, "203.0.113.9", source_bytes=10**9) for host in HOSTS))
    world.close()
    return lake


def lines(found: Answer) -> list[dict[str, Any]]:
    assert found.code == 0, found.err
    return [json.loads(line) for line in found.out.splitlines()]


def test_people_read_a_table(scored: Path) -> None:
    found = ndr("alerts", "--lake", scored, "--budget", 2)
    assert (found.code, found.err) == (0, "")
    header, first, *rest = found.out.splitlines()
    assert header.split() == "rank evidence score severity host name when what why".split()
    assert [*first.split()[:1], *first.split()[2:6]] == ["1", "0.999990", "medium", HOSTS[0], "pc-1"]
    assert "exfiltration (T1041, T1048)" in first
    assert "bytes_src_sum 5,000,000,000, usually 1,000 (z +40)" in first
    assert len(rest) == 2


@pytest.mark.parametrize("form", ["jsonl", "ocsf", "ecs"])
def test_programs_read_one_object_a_line_the_same_each_time(scored: Path, form: str) -> None:
    found = ndr("alerts", "--lake", scored, "--format", form)
    assert len(lines(found)) == 5
    assert found.out == ndr("alerts", "--lake", scored, "--format", form).out


def test_spreadsheets_read_csv(scored: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(ndr("alerts", "--lake", scored, "--format", "csv").out)))
    assert [row["host_ip"] for row in rows] == [*HOSTS[:4], HOSTS[0]]
    assert rows[0]["techniques"] == "T1041 T1048"
    assert json.loads(rows[0]["peers"])[0]["peer_ip"] == "203.0.113.9"


def test_the_interval_the_budget_and_the_threshold(scored: Path) -> None:
    def hosts(*options: object) -> list[str]:
        return [row["host_ip"] for row in lines(ndr("alerts", "--lake", scored, "--format", "jsonl", *options))]

    assert hosts("--from", "2026-03-06") == [HOSTS[0]]
    assert hosts("--to", "2026-03-05", "--budget", 1) == [HOSTS[0]]
    assert hosts("--threshold", "0.9999901") == []
    assert len(hosts("--threshold", "0")) == 5
    for threshold in ("2", "-1", "nan", "x"):
        assert ndr("alerts", "--lake", scored, "--threshold", threshold).code == 2


def test_the_exit_code_says_whether_there_are_alerts_when_asked(scored: Path) -> None:
    assert ndr("alerts", "--lake", scored, "--exit-code").code == 1
    quiet = ndr("alerts", "--lake", scored, "--exit-code", "--from", "2026-04-01")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "ndr: a quiet time: no alerts.\n")


def test_a_lake_that_is_not_scored_says_so(lake: Path) -> None:
    Scored(lake).close()
    found = ndr("alerts", "--lake", lake)
    assert (found.code, found.out) == (0, "")
    assert "ndr score" in found.err


def test_a_safelist_from_beginning_to_end(scored: Path) -> None:
    words = ("--reason", "backup host", "--owner", "it")
    tried = ndr("safelist", "test", "--lake", scored, "--host", HOSTS[0], "--budget", 2, "--format", "json").data
    assert [alert["host_ip"] for alert in tried["vanish"]] == [HOSTS[0], HOSTS[0]]
    assert [alert["host_ip"] for alert in tried["appear"]] == [HOSTS[2]]
    assert tried["remain"] == 1
    assert "vanishes" in ndr("safelist", "test", "--lake", scored, "--host", HOSTS[0]).out
    assert ndr("safelist", "list", "--lake", scored, "--format", "json").data == [], "a test stores nothing"

    (added,) = ndr("safelist", "add", "--lake", scored, "--host", HOSTS[0], *words, "--format", "json").data
    assert added["state"] == "active"
    assert [row["host_ip"] for row in lines(ndr("alerts", "--lake", scored, "--format", "jsonl"))] == [*HOSTS[1:4]]
    marked = lines(ndr("alerts", "--lake", scored, "--format", "jsonl", "--all"))
    assert [row["suppressed_by"] for row in marked] == [[added["id"]], [], [], [], [added["id"]]]
    assert added["id"] in ndr("alerts", "--lake", scored, "--all").out

    (kept,) = ndr("safelist", "list", "--lake", scored, "--format", "json").data
    assert (kept["id"], kept["alerts"], kept["reason"], kept["owner"]) == (added["id"], 2, "backup host", "it")
    assert ndr("safelist", "remove", "--lake", scored, "nothing").code == 3
    assert ndr("safelist", "remove", "--lake", scored, added["id"]).code == 0
    assert len(lines(ndr("alerts", "--lake", scored, "--format", "jsonl"))) == 5


@pytest.mark.parametrize(
    "options",
    [
        ["--reason", "r", "--owner", "o"],
        ["--host", "10.0.0.300", "--reason", "r", "--owner", "o"],
        ["--host", "10.0.0.1", "--reason", " ", "--owner", "o"],
        ["--host", "10.0.0.1", "--reason", "r"],
        ["--host", "10.0.0.1", "--reason", "r", "--owner", "o", "--expires", "2020-01-01"],
        ["--host", "10.0.0.1", "--reason", "r", "--owner", "o", "--expires", "soon"],
        ["--port", "70000", "--reason", "r", "--owner", "o"],
        ["--kind", "becon", "--reason", "r", "--owner", "o"],
    ],
)
def test_what_is_no_entry_is_not_stored(lake: Path, options: list[str]) -> None:
    Scored(lake).close()
    refused = ndr("safelist", "add", "--lake", lake, *options)
    assert (refused.code, refused.out) == (2, "")
    assert not (lake / "safelist.json").exists()


def test_alerts_go_to_a_webhook(scored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = Hook()
    monkeypatch.setenv(TOKEN, "t0ken")
    ndr("safelist", "add", "--lake", scored, "--host", HOSTS[0], "--reason", "r", "--owner", "o")
    found = ndr("alerts", "--lake", scored, "--webhook", hook.url, "--format", "ecs", "--all")
    assert (found.code, found.err) == (0, "ndr: 3 alerts were delivered in 1 requests.\n")
    ((headers, body, _),) = hook.seen
    assert headers["Authorization"] == "Bearer t0ken"
    assert [each["host"]["ip"] for each in body["alerts"]] == [[host] for host in HOSTS[1:4]], "not what is harmless"

    hook.script = [answer(403)]
    refused = ndr("alerts", "--lake", scored, "--webhook", hook.url)
    assert refused.code == 3
    assert "answers 403: 0 alerts were delivered and 3 were not" in refused.err
    assert "t0ken" not in refused.err
    assert ndr("alerts", "--lake", scored, "--webhook", "http://siem.example/x").code == 2
    hook.server.shutdown()
    hook.server.server_close()
