"""Viewing: a page in a browser, what it logged and asked for, and what can be read off it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONTRAST = """
(element) => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(element);
  const fore = light(parse(element.tagName === "text" ? style.fill : style.color).slice(0, 3));
  let behind = element, back = null;
  while (behind && !back) {
    const colour = parse(getComputedStyle(behind).backgroundColor);
    if (colour.length === 3 || colour[3] > 0) back = light(colour.slice(0, 3));
    behind = behind.parentElement;
  }
  const [high, low] = [fore, back === null ? 1 : back].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}
"""
"""The contrast of an element's text with what is behind it, by the formula of WCAG 2."""


class View:
    """A page that was opened."""

    def __init__(self, page: Any, file: Path) -> None:
        self.page, self.file = page, file
        self.logged: list[str] = []
        self.requested: list[str] = []
        page.on("console", lambda message: self.logged.append(message.text))
        page.on("pageerror", lambda error: self.logged.append(str(error)))
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("dialog", lambda dialog: (self.logged.append(dialog.message), dialog.dismiss()))

    def insist_on_peace(self) -> None:
        """Nothing was logged, no policy was broken, nothing was asked for but the file itself."""
        assert self.logged == []
        assert {url.partition("#")[0] for url in self.requested} <= {self.file.as_uri()}

    def column(self, name: str) -> list[str]:
        """The texts of a column of the ranking, of the rows that are shown."""
        rows = self.page.locator(f"#hosts-table tbody tr:visible .{name}")
        return [re.sub(r"\s+", " ", text).strip() for text in rows.all_inner_texts()]

    def ranks(self) -> list[int]:
        """The ranks in the order in which they stand."""
        return [int(text) for text in self.column("rank")]

    def sort(self, name: str) -> str | None:
        """Press the heading of a column; what it says of its order after that."""
        self.page.locator(f"#hosts-table th.{name} button").click()
        return self.page.locator(f"#hosts-table thead th.{name}").get_attribute("aria-sort")

    def open_hosts(self) -> list[int]:
        """The ranks of the hosts whose details are shown."""
        return self.page.eval_on_selector_all(
            "article", "all => all.filter(a => a.querySelector('details').open).map(a => Number(a.dataset.host))"
        )

    def settle(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; the page's policy lets no waiting script in."""
        for _ in range(100):
            if holds():
                return
            self.page.wait_for_timeout(20)
        raise AssertionError("it did not come to hold")

    def contrast(self, selector: str) -> float:
        """The least contrast of the elements of a selector."""
        return min(self.page.eval_on_selector_all(selector, f"all => all.map({CONTRAST})"))

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
