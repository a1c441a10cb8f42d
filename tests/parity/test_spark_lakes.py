"""Whole lakes on both engines, as ``ndr parity`` compares them: simulated enterprises and real logs.

Small: a morning with attacks; with ``--parity full`` a week with attacks, and two folders of real logs.
Each comparison is a process of its own, for it starts a Spark as a user would.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ndr.tables import TABLES
from sparks import why_not

SAMPLES = Path(__file__).parents[3] / "shared/data"
MADE = {name for name, table in TABLES.items() if table.recipe}
OF_DAYS = {"pair_history", "slow_beacons"}  # made of whole days, up to the one before yesterday

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


def ndr(here: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from ndr.cli import main; sys.exit(main())", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=here)  # noqa: S603 - ours


def certificate(folder: Path, *paths: Path) -> dict[str, Any]:
    """What a comparison says; the file that it leaves says the same, and is all that it leaves."""
    kept = folder / "certificate.json"
    answer = ndr(folder, "parity", "--engine", "spark", *paths, "--format", "json", "--output", kept)
    assert answer.returncode == 0, answer.stderr[-2000:] or answer.stdout[-4000:]
    assert json.loads(kept.read_text(encoding="utf-8")) == json.loads(answer.stdout)
    assert list(folder.iterdir()) == [kept]
    return json.loads(answer.stdout)


def expect_equal(told: dict[str, Any], *, days: bool) -> None:
    """Every table, and the same cells in each; logs of no whole ``days`` make no history."""
    assert [engine["name"] for engine in told["engines"]] == ["duckdb", "spark"]
    assert set(told["tables"]) == (MADE if days else MADE - OF_DAYS)
    for name, table in told["tables"].items():
        assert (table["different"], table["worst_relative"]) == (0, pytest.approx(0, abs=1e-12)), (name, table)
    assert told["cells"] > 50_000


@pytest.fixture(scope="module")
def enterprise(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """The logs of a simulated enterprise, attacked."""
    folder = tmp_path_factory.mktemp("enterprise")
    week = pytestconfig.getoption("parity") == "full"
    size = ("--days", 7) if week else ("--days", 0.0625, "--start", "2026-03-02T09:00:00Z", "--attack-days", 0.0625)
    simulated = ndr(folder, "simulate", folder, "--hosts", 24 if week else 10, *size, "--formats", "zeek")
    assert simulated.returncode == 0, simulated.stderr
    return folder / "zeek"


def test_a_simulated_enterprise_is_the_same_on_both_engines(
    enterprise: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    told = certificate(tmp_path, enterprise)
    expect_equal(told, days=pytestconfig.getoption("parity") == "full")
    assert all(
        told["tables"][name]["rows"] for name in ("delta", "fg_a", "fg_b_host", "fg_c", "predictions", "beacons")
    )


@pytest.mark.parametrize("sample", ["zeek_zat", "iot23_labeled_sample"])
def test_real_logs_are_the_same_on_both_engines(sample: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("parity") != "full":
        pytest.skip("real logs take minutes: make parity")
    if not (SAMPLES / sample).is_dir():
        pytest.skip(f"the sample {sample} is not here")
    expect_equal(certificate(tmp_path, SAMPLES / sample), days=True)
