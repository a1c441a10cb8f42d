import json
from datetime import datetime

import pytest

RECORD = {
    "event_start": "2026-03-01T10:00:00.250Z", "event_end": "2026-03-01T10:00:30Z",
    "source_ip": "10.0.0.5", "destination_ip": "93.184.216.34", "source_port": 51000, "destination_port": 443,
    "source_bytes": 1200, "destination_bytes": 56000, "event_action": "Allow", "event_reason": "tcp-fin",
    "event_name": "TRAFFIC", "network_transport": "TCP",
}  # fmt: skip
UNSET = object()


def log(*records):
    return "".join(json.dumps(RECORD | r) + "\n" for r in records)


def without(*names):
    return json.dumps({name: value for name, value in RECORD.items() if name not in names}) + "\n"


def one(reading, content, **spec):
    done = reading(content, **spec)
    assert done.report.outcome == "imported", done.report
    return done.sessions[0]


def test_a_record_becomes_a_session(reading):
    done = reading(log({"rule": "web out", "application": "ssl", "machine_name": "pc-7", "sensor": "fw1"}))
    assert done.sessions == [
        {
            "event_start": datetime(2026, 3, 1, 10, 0, 0, 250000), "event_end": datetime(2026, 3, 1, 10, 0, 30),
            "source_ip": "10.0.0.5", "destination_ip": "93.184.216.34", "source_port": 51000, "destination_port": 443,
            "network_transport": "tcp", "source_bytes": 1200, "destination_bytes": 56000, "source_packets": None,
            "destination_packets": None, "event_action": "allow", "event_reason": "tcp-fin", "event_name": "TRAFFIC",
            "established": True, "repeat_cnt": None, "application": "ssl", "rule": "web out", "machine_name": "pc-7",
            "sensor": "fw1",
        }
    ]  # fmt: skip
    assert (done.report.source, done.report.read, done.report.sessions) == ("palo_alto", 1, 1)


def test_missing_extra_and_reordered_fields_do_not_matter(reading):
    record = dict(reversed((RECORD | {"noise": {"a": [1]}, "vsys": "1"}).items()))
    del record["event_name"], record["event_action"], record["source_port"]
    session = one(reading, json.dumps(record) + "\n")
    assert (session["event_name"], session["event_action"], session["source_port"]) == ("TRAFFIC", "unknown", None)


@pytest.mark.parametrize(
    ("record", "established"),
    [
        ({}, True),
        ({"destination_bytes": 0, "destination_packets": 1}, True),
        ({"destination_bytes": 0, "event_reason": "aged-out"}, False),
        ({"destination_bytes": 0, "event_reason": None}, False),
        ({"destination_bytes": 0, "event_reason": "tcp-fin"}, None),
        ({"destination_bytes": 0, "event_reason": "aged-out", "network_transport": "udp"}, None),
        ({"destination_bytes": None, "event_reason": "aged-out"}, None),
        ({"destination_bytes": None, "event_action": "reset-both"}, False),
        ({"destination_bytes": 0, "established": True}, True),
    ],
)
def test_established_is_said_only_where_the_record_tells(reading, record, established):
    assert one(reading, log(record))["established"] is established


def test_threats_stay_threats_and_other_logs_are_filtered(reading):
    done = reading(log({"event_name": "threat"}, {"event_name": "SYSTEM"}, {}))
    assert [session["event_name"] for session in done.sessions] == ["THREAT", "TRAFFIC"]
    assert done.report.filtered == {"other_event_name": 1}


@pytest.mark.parametrize("wrap", [lambda r: r, lambda r: {"panw": {"src": {"ip": r.pop("panw.src.ip")}}} | r])
def test_mapped_names_are_flat_or_nested_and_recognised(reading, wrap):
    record = RECORD | {"panw.src.ip": "10.1.1.1"}
    del record["source_ip"]
    mapping = {"source_ip": "panw.src.ip"}
    assert one(reading, json.dumps(wrap(record)) + "\n", field_mapping=mapping)["source_ip"] == "10.1.1.1"


def test_a_hostile_mapping_is_only_a_name(reading):
    mapping = {"rule": "a'b\"; DROP TABLE x; --"}
    assert one(reading, log({mapping["rule"]: "r1"}), field_mapping=mapping, source="palo_alto")["rule"] == "r1"


@pytest.mark.parametrize("field", ["rule", "source_ip", "event_start", "source_port"])
@pytest.mark.parametrize("value", [["x"], {"x": 1}])
def test_lists_and_objects_are_no_values(reading, field, value):
    done = reading(log({field: value}, *[{}] * 9))
    assert done.report.quarantined == {"not_a_value": 1}
    assert done.quarantine[0]["line"] == 1


def test_a_name_may_look_like_a_list(reading):
    assert one(reading, log({"rule": "[prod] {web}"}))["rule"] == "[prod] {web}"


@pytest.mark.parametrize("line", ["{", "[1]", '"x"', "42", "nonsense", '{"source_ip": ', "{} {}", "[" * 5000])
def test_what_is_no_object_is_unparsable(reading, line):
    done = reading(log(*[{}] * 9) + line + "\n" + log({}))
    assert done.report.quarantined == {"unparsable": 1}
    assert (done.report.read, done.report.sessions) == (11, 10)


def test_an_empty_object_has_no_time(reading):
    assert reading(log(*[{}] * 9) + "{}\n").report.quarantined == {"no_time": 1}
