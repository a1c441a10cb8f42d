"""What we keep: clean text, no trace of the machine it was written on, links that lead somewhere."""

from __future__ import annotations

import os
import re
import tomllib

import pytest

from house.rooms import ROOT, kept_files

KEPT = kept_files()
PLACES = {path: path.relative_to(ROOT).as_posix() for path in KEPT}
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".lock", ".cfg", ".html", ".sh"}
TEXTS = [path for path in KEPT if path.suffix in TEXT or path.name in {"Makefile", "run", ".gitignore"}]
PAGES = [path for path in KEPT if path.suffix == ".md"]
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
DECISION_LINES = 40
# Written in two pieces, so that this file does not find itself.
MACHINE_PATHS = re.compile(rb"/wo" rb"rk/|/opt/py" rb"pi|/ro" rb"ot/|/home/[a-z]|[A-Z]:\\\\Users")


def place(path: object) -> str:
    return PLACES[path] if path in PLACES else str(path)


@pytest.mark.parametrize("path", TEXTS, ids=place)
def test_text_is_clean(path) -> None:
    data = path.read_bytes()
    assert b"\r" not in data, "carriage return: lines end with \\n alone"
    assert not data or data.endswith(b"\n"), "the last line does not end"
    for number, line in enumerate(data.decode("utf-8").split("\n"), 1):
        assert line == line.rstrip(), f"{PLACES[path]}:{number}: trailing space"
        assert "\t" not in line or path.name == "Makefile", f"{PLACES[path]}:{number}: tab"


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = [f"{PLACES[path]}: {hit.group()!r}" for path in KEPT if (hit := MACHINE_PATHS.search(path.read_bytes()))]
    assert not found, f"machine paths in {'; '.join(found)}"


def test_what_is_run_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK), ".ci/run is not executable"


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as links write them."""
    titles = re.findall(r"^#+ +(.*?) *#*$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=place)
def test_every_relative_link_leads_somewhere(path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(<?([^)\s>]+)", text):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        file, _, anchor = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        assert page.exists(), f"{PLACES[path]} links to {target}, which does not exist"
        assert page.is_relative_to(ROOT), f"{PLACES[path]} links to {target}, outside the repository"
        if anchor and page.suffix == ".md":
            assert anchor in anchors(page.read_text(encoding="utf-8")), f"{PLACES[path]}: {target}: no such heading"


def test_decisions_are_numbered_and_listed() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1)), f"decision records are numbered {numbers}"
    listed = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in DECISIONS:
        assert f"docs/adr/{path.name}" in listed, f"CONTRIBUTING.md does not list {path.name}"


@pytest.mark.parametrize("path", DECISIONS, ids=place)
def test_a_decision_is_short_and_whole(path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.name[:4]} "), "the title starts with the number"
    assert text.count("\n") < DECISION_LINES
    for part in ("Context", "Decision", "Consequences", "Rejected"):
        assert f"\n## {part}\n" in text, f"no part {part!r}"


def test_the_lock_pins_and_hashes_all_that_is_asked_for() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for trace in ("://", "--index", "--extra-index", "--find-links", "file:"):
        assert trace not in lock, f"requirements.lock holds {trace!r}: where files come from is the reader's affair"
    pinned = {}
    for entry in re.split(r"\n(?=\S)", lock):
        if not entry.startswith("#"):
            name, _, _ = entry.partition("==")
            pinned[name.lower()] = entry
            assert "--hash=sha256:" in entry, f"{name} has no hash"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    missing = {re.split(r"[^\w.-]", line)[0].lower() for line in asked} - pinned.keys()
    assert not missing, f"not in requirements.lock: {', '.join(sorted(missing))}; run make lock"
