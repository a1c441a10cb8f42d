"""A headless browser for the tests of the report, and pages that tell what they do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ndr.report.findings import Findings
from ndr.report.page import page
from report.viewing import View

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
Opening = Callable[..., View]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, once for all tests of a worker."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("there is no chromium on this machine")
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opening]:
    """Open findings, or a file, as a page of some width, scheme and medium; what goes wrong in it fails the test."""
    with ExitStack() as closing:

        def opening(content: Findings | Path, width: int = 1280, **options: Any) -> View:
            if isinstance(content, Findings):
                file = tmp_path / "report.html"
                file.write_text(page(content), encoding="utf-8")
            else:
                file = content
            context = browser.new_context(viewport={"width": width, "height": 900}, **options)
            closing.callback(context.close)
            view = View(context.new_page(), file)
            closing.callback(view.insist_on_peace)
            view.page.goto(file.as_uri())
            return view

        yield opening
