"""Too little history, baselines for the time being, and how regular ones take over."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from day.lakes import DAY, differing, files, ndr, parts, run, write
from day.pasts import MONDAY, PUBLISHED, configured, some, stored
from ndr.time import iso

TUESDAY, WEDNESDAY = MONDAY + DAY, MONDAY + 2 * DAY
ABOUT = ("window_end_ts", "is_provisional", "reference_time")
FLOOD = some(TUESDAY + DAY / 24, source_bytes=5_000_000, destination_ip="203.0.113.77")[:1]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A lake with a Monday and an hour, run without and with warm-up, run again, and then with a day more."""
    folder = tmp_path_factory.mktemp("warm")
    calm = [*some(MONDAY), *some(TUESDAY - DAY / 24, 8)]
    logs = write(folder / "logs/monday.json", [*calm, *FLOOD])
    tuesday = write(folder / "logs/tuesday.json", [*some(TUESDAY + DAY / 8, 4), *some(WEDNESDAY - 2 * DAY / 96, 4)])
    gap = {"1d": {"tail_days": 1}}
    options = configured(folder, horizons=["1d"], safety_gaps=gap, schedule="monthly")
    lake = folder / "lake"
    found: dict[str, Any] = {"options": options, "logs": logs, "folder": folder}

    def stage(name: str, *arguments: object) -> None:
        found[name] = run(lake, *arguments, *options)
        shutil.copytree(lake, folder / name)

    stage("cold", logs)
    stage("warm", logs, "--warmup")
    stage("idle", logs)
    stage("grown", tuesday)
    stage("grown idle", logs, tuesday)
    return found


def copied(stages: dict[str, Any], name: str, folder: Path) -> Path:
    return Path(shutil.copytree(stages["folder"] / name, folder / "lake"))


def test_too_little_history_is_said_in_plain_words(tmp_path: Path, lake: Path) -> None:
    log = write(tmp_path / "log.json", some(MONDAY))
    told = ndr("run", log, "--lake", lake, "--no-warmup")
    assert told.code == 0
    assert (
        "baselines need 9 days of logs, you have 1: no host is compared yet; with --warmup they are compared with "
        "what there is\n"
    ) in told.out
    assert "farthest from normal" not in told.out
    assert ndr("show", "fg_c", "--lake", lake).code == 3
    assert "provisional baselines of 2026-03-03" in ndr("run", log, "--lake", lake).out, (
        "a first run warms up by itself"
    )


def test_without_baselines_there_are_no_deviations(stages: dict[str, Any]) -> None:
    cold = stages["cold"]
    assert cold["baselines"] == {
        "reference": None, "provisional": None, "horizons": [], "days_known": 2, "days_needed": 2
    }  # fmt: skip
    assert cold["most_deviant"] == []
    assert cold["tables"]["fg_a"] > 0
    assert not any(rows for name, rows in cold["tables"].items() if name.startswith(PUBLISHED))
    assert files(stages["folder"] / "cold", *PUBLISHED) == {}


def test_warming_up_makes_provisional_baselines_and_marks_their_deviations(stages: dict[str, Any]) -> None:
    warm = stages["warm"]
    assert warm["baselines"]["reference"] == iso(TUESDAY)
    assert warm["baselines"]["provisional"] is True
    assert warm["baselines"]["horizons"] == ["1d"]
    assert warm["standing"].startswith(
        "no baselines are due yet (2 days of logs, with gaps or before the next reference): provisional baselines"
    )
    assert "fg_a" not in warm["built"]
    rows = stored(stages["folder"] / "warm", "fg_c", *ABOUT)
    assert {(row["is_provisional"], row["reference_time"]) for row in rows} == {(1, TUESDAY)}
    assert min(row["window_end_ts"] for row in rows) < TUESDAY < max(row["window_end_ts"] for row in rows)
    assert len(rows) == warm["tables"]["fg_a"], "the past that the baselines were made of is judged too"


