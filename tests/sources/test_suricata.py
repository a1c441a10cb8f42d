"""Suricata eve.json: flows and alerts, written and real."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from ndr.sources.source import DRAFT_FIELDS, SourceSpec
from ndr.sources.suricata import SURICATA

SAMPLES = Path(__file__).parents[3] / "shared/data"


def drafted(*lines, **spec):
    table = pa.table({"line": pa.array(range(1, len(lines) + 1), pa.int64()), "text": list(lines)})
    draft = SURICATA.reader(SourceSpec(**spec))(table)
    assert draft.schema == DRAFT_FIELDS
    return [{name: value for name, value in row.items() if value is not None} for row in draft.to_pylist()]


def event(kind="flow", flow=None, **fields):
    times = {"start": "2026-03-01T10:00:00.000001+0000", "end": "2026-03-01T10:00:05.000001+0000"}
    counts = {"pkts_toserver": 5, "pkts_toclient": 4, "bytes_toserver": 500, "bytes_toclient": 4000}
    ends = {"src_ip": "10.0.0.5", "src_port": 50123, "dest_ip": "203.0.113.9", "dest_port": 443, "proto": "TCP"}
    state = {"state": "closed", "reason": "timeout"}
    head = {"timestamp": "2026-03-01T10:01:00.000001+0000", "event_type": kind}
    return json.dumps(head | ends | {"flow": counts | times | state | (flow or {})} | fields)


def sample(name):
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the shared sample {name} is not here")
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()


def test_a_flow_is_a_session():
    tcp = {"tcp_flags_ts": "1b", "tcp_flags_tc": "1b"}
    assert drafted(event(app_proto="tls", tcp=tcp, host="sensor-1", in_iface="eth1")) == [
        {
            "line": 1,
            "event_start": "2026-03-01T10:00:00.000001+0000",
            "event_end": "2026-03-01T10:00:05.000001+0000",
            "source_ip": "10.0.0.5",
            "destination_ip": "203.0.113.9",
            "source_port": "50123",
            "destination_port": "443",
            "network_transport": "TCP",
            "source_bytes": "500",
            "destination_bytes": "4000",
            "source_packets": "5",
            "destination_packets": "4",
            "event_action": "allow",
            "event_reason": "tcp-fin",
            "event_name": "TRAFFIC",
            "established": "true",
            "application": "tls",
            "sensor": "sensor-1",
        }
    ]


def test_an_alert_is_a_threat_at_one_moment():
    alert = {"action": "blocked", "signature": "ET SCAN x", "category": "Attempted Information Leak"}
    allowed, blocked = drafted(event("alert", alert=alert | {"action": "allowed"}), event("alert", alert=alert))
    assert (allowed["event_action"], blocked["event_action"]) == ("alert", "block")
    assert allowed["event_start"] == allowed["event_end"] == "2026-03-01T10:01:00.000001+0000"
    assert (allowed["event_name"], allowed["rule"]) == ("THREAT", "ET SCAN x")
    assert not {"source_bytes", "destination_packets", "established", "event_reason"} & allowed.keys()


@pytest.mark.parametrize(
    ("state", "replies", "established"),
    [
        ("new", 0, "false"),
        ("new", 1, "true"),
        ("established", 0, "true"),
        ("closed", 0, "false"),
        ("bypassed", 0, None),
        ("bypassed", 3, "true"),
        ("new", None, None),
    ],
)
def test_established_comes_from_state_and_replies(state, replies, established):
    (row,) = drafted(event(flow={"state": state, "pkts_toclient": replies}))
    assert row.get("established") == established


@pytest.mark.parametrize(("flags", "established"), [("14", "false"), ("16", "true"), ("12", "true"), ("00", "true")])
def test_a_reset_as_the_only_answer_is_a_refusal(flags, established):
    (row,) = drafted(event(tcp={"tcp_flags_ts": "02", "tcp_flags_tc": flags}))
    assert row["established"] == established


@pytest.mark.parametrize(
    ("source", "destination", "reason", "expected"),
    [
        ("02", "14", "timeout", "tcp-rst-from-server"),
        ("06", "12", "timeout", "tcp-rst-from-client"),
        ("1f", "1b", "shutdown", "tcp-fin"),
        ("02", "00", "timeout", "aged-out"),
        ("02", "00", "forced", "forced"),
        ("zz", None, "timeout", "aged-out"),
    ],
)
def test_the_reason_comes_from_flags_else_from_suricata(source, destination, reason, expected):
    tcp = {"tcp_flags_ts": source, "tcp_flags_tc": destination}
    (row,) = drafted(event(flow={"reason": reason}, tcp=tcp))
    assert row["event_reason"] == expected


def test_an_inline_sensor_says_what_it_did():
    rows = drafted(event(), event(flow={"action": "drop"}), event(verdict={"action": "Drop"}))
    assert [row["event_action"] for row in rows] == ["allow", "drop", "drop"]


def test_other_events_are_filtered_and_broken_lines_are_faults():
    rows = drafted(
        event("dns"),
        event("netflow"),
        event()[:-20],
        "[1]",
        '{"timestamp": "x"}',
        "[" * 100_000,
        '{"event_type": ["flow"]}',
    )
    assert [row.get("filtered") or row["fault"] for row in rows] == [
        "other_event_type",
        "one_directional",
        "unparsable",
        "unparsable",
        "missing_columns",
        "unparsable",
        "missing_columns",
    ]


def test_lists_and_half_characters_where_text_belongs_do_no_harm():
    broken, half = drafted(event(src_ip=["10.0.0.5"], tcp=[], flow={"reason": {}}), event(app_proto="\ud800x"))
    assert "source_ip" not in broken
    assert half["application"] == "?x"


def test_any_field_is_reached_by_its_path():
    alert = {"signature": "s", "category": "Misc"}
    (row,) = drafted(event("alert", alert=alert), field_mapping={"rule": "alert.category", "sensor": "no.such.path"})
    assert row["rule"] == "Misc"
    assert "sensor" not in row


def test_only_files_with_one_event_per_line_are_read():
    assert SURICATA.recognises(event("dns") + "\n" + event("alert"))
    assert not SURICATA.recognises(event("dns"))
    assert SURICATA.no_sessions(event("dns") + "\n" + event("netflow")) == "suricata dns, netflow events"
    assert SURICATA.recognises((event("dns") + "\n") * 400)
    for text in (f"[{event()},\n{event()}]", json.dumps(json.loads(event()), indent=2), f"[{event()}]"):
        assert not SURICATA.recognises(text)
        assert "one event per line" in SURICATA.no_sessions(text)
    assert SURICATA.no_sessions('{"ts": 1.5, "id.orig_h": "10.0.0.5"}') is None


def test_the_samples_are_read_to_the_last_line():
    text = sample("slips_testdata/test6-malicious.suricata.json.gz")
    assert SURICATA.recognises(text[:65536])
    rows = drafted(*text.splitlines())
    assert Counter(row.get("event_name") or row["filtered"] for row in rows) == {
        "TRAFFIC": 3512,
        "THREAT": 745,
        "other_event_type": 743,
    }
    rows = drafted(*sample("netflowlabeler_examples/suricata.json").splitlines())
    assert Counter(row["event_name"] for row in rows) == {"THREAT": 13}


def test_golden_sessions_of_the_sample():
    text = sample("slips_testdata/test6-malicious.suricata.json.gz")
    rows = {row["line"]: row for row in drafted(*text.splitlines())}
    refused = {
        "source_bytes": "120",
        "destination_bytes": "120",
        "source_packets": "2",
        "destination_packets": "2",
        "destination_ip": "192.168.1.129",
        "network_transport": "TCP",
        "event_action": "allow",
        "event_reason": "tcp-rst-from-server",
        "event_name": "TRAFFIC",
        "established": "false",
        "sensor": "stratosphere.org",
    }
    assert rows[186] == refused | {
        "line": 186,
        "event_start": "2021-06-06T18:48:08.385905+0200",
        "event_end": "2021-06-06T18:48:08.386408+0200",
        "source_ip": "106.55.28.236",
        "source_port": "43992",
        "destination_port": "23",
    }
    assert rows[2388] == refused | {
        "line": 2388,
        "event_start": "2021-06-07T03:17:11.862351+0200",
        "event_end": "2021-06-07T03:17:11.862605+0200",
        "source_ip": "193.46.255.92",
        "source_port": "50524",
        "destination_port": "45672",
    }
    assert rows[90] == {
        "line": 90,
        "event_start": "2021-06-06T16:38:55.855844+0200",
        "event_end": "2021-06-06T16:38:56.963027+0200",
        "source_ip": "192.168.1.132",
        "source_port": "1900",
        "destination_ip": "192.168.1.129",
        "destination_port": "44232",
        "network_transport": "UDP",
        "source_bytes": "4056",
        "destination_bytes": "0",
        "source_packets": "12",
        "destination_packets": "0",
        "event_action": "allow",
        "event_reason": "aged-out",
        "event_name": "TRAFFIC",
        "established": "false",
        "sensor": "stratosphere.org",
    }
    assert rows[1] == {
        "line": 1,
        "event_start": "2021-06-06T15:59:46.457984+0200",
        "event_end": "2021-06-06T15:59:46.457984+0200",
        "source_ip": "78.36.196.213",
        "source_port": "51698",
        "destination_ip": "192.168.1.129",
        "destination_port": "445",
        "network_transport": "TCP",
        "event_action": "alert",
        "event_name": "THREAT",
        "rule": "ET CINS Active Threat Intelligence Poor Reputation IP group 89",
        "sensor": "stratosphere.org",
    }
