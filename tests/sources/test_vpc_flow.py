"""AWS VPC flow logs: the default format, custom columns, exports."""

import pyarrow as pa
import pytest

from ndr.sources.source import DRAFT_FIELDS, SourceSpec
from ndr.sources.vpc_flow import VPC_FLOW

NAMES = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
ACCEPTED = "2 123456789010 eni-1a 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"
REJECTED = "2 123456789010 eni-1a 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 1418530070 REJECT OK"
NODATA = "2 123456789010 eni-1a - - - - - - - 1431280876 1431280934 - NODATA"
SKIPDATA = "2 123456789010 eni-1a - - - - - - - 1431280876 1431280934 - SKIPDATA"
SESSION = {
    "line": 1,
    "event_start": "1418530010",
    "event_end": "1418530070",
    "source_ip": "172.31.16.139",
    "destination_ip": "172.31.16.21",
    "source_port": "20641",
    "destination_port": "22",
    "network_transport": "6",
    "source_bytes": "4249",
    "source_packets": "20",
    "event_action": "accept",
    "event_name": "TRAFFIC",
    "sensor": "eni-1a",
}


def drafted(*lines, **spec):
    table = pa.table({"line": pa.array(range(1, len(lines) + 1), pa.int64()), "text": list(lines)})
    draft = VPC_FLOW.reader(SourceSpec(**spec))(table)
    assert draft.schema == DRAFT_FIELDS
    return [{name: value for name, value in row.items() if value is not None} for row in draft.to_pylist()]


def test_the_default_format_needs_no_header():
    assert VPC_FLOW.recognises(ACCEPTED)
    assert drafted(ACCEPTED) == [SESSION]
    assert drafted(NAMES, ACCEPTED) == [SESSION | {"line": 2}]
    assert drafted("2014-12-14T04:07:50.000Z " + ACCEPTED) == [SESSION]


def test_a_rejected_flow_was_not_answered():
    (row,) = drafted(REJECTED)
    assert (row["event_action"], row["established"]) == ("reject", "false")


def test_lines_without_data_are_filtered_by_name():
    assert [row["filtered"] for row in drafted(NODATA, SKIPDATA)] == ["nodata", "skipdata"]


@pytest.mark.parametrize(
    ("flags", "protocol", "established"),
    [("2", "6", None), ("18", "6", "true"), ("3", "6", "true"), ("1", "6", "true"), ("0", "6", None), ("-", "6", None),
     ("4", "6", None), ("0", "17", None)],
)  # fmt: skip
def test_the_header_rules_the_columns_and_flags_tell_established(flags, protocol, established):
    header = (
        "version vpc-id pkt-srcaddr pkt-dstaddr srcport dstport protocol tcp-flags type bytes packets start end action"
    )
    line = f"5 vpc-1 10.0.0.62 52.213.180.42 43416 5001 {protocol} {flags} IPv4 568 8 1566848875 1566848933 ACCEPT"
    (row,) = drafted(header, line)
    assert row.get("established") == established
    assert (row["source_ip"], row["destination_ip"]) == ("10.0.0.62", "52.213.180.42")
    assert (row["source_bytes"], row["source_packets"]) == ("568", "8")
    assert "sensor" not in row


@pytest.mark.parametrize("delimiter", [" ", "\t", ","])
def test_exports_write_other_names_and_delimiters(delimiter):
    header = delimiter.join(NAMES.replace("-", "_").split())
    assert VPC_FLOW.recognises(header)
    assert drafted(header, delimiter.join(ACCEPTED.split())) == [SESSION | {"line": 2}]


def test_an_export_may_be_quoted_and_have_more_columns():
    header = '"timestamp",' + ",".join(f'"{name}"' for name in NAMES.split())
    line = '"2014-12-14T04:07:50.000Z",' + ",".join(f'"{value}"' for value in ACCEPTED.split())
    assert drafted(header, line) == [SESSION | {"line": 2}]


def test_a_header_may_come_in_an_earlier_block():
    read = VPC_FLOW.reader(SourceSpec())
    blocks = [pa.table({"line": [number], "text": [text]}) for number, text in enumerate((NAMES, ACCEPTED), 1)]
    assert [read(block).num_rows for block in blocks] == [0, 1]


def test_short_and_long_lines_are_faults():
    rows = drafted(ACCEPTED.rsplit(" ", 1)[0], ACCEPTED + " a b")
    assert [row["fault"] for row in rows] == ["missing_columns", "unparsable"]


def test_other_columns_are_reached_by_field_mapping():
    rows = drafted(NAMES + " instance_id", ACCEPTED + " i-0b22", field_mapping={"machine_name": "instance-id"})
    assert rows[0]["machine_name"] == "i-0b22"


def test_only_flow_logs_with_both_ends_and_times_are_recognised():
    assert not VPC_FLOW.recognises("account-id interface-id bytes packets\n1 eni-1 2 3")
    assert VPC_FLOW.no_sessions("account-id interface-id bytes packets") == "vpc flow log without addresses or times"
    for text in ("", "# a comment", "Date first seen Duration Proto", "start end action version of a story"):
        assert not VPC_FLOW.recognises(text)
