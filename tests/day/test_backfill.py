"""Building the past: the whole chain from sessions alone, stopped anywhere and gone on, and never half published."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from day.lakes import DAY, QUARTER, differing, files, ndr, plan, run, write
from day.pasts import MONDAY, PUBLISHED, configured, some
from ndr import run as making
from ndr.cli import running
from ndr.lake import LocalLake
from ndr.ledger import Part
from ndr.local_ledger import SqliteLedger
from ndr.tables import TABLES
from ndr.time import iso

TUESDAY = MONDAY + DAY
SPAN = ("--from", iso(TUESDAY - 2 * QUARTER), "--to", iso(TUESDAY + 2 * QUARTER))
PUBLISHED_TABLES = [name for name, table in TABLES.items() if table.published]
MADE = {"delta", "pair_counts", "pair_days", "fg_a", "beacons", "slow_beacons", *PUBLISHED_TABLES, "fg_c"}


class PowerCutError(Exception):
    """What befalls a build in these tests."""


@contextmanager
def cut(owner: Any, name: str, where: Callable[..., bool]) -> Iterator[None]:
    """Fail instead of doing something for the first time with arguments like these."""
    plain = getattr(owner, name)

    def failing(*arguments: Any, **named: Any) -> Any:
        if where(*arguments, **named):
            raise PowerCutError
        return plain(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, failing)
        yield


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, Path]]:
    """A folder with the sessions of an hour around midnight, imported (``bare``) and built (``whole``)."""
    folder = tmp_path_factory.mktemp("past")
    options = configured(folder)
    log = write(folder / "log.json", some(TUESDAY - 2 * QUARTER, 4))
    with cut(running, "build_everything", lambda *_: True), pytest.raises(PowerCutError):
        ndr("run", log, "--lake", folder / "bare", *options)
    assert {place.split("/")[0] for place in files(folder / "bare")} == {"sessions"}
    run(folder / "whole", log, *options)
    return folder, options


@pytest.fixture
def options(past: tuple[Path, tuple[str, Path]]) -> tuple[str, Path]:
    return past[1]


@pytest.fixture
def whole(past: tuple[Path, tuple[str, Path]]) -> dict[str, str]:
    """The files of the lake that was built in one go."""
    return files(past[0] / "whole")


@pytest.fixture
def bare(past: tuple[Path, tuple[str, Path]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(past[0] / "bare", tmp_path / "bare"))


@pytest.fixture
def built(past: tuple[Path, tuple[str, Path]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(past[0] / "whole", tmp_path / "built"))


def test_deviations_of_the_past_are_made_from_sessions_alone(bare: Path, options, whole: dict[str, str]) -> None:
    planned = plan(bare, "fg_c", *options, *SPAN)
    assert set(planned) == MADE
    done = ndr("build", "fg_c", *SPAN, "--lake", bare, *options, "--format", "json")
    assert done.code == 0, done.err
    assert {row["table"]: row["parts"] for row in done.data} == planned
    assert (
        differing(
            files(bare, *PUBLISHED, "fg_a"), {p: h for p, h in whole.items() if p.startswith(("fg_b", "fg_c", "fg_a"))}
        )
        == set()
    )
    assert any(place.startswith("fg_c") for place in whole)
    assert plan(bare, "fg_c", *options, *SPAN) == {}
    assert run(bare, past_log(options), *options)["tables"]["fg_c"] > 0
    assert differing(files(bare), whole) == set()


def past_log(options: tuple[str, Path]) -> Path:
    return options[1].parent / "log.json"


STOPS: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "in the first slices": (LocalLake, "publish", lambda _, path: path.startswith("delta/")),
    "before windows are noted": (SqliteLedger, "commit", lambda _, made, *__: made[:1] and made[0].table == "fg_a"),
    "between two baselines": (LocalLake, "publish", lambda _, path: path.startswith("fg_b/global")),
    "before baselines are in force": (making, "_publish", lambda shop: "fg_b_pair_segment" in shop.drafts),
    "among deviations": (LocalLake, "publish", lambda _, path: path.startswith("fg_c/") and "T0015Z" in path),
    "at the end of all": (making, "sweep", lambda _, ledger: bool(ledger.parts("fg_c", "1"))),
}


@pytest.mark.parametrize("stop", STOPS)
def test_a_build_that_was_stopped_goes_on(bare: Path, options, whole: dict[str, str], stop: str) -> None:
    build = ("build", "fg_c", *SPAN, "--lake", bare, *options)
    with cut(*STOPS[stop]), pytest.raises(PowerCutError):
        ndr(*build)
    half = plan(bare, "fg_c", *options, *SPAN)
    assert 0 < sum(half.values()) < 30 or stop == "at the end of all"
    assert ndr(*build).code == 0
    assert plan(bare, "fg_c", *options, *SPAN) == {}
    assert run(bare, past_log(options), *options)["known_files"]
    assert differing(files(bare), whole) == set(), "the same bytes, and nothing that nobody wants"


def test_a_build_that_is_killed_goes_on(bare: Path, options, whole: dict[str, str]) -> None:
    program = (
        "import os, signal, sys\nfrom ndr.cli import main\nfrom ndr.lake import LocalLake\nplain = LocalLake.publish\n"
        "def publish(lake, path):\n    found = plain(lake, path)\n"
        "    if 'fg_b/segment' in path: os.kill(os.getpid(), signal.SIGKILL)\n    return found\n"
        "LocalLake.publish = publish\nmain(sys.argv[1:])\n"
    )
    build = ("build", "fg_c", *SPAN, "--lake", bare, *options)
    command = [sys.executable, "-c", program, *map(str, build)]
    killed = subprocess.run(command, capture_output=True, check=False, env=os.environ)  # noqa: S603 - our own program
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert any(path.startswith("fg_b/host") for path in files(bare)), "it was killed in the middle"
    with closing(SqliteLedger(bare / "ledger.sqlite")) as ledger:
        assert not any(ledger.parts(name, "1") for name in PUBLISHED_TABLES)
        assert ledger.publication_records("1") == {}
    assert ndr(*build).code == 0
    assert run(bare, past_log(options), *options)["known_files"]
    assert differing(files(bare), whole) == set()


def view(lake: Path) -> frozenset[Part]:
    """What a reader finds of the baselines, after checking that it finds all of each file."""
    with closing(SqliteLedger(lake / "ledger.sqlite")) as ledger:
        found = [part for name in PUBLISHED_TABLES for part in ledger.parts(name, "1")]
        (record,) = ledger.publication_records("1").values()
    for part in found:
        assert hashlib.sha256((lake / part.path).read_bytes()).hexdigest() == part.checksum, part
    assert {(p["table"], p["id"]) for p in record["parts"]} == {(part.table, part.id) for part in found}
    return frozenset(found)


@pytest.fixture
def more_logs(tmp_path: Path) -> Path:
    """Sessions of Monday evening that were not there when the baselines were made."""
    return write(tmp_path / "more.json", some(TUESDAY - QUARTER, source_bytes=9_000, destination_port=22))


def test_readers_see_old_baselines_or_all_new_ones(built: Path, options, more_logs: Path, monkeypatch) -> None:
    before, seen = view(built), []
    plain = LocalLake.publish

    def publish(lake: LocalLake, path: str) -> str:
        found = plain(lake, path)
        seen.append((path, view(built)))
        return found

    monkeypatch.setattr(LocalLake, "publish", publish)
    run(built, more_logs, *options)
    after = view(built)
    assert {part.table for part in after - before} == set(PUBLISHED_TABLES)
    assert {now for path, now in seen if not path.startswith(("fg_c/", "report.html"))} == {before}
    assert {now for path, now in seen if path.startswith("fg_c/")} == {after}
    assert sum(path.startswith("fg_b/") for path, _ in seen) == len(after)


@pytest.mark.parametrize("stop", ["between two baselines", "before baselines are in force"])
def test_a_publication_that_failed_leaves_the_old_one(built: Path, options, more_logs: Path, stop: str) -> None:
    before = view(built)
    with cut(*STOPS[stop]), pytest.raises(PowerCutError):
        ndr("run", more_logs, "--lake", built, *options)
    assert view(built) == before
    run(built, more_logs, *options)
    after = view(built)
    assert {part.table for part in after - before} == set(PUBLISHED_TABLES)
    owned = {part.path for part in after}
    assert {place for place in files(built) if place.startswith("fg_b/")} == owned, "nothing is left behind"
    assert ndr("status", "--verify", "--lake", built, *options).code == 0
