"""The page: findings as one HTML document that asks the network for nothing and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from ndr.report import words
from ndr.report.findings import Findings
from ndr.report.grounds import grounds
from ndr.report.hosts import hosts_section
from ndr.report.markup import Html, element, joined
from ndr.report.ranking import ranking
from ndr.time import DAY, SLICE, iso

LIMIT = 3_000_000
"""Bytes; a page stays below."""
_COARSEST = DAY / 4
"""Up to this length charts are made coarser before hosts are left out."""


def page(findings: Findings) -> str:
    """The document, below 3 MB: with coarser charts, then with fewer hosts where it would be larger."""
    shown = findings
    while len((document := _document(shown, findings)).encode()) >= LIMIT and shown.hosts:
        coarser = shown.step * 2 <= _COARSEST
        shown = shown.thinned(2) if coarser else shown.first(len(shown.hosts) // 2)
    return document


def _document(shown: Findings, whole: Findings) -> str:
    style, script = _resource("page.css"), _resource("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = joined(
        (
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=Html(policy)),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("meta", name="referrer", content="no-referrer"),
            element("title", _title(shown)),
            Html(f"<style>{style}</style>"),
        ),
        "\n",
    )
    body = joined(
        (_skip(), _header(shown), _main(shown, whole), _footer(shown), Html(f"<script>{script}</script>")), "\n"
    )
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _resource(name: str) -> str:
    return (files("ndr.report") / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _title(findings: Findings) -> str:
    return f"Network detection report{f', {_period(findings)}' if findings.period else ''}"


def _period(findings: Findings) -> str:
    if findings.period is None:
        return ""
    return f"{words.moment(findings.period.start)} to {words.moment(findings.period.end)} UTC"


def _skip() -> Html:
    return element("a", "Skip to the ranked hosts", href="#ranking", class_="skip")


def _header(findings: Findings) -> Html:
    told = [element("h1", "Network detection report")]
    if findings.period:
        told.append(
            element(
                "p",
                element("time", words.moment(findings.period.start), datetime=iso(findings.period.start)), " to ",
                element("time", words.moment(findings.period.end), datetime=iso(findings.period.end)), " UTC",
                class_="period",
            )
        )  # fmt: skip
    told.append(element("p", "From the lake ", element("code", findings.lake), class_="quiet"))
    return element("header", *told)


def _main(shown: Findings, whole: Findings) -> Html:
    parts = [_summary(shown), _left_out(shown, whole), ranking(shown), hosts_section(shown), grounds(shown)]
    return element("main", joined((part for part in parts if part), "\n"))


def _summary(findings: Findings) -> Html | None:
    if findings.period is None:
        return None
    tiles = [
        (f"{findings.hosts_alerted:,}", f"of {words.counted(findings.hosts_seen, 'host')} stood out"),
        (f"{findings.sessions:,}", "records of sessions"),
        (f"{findings.windows:,}", "quarter hours scored"),
    ]
    if findings.quality:
        lost = sum(findings.quality.quarantined.values())
        tiles.append((f"{lost:,}", "records quarantined"))
    drawn = (
        element(
            "div", element("dt", meaning), element("dd", value), class_="alarm" if place == 0 and value != "0" else None
        )
        for place, (value, meaning) in enumerate(tiles)
    )
    return element("section", element("h2", "In short"), element("dl", *drawn, class_="tiles"), _verdict(findings))


def _verdict(findings: Findings) -> Html:
    """What to look at first, or that it was quiet; and what is not listed."""
    covered = words.counted(findings.covered, "alert")
    silent = element("p", f"The safelist covers {covered}; not shown.") if findings.covered else None
    if not findings.hosts_alerted:
        told = "A quiet period: no host did anything less normal than the alert threshold allows."
        if findings.covered:
            told = "A quiet period: nothing is left but what the safelist covers."
        elif findings.hosts:
            told += " Those that came closest are listed below."
        return joined((element("p", told, class_="quiet-day"), silent))
    first, beyond = findings.hosts[0], findings.hosts_anomalous - findings.hosts_alerted
    look = element(
        "p",
        "Look first at ", element("a", element("bdi", first.name or first.address), href="#host-1"),
        f": {words.leading(first.leading_kind)}, at its height in the {words.window(first.window)} until ",
        element("time", words.moment(first.peak), datetime=iso(first.peak)), ".",
    )  # fmt: skip
    left = f"{words.counted(beyond, 'more host')} had anomalous windows that are covered or beyond the budget of a day."
    return joined((look, silent, element("p", left) if beyond > 0 else None))


def _left_out(shown: Findings, whole: Findings) -> Html | None:
    """What a page of this size cannot hold."""
    told = []
    if shown.step > SLICE:
        told.append(f"the charts show the highest of each {words.span(shown.step)} instead of every quarter hour")
    if len(shown.hosts) < len(whole.hosts):
        told.append(f"only the first {len(shown.hosts)} of {len(whole.hosts)} hosts are shown")
    if not told:
        return None
    return element("p", f"To keep this page below 3 MB, {' and '.join(told)}.", class_="note")


def _footer(findings: Findings) -> Html:
    as_of = f"Data as of {iso(findings.period.end)}. " if findings.period else ""
    return element("footer", element("p", f"{as_of}This page loads nothing and sends nothing."))