def test_warming_up_lists_who_is_farthest_from_normal_and_why(stages: dict[str, Any]) -> None:
    first = stages["warm"]["most_deviant"][0]
    assert first["host_ip"] == FLOOD[0]["source_ip"]
    assert first["is_provisional"] == 1
    assert first["baseline_source"] == "host"
    assert any(reason.startswith("bytes_src_sum 5,000,") for reason in first["reasons"]), first["reasons"]
    assert first["reasons"][-1] == "1 pairs of peer and port never seen in the baseline"
    assert first["top_deviations"][0]["metric"] == "bytes_src_sum"
    scores = [row["score"] for row in stages["warm"]["most_deviant"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 1 > scores[1]


def test_people_read_the_same(stages: dict[str, Any], tmp_path: Path) -> None:
    lake = copied(stages, "warm", tmp_path)
    told = ndr("run", stages["logs"], "--lake", lake, *stages["options"]).out
    assert "nothing to build: every table is up to date" in told
    assert "provisional baselines of 2026-03-03T00:00:00Z over 1d, new hosts are compared with their segment" in told
    assert f"model {stages['warm']['model']['version']}\n" in told
    assert "Alerts\n  1. 10.1.1.1" in told or "No alerts: none of these windows is anomalous" in told
    assert f"report: {lake / 'report.html'}" in told


def test_an_idle_run_builds_nothing(stages: dict[str, Any]) -> None:
    for idle, before in (("idle", "warm"), ("grown idle", "grown")):
        assert stages[idle]["built"] == {}
        assert stages[idle]["most_deviant"] != []
        assert differing(files(stages["folder"] / before), files(stages["folder"] / idle)) == set()


def test_regular_baselines_take_over_for_later_windows(stages: dict[str, Any]) -> None:
    grown = stages["grown"]
    assert grown["baselines"]["reference"] == iso(WEDNESDAY)
    assert grown["baselines"]["provisional"] is False
    assert grown["standing"] == "baselines of 2026-03-04T00:00:00Z over 1d"
    rows = stored(stages["folder"] / "grown", "fg_c", *ABOUT)
    used = {(row["window_end_ts"] >= WEDNESDAY, row["is_provisional"], row["reference_time"]) for row in rows}
    assert used == {(False, 1, TUESDAY), (True, 0, WEDNESDAY)}


def test_what_was_compared_with_provisional_baselines_stays_so(stages: dict[str, Any]) -> None:
    """To the byte: neither the baselines of the first stage nor what they served are made again."""
    before, after = (files(stages["folder"] / name, *PUBLISHED) for name in ("warm", "grown"))
    assert before
    assert before.items() <= after.items()


def test_baselines_that_were_asked_for_leave_nothing_to_build(stages: dict[str, Any], tmp_path: Path) -> None:
    lake = copied(stages, "cold", tmp_path)
    made = ndr("baselines", "make", "2026-03-03", "--provisional", "--lake", lake, *stages["options"])
    assert made.code == 0, made.err
    assert run(lake, stages["logs"], *stages["options"])["built"] == {}
    assert parts(lake, ("fg_c",)) == parts(stages["folder"] / "warm", ("fg_c",))


def test_an_inventory_makes_names_and_deviations_again_and_no_more(stages: dict[str, Any], tmp_path: Path) -> None:
    lake = copied(stages, "warm", tmp_path)
    inventory = tmp_path / "inventory.csv"
    inventory.write_text("ip,name\n10.1.1.1,PC-1\n", encoding="utf-8")
    assert ndr("machines", "import", inventory, "--lake", lake).code == 0
    again = run(lake, stages["logs"], *stages["options"])
    windows = stages["warm"]["built"]["fg_c"]
    assert again["built"] == {"fg_b_ip_metadata": 1, "fg_c": windows, "predictions": windows}
    assert {row["host_ip"]: row["machine_name"] for row in again["most_deviant"]} == {
        "10.1.1.1": "PC-1", "10.1.1.2": None
    }  # fmt: skip
    assert run(lake, stages["logs"], *stages["options"])["built"] == {}
    status = ndr("status", "--verify", "--lake", lake, "--format", "json")
    assert status.code == 0
    (machines,) = (row for row in status.data if row["table"] == "machines")
    assert (machines["parts"], machines["rows"], machines["lost"]) == (1, 1, 0)
    shown = ndr("show", "machines", "--lake", lake, "--format", "json")
    assert [(row["ip_address"], row["machine_name"]) for row in shown.data] == [("10.1.1.1", "PC-1")]
    about = ndr("show", "fg_b_ip_metadata", "--lake", lake, "--host", "10.1.1.1", "--format", "json").data
    assert {row["machine_name"] for row in about} == {"PC-1"}
