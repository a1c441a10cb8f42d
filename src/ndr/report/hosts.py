"""The hosts: for each what led to its place, over time and in words, and how to go on from there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ndr.explaining.amounts import duration, size
from ndr.model.kinds import technique_name
from ndr.report import charts, words
from ndr.report.findings import Beacon, Contribution, Deviation, Findings, Host, Line, Peer
from ndr.report.markup import Html, element, joined
from ndr.time import iso


def hosts_section(findings: Findings) -> Html | None:
    """An article per ranked host."""
    if not findings.hosts:
        return None
    articles = joined((_article(host, findings) for host in findings.hosts), "\n")
    return element("section", element("h2", "Host by host"), articles, id="hosts")


def _article(host: Host, findings: Findings) -> Html:
    head = element(
        "summary",
        element("h3", f"{host.rank}. ", element("bdi", host.address), *_name(host)),
        element("p", " · ".join(filter(None, (words.leading(host.leading_kind), host.severity))), class_="gist"),
    )
    parts = [
        _lead(host), _facts(host), _episodes(host), _deviations(host.deviations, host.window),
        _timeline(host, findings), _contributions(host.contributions), _peers(host), _next(host, findings.lake),
    ]  # fmt: skip
    inside = element("div", *parts, class_="inside")
    told = element("details", head, inside, open=True)
    return element("article", told, id=f"host-{host.rank}", data_host=host.rank)


def _name(host: Host) -> list[Html | str]:
    return [" ", element("bdi", host.name, class_="name")] if host.name else []


def _lead(host: Host) -> Html:
    """Where, when, against what; in two sentences."""
    source = words.source(host.source)
    against = f" Compared with {source} over {words.counted(int(host.horizon[:-1]), 'day')}" if host.horizon else ""
    why = ", because it has too little history of its own" if host.cold and host.source != "host" else ""
    soft = "; these baselines are provisional" if host.provisional else ""
    state = (
        f"Anomalous at {words.counted(host.windows, 'moment')} of {host.scored:,}"
        if host.anomalous
        else f"Below the alert threshold at all {words.counted(host.scored, 'moment')}"
    )
    return element(
        "p",
        "In segment ", element("bdi", host.segment), f". {state}; most remarkable in the {words.window(host.window)} "
        "until ", element("time", words.moment(host.peak), datetime=iso(host.peak)), f".{against}{why}{soft}",
        "." if against else None, class_="lead",
    )  # fmt: skip


def _facts(host: Host) -> Html:
    """The numbers of its most remarkable window."""
    odds = element("small", words.odds(host.score, host.trained), " windows of the training")
    facts = [
        ("Led by", [words.leading(host.leading_kind)]),
        ("Score", [f"{words.score(host.score)} ", odds]),
        ("Evidence", [f"{host.evidence:.1f} nats"]),
        ("Severity", [host.severity or "none"]),
        ("Techniques", [joined((_technique(each) for each in host.techniques), ", ")] if host.techniques else ["none"]),
    ]  # fmt: skip
    pairs = (element("div", element("dt", title), element("dd", *told)) for title, told in facts)
    return element("dl", *pairs, class_="facts")


def _episodes(host: Host) -> Html | None:
    """The alerts of a host that has several."""
    if len(host.episodes) < 2:  # noqa: PLR2004 - one alert is the host's own
        return None
    told = (
        element(
            "li",
            element("time", words.moment(each.first), datetime=iso(each.first)), " to ",
            element("time", words.moment(each.last), datetime=iso(each.last)),
            f": {words.leading(each.leading_kind)}, {words.counted(each.windows, 'window')}, "
            f"evidence {each.evidence:.1f}",
        )
        for each in sorted(host.episodes, key=lambda each: each.first)
    )  # fmt: skip
    return _part(f"Its {len(host.episodes)} alerts", element("ul", *told))


def _technique(technique: str) -> Html:
    name = technique_name(technique)
    return joined((element("span", technique, class_="id"), f" {name}" if name != technique else None))


def _deviations(deviations: Sequence[Deviation], label: str) -> Html | None:
    if not deviations:
        return None
    told = (
        element(
            "li",
            words.measured(each.metric, each.value, label), ", usually ", words.amount(each.metric, each.usual),
            element("small", f" {words.signed(each.z)} robust deviations from ", words.source(each.source)),
        )
        for each in deviations
    )  # fmt: skip
    return _part("What was not as usual", element("ul", *told, class_="deviations"))


def _timeline(host: Host, findings: Findings) -> Html | None:
    if not any(value is not None for value in host.course):
        return None
    unit = words.span(findings.step)
    figures = [
        element(
            "figure",
            element("figcaption", "Evidence", element("small", " how surprising the host was")),
            charts.course_chart(host.course, host.alarms, findings.ends, findings.step, host.span, _told_course(host)),
        ),
        *(_figure(line, host, findings) for line in host.lines),
    ]  # fmt: skip
    key = element(
        "p",
        element("span", "value", class_="key value"), element("span", "usual: half of the time", class_="key half"),
        element("span", "usual: up to 95 %", class_="key most"), element("span", "anomalous", class_="key odd"),
        element("span", "the most remarkable window", class_="key shade"),
        f" in windows of {unit}; a gap has no data" if unit == "15 minutes" else f" the highest of each {unit}",
        class_="legend",
    )  # fmt: skip
    return _part("Over time", key, element("div", *figures, class_="figures"))


def _figure(line: Line, host: Host, findings: Findings) -> Html:
    told = _told_line(line, findings)
    drawn = charts.line_chart(line, findings.ends, findings.step, host.span, told)
    return element("figure", element("figcaption", words.title(line.metric)), drawn)


def _told_course(host: Host) -> str:
    known = [value for value in host.course if value is not None]
    return (
        f"Evidence over time: highest {max(known):.1f} nats at {iso(host.peak)}, anomalous in {sum(host.alarms)} "
        f"of {len(known)} steps, no data in {len(host.course) - len(known)}."
    )


def _told_line(line: Line, findings: Findings) -> str:
    """A chart in words."""
    known = [(value, end) for value, end in zip(line.values, findings.ends, strict=True) if value is not None]
    gaps = f"no data in {len(line.values) - len(known)} of {len(line.values)} steps"
    if not known:
        return f"{words.title(line.metric)}: {gaps}."
    value, end = max(known, key=lambda each: each[0])
    lows, highs = ([each for each in side if each is not None] for side in (line.low, line.ceiling))
    usual = (
        f"usually {words.amount(line.metric, min(lows))} to {words.amount(line.metric, max(highs))}"
        if lows and highs
        else "without a baseline"
    )
    return f"{words.title(line.metric)}: highest {words.amount(line.metric, value)} at {iso(end)}, {usual}, {gaps}."


def _contributions(contributions: Sequence[Contribution]) -> Html | None:
    """What the evidence is made of: bars where the model tells amounts."""
    if not contributions:
        return None
    amounts = [each.amount for each in contributions if each.amount is not None]
    least, most = min([0.0, *amounts]), max([0.0, *amounts])
    rows = []
    for each in contributions:
        value = "" if each.value is None else words.amount(words.column(each.feature), each.value)
        usual = "" if each.usual is None else words.amount(words.column(each.feature), each.usual)
        amount = each.amount
        rows.append(
            element(
                "tr",
                element("th", words.feature(each.feature), scope="row"),
                element("td", None if amount is None else charts.bar(amount, least, most), class_="bars"),
                element("td", "not told" if amount is None else f"{amount:+.2f}", class_="number"),
                element("td", value, class_="number", data_label="value"),
                element("td", usual, class_="number", data_label="usual"),
            )
        )
    head = _head("Feature", "Contribution", "Nats#", "Value#", "Usual#")
    table = element("table", element("thead", head), element("tbody", *rows), class_="contributions")
    return _part("What the evidence is made of", table)


def _head(*titles: str) -> Html:
    """The heading of a table; ``#`` marks columns of numbers."""
    return element(
        "tr",
        *(element("th", t.removesuffix("#"), scope="col", class_="number" if t[-1] == "#" else None) for t in titles),
    )


