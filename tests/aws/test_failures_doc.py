"""The page of failures names every error, says truly which pass, and quotes what the program says."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import ndr
from ndr.errors import DeclarationError, NdrError, UnknownNameError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "aws" / "failures.md").read_text(encoding="utf-8")
ERROR = re.compile(r"`(\w*Error)`")


def errors() -> dict[str, type[NdrError]]:
    """Every error of ours, by name."""
    found: dict[str, type[NdrError]] = {}
    for module in pkgutil.walk_packages(ndr.__path__, "ndr."):
        if module.name.endswith("__main__"):
            continue
        for name, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, NdrError) and not name.startswith("_"):
                assert found.setdefault(name, kind) is kind, f"two errors are called {name}"
    return found


def cells() -> list[list[str]]:
    """The rows of tables that begin with the name of an error."""
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows if ERROR.fullmatch(row[0].strip())]


ALL = errors()
LISTED = {row[0].strip("`"): row for row in cells() if len(row) == 3}
TOLD = [row for row in cells() if len(row) == 4]


def text(node: ast.AST) -> str:
    """A text of the source, with … for what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    return "".join(text(part) if isinstance(part, ast.Constant) else "…" for part in parts)


def sentences() -> list[str]:
    """All texts of the program, and what it makes of them."""
    found = set()
    for path in (ROOT / "src" / "ndr").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {text(node) for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)}
    return sorted(found)


SAID = sentences()


def test_every_error_is_listed_and_no_other() -> None:
    assert sorted(LISTED) == sorted(ALL)


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_page_says_truly_which_errors_pass(name: str) -> None:
    assert LISTED[name][1] == ("yes" if ALL[name].retryable else "no")


@pytest.mark.parametrize("name", sorted(name for name, kind in ALL.items() if kind.retryable))
def test_an_error_that_passes_is_explained_case_by_case(name: str) -> None:
    assert name in {row[0].strip("`") for row in TOLD} or name == "DeliveryError", "add its messages to the page"


@pytest.mark.parametrize("row", TOLD, ids=lambda row: f"{row[0]} {row[1][:60]}")
def test_a_message_is_one_that_the_program_writes(row: list[str]) -> None:
    error, message, *explained = row
    assert error.strip("`") in ALL
    assert any(message in sentence for sentence in SAID), f"nothing in src/ndr says {message!r}"
    assert all(explained)


def test_every_error_in_the_text_exists() -> None:
    named = set(ERROR.findall(PAGE)) - {"ClientError"}
    assert named <= set(ALL), f"no such errors: {sorted(named - set(ALL))}"


UNTOLD = (DeclarationError, UnknownNameError)
"""A mistake of ours, and an error that makes its own sentence."""


def raised(path: Path) -> list[tuple[str, str]]:
    """The errors of ours that a module raises, and what they say."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            name, said = ast.unparse(node.exc.func), text(node.exc.args[0])
            if name in ALL and not issubclass(ALL[name], UNTOLD) and said.strip("… .:"):
                found.append((name, said))
    return found


OPERATED = [
    "aws/*.py", "sinks/iceberg*.py", "cli/*jobs.py", "cli/destinations.py", "run.py",
    "engines/spark*.py", "engines/exchange.py",
]  # fmt: skip


@pytest.mark.parametrize("pattern", OPERATED)
def test_what_jobs_may_say_is_on_the_page(pattern: str) -> None:
    told = [(row[0].strip("`"), row[1]) for row in TOLD]
    paths = sorted((ROOT / "src" / "ndr").glob(pattern))
    missing = [
        f"{path.name}: {name}: {said}"
        for path in paths
        for name, said in raised(path)
        if not any(error == name and message in said for error, message in told)
    ]
    assert paths
    assert not missing, "add rows to docs/aws/failures.md for " + "; ".join(missing)
