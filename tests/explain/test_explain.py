"""``ndr explain``: what people read, and what programs get."""

from __future__ import annotations

import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from day.lakes import run, write
from day.pasts import some
from explain.scenes import AT, ATTACKER, CALM, DOORS, NIGHT, SINK, UPLOADS, explain, made, night

Lake = tuple[Path, tuple[str, Path]]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return made(tmp_path_factory.mktemp("explain"))


def facts(scored: Lake, *arguments: object, host: str = ATTACKER) -> dict[str, Any]:
    lake, options = scored
    answer = explain(lake, *options, "--format", "json", *arguments, host=host)
    assert answer.code == 0, answer.err
    return answer.data


def test_without_a_moment_it_is_the_window_of_the_most_evidence(scored: Lake) -> None:
    told = facts(scored)
    assert told["window_start_ts"] < AT <= told["window_end_ts"] or told["window_end_ts"] <= AT
    assert told["prediction"]["evidence"] == pytest.approx(told["sum"]["evidence"])
    others = [facts(scored, "--at", AT, "--window", label)["prediction"] for label in ("w_15m", "w_1h", "w_24h")]
    assert all(told["prediction"]["evidence"] >= other["evidence"] for other in others)


def test_contributions_add_up_to_the_evidence(scored: Lake) -> None:
    told = facts(scored, "--at", AT, "--window", "w_1h")
    added = math.fsum(part["contribution"] for part in told["contributions"])
    assert told["sum"] == {"contributions": added, "evidence": told["prediction"]["evidence"], "equal": True}
    assert math.isclose(added, told["sum"]["evidence"], abs_tol=1e-9)


def test_a_moment_within_a_quarter_hour_means_the_window_that_holds_it(scored: Lake) -> None:
    told = facts(scored, "--at", "2026-03-04T00:47:11Z", "--window", "w_15m")
    assert (told["window_start_ts"], told["window_end_ts"]) == ("2026-03-04T00:45:00Z", AT)


def test_pairs_are_those_of_the_window_with_their_traffic(scored: Lake) -> None:
    told = facts(scored, "--at", AT, "--window", "w_1h")
    pairs = {(pair["role"], pair["peer"], pair["port"]): pair for pair in told["pairs"]}
    upload = pairs["outbound", SINK, 443]
    assert (upload["sessions"], upload["failed"], upload["threats"]) == (UPLOADS, 0, 1)
    assert (upload["bytes_sent"], upload["bytes_received"]) == (UPLOADS * 10**9, (UPLOADS - 1) * 4_000)
    assert (upload["standing"], upload["rarity"]) == ("new", 1.0)
    distinct = 1 + DOORS + 1 + 1  # the sink, the doors, the ping, the usual peer
    assert len(told["pairs"]) + told["pairs_not_shown"] == distinct


def test_repeats_and_sessions_without_a_port_count_as_in_the_features(scored: Lake) -> None:
    told = facts(scored, "--at", AT, "--window", "w_1h", "--limit", 100)
    assert told["sessions_not_shown"] == 0
    assert len(told["sessions"]) == len(night()) + 4
    ping = next(row for row in told["sessions"] if row["transport"] == "icmp")
    assert (ping["port"], ping["peer"]) == (None, CALM)
    refused = [row for row in told["sessions"] if row["action"] == "deny"]
    assert sum(row["repeats"] or 1 for row in refused) == DOORS + 2


def test_sessions_of_the_first_pairs_come_first_and_the_rest_is_counted(scored: Lake) -> None:
    told = facts(scored, "--at", AT, "--window", "w_1h", "--limit", 3)
    first = told["pairs"][0]
    assert len(told["sessions"]) == 3
    assert told["sessions_not_shown"] == len(night()) + 4 - 3
    assert {row["peer"] for row in told["sessions"][: first["sessions"]]} == {first["peer"]}


def test_a_peer_sees_the_same_sessions_from_the_other_end(scored: Lake) -> None:
    told = facts(scored, "--at", AT, "--window", "w_15m", host=CALM)
    inbound = [pair for pair in told["pairs"] if pair["role"] == "inbound"]
    assert [(pair["peer"], pair["standing"]) for pair in inbound] == [(ATTACKER, None)]


