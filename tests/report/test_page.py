"""The page without a browser: its structure, its policy, its size, and that it is the same each time."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from ndr.report import page as pages
from ndr.report.findings import Findings
from ndr.report.page import LIMIT, page
from report.findings import HOSTILE, findings, host, hostile

VOID = {"meta", "input", "br"}


class Outline(HTMLParser):
    """The elements of a page, in order, and whether they close as they opened."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def document() -> str:
    return page(findings(host(1), host(2, cold=True, source="segment"), *map(hostile, range(3, 10), HOSTILE)))


@pytest.fixture(scope="module")
def outline(document: str) -> Outline:
    return Outline(document)


def test_every_element_is_closed_and_every_name_is_given_once(outline: Outline) -> None:
    assert outline.open == []
    names = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(names) == len(set(names))
    targets = {(each["href"] or "").removeprefix("#") for each in outline.of("a")}
    assert targets <= set(names), "every link leads to a place of the page"
    assert {each["for"] for each in outline.of("label")} <= set(names)


def test_the_page_has_a_language_one_title_and_headings_in_order(outline: Outline) -> None:
    assert outline.of("html") == [{"lang": "en"}]
    assert len(outline.of("h1")) == len(outline.of("title")) == len(outline.of("main")) == 1
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_the_policy_lets_nothing_in_but_the_two_resources(document: str, outline: Outline) -> None:
    (policy,) = (each["content"] for each in outline.of("meta") if each.get("http-equiv"))
    told = dict(part.strip().split(" ", 1) for part in (policy or "").split(";"))
    assert told["default-src"] == told["base-uri"] == told["form-action"] == "'none'"
    assert set(told) == {"default-src", "style-src", "script-src", "base-uri", "form-action"}
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", document, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert told[f"{tag}-src"] == f"'sha256-{digest}'"
    assert document.index("Content-Security-Policy") < document.index("<style>")


def test_nothing_in_the_page_runs_or_loads_by_itself(document: str, outline: Outline) -> None:
    for tag, attributes in outline.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "form", "base"}
        for name in attributes:
            assert not name.startswith("on"), f"{tag} has {name}"
            assert name not in {"style", "src", "srcset", "action", "formaction", "xlink:href"}
    assert "://" not in re.sub(r"<(style|script)>.*?</\1>", "", document, flags=re.DOTALL)


def test_names_are_told_as_they_are_and_no_character_turns_the_text_around(outline: Outline) -> None:
    words = "".join(outline.words)
    assert "<script>window.owned = 1</script>" in words
    assert "\\x202egnp.exe\\x2066" in words
    assert "line\\x0abreak\\x1b[31m\\x00" in words
    assert {c for c in words if not c.isprintable()} <= {"\n"}


def test_every_chart_has_words(outline: Outline) -> None:
    charts = [each for each in outline.of("svg") if each.get("class") == "chart"]
    assert charts
    assert all(each["role"] == "img" and each["aria-label"] for each in charts)
    assert all(each.get("aria-hidden") for each in outline.of("svg") if each.get("class") in {"spark", "bar"})


def test_the_same_findings_give_the_same_bytes() -> None:
    assert page(findings(host(1), host(2))) == page(findings(host(1), host(2)))


def test_deviations_are_told_in_words(outline: Outline) -> None:
    words = re.sub(r"\s+", " ", "".join(outline.words))
    for told in (
        "1,172 sessions to admin ports in 30 minutes, usually 0 +1,172 robust deviations from its own past",
        "62 % of the sessions failed, usually 1 % +41.2 robust deviations from its segment",
        "1 incoming session in 30 minutes, usually 12 -4.1 robust deviations from its own past",
        "Calls 198.51.100.7 port 443 about every 30 min (45 connections); beacon score 0.91 of 1.",
        "Compared with its segment over 7 days, because it has too little history of its own.",
        "664 pairs of peer and port, 58 of them new; 61 more peers not shown",
        "T1021 Remote Services, T1570 Lateral Tool Transfer",
        "Provisional: made of less history than baselines need",
        "brought 1,240,000 records: 1,234,567 sessions, 15 quarantined, 5,418 filtered.",
        "3 hosts of 40 had too little history for a baseline of their own",
        "The safelist covers 2 alerts",
    ):
        assert told in words


