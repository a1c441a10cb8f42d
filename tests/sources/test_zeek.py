import json
from datetime import datetime, timedelta

import pytest

from ndr.sources.zeek import ZEEK

FIELDS = (
    "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state local_orig "
    "missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents"
).split()
ROW = dict(zip(FIELDS, (
    "1626284618.384979 Cx 192.168.1.5 51000 93.184.216.34 443 tcp ssl 1.250001 1200 56000 SF T 0 ShADadFf 12 1700 40 "
    "58000 (empty)"
).split(), strict=True))  # fmt: skip
START = datetime(2021, 7, 14, 17, 43, 38, 384979)


def header(fields=FIELDS, separator="\t", path="conn", unset="-"):
    code = "".join(f"\\x{ord(c):02x}" for c in separator)
    return (
        f"#separator {code}\n#set_separator{separator},\n#empty_field{separator}(empty)\n"
        f"#unset_field{separator}{unset}\n"
        f"#path{separator}{path}\n#open{separator}2021-07-14-17-43-38\n#fields{separator}{separator.join(fields)}\n"
        f"#types{separator}{separator.join('string' for _ in fields)}\n"
    )


def row(separator="\t", fields=FIELDS, **values):
    return separator.join((ROW | values).get(name, "-") for name in fields) + "\n"


def tsv(*rows):
    return header() + "".join(row(**values) for values in rows) + "#close\t2021-07-14-18-00-00\n"


def number(text):
    return json.loads(text) if text[:1].isdigit() and text.count(".") < 2 else text


def as_json(**values):
    record = {name: number(text) for name, text in ROW.items()} | values
    return json.dumps({name: value for name, value in record.items() if value is not None}) + "\n"


def one(reading, content, **spec):
    done = reading(content, **spec)
    assert (done.report.outcome, done.report.source) == ("imported", "zeek"), done.report
    return done.sessions[0]


def test_a_connection_becomes_a_session(reading):
    expected = {
        "event_start": START, "event_end": START + timedelta(microseconds=1250001), "source_ip": "192.168.1.5",
        "destination_ip": "93.184.216.34", "source_port": 51000, "destination_port": 443, "network_transport": "tcp",
        "source_bytes": 1200, "destination_bytes": 56000, "source_packets": 12, "destination_packets": 40,
        "event_action": "allow", "event_reason": "tcp-fin", "event_name": "TRAFFIC", "established": True,
        "repeat_cnt": None, "application": "ssl", "rule": None, "machine_name": None, "sensor": None,
    }  # fmt: skip
    assert reading(tsv({})).sessions == [expected]
    assert reading(as_json()).sessions == [expected]


@pytest.mark.parametrize("separator", ["\t", "|", ",", ";", "\x01"])
def test_any_separator_is_obeyed(reading, separator):
    assert one(reading, header(separator=separator) + row(separator))["destination_bytes"] == 56000


@pytest.mark.parametrize("scope", ["id.orig_h", "id_orig_h", "id->orig_h"])
def test_any_scope_separator_is_understood(reading, scope):
    fields = [name.replace("id.", scope[:-6]) for name in FIELDS]
    content = header(fields) + "\t".join(ROW.values()) + "\n"
    assert one(reading, content)["source_ip"] == "192.168.1.5"


def test_json_keys_may_be_flat_underscored_or_nested(reading):
    ends = {name: ROW[name] for name in FIELDS if name.startswith("id.")}
    flat = {name.replace(".", "_"): value for name, value in ends.items()}
    nested = {"id": {name[3:]: value for name, value in ends.items()}}
    gone = dict.fromkeys(ends)
    sessions = [one(reading, as_json(**gone | ends)) for ends in (ends, flat, nested)]
    assert sessions[0] == sessions[1] == sessions[2]


def test_the_header_rules_the_columns(reading):
    fields = ["_node_name", "x", *reversed(FIELDS), "y"]
    content = header(fields) + row(fields=fields, _node_name="worker-1", x="1", y="2")
    got = one(reading, content)
    assert (got["sensor"], got["source_bytes"]) == ("worker-1", 1200)


def test_renamed_fields_are_mapped(reading):
    fields = [{"orig_bytes": "bytes_out"}.get(name, name) for name in FIELDS]
    content = header(fields) + "\t".join(ROW.values()) + "\n"
    assert one(reading, content)["source_bytes"] is None
    mapping = {"source_bytes": "bytes_out"}
    assert one(reading, content, field_mapping=mapping, source="zeek")["source_bytes"] == 1200


def test_a_header_may_come_again_with_other_columns(reading):
    fields = ["id.resp_h", "id.orig_h", "proto", "ts"]
    content = tsv({}) + header(fields, unset="NA") + "10.0.0.2\t10.0.0.1\tNA\t5.5\n" + header() + row(proto="udp")
    done = reading(content)
    assert [s["network_transport"] for s in done.sessions] == ["tcp", "unknown", "udp"]
    assert (done.sessions[1]["source_ip"], done.sessions[1]["destination_ip"]) == ("10.0.0.1", "10.0.0.2")


