"""What people read follows from the declarations: the catalogue page, the commands, the README."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from house.rooms import ROOT
from ndr.cli import COMMANDS, main, parser
from ndr.metrics import METRICS
from ndr.tables import TABLES

Command = tuple[str, argparse.ArgumentParser, str | None]


def _commands(root: argparse.ArgumentParser, place: str = "ndr") -> Iterator[Command]:
    """Every command with its full name and its help text."""
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            help_of = {choice.dest: choice.help for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield f"{place} {name}", command, help_of.get(name)
                yield from _commands(command, f"{place} {name}")


FOUND = list(_commands(parser()))
OPTIONS = [
    (name, action)
    for name, command, _ in FOUND
    for action in command._actions
    if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
]


def _pages() -> str:
    """The README and every page under docs, as one text."""
    return "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")))


def test_the_catalogue_page_is_the_generated_one(capsys: pytest.CaptureFixture[str]) -> None:
    """``make docs`` writes it."""
    assert main(["catalog", "--format", "markdown"]) == 0
    assert (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8") == capsys.readouterr().out


def test_the_catalogue_page_shows_every_metric_and_table() -> None:
    page = (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8")
    for metric in METRICS:
        assert f"`{metric.name}`" in page
        assert metric.doc in page
        assert metric.formula in page
    for made in TABLES.values():
        assert f"### {made.name}\n" in page
        assert all(column in page for column in made.columns)


def test_every_command_is_known_by_its_name() -> None:
    assert {name.split()[1] for name, _, _ in FOUND} == set(COMMANDS)


@pytest.mark.parametrize(("name", "command", "text"), FOUND, ids=[name for name, _, _ in FOUND])
def test_a_command_says_what_it_does(name: str, command: argparse.ArgumentParser, text: str | None) -> None:
    assert text, f"{name} has no help text"
    assert len(text.split()) > 2
    assert command.format_help()


@pytest.mark.parametrize("name", [name for name, _, _ in FOUND])
def test_a_command_stands_in_the_documents(name: str) -> None:
    assert name in _pages(), f"neither README.md nor docs/ mentions `{name}`"


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[f"{name} {option.dest}" for name, option in OPTIONS])
def test_an_option_says_what_it_does(name: str, option: argparse.Action) -> None:
    assert option.help, f"{name} {option.dest} has no help text"


@pytest.mark.parametrize("flag", sorted({flag for _, o in OPTIONS for flag in o.option_strings if flag[:2] == "--"}))
def test_an_option_stands_in_the_documents(flag: str) -> None:
    assert flag in _pages(), f"neither README.md nor docs/ mentions {flag}"