def test_people_read_who_when_how_unusual_and_why(scored: Lake) -> None:
    lake, options = scored
    answer = explain(lake, *options, "--at", AT, "--window", "w_1h")
    assert answer.code == 0
    text = answer.out
    for said in (
        f"{ATTACKER} (segment ", "from 2026-03-04T00:00:00Z to 2026-03-04T01:00:00Z", "night of a weekday",
        "more unusual than ", " windows", "nats;", "baselines of 2026-03-04T00:00:00Z",
        "together: the evidence", "6 GB sent by the source (bytes_src_sum), usually ", SINK,
    ):  # fmt: skip
        assert said in text


def test_local_time_is_told_where_people_do_not_live_by_utc(scored: Lake, tmp_path: Path) -> None:
    lake, (option, config) = scored
    there = tmp_path / "config.json"
    jobs = '{"project_parameters": {"calendar": {"time_zone": "Europe/Berlin"}}, ' + config.read_text()[1:]
    there.write_text(jobs)
    answer = explain(lake, option, there, "--at", AT, "--window", "w_1h")
    assert "(2026-03-04 01:00 to 2026-03-04 02:00 Europe/Berlin)" in answer.out


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of one night, with provisional baselines, of logs that are out for the terminal."""
    folder = tmp_path_factory.mktemp("bare")
    hostile = {"event_reason": "\x1b[2J\nowned", "application": "\x1b]0;x\x07"}
    run(folder / "lake", write(folder / "log.json", [each | hostile for each in [*some(NIGHT), *night()]]), "--warmup")
    return folder / "lake"


def test_of_a_first_night_it_says_that_the_baselines_are_provisional(bare: Path) -> None:
    answer = explain(bare, "--at", AT, "--window", "w_1h")
    assert answer.code == 0, answer.err or answer.out
    assert "These baselines are provisional" in answer.out
    assert "Cold start: it has too little past of its own" in answer.out


def test_without_deviations_it_says_what_is_lacking_and_tells_the_traffic(bare: Path, tmp_path: Path) -> None:
    lake = shutil.copytree(bare, tmp_path / "lake")
    with closing(sqlite3.connect(lake / "ledger.sqlite")) as db, db:
        db.execute("DELETE FROM parts WHERE table_name IN ('fg_c', 'predictions')")
    answer = explain(lake, "--verify")
    assert answer.code == 0, answer.err or answer.out
    assert "not held against anything" in answer.out
    assert "ndr build fg_c compares it" in answer.out
    assert SINK in answer.out
    assert "values of fg_a recomputed" in answer.out
    assert "all equal" in answer.out


def test_what_devices_wrote_cannot_steer_the_terminal(bare: Path) -> None:
    answer = explain(bare, "--at", AT)
    assert answer.code == 0
    assert "owned" in answer.out
    assert "\x1b" not in answer.out
    assert "\x07" not in answer.out


def test_without_a_model_it_says_so_and_tells_what_stands_out(scored: Lake, tmp_path: Path) -> None:
    lake, options = shutil.copytree(scored[0], tmp_path / "lake"), scored[1]
    shutil.rmtree(lake / "models")
    answer = explain(lake, *options, "--at", AT, "--format", "json")
    assert answer.code == 0, answer.err
    assert any("no model yet" in sentence for sentence in answer.data["sentences"])
    assert answer.data["prediction"] is None
    assert answer.data["sum"] is None
    assert answer.data["contributions"][0]["contribution"] is None


def test_who_is_no_host_is_told_so(scored: Lake) -> None:
    lake, options = scored
    answer = explain(lake, *options, host=SINK)
    assert (answer.code, answer.out) == (3, "")
    assert f"no window of the lake is about {SINK}" in answer.err
    answer = explain(lake, *options, "--at", "2026-05-01T00:00Z")
    assert answer.code == 3
    assert "its windows end from 2026-03-02T22:15:00Z to " in answer.err
    assert explain(lake, host="nobody").code == 2
    assert explain(lake, "--window", "w_2h").code == 2


def test_an_address_is_understood_however_it_is_written(scored: Lake) -> None:
    assert facts(scored, host=f"::ffff:{ATTACKER}")["host_ip"] == ATTACKER


def test_the_night_is_what_it_is_made_to_be() -> None:
    assert NIGHT.hour == 0
    assert len(night()) == UPLOADS + DOORS + 2
