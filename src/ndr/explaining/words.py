"""Words: who, when, how unusual, against what, and why, as sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ndr.explaining.amounts import amount, duration, measured, metric_of, number
from ndr.explaining.case import BEACON, Case, Row, metric_column
from ndr.features.suspicion import THEMES
from ndr.metric import INBOUND
from ndr.metrics import BASELINED
from ndr.model.detector import Scorer, compared_with
from ndr.model.kinds import ENDPOINT, KINDS, TECHNIQUES
from ndr.model.reasons import SPOKEN
from ndr.run import Workshop
from ndr.standing import TELLING, standing
from ndr.time import iso

_DAYS = {"WD": "a weekday", "WE": "a weekend day or holiday"}
_PARTS = {"WORKING": "working hours", "OFF": "off hours", "NIGHT": "night"}
_TIERS = {
    "host": "for this host", "segment": "in its segment", "global": "for everybody", "training": "in the training",
}  # fmt: skip
_FEATURES = {
    "pair_rarity_max": "rarity of the rarest pair of peer and port",
    "pair_rarity_mean": "mean rarity of its pairs",
    "new_pair_cnt": "pairs of peer and port never seen in the baseline",
    "rare_pair_cnt": "pairs of peer and port rare or never seen in the baseline",
    "band_active_share": "share of such hours in which the host is active",
    "other_features": "all its other features together",
}
_CLOSE = 1e-9
_BECAUSE = 2
_WHOLE = 100.0


def sentences(case: Case, shop: Workshop) -> list[str]:
    """Who, when, how unusual, which component spoke, against what, and the beacon if there is one."""
    told = [_who_and_when(case, shop)]
    told += list(_scored(case, shop.model)) if case.prediction else list(_lacking(case, shop))
    if case.deviations:
        told += _against(case)
    return [*told, *_beacon(case)]


def _who_and_when(case: Case, shop: Workshop) -> str:
    about = case.about
    name = f"machine {about['machine_name']}, " if about.get("machine_name") else ""
    day, _, part = str(about["time_band"]).partition("_")
    zone = shop.config.project_parameters.calendar.time_zone
    local = ""
    if zone != "UTC":
        start, end = (_local(moment, zone) for moment in (case.window.start, case.window.end))
        local = f" ({start} to {end} {zone})"
    return (
        f"{case.host} ({name}segment {about['segment_id']}) from {iso(case.window.start)} to {iso(case.window.end)}"
        f"{local}, window {case.label}: it ends in the {_PARTS.get(part, part)} of {_DAYS.get(day, day)}."
    )


def _local(moment: datetime, zone: str) -> str:
    return f"{moment.replace(tzinfo=ZoneInfo('UTC')).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def _scored(case: Case, model: Scorer | None) -> Iterator[str]:
    row = case.prediction or {}
    score, alerts = row["prediction_score"], row["prediction_label"] == "anomalous"
    than = "by the model of an endpoint, which does not say why"
    if row["leading_kind"] != ENDPOINT:
        rows, alike = compared_with(model, case.label)
        than = _more_unusual(score, rows) if rows else f"more unusual than {_share(score)} of the windows"
        than += (
            f"{' of this length' if alike else ''} that model {row['model_name']} {row['model_version']} was trained on"
        )
    does = "labelled anomalous: it alerts" if alerts else "labelled normal: it does not alert"
    yield f"Score {score:.6g}: {than}; evidence {row['evidence']:.1f} nats; {does}."
    spoke = sorted(((row[f"evidence_{name}"] or 0.0, name) for name in KINDS), key=lambda each: -each[0])
    named = [_spoke(name, nats, row["techniques"] or "") for nats, name in spoke if nats > 0]
    if named:
        loudest, *others = named
        yield f"Loudest is {loudest}" + (f"; then {', '.join(others)}." if others else "; no other component speaks.")
    elif row["leading_kind"] != ENDPOINT:
        yield "No component finds it more than ordinary."


def _more_unusual(score: float, rows: int) -> str:
    """No more than the training tells: beyond the last of its windows there is none to compare with."""
    if score * rows > rows - 1:
        return f"more unusual than every one of the {rows:,} windows"
    return f"more unusual than {_share(score)} of the {rows:,} windows"


def _share(score: float) -> str:
    """A score in per cent, with as many nines as it has and never rounded up."""
    digits = 2 if score <= 0 or score >= 1 else min(8, max(2, math.ceil(-math.log10(1 - score)) - 2))
    return f"{math.floor(_WHOLE * score * 10**digits + _CLOSE) / 10**digits:.{digits}f} %"


def _spoke(kind: str, nats: float, techniques: str) -> str:
    ids = [each for each in KINDS[kind].techniques if each in techniques.split(",")]
    named = ", ".join(f"{each} {TECHNIQUES.get(each, '')}".strip() for each in ids)
    return f"{KINDS[kind].title} with {nats:.1f} nats" + (f" (ATT&CK {named})" if named else "")


def _lacking(case: Case, shop: Workshop) -> Iterator[str]:
    if case.deviations is None:
        known = standing(shop)
        why = f"{known}; ndr build fg_c compares it" if known.publication else str(known)
        yield f"It was not held against anything, so this is only what the host did ({why})."
    elif shop.model is None:
        yield "It has no score: there is no model yet; ndr train makes one of what the lake holds."
    else:
        yield "It has no score yet by the model in force; ndr score gives it one."


def _against(case: Case) -> list[str]:
    row, told = case.deviations or {}, []
    tier = {"host": "its own past", "segment": f"its segment {row['segment_id']}", "global": "everybody"}
    against = tier.get(row["baseline_source"], "nothing that is known of such hours")
    publication = case.publication
    bounds = publication.horizons.get(case.horizon) if publication else None
    span = f" ({iso(bounds.start)} to {iso(bounds.end)})" if bounds else ""
    told.append(f"It is held against {against} of the {case.horizon} baselines of {iso(row['reference_time'])}{span}.")
    if row["is_provisional"]:
        told.append("These baselines are provisional: made of less history than they need, without a safety gap.")
    if case.cold:
        why = "its machine comes and goes" if row["is_non_persistent_machine"] else "it has too little past of its own"
        told.append(f"Cold start: {why}, so the metrics are those that are usual for others.")
    if row["time_band_violation_flag"]:
        told.append(f"It is hardly ever active at such hours ({_WHOLE * row['band_active_share']:.1f} % of them).")
    return told


def _beacon(case: Case) -> list[str]:
    row = case.about
    spoke = (case.prediction or {}).get("evidence_beacon") or 0.0
    if not row.get("beacon_dst_ip") or (spoke < SPOKEN and (row.get(BEACON) or 0.0) < TELLING):
        return []
    port = "" if row["beacon_dst_port"] is None else f" port {row['beacon_dst_port']}"
    size = "unknown" if row["beacon_size_regularity"] is None else f"{row['beacon_size_regularity']:.2f}"
    told = (
        f"It calls {row['beacon_dst_ip']}{port} every {duration(row['beacon_interval_seconds'])}, "
        f"{row['beacon_connections_cnt']} times: beacon score {row['beacon_score']:.2f} (regularity of intervals "
        f"{row['beacon_interval_regularity']:.2f}, symmetry {row['beacon_interval_skew_score']:.2f}, sizes {size}, "
        f"coverage {row['beacon_coverage_score']:.2f}); {_WHOLE * row['beacon_prevalence_share']:.0f} % of the other "
        "hosts call it too."
    )
    return [told]


def contributions(case: Case) -> list[Row]:
    """What a score is made of, each in words; without a score the deviations that stand out most."""
    scored = case.prediction or {}
    if scored.get("leading_kind") == ENDPOINT:
        named = ((each, {**each, "metric": each["feature"]}) for each in scored["explanation"])
        return [dict(each) | {"words": _compared(told, case)} for each, told in named]
    if scored.get("explanation"):
        return [dict(each) | {"words": _reason(each, case)} for each in scored["explanation"]]
    return [
        {
            "feature": each["metric"], "contribution": None, "value": each["value"], "baseline": each["baseline"],
            "source": each["source"], "technique": "", "words": f"{_compared(each, case)}, z {each['z']:+.3g}",
        }
        for each in case.about.get("top_deviations") or ()
    ]  # fmt: skip


def total(case: Case, parts: Sequence[Mapping[str, Any]]) -> Row | None:
    """What the contributions add up to, and whether that is the evidence; None where there are none."""
    known = [each["contribution"] for each in parts if each["contribution"] is not None]
    if not case.prediction or not known:
        return None
    added, evidence = math.fsum(known), float(case.prediction["evidence"])
    equal = math.isclose(added, evidence, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return {"contributions": added, "evidence": evidence, "equal": equal}


def _reason(each: Mapping[str, Any], case: Case) -> str:
    kind = next((kind for kind in KINDS.values() if kind.column == each["feature"]), None)
    if kind:
        because = "; ".join(_because(kind.column, case))
        return f"{kind.title}: {because}" if because else kind.title
    column = metric_column(each["feature"])
    title = KINDS["forest"].title
    if column:
        return f"{title}: {_compared({**each, 'metric': column}, case)}"
    value = "" if each["value"] is None else f" {number(each['value'])}"
    usual = "" if each["baseline"] is None else f", usually {number(each['baseline'])} {_TIERS.get(each['source'], '')}"
    return f"{title}: {_FEATURES.get(each['feature'], each['feature'])}{value}{usual}".rstrip()


def _because(score: str, case: Case) -> list[str]:
    """What a suspicion is made of: the strongest deviations of its theme."""
    if score == BEACON:
        row = case.about
        port = "" if row["beacon_dst_port"] is None else f":{row['beacon_dst_port']}"
        calls = f"calls {row['beacon_dst_ip']}{port} every {duration(row['beacon_interval_seconds'] or 0.0)}"
        return [calls] if row["beacon_dst_ip"] else []
    if score not in THEMES:
        return [_compared(each, case) for each in (case.about.get("top_deviations") or ())[:_BECAUSE]]
    theme, row = THEMES[score][0], case.deviations or {}
    found = []
    for metric in BASELINED:
        z, beyond = row.get(f"{metric.name}_z_mad"), row.get(f"{metric.name}_excess_ratio_p95")
        if theme in metric.themes and z is not None and z > 0:
            factor = 1.0 + z if beyond is None else min(1.0 + z, max(1.0, beyond))
            half = 1.0 if metric.kind == "count" else 0.5
            found.append((-math.log(factor) * half, -z, metric.name))
    strongest = [name for _, _, name in sorted(found)[:_BECAUSE]]
    return [
        _compared({"metric": name, "value": case.behaviour[name], "baseline": case.usual(name), "source": None}, case)
        for name in strongest
    ]


def _compared(each: Mapping[str, Any], case: Case) -> str:
    """``5.5 GB sent by the source (bytes_src_sum), usually 44 KB for this host``."""
    column, value, usual = each["metric"], each["value"], each["baseline"]
    metric = metric_of(column)
    if metric is None:
        return f"{column} {'unknown' if value is None else number(value)}"
    role = "to it: " if column.startswith(INBOUND) else ""
    is_now = f"{metric.doc.split(';')[0].rstrip('.')} unknown" if value is None else measured(value, metric)
    against = each["source"] or (case.deviations or {}).get("baseline_source") or ""
    past = "" if usual is None else f", usually {amount(usual, metric)} {_TIERS.get(against, '')}".rstrip()
    return f"{role}{is_now} ({column}){past}"