def test_other_streams_and_interim_records_in_one_file_are_filtered(reading):
    content = tsv({}) + header(["ts", "query"], path="dns") + "1.0\ta.b\n" + header(path="open_conn") + row()
    assert reading(content).report.filtered == {"other_stream": 1, "interim": 1}
    mixed = as_json(_path="conn") + as_json(_path="dns") + as_json(_path="conn_long") + as_json(_path="conn-int")
    done = reading(mixed)
    assert (done.report.filtered, done.report.sessions) == ({"other_stream": 1, "interim": 1}, 2)
    unnamed = json.dumps({"ts": 1.5, "uid": "C", "id.orig_h": "1.1.1.1", "query": "a.b"}) + "\n"
    assert reading(as_json() + unnamed).report.filtered == {"other_stream": 1}


def test_connections_may_come_late_in_a_mixed_file(reading):
    others = "".join(as_json(_path=path, conn_state=None, query="x" * 300) for path in ("dns", "http") * 150)
    assert reading(others + as_json(_path="conn")).report.sessions == 1


@pytest.mark.parametrize(
    ("values", "established", "reason"),
    [
        ({}, True, "tcp-fin"), ({"conn_state": "S0"}, False, None), ({"conn_state": "S1"}, True, None),
        ({"conn_state": "REJ"}, False, "tcp-rst-from-server"), ({"conn_state": "RSTO"}, True, "tcp-rst-from-client"),
        ({"conn_state": "RSTR"}, True, "tcp-rst-from-server"), ({"conn_state": "SH"}, False, None),
        ({"conn_state": "RSTOS0"}, False, "tcp-rst-from-client"), ({"conn_state": "SHR"}, True, None),
        ({"conn_state": "OTH"}, True, None), ({"conn_state": "OTH", "resp_pkts": "0"}, None, None),
        ({"conn_state": "-", "resp_pkts": "-"}, None, None), ({"proto": "udp"}, True, None),
        ({"proto": "udp", "conn_state": "S0"}, False, None),
    ],
)  # fmt: skip
def test_the_connection_state_tells_how_it_went(reading, values, established, reason):
    got = one(reading, tsv(values))
    assert (got["established"], got["event_reason"]) == (established, reason)


def test_unset_is_unknown(reading):
    unset = dict.fromkeys(("duration", "orig_bytes", "resp_bytes", "service", "orig_pkts"), "-")
    for content in (tsv(unset), as_json(**dict.fromkeys(unset))):
        got = one(reading, content)
        assert got["event_start"] == got["event_end"] == START
        assert [got[n] for n in ("source_bytes", "destination_bytes", "application", "source_packets")] == [None] * 4


def test_icmp_has_no_ports_and_zones_no_place(reading):
    ports, ends = (
        {"id.orig_p": "135", "id.resp_p": "136"},
        {"id.orig_h": "FE80::1%eth0", "id.resp_h": "::ffff:10.0.0.1"},
    )
    got = one(reading, tsv({"proto": "icmp", **ports, **ends}))
    assert (got["source_port"], got["destination_port"]) == (None, None)
    assert (got["source_ip"], got["destination_ip"]) == ("fe80::1", "10.0.0.1")


def test_a_line_with_the_wrong_number_of_columns_is_quarantined(reading):
    done = reading(tsv(*[{}] * 18) + "1626284618.384979\tCx\t1.1.1.1\n" + row().rstrip("\n") + "\t-\n")
    assert done.report.quarantined == {"missing_columns": 1, "too_many_columns": 1}
    assert [held["line"] for held in done.quarantine] == [28, 29]


def test_times_may_be_iso_in_json(reading):
    assert one(reading, as_json(ts="2021-07-14T17:43:38.384979Z"))["event_start"] == START


def test_names_on_the_first_line_are_a_header_too(reading):
    content = "|".join(FIELDS) + "\n" + row("|")
    assert one(reading, content)["destination_ip"] == "93.184.216.34"


def test_records_without_any_header_are_refused(reading):
    report = reading(row() * 3).report
    assert (report.outcome, report.source) == ("refused", "zeek")
    assert "no_header" in report.reason


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (header(), "conn.log", "zeek conn log without records"),
        (header() + "#close\t2021\n", "conn.log", "zeek conn log without records"),
        (header(["ts", "query"], path="dns") + "1.0\ta.b\n", "dns.log", "zeek dns log"),
        (header(path="open_conn") + row(), "x.log", "zeek open_conn log"),
        (as_json(_path="conn"), "open_conn.log", "zeek open_conn log"),
        (as_json(_path="dns", conn_state=None), "x.log", "zeek dns log"),
        (json.dumps({"ts": 1.5, "uid": "C", "query": "a"}) + "\n", "x.log", "zeek log other than conn"),
    ],
)
def test_a_log_without_connections_is_skipped_and_named(reading, content, name, reason):
    for source in (None, "zeek"):
        report = reading(content, name=name, source=source).report
        assert (report.outcome, report.reason.split(":")[0]) == ("skipped", reason)


def test_the_doc_names_every_session_column():
    for name in ("event_start", "event_end", "established", "event_reason", "event_action", "application", "sensor"):
        assert name in ZEEK.doc
