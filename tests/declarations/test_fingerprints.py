"""Fingerprints: a table's numbers depend on all code that it imports, and on nothing else that is written here."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest

from house.rooms import SRC, Module
from ndr import fingerprint
from ndr.fingerprint import fingerprints, run_fingerprint
from ndr.specs import Config
from ndr.tables import TABLES

MADE = [table for table in TABLES.values() if table.recipe]


def imported_by(place: str) -> set[str]:
    """The files of ours that a file imports, in whichever way it says so."""
    found = set()
    for _, name in Module(SRC / place).imports():
        assert not name.startswith("."), f"{place}: {name} is relative, which fingerprints do not follow"
        steps = name.split(".")[1:] if name.split(".")[0] == "ndr" else []
        inner = ["/".join(steps[:length]) for length in range(len(steps), 0, -1)]
        files = [file for each in inner for file in (f"{each}.py", f"{each}/__init__.py") if (SRC / file).is_file()]
        found |= set(files[:1])
    return found


def closure(place: str) -> set[str]:
    """All that a file imports, directly or not, itself first; what errors say changes no number."""
    found, waiting = {place}, [place]
    while waiting:
        fresh = imported_by(waiting.pop()) - found - {"errors.py"}
        found |= fresh
        waiting += sorted(fresh)
    return found


@pytest.mark.parametrize("table", MADE, ids=lambda table: table.name)
def test_a_fingerprint_covers_all_that_the_table_imports(table) -> None:
    place = f"tables/{table.module}.py"
    covered = fingerprint._needed(place)
    assert {file for file in covered if not only_words(file)} == closure(place)


def only_words(place: str) -> bool:
    """Whether a file holds nothing but its docstring."""
    return all(isinstance(node, ast.Expr) for node in Module(SRC / place).tree.body)


def test_a_fingerprint_covers_what_deviations_are_made_of() -> None:
    """Named here, so that the test above does not pass with a walk that finds nothing."""
    covered = fingerprint._needed("tables/fg_c.py")
    assert covered >= {
        "features/deviations.py", "features/levels.py", "features/suspicion.py", "features/rarity.py",
        "features/frames.py", "metrics/__init__.py", "metrics/traffic.py", "metric.py", "table.py", "time.py",
        "tables/fg_b.py", "tables/settings.py",
    }  # fmt: skip
    assert not covered & {"run.py", "plan.py", "ledger.py", "news.py", "errors.py", "standing.py", "cli/running.py"}


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch) -> Callable[..., set[str]]:
    """The tables whose fingerprints change when a file gets another text."""
    plain = fingerprint._parsed

    def change(place: str, edit: Callable[[str], str]) -> set[str]:
        before = fingerprints(Config())
        text = edit((SRC / place).read_text(encoding="utf-8"))
        monkeypatch.setattr(fingerprint, "_parsed", lambda file: ast.parse(text) if file == place else plain(file))
        forget()
        after = fingerprints(Config())
        monkeypatch.setattr(fingerprint, "_parsed", plain)
        forget()
        return {name for name in before if before[name] != after[name]}

    return change


def forget() -> None:
    for kept in (fingerprint._code, fingerprint._imports):
        kept.cache_clear()


def more(text: str) -> str:
    return f"{text}\nANOTHER_NUMBER = 7\n"


SCORES = {"predictions", "prediction_feature_join"}
COMPARED = {"fg_c", *SCORES}
BASELINES = {name for name, table in TABLES.items() if table.published}


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        ("features/suspicion.py", COMPARED),
        ("tables/fg_b_ip_metadata.py", {"fg_b_ip_metadata", *COMPARED}),
        ("features/beacons.py", {"beacons", "slow_beacons", *COMPARED}),
        ("tables/fg_b_capping.py", BASELINES - {"fg_b_pair_host", "fg_b_pair_segment"} | COMPARED),
        ("features/windows.py", BASELINES | {"fg_a", *COMPARED}),
        ("model/reasons.py", SCORES),
        ("run.py", set()),
        ("errors.py", set()),
    ],
)
def test_an_edit_makes_the_tables_missing_that_depend_on_it(edited, place: str, changed: set[str]) -> None:
    assert edited(place, more) == changed


def test_what_people_read_makes_no_difference(edited) -> None:
    def reworded(text: str) -> str:
        return '"""Other words."""\n# and a remark\n' + text.partition('"""\n')[2]

    assert edited("features/deviations.py", reworded) == set()
    assert edited("features/deviations.py", lambda text: more(reworded(text))) == COMPARED


@pytest.mark.parametrize(
    ("job", "values", "changed"),
    [
        ("fg_c_builder", {"z_max": 9.0}, COMPARED),
        ("fg_c_builder", {"eps": 1}, set()),
        ("fg_b_builder", {"support_min": {"sessions_cnt": 7}}, {*BASELINES, *COMPARED}),
        ("fg_b_builder", {"fg_a_input": {"s3_prefix": "elsewhere"}}, set()),
    ],
)
def test_a_setting_makes_the_tables_missing_that_depend_on_it(job: str, values: dict[str, Any], changed) -> None:
    plain, other = Config(), Config.model_validate({"jobs": {job: values}})
    before, after = fingerprints(plain), fingerprints(other)
    assert {name for name in before if before[name] != after[name]} == changed
    assert (run_fingerprint(plain) == run_fingerprint(other)) is (not changed)
