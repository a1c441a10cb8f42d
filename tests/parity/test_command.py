"""``ndr parity``: two lakes of the same sessions, a certificate, and exit codes that schedulers can go by."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import ndr.cli.parity as command
from day.lakes import DAY, Answer, files, ndr, run, write
from day.pasts import MONDAY, configured, some
from ndr import __version__
from ndr.parity import TableParity, compare
from ndr.tables import TABLES
from parity.twins import change, file_of, ledger_of, put

TUESDAY = MONDAY + DAY
FLOOD = some(TUESDAY + DAY / 24, source_bytes=5_000_000, destination_ip="203.0.113.77")[:1]
MADE = {name for name, table in TABLES.items() if table.recipe}
Kept = tuple[Path, tuple[str, Path], Path]


def parity(*arguments: object) -> Answer:
    return ndr("parity", "--engine", "duckdb", *arguments)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A folder with logs around a midnight, the configuration, and the lake of a run over them."""
    folder = tmp_path_factory.mktemp("parity")
    config = configured(folder, horizons=["1d"], safety_gaps={"1d": {"tail_days": 1}})
    log = write(folder / "logs/all.json", [*some(TUESDAY - DAY / 16, 10), *FLOOD])
    run(folder / "lake", log, "--warmup", *config)
    return folder, config, log


@pytest.fixture(scope="module")
def logs_compared(kept: Kept) -> tuple[Path, dict[str, Any]]:
    """Both lakes that a comparison of the logs made, and its certificate."""
    folder, config, log = kept
    certificate = folder / "certificate.json"
    answer = parity(log, *config, "--keep", folder / "twins", "--output", certificate, "--format", "json")
    assert answer.code == 0, answer.err or answer.out
    assert certificate.read_text(encoding="utf-8") == answer.out
    return folder / "twins", answer.data


def test_logs_are_built_twice_and_every_table_is_compared(logs_compared: tuple[Path, dict[str, Any]]) -> None:
    twins, told = logs_compared
    assert sorted(path.name for path in twins.iterdir()) == ["1-duckdb", "2-duckdb"]
    assert set(told["tables"]) == MADE
    assert (told["equal"], told["different"]) == (True, 0)
    assert told["cells"] == sum(each["cells"] for each in told["tables"].values()) > 10_000
    for name in ("fg_c", "predictions", "prediction_feature_join"):
        assert told["tables"][name]["rows"] == told["tables"]["fg_c"]["rows"] > 50


def test_a_certificate_says_what_was_compared(logs_compared: tuple[Path, dict[str, Any]], kept: Kept) -> None:
    twins, told = logs_compared
    assert [engine["name"] for engine in told["engines"]] == ["duckdb", "duckdb"]
    assert all(engine["version"].count(".") == 2 for engine in told["engines"])
    assert told["code"] == __version__
    assert told["feature_spec_version"] == "1"
    assert len(told["run_fingerprint"]) == 64
    assert told["inputs"]["sessions"] == len(kept[2].read_text(encoding="utf-8").splitlines())
    assert told["inputs"]["refused_files"] == 0
    assert told["tolerance"] == 1e-12
    with ledger_of(twins / "2-duckdb") as ledger:
        assert {part.key.horizon for part in ledger.parts("predictions", "1")} == {told["model"]}


def test_the_numbers_are_those_of_a_run(logs_compared: tuple[Path, dict[str, Any]], kept: Kept) -> None:
    """What is certified is what a user gets, down to the bytes."""
    ours, theirs = (
        files(root, "delta", "fg_a", "fg_b", "fg_c") for root in (logs_compared[0] / "2-duckdb", kept[0] / "lake")
    )
    assert ours == theirs
    assert len(ours) > 30


def test_an_interval_of_a_lake_is_built_again_and_the_lake_stays_as_it_is(kept: Kept, tmp_path: Path) -> None:
    folder, config, _ = kept
    before = files(folder / "lake")
    hour = ("--from", "2026-03-02T23:00:00Z", "--to", "2026-03-03T00:00:00Z")
    answer = parity(folder / "lake", *config, *hour, "--keep", tmp_path / "kept", "--format", "json")
    assert answer.code == 0, answer.err
    assert files(folder / "lake") == before
    with ledger_of(tmp_path / "kept/2-duckdb") as ledger:
        parts = ledger.parts("predictions", "1")
    assert {part.key.start for part in parts} == {MONDAY + timedelta(hours=23, minutes=15 * n) for n in range(4)}
    with ledger_of(folder / "lake") as ledger:
        own = {part.key.horizon for part in ledger.parts("predictions", "1")}
    assert own == {part.key.horizon for part in parts} == {answer.data["model"]}


def test_one_cell_that_differs_is_told_and_ends_with_1(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, config, log = kept

    def harmed(*arguments: Any) -> dict[str, TableParity]:
        change(tmp_path / "kept/2-duckdb", "delta", put("sessions_cnt", lambda v: v + 1, row=0))
        return compare(*arguments)

    monkeypatch.setattr(command, "compare", harmed)
    day = ("--to", "2026-03-02T23:00:00Z")
    answer = parity(log, *config, *day, "--keep", tmp_path / "kept", "--output", tmp_path / "told.json")
    assert answer.code == 1, answer.err
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert (told["equal"], told["different"]) == (False, 1)
    assert told["tables"]["delta"]["columns"] == {"sessions_cnt": 1}
    place = file_of(tmp_path / "kept/2-duckdb", "delta").relative_to(tmp_path / "kept/2-duckdb")
    assert f"in {place}: 1 and 2\n" in answer.out
    assert "other numbers in 1 of" in answer.out


REFUSED = [
    (["{lake}", "{log}"], 2, "is a lake: give it alone"),
    (["{log}", "--keep", "{folder}"], 2, "holds something already"),
    (["{log}", "--output", "{folder}/none/told.json"], 2, "there is no such folder"),
    (["{log}", "--from", "2027-01-01T00:00:00Z"], 3, "nothing was built"),
    (["{folder}/none"], 2, "none"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), REFUSED, ids=[said for _, _, said in REFUSED])
def test_what_cannot_be_compared_is_said(kept: Kept, arguments: list[str], code: int, said: str) -> None:
    folder, config, log = kept
    places = {"lake": folder / "lake", "log": log, "folder": folder}
    answer = parity(*(each.format(**places) for each in arguments), *config)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
