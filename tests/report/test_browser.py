"""The report in a browser: it opens in peace, sorts, filters, prints, and fits every screen and every eye."""

from __future__ import annotations

from typing import Any

import pytest

from ndr.report.findings import Findings
from report.findings import HOSTILE, PEAK, SLICE, findings, host, hostile

WIDE, NARROW = 1280, 320
TEXTS = (
    "h1", ".period", ".quiet", ".tiles dt", ".tiles dd", "th button", "tbody .host a", ".about", "td.severity",
    "caption", "summary h3", ".gist", ".lead", "h4", "small", ".deviations li", "figcaption", ".legend", ".tick",
    ".badge", "pre code", ".facts dt", ".facts dd", ".terms dt", ".controls label", ".controls button", "footer p",
)  # fmt: skip


def hosts() -> Findings:
    """Four hosts that every column orders differently."""
    return findings(
        host(1, address="10.0.0.20", leading_kind="scan", techniques=("T1046",), severity="medium", windows=9),
        host(2, address="10.0.0.3", leading_kind="exfiltration", techniques=(), severity="critical", windows=2),
        host(
            3, address="10.0.0.100", leading_kind="beacon", techniques=("T1071",), severity="low", last=PEAK + 9 * SLICE
        ),
        host(
            4, address="fd00::7", leading_kind="anomaly", severity="", windows=30, name=None, anomalous=False, last=None
        ),
    )


def test_the_page_opens_in_peace_and_shows_the_first_hosts(opened: Any) -> None:
    view = opened(hosts())
    assert view.page.title().startswith("Network detection report, 4 Mar 2026")
    assert view.ranks() == [1, 2, 3, 4]
    assert view.open_hosts() == [1, 2, 3], "the details of the others are folded"
    assert view.page.locator("#host-1 .chart").count() == 4
    assert view.page.evaluate("window.owned") is None


@pytest.mark.parametrize(
    ("column", "first", "order", "back"),
    [
        ("rank", "descending", [4, 3, 2, 1], [1, 2, 3, 4]),
        ("host", "ascending", [2, 1, 3, 4], [4, 3, 1, 2]),
        ("leading_kind", "ascending", [4, 3, 2, 1], [1, 2, 3, 4]),
        ("techniques", "ascending", [2, 4, 1, 3], [3, 1, 4, 2]),
        ("evidence", "descending", [1, 2, 3, 4], [4, 3, 2, 1]),
        ("severity", "descending", [2, 1, 3, 4], [4, 3, 1, 2]),
        ("windows", "descending", [4, 1, 3, 2], [2, 3, 1, 4]),
        ("last", "ascending", [4, 1, 2, 3], [3, 1, 2, 4]),
    ],
)
def test_every_column_sorts_both_ways(opened: Any, column: str, first: str, order: list[int], back: list[int]) -> None:
    view = opened(hosts())
    assert (view.sort(column), view.ranks()) == (first, order)
    second = "ascending" if first == "descending" else "descending"
    assert (view.sort(column), view.ranks()) == (second, back)
    assert view.page.locator("#hosts-table [aria-sort]").count() == 1


def test_the_filter_narrows_the_table_and_the_details(opened: Any) -> None:
    view = opened(hosts())
    box = view.page.get_by_label("Filter by host, segment, kind or technique")
    box.fill("T1071")
    assert view.ranks() == [3]
    assert view.page.locator("article:visible").count() == 1
    assert view.page.get_by_role("status").inner_text() == "1 of 4 hosts"
    box.fill("remote services")
    assert view.ranks() == [4], "techniques are found by their names"
    box.fill("offices ws-0001")
    assert view.ranks() == [1]
    box.fill("nothing of the kind")
    assert view.ranks() == []
    assert view.page.get_by_role("status").inner_text() == "0 of 4 hosts"
    box.press("Escape")
    assert view.ranks() == [1, 2, 3, 4]
    assert view.page.get_by_role("status").inner_text() == ""


def test_the_keyboard_reaches_and_works_everything(opened: Any) -> None:
    view = opened(hosts())
    keys = view.page.keyboard
    keys.press("Tab")
    assert view.page.evaluate("document.activeElement.textContent") == "Skip to the ranked hosts"
    assert view.page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0, (
        "it is seen when it has focus"
    )
    reached = []
    for _ in range(40):
        keys.press("Tab")
        reached.append(view.page.evaluate("(e => e.id || e.tagName + ' ' + e.textContent)(document.activeElement)"))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert view.page.evaluate(f"document.activeElement === document.body || {outline} !== 'none'"), reached[-1]
    for wanted in ("filter", "open-all", "close-all", "BUTTON Rank", "BUTTON Last seen", "A 10.0.0.20", "A fd00::7"):
        assert wanted in reached
    assert len({each for each in reached if each.startswith("SUMMARY")}) == 4
    view.page.locator("#hosts-table th.windows button").focus()
    keys.press("Enter")
    assert view.ranks() == [4, 1, 3, 2]
    keys.press("Space")
    assert view.ranks() == [2, 3, 1, 4]
    view.page.locator("#host-4 summary").focus()
    keys.press("Enter")
    assert view.open_hosts() == [1, 2, 3, 4]
    view.page.locator("#close-all").focus()
    keys.press("Space")
    assert view.open_hosts() == []
    view.page.locator("tbody .host a").nth(1).focus()
    keys.press("Enter")
    view.settle(lambda: view.open_hosts() == [3])  # the second in that order


