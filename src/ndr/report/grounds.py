"""The grounds: what the findings rest on. Baselines, model, the quality of the data, and how to read the page."""

from __future__ import annotations

from collections.abc import Mapping

from ndr.report import words
from ndr.report.findings import Baselines, Findings, Model
from ndr.report.markup import Html, element, joined


def grounds(findings: Findings) -> Html:
    """The sections below the hosts."""
    parts = [_baselines(findings), _model(findings.model), _quality(findings), _reading()]
    return joined((part for part in parts if part), "\n")


def _baselines(findings: Findings) -> Html:
    told: list[Html] = [element("p", f"{findings.standing[:1].upper()}{findings.standing[1:]}.")]
    if findings.baselines:
        told.append(element("ul", *map(_publication, findings.baselines)))
    if findings.cold_hosts:
        own = "its" if findings.cold_hosts == 1 else "their"
        told.append(
            element(
                "p",
                f"{words.counted(findings.cold_hosts, 'host')} of {findings.hosts_seen:,} had too little history for "
                f"a baseline of {own} own and {'was' if findings.cold_hosts == 1 else 'were'} compared with {own} "
                f"segment{'' if findings.cold_hosts == 1 else 's'}, or with all hosts.",
            )
        )
    return element("section", element("h2", "What is normal"), *told, id="baselines")


def _publication(each: Baselines) -> Html:
    """A publication in plain words."""
    own = each.publication
    spans = " and ".join(
        f"{words.day(bounds.start)} to {words.day(bounds.end)} ({name})" for name, bounds in own.horizons.items()
    )
    kind = (
        " Provisional: made of less history than baselines need, and without a gap before the windows that are "
        "compared, so what went on during those days counts as normal."
        if own.provisional
        else " The last days before the reference are left out, so that what began just then does not count as normal."
    )
    served = f"{words.moment(each.since)} to {words.moment(each.until)}"
    return element(
        "li",
        element("strong", f"Baselines of {words.moment(own.reference)}"),
        f" say what each host usually did from {spans}; windows from {served} are compared with them.{kind}",
    )


def _model(model: Model | None) -> Html | None:
    if model is None:
        return None
    facts = [("Name", model.name), ("Version", model.version), *model.facts.items()]
    listed = (element("div", element("dt", title), element("dd", told)) for title, told in facts)
    return element("section", element("h2", "The model"), element("dl", *listed, class_="facts"), id="model")


def _quality(findings: Findings) -> Html | None:
    quality = findings.quality
    if quality is None:
        return None
    where = "with records of this period" if findings.period else "of this lake"
    lost, left = sum(quality.quarantined.values()), sum(quality.filtered.values())
    lead = element(
        "p",
        f"The {words.counted(quality.files, 'import')} {where} brought {quality.read:,} records: "
        f"{quality.sessions:,} sessions, {lost:,} quarantined, {left:,} filtered.",
    )
    tables = [
        _counts("Quarantined, by reason", quality.quarantined),
        _counts("Filtered, by name", quality.filtered),
        _counts("Mended, by flaw", quality.mended),
    ]
    beside = element("div", *tables, class_="beside") if any(tables) else None
    clean = None if beside else element("p", "Every record could be read as it stood.")
    return element("section", element("h2", "Quality of the data"), lead, clean, beside, id="quality")


def _counts(title: str, counts: Mapping[str, int]) -> Html | None:
    if not counts:
        return None
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    rows = (
        element("tr", element("th", name, scope="row"), element("td", f"{count:,}", class_="number"))
        for name, count in ordered
    )
    return element("table", element("caption", title), element("tbody", *rows), class_="counts")


_TERMS = {
    "Score": (
        "The share of the windows that the model was trained on that look more normal. 1 in 2,000 means that of two "
        "thousand of them one is as remarkable; so a threshold is a budget of alerts."
    ),
    "Evidence": (
        "How surprising the window is, in nats, added over everything that can speak: the isolation forest, and the "
        "suspicions of beacons, exfiltration, lateral movement, scans and novelty. 2.3 nats more are ten times more "
        "surprising. Hosts are ranked by it."
    ),
    "Usual": (
        "The median in the same part of the week (working hours, evenings, nights; weekdays and weekends), by the past "
        "of the host itself, or by its segment while it has none."
    ),
    "Robust deviations": (
        "The distance from the median in units of the usual scatter, which a few wild windows do not widen."
    ),
    "New and rare": (
        "A pair of peer and port is new when the baseline does not hold it, rare when it holds it a few times only."
    ),
    "Techniques": ("Ids of MITRE ATT&CK that such behaviour is typical of: where to look, not what was proved."),
}


def _reading() -> Html:
    terms = (joined((element("dt", term), element("dd", told))) for term, told in _TERMS.items())
    return element("section", element("h2", "How to read this"), element("dl", *terms, class_="terms"), id="reading")