def test_ports_are_told_one_by_one_or_by_their_range(outline: Outline) -> None:
    words = "".join(outline.words)
    for told in (
        "10.10.0.1022412",
        "203.0.113.9none3",
        "10.10.0.31621 from 3 to 9990, none700",
        "10.10.0.280, 4431,200",
    ):
        assert told in words
    assert "not there" in words
    assert "57 of 622 pairs" in words
    assert "rare 2 sessions" in words


def test_the_commands_to_go_on_with_can_be_pasted(outline: Outline) -> None:
    words = "".join(outline.words)
    assert "ndr explain 10.64.0.21 --at 2026-03-10T04:45:00Z --lake '/data/lake of today'" in words


def test_a_page_that_would_be_too_large_is_coarser_and_then_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = findings(*(host(n) for n in range(1, 9)))
    full = len(page(whole).encode())
    assert "To keep this page below" not in page(whole)
    monkeypatch.setattr(pages, "LIMIT", full)
    coarser = page(whole)
    assert len(coarser.encode()) < full
    assert "the charts show the highest of each 30 minutes instead of every quarter hour." in coarser
    monkeypatch.setattr(pages, "LIMIT", full // 4)
    shorter = page(whole)
    assert len(shorter.encode()) < full // 4
    assert re.search(r"of each 6 hours instead of every quarter hour and only the first \d of 8 hosts", shorter) or (
        re.search(r"of each 4 hours instead of every quarter hour and only the first \d of 8 hosts", shorter)
    )


def test_many_hosts_over_a_long_time_stay_below_the_limit() -> None:
    hosts = tuple(host(n) for n in range(1, 26))
    wide = findings(*(replace(each, course=each.course * 4, alarms=each.alarms * 4) for each in hosts))
    assert len(page(findings(*hosts)).encode()) < LIMIT / 2, "a week of 25 hosts has room"
    steps = tuple(wide.ends[0] + n * wide.step for n in range(len(wide.ends) * 4))
    lines = {part: getattr(hosts[0].lines[0], part) * 4 for part in ("values", "low", "median", "high", "ceiling")}
    long = replace(hosts[0].lines[0], **lines)
    wide = replace(wide, ends=steps, hosts=tuple(replace(each, lines=(long,) * 3) for each in wide.hosts))
    assert len(page(wide).encode()) < LIMIT


def test_thinning_keeps_the_highest_and_the_gaps() -> None:
    thin = findings(host(1)).thinned(4)
    first, before = thin.hosts[0], host(1)
    assert len(thin.ends) == len(first.course) == len(first.lines[0].values) == 168
    assert thin.ends[0] == findings().ends[3]
    assert max(filter(None, first.course)) == max(filter(None, before.course))
    assert sum(first.alarms) <= sum(before.alarms)
    assert first.lines[0].values[1] is None or before.lines[0].values[4:8].count(None) < 4


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hosts_alerted": 0, "covered": 0}, "A quiet period: no host did anything less normal"),
        ({"hosts_alerted": 0, "covered": 2}, "A quiet period: nothing is left but what the safelist covers."),
        ({"hosts_alerted": 0, "hosts": ()}, "Every alert of this period is covered by the safelist."),
        ({"quality": None, "model": None, "baselines": ()}, "Look first at"),
    ],
)
def test_states_in_which_there_is_less_to_tell(changes: dict[str, Any], told: str) -> None:
    assert told in "".join(Outline(page(findings(host(1), **changes))).words)


def test_a_lake_without_predictions() -> None:
    words = "".join(Outline(page(Findings("lake", None, "no baselines are due yet"))).words)
    assert "No host was scored yet: no baselines are due yet." in words
    assert "No baselines are due yet." in words


def test_an_endpoint_tells_no_contributions() -> None:
    bare = host(
        1, leading_kind="endpoint", techniques=(), contributions=(), lines=(), deviations=(), peers=(), beacon=None
    )
    words = "".join(Outline(page(findings(bare))).words)
    assert "endpoint" in words
    assert "What the evidence is made of" not in words
