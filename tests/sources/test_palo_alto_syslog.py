"""Palo Alto syslog: every header, every version, and the real samples."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from ndr.errors import UnknownNameError
from ndr.sources.palo_alto_syslog import PALO_ALTO_SYSLOG
from ndr.sources.source import DRAFT_FIELDS, SourceSpec

SAMPLES = Path(__file__).parents[3] / "shared/data/panos_syslog"

COMMON = (
    "1,2026/03/01 10:00:31,0011C100,{type},{subtype},1,2026/03/01 10:00:30,10.0.0.5,203.0.113.9,0.0.0.0,0.0.0.0,"
    "{rule},corp\\ann,,{app},vsys1,trust,untrust,ae1,ae2,fwd,2026/03/01 10:00:30,4711,{repeat},50123,443,0,0,0x19,"
    "{proto},{action}"
)
DEFAULTS = {"subtype": "end", "rule": "web out", "app": "ssl", "repeat": "1", "proto": "tcp", "action": "allow"}
TRAFFIC_4 = ",5000,1500,3500,20,2026/03/01 10:00:00,30,any,0,99,0x0,10.0.0.0-10.255.255.255,US,0"
TRAFFIC_41 = TRAFFIC_4 + ",12,8"
TRAFFIC_61 = TRAFFIC_41 + ",tcp-fin"
TRAFFIC_7 = TRAFFIC_61 + ",0,0,0,0,,fw-edge-1,from-policy"
TRAFFIC_81 = TRAFFIC_7 + ",,,0,,0,,N/A,0,0,0,0"
TRAFFIC_90 = TRAFFIC_81 + ",75fd49ee-9899-4257-94f3-54abc79faa5a,0"
TRAFFIC_91 = TRAFFIC_90 + ",0,,,,,,,"
TRAFFIC_10 = TRAFFIC_91 + ",,pc,prof,model,vendor,Windows,11,ann-laptop,00:11:22:33:44:55" + "," * 22
THREAT_4 = ',"evil.example/a,b",(9999),malware,informational,client-to-server,0,0x0,10.0.0.0,US,0,text/html'
THREAT_7 = THREAT_4 + ",0,,,,,,,,,,,0,0,0,0,0,,fw-edge-1,"


def line(kind, rest, **values):
    return COMMON.format(type=kind, **(DEFAULTS | values)) + rest


def drafted(*lines, **spec):
    table = pa.table({"line": pa.array(range(1, len(lines) + 1), pa.int64()), "text": list(lines)})
    draft = PALO_ALTO_SYSLOG.reader(SourceSpec(**spec))(table)
    assert draft.schema == DRAFT_FIELDS
    return [{name: value for name, value in row.items() if value is not None} for row in draft.to_pylist()]


def sample(name):
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the shared sample {name} is not here")
    return path.read_text()


def test_a_traffic_line_fills_every_column_the_version_has():
    assert drafted(line("TRAFFIC", TRAFFIC_10)) == [
        {
            "line": 1,
            "event_start": "2026/03/01 10:00:00",
            "duration": "30",
            "source_ip": "10.0.0.5",
            "destination_ip": "203.0.113.9",
            "source_port": "50123",
            "destination_port": "443",
            "network_transport": "tcp",
            "source_bytes": "1500",
            "destination_bytes": "3500",
            "source_packets": "12",
            "destination_packets": "8",
            "event_action": "allow",
            "event_reason": "tcp-fin",
            "event_name": "TRAFFIC",
            "established": "true",
            "repeat_cnt": "1",
            "application": "ssl",
            "rule": "web out",
            "machine_name": "ann-laptop",
            "sensor": "fw-edge-1",
        }
    ]


@pytest.mark.parametrize(
    ("rest", "missing", "sensor"),
    [
        (TRAFFIC_4, {"source_packets", "destination_packets", "event_reason", "machine_name"}, "0011C100"),
        (TRAFFIC_41, {"event_reason", "machine_name"}, "0011C100"),
        (TRAFFIC_61, {"machine_name"}, "0011C100"),
        (TRAFFIC_7, {"machine_name"}, "fw-edge-1"),
        (TRAFFIC_81, {"machine_name"}, "fw-edge-1"),
        (TRAFFIC_90, {"machine_name"}, "fw-edge-1"),
        (TRAFFIC_91, {"machine_name"}, "fw-edge-1"),
        (TRAFFIC_10, set(), "fw-edge-1"),
    ],
    ids=["4.0", "4.1", "6.1", "7", "8.1", "9.0", "9.1", "10"],
)
def test_versions_only_append_fields(rest, missing, sensor):
    full, this = drafted(line("TRAFFIC", TRAFFIC_10), line("TRAFFIC", rest))
    assert this.keys() == full.keys() - missing
    assert this == {name: full[name] for name in this} | {"line": 2, "sensor": sensor}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Mar  1 10:00:31 ",
        "Mar  1 10:00:31 fw-edge-1 ",
        "Mar  1 10:00:31 192.0.2.1 Mar  1 10:00:31 panorama ",
        "<14>Mar  1 10:00:31 fw-edge-1 ",
        "<14>1 2026-03-01T10:00:31.110Z stream-logfwd logforwarder - panwlogs - ",
        "<14>1 2026-03-01T10:00:31Z fw-edge-1 - - - - \ufeff",
        "<14>",
    ],
)
def test_any_syslog_header_may_stand_before(header):
    assert drafted(header + line("TRAFFIC", TRAFFIC_7)) == drafted(line("TRAFFIC", TRAFFIC_7))
    assert PALO_ALTO_SYSLOG.recognises(header + line("TRAFFIC", TRAFFIC_7))


def test_quoted_commas_and_doubled_quotes_stay_in_their_field():
    (row,) = drafted(line("TRAFFIC", TRAFFIC_7, rule='"web, ""all"" out"'))
    assert (row["rule"], row["destination_port"], row["sensor"]) == ('web, "all" out', "443", "fw-edge-1")


def test_a_session_is_counted_when_it_ends_not_when_it_starts():
    rows = drafted(*(line("TRAFFIC", TRAFFIC_7, subtype=subtype) for subtype in ("start", "end", "drop", "deny")))
    assert [row.get("filtered") for row in rows] == ["session_start", None, None, None]


def test_a_denied_session_without_an_answer_is_not_established():
    rest = ",60,60,0,1,2026/03/01 10:00:00,0,any,0,99,0x0,A,B,0,1,0,policy-deny"
    (row,) = drafted(line("TRAFFIC", rest, subtype="deny", action="Reset-Both"))
    assert (row["established"], row["event_action"], row["event_reason"]) == ("false", "reset-both", "policy-deny")


@pytest.mark.parametrize(
    ("received", "reason", "established"),
    [
        ("3500,20,2026/03/01 10:00:00,30,any,0,9,0x0,A,B,0,12,8", "aged-out", "true"),
        ("0,20,2026/03/01 10:00:00,30,any,0,9,0x0,A,B,0,12,0", "aged-out", "false"),
        ("60,2,2026/03/01 10:00:00,0,any,0,9,0x0,A,B,0,1,1", "tcp-rst-from-server", "false"),
        ("600,9,2026/03/01 10:00:00,0,any,0,9,0x0,A,B,0,4,5", "tcp-rst-from-server", "true"),
        ("0,20,2026/03/01 10:00:00,30,any,0,9,0x0,A,B,0,12,0", "tcp-fin", "true"),
        (",20,2026/03/01 10:00:00,30,any,0,9,0x0,A,B,0,,", "unknown", None),
    ],
)
def test_established_is_what_was_received_and_no_mere_refusal(received, reason, established):
    (row,) = drafted(line("TRAFFIC", f",5000,1500,{received},{reason}"))
    assert row.get("established") == established


@pytest.mark.parametrize(
    ("start", "elapsed", "expected"),
    [
        ("2026/03/01 10:00:00", "", {"event_start": "2026/03/01 10:00:00", "event_end": "2026/03/01 10:00:30"}),
        ("", "30", {"event_end": "2026/03/01 10:00:30", "duration": "30"}),
        ("", "", {"event_start": "2026/03/01 10:00:30", "event_end": "2026/03/01 10:00:30"}),
    ],
)
def test_the_generated_time_stands_in_for_a_missing_one(start, elapsed, expected):
    (row,) = drafted(line("TRAFFIC", f",1,1,0,1,{start},{elapsed},any"))
    assert {name: row[name] for name in ("event_start", "event_end", "duration") if name in row} == expected


@pytest.mark.parametrize(("rest", "sensor"), [(THREAT_4, "0011C100"), (THREAT_7, "fw-edge-1")])
def test_a_threat_is_a_moment_without_bytes(rest, sensor):
    (row,) = drafted(line("THREAT", rest, subtype="url", action="block-url", repeat="3"))
    assert row == {
        "line": 1,
        "event_start": "2026/03/01 10:00:30",
        "event_end": "2026/03/01 10:00:30",
        "source_ip": "10.0.0.5",
        "destination_ip": "203.0.113.9",
        "source_port": "50123",
        "destination_port": "443",
        "network_transport": "tcp",
        "event_action": "block-url",
        "event_name": "THREAT",
        "repeat_cnt": "3",
        "application": "ssl",
        "rule": "web out",
        "sensor": sensor,
    }


def test_what_is_no_session_record_is_filtered_or_at_fault_by_name():
    rows = drafted(
        line("SYSTEM", ""),
        line("GLOBALPROTECT", ""),
        "Mar 1 10:00:31 h CEF:0|Palo Alto Networks|Traps Agent|3.4|Prevention Event|Threat|9|rt=x",
        "Mar 1 10:00:31 h CEF:0|Palo Alto Networks|PAN-OS|10.1|end|TRAFFIC|1|src=10.0.0.5",
        "Mar 1 10:00:31 h sshd[1]: session opened",
        line("TRAFFIC", ",5000,1500"),
        "",
    )
    assert [row.get("filtered") or row["fault"] for row in rows] == [
        "other_log_type",
        "other_log_type",
        "other_log_type",
        "cef",
        "unparsable",
        "missing_columns",
    ]


def test_other_columns_are_reached_by_field_mapping():
    (row,) = drafted(line("TRAFFIC", TRAFFIC_7), field_mapping={"machine_name": "src_user", "sensor": "vsys"})
    assert (row["machine_name"], row["sensor"]) == ("corp\\ann", "vsys1")
    with pytest.raises(UnknownNameError, match="Did you mean 'machine_name'"):
        PALO_ALTO_SYSLOG.reader(SourceSpec(field_mapping={"machinename": "src_user"}))


def test_a_file_of_other_log_types_is_skipped_unless_it_goes_on():
    head = (line("SYSTEM", "") + "\n") + (line("CONFIG", "") + "\n")
    assert not PALO_ALTO_SYSLOG.recognises(head)
    assert PALO_ALTO_SYSLOG.no_sessions(head) == "palo alto config, system log"
    assert PALO_ALTO_SYSLOG.recognises(head * 400)
    assert PALO_ALTO_SYSLOG.no_sessions(head * 400) is None


@pytest.mark.parametrize(
    ("name", "traffic", "threat", "filtered"),
    [
        ("pan_globalprotect.samplelog", 21, 0, {"session_start": 18, "other_log_type": 37}),
        ("pan_threat_config_system_2012.samplelog", 0, 713, {"other_log_type": 140}),
        ("pan_adversaries_2017_wildfire_cef.samplelog", 0, 5, {"other_log_type": 1}),
    ],
)
def test_the_samples_are_read_to_the_last_line(name, traffic, threat, filtered):
    text = sample(name)
    assert PALO_ALTO_SYSLOG.recognises(text[:65536])
    rows = drafted(*text.splitlines())
    assert len(rows) == len([part for part in text.splitlines() if part.strip()])
    assert not [row for row in rows if "fault" in row]
    assert Counter(row["filtered"] for row in rows if "filtered" in row) == filtered
    names = Counter(row["event_name"] for row in rows if "event_name" in row)
    assert (names["TRAFFIC"], names["THREAT"]) == (traffic, threat)


def test_golden_sessions_of_the_samples():
    rows = {row["line"]: row for row in drafted(*sample("pan_globalprotect.samplelog").splitlines())}
    expected = {
        "source_ip": "192.168.55.101",
        "source_port": "53909",
        "destination_port": "53",
        "network_transport": "udp",
        "source_bytes": "74",
        "destination_bytes": "0",
        "source_packets": "1",
        "destination_packets": "0",
        "duration": "0",
        "event_action": "allow",
        "event_reason": "aged-out",
        "event_name": "TRAFFIC",
        "established": "false",
        "repeat_cnt": "1",
        "application": "dns",
        "rule": "Permit All",
        "sensor": "PA-VM",
    }
    assert rows[3] == expected | {"line": 3, "event_start": "2016/02/24 21:42:01", "destination_ip": "8.8.8.8"}
    assert rows[4] == expected | {"line": 4, "event_start": "2016/02/24 21:42:00", "destination_ip": "2.2.2.2"}
    assert rows[66] == expected | {
        "line": 66,
        "event_start": "2016/02/24 22:41:39",
        "source_ip": "192.168.55.105",
        "source_port": "49285",
        "destination_ip": "8.8.8.8",
        "source_bytes": "89",
    }
    rows = drafted(*sample("pan_adversaries_2017_wildfire_cef.samplelog").splitlines())
    assert rows[3] == {
        "line": 4,
        "event_start": "2017/05/30 00:07:24",
        "event_end": "2017/05/30 00:07:24",
        "source_ip": "10.154.10.229",
        "destination_ip": "116.252.0.0",
        "source_port": "1058",
        "destination_port": "80",
        "network_transport": "tcp",
        "event_action": "alert",
        "event_name": "THREAT",
        "repeat_cnt": "1",
        "application": "web-browsing",
        "rule": "General Web Infrastructure",
        "sensor": "us1",
    }