def _peers(host: Host) -> Html | None:
    if not host.peers and host.beacon is None:
        return None
    told = [_beacon(host.beacon)] if host.beacon else []
    if host.peers:
        more = host.all_peers - len(host.peers)
        rest = f"; {words.counted(more, 'more peer')} not shown" if more > 0 else ""
        caption = f"{words.counted(host.pairs, 'pair')} of peer and port, {host.new_pairs:,} of them new{rest}"
        head = _head("Peer", "Port#", "Sessions#", "Sent#", "Received#", "In the baseline")
        body = element("tbody", *map(_peer, host.peers))
        told.append(element("table", element("caption", caption), element("thead", head), body, class_="peers"))
    return _part("Whom it met then", *told)


def _peer(peer: Peer) -> Html:
    mark, told = "rare" if peer.rare else None, words.counted(peer.seen, "session")
    if peer.fresh:
        mark, told = "new", "not there" if peer.fresh == peer.pairs else f"{peer.fresh:,} of {peer.pairs:,} pairs"
    badge = element("strong", mark, class_="badge") if mark else None
    sent, received = ("unknown" if each is None else size(each) for each in (peer.sent, peer.received))
    return element(
        "tr",
        element("th", element("bdi", peer.address), scope="row"),
        element("td", _ports(peer), class_="number", data_label="port"),
        element("td", f"{peer.sessions:,}", class_="number", data_label="sessions"),
        element("td", sent, class_="number", data_label="sent"),
        element("td", received, class_="number", data_label="received"),
        element("td", badge, " " if badge else None, told, class_="seen"),
    )


def _ports(peer: Peer) -> str:
    """The ports, or how many there are between which; ICMP and its like have none."""
    told = list(map(str, peer.ports))
    if peer.port_count > len(told):
        told = [f"{peer.port_count:,} from {' to '.join(told)}"]
    return ", ".join(told if peer.pairs == peer.port_count else [*told, "none"])


def _beacon(beacon: Beacon) -> Html:
    port = "" if beacon.port is None else f" port {beacon.port}"
    calls = f" ({words.counted(beacon.connections, 'connection')})" if beacon.connections else ""
    return element(
        "p",
        "Calls ", element("bdi", beacon.address), f"{port} about every {duration(beacon.every_seconds)}{calls}; "
        f"beacon score {beacon.score:.2f} of 1.",
    )  # fmt: skip


def _next(host: Host, lake: str) -> Html:
    """The commands to go on with."""
    place, at = shlex.quote(lake), iso(host.peak)
    whom = shlex.quote(host.address)
    commands = (
        f"ndr explain {whom} --at {at} --lake {place}",
        f"ndr show fg_c --host {whom} --at {at} --lake {place}",
    )
    return _part("Go on from here", *(element("pre", element("code", command)) for command in commands))


def _part(title: str, *inside: str | Html) -> Html:
    return element("section", element("h4", title), *inside)
