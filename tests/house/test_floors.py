"""A module imports strictly lower floors, and pure floors stay pure."""

from __future__ import annotations

import ast

import pytest

from house.rooms import Module, modules

# From the ground up. A room imports rooms of earlier lines only; modules of one package may import each other.
# Lines of one storey that follow each other are its steps: `run` stands on `plan`, `plan` on `ledger`.
STOREYS = (
    (0, "errors"),
    (0, "time net log ahead sql rounding"),
    (1, "metric"),
    (1, "metrics"),
    (2, "features model table"),
    (3, "tables"),
    (4, "specs ledger ledger_schema lake catalog engine arrow"),
    (4, "fingerprint queries local_ledger publications places jobs spec_store"),
    (4, "spec_files lint"),
    (4, "plan"),
    (4, "chunks"),
    (4, "run"),
    (4, "summary parity"),
    (4, "artefacts evaluation safelist"),
    (4, "scoring"),
    (4, "news"),
    (4, "standing"),
    (4, "alerts explaining"),
    (5, "aws engines sources sinks"),
    (6, "report"),
    (6, "cli"),
    (7, "__main__"),
)
STEP = {room: step for step, (_, rooms) in enumerate(STOREYS) for room in rooms.split()}
STOREY = {room: storey for storey, rooms in STOREYS for room in rooms.split()}
MODULES = modules("src/ndr")
PURE = 3

FOREIGN = {"boto3", "botocore", "duckdb", "pyiceberg", "pyspark", "s3fs", "sagemaker", "sqlalchemy"}
IMPURE = set("asyncio http io os pathlib random secrets shutil socket sqlite3 subprocess tempfile urllib uuid".split())
CLOCKS = {"datetime", "date", "time", "ibis"}


def ours(module: Module) -> list[tuple[int, str]]:
    """(line, room) of every import of ours; a relative import is refused, for it hides the floor."""
    found = []
    for line, name in module.imports():
        assert not name.startswith("."), f"{module.place}:{line}: import it by its full name"
        top, _, rest = name.partition(".")
        if top == "ndr" and rest:
            found.append((line, rest.split(".")[0]))
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.place)
def test_a_module_imports_strictly_lower_floors(module: Module) -> None:
    if not module.room:
        assert not ours(module), f"{module.place} is on the ground: it imports nothing of ours"
        return
    assert module.room in STEP, f"{module.place} has no floor: give {module.room!r} one in STOREYS"
    for line, room in ours(module):
        if room == module.room or room not in STEP:  # a sibling, or a name of the package itself
            continue
        assert STEP[room] < STEP[module.room], (
            f"{module.place}:{line}: {module.room!r} (floor {STOREY[module.room]}) must not import "
            f"{room!r} (floor {STOREY[room]})"
        )


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.place)
def test_foreign_systems_are_known_to_adapters_only(module: Module) -> None:
    if module.room in "aws engines sources sinks".split():
        return
    for line, name in module.imports():
        top = name.split(".")[0]
        assert top not in FOREIGN, f"{module.place}:{line}: {top} belongs behind an adapter on floor 5"


@pytest.mark.parametrize("module", [m for m in MODULES if 1 <= STOREY.get(m.room, 0) <= PURE], ids=lambda m: m.place)
def test_features_and_tables_have_no_clock_and_no_io(module: Module) -> None:
    for line, name in module.imports():
        top = name.split(".")[0]
        assert top not in IMPURE, f"{module.place}:{line}: {top} is I/O or chance; a recipe is a pure function"
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called != "open", f"{module.place}:{node.lineno}: a recipe opens no files"
        base, _, last = called.rpartition(".")
        reads_clock = base.split(".")[-1] in CLOCKS and last in {"now", "utcnow", "today", "time", "time_ns"}
        assert not reads_clock, (
            f"{module.place}:{node.lineno}: {called}() reads the clock; take the time as an argument"
        )
