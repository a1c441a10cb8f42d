"""An alert in the forms of other systems: documented names, required attributes, declared types."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest

from alerts.scored import HOSTS, Scored, T, judged, talked
from ndr.alerts import Alert, alerts
from ndr.safelist import entry_of
from ndr.sinks.ecs import document
from ndr.sinks.ocsf import finding

BARE = {"machine_name": None, "techniques": "", "top_deviations": [], "explanation": [], "leading_kind": "forest"}


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Iterator[list[Alert]]:
    """A full alert, one of which little is known, and one that the safelist covers."""
    world = Scored(tmp_path_factory.mktemp("forms") / "lake")
    world.score(judged(evidence=30.0), judged(HOSTS[1], **BARE, evidence=20.0), judged(HOSTS[2], prediction_score=0.5))
    for i, (peer, port) in enumerate((("203.0.113.9", 443), ("203.0.113.8", None), ("203.0.113.9", 8443))):
        world.talk(talked(HOSTS[0], peer, port, source_bytes=10**9 - i))
    harmless = entry_of({"host": HOSTS[2], "reason": "known", "owner": "soc"})
    yield alerts(world.shop, safelist=[harmless], covered=True)
    world.close()


Check = Callable[[Any], bool]


def _is(kind: type) -> Check:
    return lambda value: type(value) is kind


def _one_of(*values: object) -> Check:
    return lambda value: value in values


def _many(shape: Check | Mapping[str, Any]) -> Check:
    def every(values: object) -> bool:
        assert isinstance(values, list)
        assert values
        for each in values:
            if callable(shape):
                assert shape(each), each
            else:
                fits(each, shape)
        return True

    return every


INT, TEXT, BOOL = _is(int), _is(str), _is(bool)


def millis(value: Any) -> bool:
    return type(value) is int and 1_700_000_000_000 < value < 2_000_000_000_000


def fits(value: Any, shape: Mapping[str, Any], place: str = "") -> None:
    """Every attribute is documented and of its type, and those without a question mark are there."""
    known = {name.removesuffix("?"): (rule, name.endswith("?")) for name, rule in shape.items()}
    assert set(value) <= set(known), f"{place}: undocumented {set(value) - set(known)}"
    for name, (rule, optional) in known.items():
        assert optional or name in value, f"{place}.{name} is required"
        if name in value:
            if callable(rule):
                assert rule(value[name]), f"{place}.{name}: {value[name]!r}"
            else:
                fits(value[name], rule, f"{place}.{name}")


# Attributes of OCSF 1.5.0 that are used here; with a question mark those that it does not require.
ENDPOINT = {"ip": TEXT, "port?": INT, "hostname?": TEXT}
MEASURED = {"observation_parameter": TEXT, "observation_type?": TEXT, "observations": _many({"value": TEXT})}
FINDING = {
    "activity_id": _one_of(1), "activity_name?": _one_of("Create"), "category_uid": _one_of(2),
    "category_name?": _one_of("Findings"), "class_uid": _one_of(2004), "class_name?": _one_of("Detection Finding"),
    "type_uid": _one_of(200401), "type_name?": _one_of("Detection Finding: Create"), "time": millis,
    "start_time?": millis, "end_time?": millis, "severity_id": _one_of(2, 3, 4, 5),
    "severity?": _one_of("Low", "Medium", "High", "Critical"), "status_id?": _one_of(1, 3),
    "status?": _one_of("New", "Suppressed"), "is_alert?": BOOL, "message?": TEXT, "risk_score?": INT, "count?": INT,
    "metadata": {
        "version": _one_of("1.5.0"), "uid?": TEXT,
        "product": {"name": TEXT, "vendor_name?": TEXT, "version?": TEXT},
    },
    "finding_info": {
        "uid": TEXT, "title?": TEXT, "desc?": TEXT, "types?": _many(TEXT), "created_time?": millis,
        "modified_time?": millis, "first_seen_time?": millis, "last_seen_time?": millis,
        "analytic?": {"name?": TEXT, "uid?": TEXT, "version?": TEXT, "type_id": _one_of(3, 4), "type?": TEXT},
        "attacks?": _many({"technique": {"uid": TEXT, "src_url?": TEXT}}),
    },
    "device?": {"ip": TEXT, "hostname?": TEXT, "type_id": _one_of(0), "type?": TEXT},
    "resources?": _many({"uid": TEXT, "name?": TEXT, "type?": TEXT}),
    "observables?": _many({"name": TEXT, "type_id": _one_of(1, 2), "type?": TEXT, "value?": TEXT}),
    "evidences?": _many({"src_endpoint?": ENDPOINT, "dst_endpoint?": ENDPOINT, "data?": _is(dict)}),
    "anomaly_analyses?": _many({
        "analysis_targets": _many({"name": TEXT, "type?": TEXT}), "anomalies": _many(MEASURED),
        "baselines?": _many(MEASURED),
    }),
    "unmapped?": _is(dict),
}  # fmt: skip


def moment(value: Any) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", value))


# Fields of ECS 8.17 that are used here.
DOCUMENT = {
    "@timestamp": moment, "ecs": {"version": _one_of("8.17.0")}, "message": TEXT, "tags": _many(TEXT),
    "labels": lambda value: all(type(each) is str for each in value.values()),
    "event": {
        "id": TEXT, "kind": _one_of("alert"), "category": _many(_one_of("intrusion_detection", "network")),
        "type": _many(_one_of("info")), "module": TEXT, "dataset": TEXT, "provider": TEXT, "created": moment,
        "start": moment, "end": moment, "duration": INT, "severity": INT, "risk_score": _is(float),
        "risk_score_norm": _is(float), "reason": TEXT,
    },
    "rule": {"id": TEXT, "name": TEXT, "ruleset": TEXT, "version": TEXT},
    "host": {"ip": _many(TEXT), "name?": TEXT}, "source": {"ip": TEXT}, "destination?": {"ip": TEXT, "port?": INT},
    "observer": {"vendor": TEXT, "product": TEXT, "type": TEXT, "version": TEXT},
    "related": {"ip": _many(TEXT), "hosts?": _many(TEXT)},
    "threat?": {
        "framework": _one_of("MITRE ATT&CK"), "technique": {"id": _many(TEXT), "reference": _many(TEXT)},
    },
}  # fmt: skip


def test_every_alert_is_a_detection_finding(told: list[Alert]) -> None:
    assert len(told) == 3
    for alert in told:
        fits(finding(alert), FINDING, "finding")


def test_every_alert_is_a_document_of_the_common_schema(told: list[Alert]) -> None:
    for alert in told:
        fits(document(alert), DOCUMENT, "document")


def test_a_finding_says_what_the_alert_says(told: list[Alert]) -> None:
    made = finding(told[0])
    assert made["time"] == made["finding_info"]["created_time"] == (T - datetime(1970, 1, 1)).total_seconds() * 1000
    assert made["finding_info"]["uid"] == told[0].id
    assert [each["technique"]["uid"] for each in made["finding_info"]["attacks"]] == ["T1041", "T1048"]
    assert [each["dst_endpoint"] for each in made["evidences"]] == [
        {"ip": "203.0.113.9", "port": 443}, {"ip": "203.0.113.8"}, {"ip": "203.0.113.9", "port": 8443},
    ]  # fmt: skip
    assert [each["value"] for each in made["observables"]] == [HOSTS[0], "pc-1", "203.0.113.9", "203.0.113.8"]
    assert (made["status"], made["is_alert"]) == ("New", True)
    assert (finding(told[2])["status"], finding(told[2])["is_alert"]) == ("Suppressed", False)
    assert "attacks" not in finding(told[1])["finding_info"]


def test_a_document_says_what_the_alert_says(told: list[Alert]) -> None:
    made = document(told[0])
    assert made["event"]["duration"] == 15 * 60 * 10**9
    assert made["threat"]["technique"]["id"] == ["T1041", "T1048"]
    assert made["destination"] == {"ip": "203.0.113.9", "port": 443}
    assert made["related"] == {"ip": [HOSTS[0], "203.0.113.9", "203.0.113.8"], "hosts": ["pc-1"]}
    assert made["tags"] == ["ndr"]
    assert "threat" not in document(told[1])
    assert document(told[2])["tags"] == ["ndr", "safelisted"]


@pytest.mark.parametrize("form", [Alert.facts, finding, document])
def test_the_forms_are_plain_json(told: list[Alert], form: Callable[[Alert], dict[str, Any]]) -> None:
    for alert in told:
        text = json.dumps(form(alert), allow_nan=False)
        assert json.loads(text)
        assert text == json.dumps(form(alert), allow_nan=False)