def test_opening_a_host_by_its_address_in_the_page(opened: Any) -> None:
    view = opened(hosts())
    view.page.goto(f"{view.file.as_uri()}#host-4")
    view.page.reload()
    assert view.open_hosts() == [1, 2, 3, 4]


@pytest.mark.parametrize("width", [NARROW, 375, 640, 800, 992, WIDE])
def test_nothing_is_wider_than_the_screen(opened: Any, width: int) -> None:
    long = host(2, name="w" * 200, segment="s" * 200, leading_kind="x" * 60, deviations=())
    view = opened(findings(host(1), long, *(hostile(n, name) for n, name in enumerate(HOSTILE, 3))), width)
    view.page.locator("#open-all").click()
    assert view.overflow() <= 0
    assert view.page.locator("tbody .host a").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_enough(opened: Any, scheme: str) -> None:
    view = opened(hosts(), color_scheme=scheme)
    low = {each: round(ratio, 2) for each in TEXTS if (ratio := view.contrast(each)) < 4.5}
    assert low == {}
    dark = view.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 27)"
    assert dark is (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_shows_everything_and_no_controls(opened: Any, scheme: str) -> None:
    view = opened(hosts(), 760, color_scheme=scheme)
    view.page.locator("#close-all").click()
    view.page.emulate_media(media="print")
    view.settle(lambda: view.open_hosts() == [1, 2, 3, 4])
    assert view.page.locator("article .inside:visible").count() == 4
    assert not view.page.locator("#controls").is_visible()
    assert not view.page.locator(".skip").is_visible()
    assert view.overflow() <= 0
    assert view.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert view.contrast(".lead") > 7
    view.page.emulate_media(media="screen")
    view.settle(lambda: view.open_hosts() == [])


def test_printing_to_a_file_works(opened: Any) -> None:
    view = opened(hosts())
    assert view.page.pdf().startswith(b"%PDF-")


def test_the_page_reads_without_its_script(opened: Any) -> None:
    view = opened(hosts(), java_script_enabled=False)
    assert view.page.locator("article .inside:visible").count() == 4
    assert not view.page.locator("#controls").is_visible()
    assert view.page.locator("th button").count() == 0
    assert (
        view.page.locator("#host-4 pre").first.inner_text().startswith("ndr explain fd00::7 --at 2026-03-10T04:45:00Z")
    )


@pytest.mark.parametrize("name", HOSTILE, ids=[f"name {n}" for n in range(len(HOSTILE))])
def test_hostile_names_are_text(opened: Any, name: str) -> None:
    view = opened(findings(hostile(1, name), lake=name, standing=name))
    view.page.locator("#filter").fill(name)
    assert view.page.evaluate("window.owned") is None
    assert view.page.locator("script").count() == 1
    assert view.page.locator("img, iframe, object, b, [onerror], [onload], [style]").count() == 0
    seen = view.page.locator("#host-1 h3 .name").inner_text()
    assert seen == "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in name)


def test_what_was_silent_is_a_gap_and_what_was_busy_is_seen(opened: Any) -> None:
    view = opened(hosts())
    told = view.page.locator("#host-1 .chart").nth(1).get_attribute("aria-label")
    assert told == (
        "Sessions to admin ports: highest 1,172 at 2026-03-10T04:30:00Z, usually 0 to 0, no data in 118 of 672 steps."
    )
    box = view.page.locator("#host-1 .chart").nth(1).bounding_box()
    assert box["height"] > 50
    assert box["width"] > 300


def test_a_quiet_week_says_so(opened: Any) -> None:
    quiet = findings(host(1, anomalous=False, windows=0), hosts_alerted=0, hosts_anomalous=0, covered=0)
    view = opened(quiet, NARROW)
    assert view.page.locator(".quiet-day").inner_text().startswith("A quiet period: no host did anything less normal")
    assert view.overflow() <= 0


def test_without_predictions_the_page_says_why(opened: Any) -> None:
    view = opened(Findings("lake", None, "baselines need 9 days of logs, you have 1: no host is compared yet"), NARROW)
    assert "baselines need 9 days of logs, you have 1" in view.page.locator("#ranking").inner_text()
    assert not view.page.locator("#controls").count()
    assert view.overflow() <= 0
