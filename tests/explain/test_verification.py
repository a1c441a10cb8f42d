"""``ndr explain --verify``: whatever was changed behind the program's back is found."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from day.lakes import Answer
from explain.scenes import (
    AT,
    ATTACKER,
    SINK,
    conceal,
    explain,
    made,
    session_path,
    stored_path,
    tamper,
)

Lake = tuple[Path, tuple[str, Path]]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return made(tmp_path_factory.mktemp("verify"))


@pytest.fixture
def copy(scored: Lake, tmp_path: Path) -> Lake:
    """A lake that may be tampered with."""
    return shutil.copytree(scored[0], tmp_path / "lake"), scored[1]


def verified(lake: Lake, *arguments: object) -> Answer:
    return explain(lake[0], *lake[1], "--at", AT, "--window", "w_1h", "--verify", *arguments)


def found(lake: Lake) -> set[tuple[str, str]]:
    """(table, column) of every difference; the exit code says so too."""
    answer = verified(lake, "--format", "json")
    assert answer.code == 1, answer.err or answer.out
    verification: dict[str, Any] = answer.data["verification"]
    assert not verification["sound"]
    return {(each["table"], each["column"]) for each in verification["differences"]}


def of_attacker(row: dict[str, Any]) -> bool:
    return row["host_ip"] == ATTACKER and row["window_label"] == "w_1h"


def test_a_lake_as_it_was_made_is_sound(scored: Lake) -> None:
    before = {path: path.stat().st_mtime_ns for path in scored[0].rglob("*.parquet")}
    answer = verified(scored)
    assert answer.code == 0, answer.out
    assert "all equal" in answer.out
    assert "values of fg_a, " in answer.out
    assert "baselines are taken as published" in answer.out
    assert {path: path.stat().st_mtime_ns for path in scored[0].rglob("*.parquet")} == before
    values = verified(scored, "--format", "json").data["verification"]["values"]
    assert set(values) == {"fg_a", "fg_c", "predictions"}


@pytest.mark.parametrize("concealed", [False, True])
@pytest.mark.parametrize(
    ("table", "column", "change"),
    [
        ("fg_a", "bytes_src_sum", lambda value: value // 1000),
        ("fg_a", "peer_ip_entropy", lambda value: value + 1e-6),
        ("fg_c", "bytes_src_sum_z_mad", lambda value: value / 2),
        ("predictions", "prediction_score", lambda value: value / 2),
        ("predictions", "explanation", lambda told: [each | {"contribution": 0.1} for each in told]),
    ],
)
def test_a_changed_number_is_found(copy: Lake, table: str, column: str, change: Any, *, concealed: bool) -> None:
    path = stored_path(copy[0], table)
    tamper(path, column, change, of_attacker)
    if concealed:
        conceal(copy[0], path)
    differences = found(copy)
    assert (table, column) in {(name, place.partition("[")[0]) for name, place in differences}
    assert (("file", "sha256") in differences) is not concealed


def test_a_changed_session_is_found(copy: Lake) -> None:
    path = session_path(copy[0])
    tamper(path, "source_bytes", lambda value: value // 1000, lambda row: row["destination_ip"] == SINK)
    conceal(copy[0], path)
    differences = found(copy)
    assert {("fg_a", "bytes_src_sum"), ("fg_c", "bytes_src_sum_diff")} <= differences
    assert "evidence" in {column for table, column in differences if table == "predictions"}


def test_a_changed_session_of_someone_else_is_found_by_its_file(copy: Lake) -> None:
    tamper(session_path(copy[0]), "source_bytes", lambda _: 1, lambda row: row["source_ip"] != ATTACKER)
    assert ("file", "sha256") in found(copy)


def test_changed_baselines_are_found_by_their_file(copy: Lake) -> None:
    path = next((copy[0] / "fg_b" / "segment").rglob("*20260304*/*.parquet"))
    tamper(path, "slices_cnt", lambda value: value + 1, lambda row: True)
    assert found(copy) == {("file", "sha256")}


def test_both_values_are_told(copy: Lake) -> None:
    tamper(stored_path(copy[0], "fg_a"), "sessions_cnt", lambda value: 4711, of_attacker)
    answer = verified(copy)
    assert answer.code == 1
    assert f"fg_a {ATTACKER} w_1h {AT} sessions_cnt: stored 4711, recomputed " in answer.out


def test_contributions_that_do_not_add_up_are_told(copy: Lake) -> None:
    tamper(stored_path(copy[0], "predictions"), "evidence", lambda value: value + 1, of_attacker)
    answer = verified(copy)
    assert answer.code == 1
    assert "which is not the evidence" in answer.out
