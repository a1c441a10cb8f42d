"""``ndr baselines``: which there are, what they are made of, what moved between two of them, and asking for more."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from day.lakes import DAY, HOSTS, Answer, files, ndr, run, write
from day.pasts import MONDAY, configured, some
from ndr.lake import checksum
from ndr.local_ledger import SqliteLedger
from ndr.tables import TABLES
from ndr.tables.fg_a import WINDOWS

TUESDAY, WEDNESDAY = MONDAY + DAY, MONDAY + 2 * DAY
A, B = "2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z"
PUBLISHED = sorted(name for name, table in TABLES.items() if table.published)
Asking = Callable[..., Answer]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, Path]]:
    """A lake with two publications; on the second day a host sends fifty times as much."""
    folder = tmp_path_factory.mktemp("baselines")
    calm = [*some(TUESDAY - DAY / 24, 4), *some(WEDNESDAY - DAY / 24, 4), *some(WEDNESDAY)]
    loud = [r | {"source_bytes": 50 * r["source_bytes"]} if _loud(r) else r for r in calm]
    options = configured(folder)
    run(folder / "lake", write(folder / "log.json", loud), *options)
    return folder / "lake", options


def _loud(row: dict[str, Any]) -> bool:
    return row["source_ip"] == HOSTS[0] and row["event_end"].startswith("2026-03-03T23")


@pytest.fixture
def ask(made: tuple[Path, tuple[str, Path]]) -> Asking:
    """``ndr baselines`` about that lake, which it does not change."""
    lake, options = made
    return lambda *arguments: ndr("baselines", *arguments, "--lake", lake, *options)


@pytest.fixture
def monthly(made: tuple[Path, tuple[str, Path]], tmp_path: Path) -> Asking:
    """``ndr baselines`` about a copy of that lake, by a configuration that calls for the first baselines only."""
    lake = shutil.copytree(made[0], tmp_path / "copy")
    options = configured(tmp_path, schedule="monthly")
    return lambda *arguments: ndr("baselines", *arguments, "--lake", lake, *options)


def listed(asking: Asking) -> list[tuple[str, str, str, str]]:
    answer = asking("list", "--format", "json")
    assert answer.code == 0, answer.err
    return [(row["reference"], row["kind"], row["horizons"], row["state"]) for row in answer.data]


def refused(answer: Answer, code: int, *words: str) -> None:
    assert (answer.code, answer.out) == (code, ""), answer.err
    assert answer.err.startswith("ndr: ")
    assert "Traceback" not in answer.err
    for word in words:
        assert word in answer.err, answer.err


def rows(answer: Answer) -> list[dict[str, str]]:
    assert answer.code == 0, answer.err
    return list(csv.DictReader(io.StringIO(answer.out)))


def test_every_publication_is_listed(ask: Asking) -> None:
    assert listed(ask) == [(A, "regular", "1d", "made"), (B, "regular", "1d", "made")]
    first, second = ask("list", "--format", "json").data
    assert (first["hosts_x_windows"], second["hosts_x_windows"]) == (2 * len(WINDOWS), 2 * len(WINDOWS))
    assert datetime.fromisoformat(first["made"]) <= datetime.fromisoformat(second["made"])
    assert [row["reference"] for row in rows(ask("list", "--format", "csv"))] == [A, B]
    table = ask("list").out.splitlines()
    assert table[0].split() == ["reference", "kind", "horizons", "state", "hosts_x_windows", "made"]
    assert [line.split()[:4] for line in table[1:]] == [[A, "regular", "1d", "made"], [B, "regular", "1d", "made"]]


def test_what_is_not_made_yet_or_not_called_for_any_more_is_told_apart(made, monthly: Asking, tmp_path: Path) -> None:
    assert listed(monthly) == [(A, "regular", "1d", "made"), (B, "regular", "1d", "kept")]
    other = tmp_path / "other.json"
    other.write_text(made[1][1].read_text(encoding="utf-8").replace("{", '{"feature_spec_version": "2", ', 1))
    answer = ndr("baselines", "list", "--lake", made[0], "--config", other, "--format", "json")
    assert [(row["state"], row["hosts_x_windows"], row["made"]) for row in answer.data] == [("missing", None, None)] * 2


def test_a_publication_is_shown_with_what_it_was_made_of(made: tuple[Path, tuple[str, Path]], ask: Asking) -> None:
    record = ask("show", "2026-03-04", "--format", "json").data
    assert (record["reference"], record["provisional"], record["bounds"]) == (B, False, {"1d": [A, B]})
    assert sorted(record["fingerprints"]) == sorted(part["table"] for part in record["parts"]) == PUBLISHED
    for part in record["parts"]:
        assert checksum(made[0] / part["path"]) == part["sha256"]
    short = rows(ask("show", "2026-03-04T01:00+01:00", "--format", "csv"))
    assert [(r["table"], r["horizon"], r["from"], r["to"]) for r in short] == [(n, "1d", A, B) for n in PUBLISHED]
    whole = {part["table"]: part for part in record["parts"]}
    for row in short:
        part = whole[row["table"]]
        assert (row["made_of"], row["sha256"]) == (part["id"][:16], part["sha256"][:16])
        assert int(row["rows"]) == part["rows"] > 0
    told = ask("show", B).out
    assert told.startswith(f"regular baselines of {B}, made {record['finished']} by ndr ")
    assert len(told.splitlines()) == 3 + len(PUBLISHED)


def test_the_difference_names_what_moved_most(ask: Asking) -> None:
    first, *others = ask("diff", A, B, "--format", "json").data
    about = (first["host_ip"], first["metric"], first["window_label"], first["time_band"])
    assert about == (HOSTS[0], "bytes_src_sum", "w_15m", "WD_NIGHT")
    assert (first["before"], first["after"]) == (115, 5750)
    assert first["shift"] == pytest.approx((5750 - 115) / (1.4826 * 10))
    sizes = [abs(row["shift"]) for row in (first, *others)]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > 0
    assert {row["host_ip"] for row in others} >= {HOSTS[0]}
    assert not any(r["host_ip"] == HOSTS[1] and r["window_label"] == "w_15m" for r in others), "it did as ever"
    back = ask("diff", B, A, "--format", "json").data
    assert {(r["before"], r["after"]) for r in back if r["window_label"] == "w_15m"} == {(5750, 115)}


def test_the_difference_in_other_forms(ask: Asking) -> None:
    found = rows(ask("diff", A, B, "--format", "csv", "--horizon", "1d", "--limit", "2"))
    assert len(found) == 2
    assert (found[0]["host_ip"], found[0]["metric"]) == (HOSTS[0], "bytes_src_sum")
    assert ask("diff", A, B).out.splitlines()[0].split() == [
        "host_ip", "segment_id", "time_band", "window_label", "metric", "before", "after", "shift"
    ]  # fmt: skip
    assert ask("diff", A, A, "--format", "json").data == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("show 2026-03-05", 3, ["no baselines of 2026-03-05T00:00:00Z were made", f"those of: {A}, {B}."]),
        (f"diff {A} 2025-01-01", 3, ["no baselines of 2025-01-01T00:00:00Z were made"]),
        (f"diff {A} {B} --horizon 2d", 2, ["both must have the horizon; they share 1d"]),
        ("show yesterday", 2, ["'yesterday' is not a time"]),
        ("diff 2026-03-03", 2, ["B"]),
        (f"diff {A} {B} --limit 0", 2, ["--limit"]),
        ("make 2026-03-03T01:00", 2, ["2026-03-03T01:00:00Z is no midnight"]),
        ("make 2026-03-03T00:00+01:00", 2, ["2026-03-02T23:00:00Z is no midnight"]),
    ],
)
def test_what_cannot_be_meant_is_refused(ask: Asking, arguments: str, code: int, words: list[str]) -> None:
    refused(ask(*arguments.split()), code, *words)


def test_a_lake_without_baselines_says_so(tmp_path: Path, lake: Path) -> None:
    run(lake, write(tmp_path / "log.json", some(MONDAY)))
    assert ndr("baselines", "list", "--lake", lake, "--format", "json").data == []
    refused(ndr("baselines", "show", A, "--lake", lake), 3, "There are those of: none")
    refused(ndr("baselines", "list", "--lake", tmp_path / "nowhere"), 2, "there is no lake")


def asked(lake: Path) -> dict[datetime, bool]:
    with closing(SqliteLedger(lake / "ledger.sqlite")) as ledger:
        return ledger.asked_publications("1")


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("2026-03-05", "the lake ends at 2026-03-04T00:15:00Z"),
        ("2026-03-02", "no horizon holds enough days"),
        ("2026-03-01 --provisional", "no horizon holds enough days. Choose another midnight.\n"),
        ("2199-01-01 --provisional", "the lake ends at"),
    ],
)
def test_what_cannot_be_made_is_not_remembered(monthly: Asking, tmp_path: Path, wish: str, words: str) -> None:
    before = files(tmp_path / "copy")
    refused(monthly("make", *wish.split()), 3, "cannot be made", words)
    assert asked(tmp_path / "copy") == {}
    assert files(tmp_path / "copy") == before


def test_baselines_are_made_on_request_and_serve(monthly: Asking, tmp_path: Path) -> None:
    made = monthly("make", "2026-03-04", "--format", "json")
    assert made.code == 0, made.err
    assert [(row["reference"], row["kind"], row["state"]) for row in made.data] == [(B, "regular", "made")]
    assert asked(tmp_path / "copy") == {WEDNESDAY: False}
    assert listed(monthly) == [(A, "regular", "1d", "made"), (B, "regular", "1d", "made")]
    shown = ndr("show", "fg_c", "--at", "2026-03-04T00:15", "--lake", tmp_path / "copy", "--format", "json", "--config",
                tmp_path / "config.json")  # fmt: skip
    assert {row["reference_time"] for row in shown.data} == {B}


def test_provisional_ones_are_made_on_request_for_a_moment_to_come(monthly: Asking, tmp_path: Path) -> None:
    made = monthly("make", "2026-03-05", "--provisional", "--format", "csv")
    (row,) = rows(made)
    assert (row["reference"], row["kind"], row["state"]) == ("2026-03-05T00:00:00Z", "provisional", "made")
    assert asked(tmp_path / "copy") == {WEDNESDAY + DAY: True}
    record = monthly("show", "2026-03-05", "--format", "json").data
    assert record["provisional"] is True
    assert record["bounds"]["1d"] == [B, "2026-03-05T00:00:00Z"]
    assert monthly("show", "2026-03-05").out.startswith("provisional baselines of 2026-03-05T00:00:00Z, made ")
