"""Batches replayed with more, less or unreadable logs; settings that change how logs are read; what never was known."""

from __future__ import annotations

import gzip
from datetime import timedelta
from pathlib import Path

import pytest

from day.lakes import QUARTER, START, made, ndr, plan, record, run, sessions, text, write, write_config
from handmade import session
from ndr.specs import Config
from ndr.tables.settings import Settings
from ndr.time import Interval
from worlds import World

BATCH = ("--mini-batch-id", "B1", "--batch-start", "2026-03-04T10:00", "--batch-end", "2026-03-04T11:00")
TEN = [record(START + i * timedelta(seconds=30)) for i in range(10)]


def test_a_batch_replayed_with_a_grown_file_keeps_what_it_brought_before(tmp_path: Path, lake: Path) -> None:
    log = write(tmp_path / "a.json", TEN[:6])
    run(lake, log, *BATCH)
    write(log, TEN)
    again = run(lake, log, *BATCH)
    assert again["sessions"] == 4
    assert len(sessions(lake)) == 10
    assert run(lake, log, *BATCH)["built"] == {}
    assert len(sessions(lake)) == 10


def test_a_batch_of_which_a_file_cannot_be_read_keeps_what_it_brought_before(tmp_path: Path, lake: Path) -> None:
    log = write(tmp_path / "a.json", TEN)
    run(lake, log, *BATCH)
    log.write_bytes(gzip.compress(text(TEN).encode())[:-20])
    assert ndr("run", log, "--lake", lake, *BATCH).code == 4
    assert len(sessions(lake)) == 10


def test_content_known_from_another_batch_does_not_empty_this_one(tmp_path: Path, lake: Path) -> None:
    log = write(tmp_path / "a.json", TEN[:6])
    run(lake, log, *BATCH)
    write(log, TEN)
    other = ("--mini-batch-id", "B2", "--batch-start", "2026-03-04T11:00", "--batch-end", "2026-03-04T11:15")
    run(lake, log, *other)
    run(lake, log, *BATCH)
    assert len(sessions(lake)) == 10


def test_what_a_replay_withdraws_leaves_every_table(tmp_path: Path, lake: Path) -> None:
    first = write(tmp_path / "first.json", TEN)
    run(lake, first, *BATCH)
    assert made(lake)
    later = write(tmp_path / "later.json", [record(START + timedelta(days=3, minutes=i)) for i in range(3)])
    run(lake, later, *BATCH)
    names = {name.split("/")[0] for name in made(lake) if "dt=2026-03-04" in name}
    assert names == set(), "tables still hold what the batch no longer brings"
    assert len(sessions(lake)) == 3


def test_contents_of_one_beginning_and_one_length_are_two_contents(tmp_path: Path, lake: Path) -> None:
    beginning = text(TEN[:2])
    for name, row in (("a", TEN[2]), ("b", TEN[3])):
        (tmp_path / f"{name}.json").write_text(beginning + text([row]))
    assert (tmp_path / "a.json").stat().st_size == (tmp_path / "b.json").stat().st_size
    run(lake, tmp_path / "a.json", tmp_path / "b.json")
    again = run(lake, tmp_path / "a.json", tmp_path / "b.json")
    assert len(again["known_files"]) == 2
    assert again["built"] == {}


def test_logs_are_read_again_when_they_would_be_read_differently(tmp_path: Path, lake: Path) -> None:
    naive = [
        {**row, "event_start": row["event_start"].rstrip("Z"), "event_end": row["event_end"].rstrip("Z")} for row in TEN
    ]
    log = write(tmp_path / "a.json", naive)
    run(lake, log)
    before = sessions(lake)
    berlin = write_config(tmp_path / "ndr.json", sources={"palo_alto": {"time_zone": "Europe/Berlin"}})
    again = run(lake, log, "--config", berlin)
    assert again["sessions"] == 10
    assert again["built"]["delta"] == 1
    assert sessions(lake) != before
    assert len(sessions(lake)) == 10
    assert plan(lake, "fg_a", "--config", berlin) == {}


def test_a_batch_name_like_that_of_an_unnamed_batch_must_be_its_own(tmp_path: Path, lake: Path) -> None:
    answer = ndr(
        "run", write(tmp_path / "a.json", TEN), "--lake", lake, "--mini-batch-id", "20260304T1000Z", *BATCH[2:]
    )
    assert answer.code == 2
    assert "20260304T1045Z" in answer.err


def test_amounts_no_session_has_are_mended_and_do_not_stop_a_lake(tmp_path: Path, lake: Path) -> None:
    huge = [{**row, "source_bytes": 2**63 - 1} for row in TEN]
    endless = [{**row, "event_start": "1970-01-01T00:00:00Z"} for row in TEN]
    summary = run(lake, write(tmp_path / "a.json", [*huge, *endless]))
    assert summary["mended_by_kind"] == {"bytes_overflow": 10, "endless_duration": 10}
    assert summary["sessions"] == 20


def test_a_session_is_not_known_before_it_ended_even_by_the_clock_of_its_start(tmp_path: Path) -> None:

    world = World(tmp_path, Config(project_parameters=Settings(clock="event_start")))
    own = {"mini_batch_id": None, "batch_end_ts": None}
    long, short = timedelta(hours=2), timedelta(minutes=5)
    world.put([session(START + long, lasting=long) | own, session(START + short) | own])
    world.build(["fg_a"], Interval(START, START + timedelta(hours=3)))
    seen = {
        row["window_end_ts"]: row["sessions_cnt"]
        for row in world.read("fg_a")
        if row["window_label"] == "w_24h" and row["sessions_cnt"]
    }
    world.close()
    assert seen[START + QUARTER] == 1
    assert seen[START + timedelta(hours=2, minutes=15)] == 2


@pytest.mark.parametrize("name", ["odd\udcff.json", "ünï.json"])
def test_a_file_of_any_name_is_read(tmp_path: Path, lake: Path, name: str) -> None:
    folder = tmp_path / "logs"
    write(folder / "plain.json", TEN[:3])
    (folder / name).write_text(text(TEN[3:]))
    assert run(lake, folder)["sessions"] == 10
