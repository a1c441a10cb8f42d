"""Kill a command at every step it takes towards the disk, run it again, and compare with a lake nothing happened to.

Run as a program, so that the process that forks has opened neither DuckDB nor a ledger:
``python crash_walk.py SCENARIO FOLDER SHARE`` prints one JSON object: the steps, those walked, and what went wrong.
A share below 1 takes the first and the last step of every kind, and that share of the others by a seeded choice.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq

from day.lakes import ALL_TABLES, files, ndr
from day.scenarios import SCENARIOS
from ndr.fingerprint import fingerprints
from ndr.lake import LocalLake, checksum
from ndr.local_ledger import SqliteLedger
from ndr.plan import Planner
from ndr.sources.outputs import Outputs
from ndr.specs import Config
from ndr.tables import TABLES
from ndr.time import Interval

POINTS: tuple[tuple[Any, str], ...] = (
    (Path, "replace"), (Path, "unlink"), (Path, "rmdir"), (Outputs, "write"), (pq.ParquetWriter, "close"),
)  # fmt: skip
"""What changes files, besides the transactions of the ledger; between two of these nothing changes on disk."""


class Steps:
    """Counts the steps of this process; at one of them the process dies."""

    def __init__(self, die_at: int) -> None:
        self.names: list[str] = []
        self._die_at = die_at

    def __call__(self, name: str) -> None:
        if len(self.names) == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.names.append(name)

    def watch(self) -> None:
        """Count after everything that changes the disk, and before the end of every transaction."""
        for owner, name in POINTS:
            setattr(owner, name, self._watched(getattr(owner, name), name))
        plain = SqliteLedger._transaction

        @contextlib.contextmanager
        def transaction(ledger: SqliteLedger) -> Iterator[sqlite3.Connection]:
            with plain(ledger) as db:
                yield db
                self("not committed")
            self("committed")

        SqliteLedger._transaction = transaction  # type: ignore[method-assign]

    def _watched(self, what: Callable[..., Any], name: str) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            answer = what(*arguments, **named)
            self(name)
            return answer

        return watched


def in_child(work: Callable[[], Any]) -> tuple[int, Any]:
    """The work done in a process of its own; how that ended (0, or minus the signal) and what the work returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            with os.fdopen(writing, "w") as pipe:
                pipe.write(json.dumps(work()))
            os._exit(0)
        except BaseException:  # noqa: BLE001 - told, and then this process ends
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, json.loads(answer) if answer else None


def counted(commands: list[list[str]], die_at: int) -> list[str]:
    """Run the commands, to the end or to a certain step; the steps they took."""
    steps = Steps(die_at)
    steps.watch()
    for command in commands:
        answer = ndr(*command)
        if answer.code:
            raise AssertionError(answer.err)
    return steps.names


def state(lake: Path) -> list[Any]:
    """All that a lake holds, but for the times at which it was made: files, and the ledger's tables."""
    with closing(sqlite3.connect(lake / "ledger.sqlite")) as db:
        names = ("parts", "units", "unit_slices", "batches", "unsettled_slices", "settled", "unwanted_files")
        rows = [[list(row) for row in db.execute(f"SELECT * FROM {name}")] for name in names]  # noqa: S608 - constants
    return [files(lake), rows]


def halves(lake: Path) -> list[str]:
    """What a reader of the lake, as it stands, would see of half-done work."""
    if not (lake / "ledger.sqlite").exists():
        return []
    found = []
    for path in (path for path in lake.rglob("*.parquet") if "_staging" not in path.parts):
        try:
            pq.read_metadata(path)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it
            found.append(f"{path.relative_to(lake)} is no whole file: {error}")
    with closing(SqliteLedger(lake / "ledger.sqlite")) as ledger:
        home = LocalLake(lake)
        owned = [(u.path, u.checksum, "sessions") for u in ledger.units() if u.path]
        starts, last = ledger.slice_starts(), ledger.last_arrival()
        for version in ("1", "2") if last else ():
            planner = Planner(Config(feature_spec_version=version), ledger, home)
            steps = planner.plan([TABLES["fg_a"]], Interval(starts[0], last))
            missing = {(step.table.name, key) for step in steps for key in step.ids}
            missing |= {(step.table.name, part.key) for step in steps for part in step.gone}
            every = [part for table in ALL_TABLES for part in ledger.parts(table, version)]
            owned += [(p.path, p.checksum, p.table) for p in every if p.path and (p.table, p.key) not in missing]
        for path, digest, table in owned:
            if not home.has(path) or checksum(home.path(path)) != digest:
                found.append(f"{table}: {path} is {'another' if home.has(path) else 'not there'}, and not reported")
    return found


def chosen(names: list[str], share: float) -> list[int]:
    """The steps to die at."""
    ends = {names.index(name) for name in names} | {len(names) - 1 - names[::-1].index(name) for name in names}
    rng = Random(share)  # noqa: S311 - a repeatable choice
    return [step for step in range(len(names)) if step in ends or rng.random() < share]


def walk(scenario: str, folder: Path, share: float) -> dict[str, Any]:
    """Die at the steps of the scenario, one lake each."""
    fingerprints(Config())  # parsed once, before the forks
    prepare, commands_for = SCENARIOS[scenario]
    folder.mkdir(parents=True, exist_ok=True)
    code, _ = in_child(lambda: prepare(folder))
    if code:
        raise AssertionError(f"{scenario} cannot be prepared: {code}")
    fresh = folder / "prepared"

    def lake_of(name: str) -> Path:
        lake = folder / name
        shutil.rmtree(lake, ignore_errors=True)
        if fresh.exists():
            shutil.copytree(fresh, lake)
        return lake

    whole = lake_of("undisturbed")
    in_child(lambda: counted(commands_for(folder, whole), -1))  # fills the cache of queries, whose files are no steps
    whole = lake_of("undisturbed")
    code, names = in_child(lambda: counted(commands_for(folder, whole), -1))
    if code:
        raise AssertionError(f"{scenario} does not run: {code}")
    _, expected = in_child(lambda: state(whole))
    wrong = []
    for step in chosen(names, share):
        lake = lake_of("killed")
        commands = commands_for(folder, lake)
        code, _ = in_child(lambda: counted(commands, step))  # noqa: B023 - called at once
        _, half = in_child(lambda: halves(lake))  # noqa: B023
        again, _ = in_child(lambda: counted(commands, -1))  # noqa: B023
        _, after = in_child(lambda: state(lake))  # noqa: B023
        if code != -signal.SIGKILL or half or again or after != expected:
            wrong.append(
                {"step": step, "name": names[step], "died": code, "half": half, "again": again,
                 "differs": difference(expected, after)}
            )  # fmt: skip
    return {"steps": names, "walked": chosen(names, share), "wrong": wrong}


def difference(expected: Any, after: Any) -> list[str]:
    """A few words on what is not as it should be."""
    if after is None:
        return ["no state"]
    places = [place for place in {**expected[0], **after[0]} if expected[0].get(place) != after[0].get(place)]
    rows = [f"{len(x)} rows, then {len(y)}: {[r for r in y if r not in x][:2]}"
            for x, y in zip(expected[1], after[1], strict=True) if x != y]  # fmt: skip
    return (places + rows)[:6]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(walk(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))))
