"""The ranking: one row per host, the most remarkable first."""

from __future__ import annotations

from ndr.alerts import SEVERITIES
from ndr.model.kinds import technique_name
from ndr.report import charts, words
from ndr.report.findings import Findings, Host
from ndr.report.markup import Html, element
from ndr.time import iso

_COLUMNS = (
    ("rank", "Rank", "number"), ("host", "Host", "text"), ("leading_kind", "What leads", "text"),
    ("techniques", "Techniques", "text"), ("course", "Evidence over time", ""), ("evidence", "Evidence", "number"),
    ("severity", "Severity", "number"), ("windows", "Anomalous", "number"), ("last", "Last seen", "text"),
)  # fmt: skip
"""Name, heading, and how a column sorts; none where it does not."""


_ORDER = {name: place for place, name in enumerate(SEVERITIES)}
_SHOWN = 2
"""Techniques that are shown in a row; the others stand with the host."""


def ranking(findings: Findings) -> Html:
    """The table with its filter, or why there is none."""
    heading = element("h2", "Ranked hosts")
    if findings.period is None:
        told = element("p", f"No host was scored yet: {findings.lacking or findings.standing}.", class_="note")
        return element("section", heading, told, id="ranking", tabindex="-1")
    if not findings.hosts:
        why = (
            "Every alert of this period is covered by the safelist."
            if findings.covered
            else "No host was scored in this period."
        )
        return element("section", heading, element("p", why, class_="note"), id="ranking", tabindex="-1")
    head = element("tr", *(_heading(name, title, kind) for name, title, kind in _COLUMNS))
    table = element(
        "table",
        element("caption", f"{words.counted(len(findings.hosts), 'host')}, the most remarkable first"),
        element("thead", head), element("tbody", *map(_row, findings.hosts)),
        id="hosts-table",
    )  # fmt: skip
    return element("section", heading, _controls(), table, id="ranking", tabindex="-1")


def _heading(name: str, title: str, kind: str) -> Html:
    return element("th", title, scope="col", class_=name, data_sort=kind or None)


def _controls() -> Html:
    """What only works with the script, and is shown by it."""
    return element(
        "div",
        element("label", "Filter by host, segment, kind or technique", for_="filter"),
        element("input", type="search", id="filter", autocomplete="off", spellcheck="false", aria_describedby="found"),
        element("button", "Open all", type="button", id="open-all"),
        element("button", "Close all", type="button", id="close-all"),
        element("p", "", id="found", role="status"),
        class_="controls", id="controls", hidden=True,
    )  # fmt: skip


def _row(host: Host) -> Html:
    quiet = None if host.anomalous else "below"
    last = host.last or host.peak
    cells = [
        element("td", str(host.rank), class_="rank", data_value=host.rank),
        element("th", *_named(host), scope="row", class_="host", data_value=_sortable(host.address)),
        element("td", words.leading(host.leading_kind), class_="leading_kind"),
        element("td", *_techniques(host), class_="techniques"),
        element("td", charts.sparkline(host.course, host.alarms), class_="course"),
        element("td", f"{host.evidence:.1f}", class_="evidence", data_value=host.evidence, data_label="Evidence"),
        element("td", host.severity or "none", class_="severity", data_value=_ORDER.get(host.severity, -1)),
        element(
            "td", f"{host.windows:,} of {host.scored:,}", class_="windows", data_value=host.windows,
            data_label="Anomalous",
        ),
        element(
            "td", element("time", words.moment(last), datetime=iso(last)), class_="last", data_value=iso(last),
            data_label="Last seen",
        ),
    ]  # fmt: skip
    return element("tr", *cells, class_=quiet, data_host=host.rank, data_find=_findable(host))


def _named(host: Host) -> list[Html | str]:
    """The address, and below it its name and its segment."""
    about = [element("bdi", host.name), " · "] if host.name else []
    more = element("span", *about, element("bdi", host.segment), class_="about")
    return [element("a", element("bdi", host.address), href=f"#host-{host.rank}"), more]


def _techniques(host: Host) -> list[Html | str]:
    told: list[Html | str] = [element("abbr", each, title=technique_name(each)) for each in host.techniques[:_SHOWN]]
    more = len(host.techniques) - _SHOWN
    return [*told, f"+{more}"] if more > 0 else told or ["none"]


def _sortable(address: str) -> str:
    """An address as text that sorts as addresses do."""
    return ".".join(part.zfill(3) for part in address.split(".")) if address.count(".") == 3 else address  # noqa: PLR2004


def _findable(host: Host) -> str:
    parts = (
        host.address,
        host.name or "",
        host.segment,
        host.severity,
        words.leading(host.leading_kind),
        *host.techniques,
    )
    names = (technique_name(each) for each in host.techniques)
    return " ".join((*parts, *names)).lower()
