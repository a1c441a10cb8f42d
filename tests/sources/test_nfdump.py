"""nfdump: CSV and text of several versions, written and real."""

import gzip
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from ndr.sources.nfdump import NFDUMP
from ndr.sources.source import DRAFT_FIELDS, SourceSpec

SAMPLES = Path(__file__).parents[3] / "shared/data"

LINE = (
    "Date first seen          Duration Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows"
)
LONG = "Date first seen   Duration Proto  Src IP Addr:Port  Dst IP Addr:Port  Flags Tos  Packets    Bytes Flows"
BILONG = (
    "Date first seen Duration Proto Src IP Addr:Port Dst IP Addr:Port Flags Tos Out Pkt In Pkt Out Byte In Byte Flows"
)
SUMMARY = [
    "Summary: total flows: 1, total bytes: 252, total packets: 4, avg bps: 1, avg pps: 0, avg bpp: 63",
    "Time window: 2026-03-01 10:00:00 - 2026-03-01 10:05:00",
    "Total flows processed: 1, Records skipped: 0, Bytes read: 120",
    "Sys: 0.0031s User: 0.0012s Wall: 0.0020s flows/second: 500.0 Runtime: 0.0040s",
]
CSV_17 = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out,ra"
FLOW = "2026-03-01 10:00:00,2026-03-01 10:00:09,9.000,10.0.0.5,203.0.113.9,50123,443,TCP,...AP.SF,0,0,12,1500"
SESSION = {
    "line": 2,
    "event_start": "2026-03-01 10:00:00",
    "event_end": "2026-03-01 10:00:09",
    "duration": "9.000",
    "source_ip": "10.0.0.5",
    "destination_ip": "203.0.113.9",
    "source_port": "50123",
    "destination_port": "443",
    "network_transport": "TCP",
    "source_bytes": "1500",
    "source_packets": "12",
    "event_action": "allow",
    "event_reason": "tcp-fin",
    "event_name": "TRAFFIC",
    "established": "true",
    "sensor": "192.0.2.1",
}


def drafted(*lines, **spec):
    table = pa.table({"line": pa.array(range(1, len(lines) + 1), pa.int64()), "text": list(lines)})
    draft = NFDUMP.reader(SourceSpec(**spec))(table)
    assert draft.schema == DRAFT_FIELDS
    return [{name: value for name, value in row.items() if value is not None} for row in draft.to_pylist()]


def printed(ends, rest="4      252     1", start="2026-03-01 10:00:00.500", duration="1.250", proto="TCP"):
    (row,) = drafted(LINE, f"{start}     {duration} {proto:8} {ends}  {rest}")
    return row


def sample(name):
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the shared sample {name} is not here")
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode(errors="replace")


def test_csv_of_one_direction_leaves_the_other_unknown():
    assert drafted(CSV_17, FLOW + ",0,0,1,2,192.0.2.1") == [SESSION]


def test_csv_of_joined_directions_gives_both():
    rows = drafted(
        CSV_17, *(FLOW.replace("...AP.SF", flags) + ",8,3500,1,2,192.0.2.1" for flags in ("...A....", "......S."))
    )
    assert [(row["destination_packets"], row["destination_bytes"]) for row in rows] == [("8", "3500")] * 2
    assert [row.get("established") for row in rows] == ["true", None]


def test_both_sets_of_csv_names_are_read():
    names = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows"
    (row,) = drafted(names, "2026-03-01 10:00:00.000,9.000,TCP,10.0.0.5,50123,203.0.113.9,443,12,1500,3")
    gone = {"event_end", "event_reason", "established", "sensor"}
    assert row == {name: SESSION[name] for name in SESSION.keys() - gone} | {
        "event_start": "2026-03-01 10:00:00.000",
        "repeat_cnt": "3",
    }
    names = "cnt,af,firstSeen,lastSeen,proto,srcAddr,srcPort,dstAddr,dstPort,srcAS,dstAS,input,output,flags,srcTos"
    (row,) = drafted(
        names + ",packets,bytes",
        "1,2,1772359200.000,1772359209.000,6,10.0.0.5,50123,203.0.113.9,443,0,0,1,2,...AP.SF,0,12,1500",
    )
    assert row == {name: SESSION[name] for name in SESSION.keys() - {"duration", "sensor"}} | {
        "event_start": "1772359200.000",
        "event_end": "1772359209.000",
        "network_transport": "6",
    }


def test_the_csv_summary_is_no_record_and_a_joined_file_goes_on():
    flow = FLOW + ",0,0,1,2,192.0.2.1"
    summary = ["Summary", "flows,bytes,packets,avg_bps,avg_pps,avg_bpp", "1,1500,12,1,1,1"]
    rows = drafted(CSV_17, flow, *summary, CSV_17, flow, *summary)
    assert [row["line"] for row in rows] == [2, 7]
    assert not [row for row in rows if "fault" in row]


def test_a_short_csv_line_is_a_fault():
    assert [row["fault"] for row in drafted(CSV_17, FLOW)] == ["missing_columns"]


def test_text_columns_are_read_and_the_summary_is_no_record():
    line = "2026-03-01 10:00:00.500     1.250 UDP      10.0.0.5:50123 ->   203.0.113.9:53        4      252     2"
    assert drafted(LINE, line, *SUMMARY) == [
        {
            "line": 2,
            "event_start": "2026-03-01 10:00:00.500",
            "duration": "1.250",
            "source_ip": "10.0.0.5",
            "destination_ip": "203.0.113.9",
            "source_port": "50123",
            "destination_port": "53",
            "network_transport": "UDP",
            "source_bytes": "252",
            "source_packets": "4",
            "event_action": "allow",
            "event_name": "TRAFFIC",
            "repeat_cnt": "2",
        }
    ]


def test_ipv6_ends_have_their_port_after_a_dot():
    row = printed("2001:db8::a.50123 ->  2001:db8::b.443")
    assert (row["source_ip"], row["source_port"]) == ("2001:db8::a", "50123")
    assert (row["destination_ip"], row["destination_port"]) == ("2001:db8::b", "443")
    row = printed("::ffff:192.0.2.7.50123 -> ff02::1.135.0", proto="ICMP6")
    assert (row["source_ip"], row["destination_ip"]) == ("::ffff:192.0.2.7", "ff02::1")
    row = printed("10.0.0.5:0 -> 10.0.0.6:8.0", proto="ICMP")
    assert (row["destination_ip"], row["destination_port"]) == ("10.0.0.6", "8.0")


def test_a_shortened_address_is_not_guessed():
    assert printed("2001:62..e0:fed5.50123 -> 10.0.0.6:80")["fault"] == "shortened_address"


@pytest.mark.parametrize(
    ("amounts", "packets", "octets"),
    [
        ("12000    1.2 M     1", "12000", "1200000"),
        ("  1.5 G   12.3 T   1", "1500000000", "12300000000000"),
        ("4 252 1 Botnet V42 7", "4", "252"),
    ],
)
def test_amounts_may_have_units_and_a_label_may_follow(amounts, packets, octets):
    row = printed("10.0.0.5:1 -> 10.0.0.6:80", amounts)
    assert (row["source_packets"], row["source_bytes"]) == (packets, octets)


@pytest.mark.parametrize(("text", "seconds"), [("00:00:00.000", "0.000"), ("01:01:01.250", "3661.250"), ("7.5", "7.5")])
def test_durations_are_seconds(text, seconds):
    assert printed("10.0.0.5:1 -> 10.0.0.6:80", duration=text)["duration"] == seconds


@pytest.mark.parametrize(
    ("flags", "packets", "established", "reason"),
    [
        ("......S.", 1, "false", None),
        ("...A..S.", 1, None, None),
        ("...A..S.", 3, "true", None),
        ("...AP.SF", 9, "true", "tcp-fin"),
        ("...APRSF", 9, "true", None),
        ("...AP...", 9, "true", None),
        ("...A....", 9, None, None),
        ("...A.R..", 1, None, None),
        (".....RS.", 2, None, None),
        (".AP.SF", 9, "true", "tcp-fin"),
        ("0x1b", 9, "true", "tcp-fin"),
        ("0xc2", 1, "false", None),
    ],
)
def test_the_flags_of_one_direction_tell_what_they_can(flags, packets, established, reason):
    (row,) = drafted(LONG, f"2026-03-01 10:00:00.500 1.250 TCP 10.0.0.5:1 -> 10.0.0.6:80 {flags} 0 {packets} 252 1")
    assert (row.get("established"), row.get("event_reason")) == (established, reason)
    assert row["source_packets"] == str(packets)


def test_joined_text_flows_give_both_directions():
    (row,) = drafted(BILONG, "2026-03-01 10:00:00.500 1.250 TCP 10.0.0.5:1 <-> 10.0.0.6:80 ...AP.SF 0 8 12 3500 1500 1")
    assert (row["source_packets"], row["source_bytes"]) == ("12", "1500")
    assert (row["destination_packets"], row["destination_bytes"]) == ("8", "3500")


def test_what_is_no_flow_is_a_fault():
    rows = drafted(LINE, "something else", "2026-03-01 10:00:00.500 1.250 TCP 10.0.0.5:1 -> 10.0.0.6:80 7")
    assert [row["fault"] for row in rows] == ["unparsable", "missing_columns"]


def test_other_csv_columns_are_reached_by_field_mapping():
    assert drafted(CSV_17, FLOW + ",0,0,1,2,192.0.2.1", field_mapping={"sensor": "in"}) == [SESSION | {"sensor": "1"}]


def test_binary_files_and_statistics_are_no_sessions():
    magic = bytes.fromhex("0ca50100000000000200")
    for text in (magic.decode(errors="replace"), magic.decode("latin-1")):
        assert not NFDUMP.recognises(text)
        assert NFDUMP.no_sessions(text) == "nfdump binary file: print it with nfdump -r FILE -o csv"
    assert NFDUMP.no_sessions("ts,te,td,pr,val,fl,flP,pkt,pktP,byt,bytP,pps,bps,bpp\n") == "nfdump statistics"
    assert NFDUMP.no_sessions(CSV_17) is None


@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("slips_testdata/test1-malicious.nfdump.csv.gz", 4593),
        ("slips_testdata/test1-malicious.nfdump.extended.head.txt", 199),
        ("netflowlabeler_examples/nfcapd.sample1", 35),
        ("netflowlabeler_examples/nfcapd.sample1.labeled", 35),
        ("netflowlabeler_examples/nfcapd.sample2", 167),
    ],
)
def test_the_samples_are_read_to_the_last_line(name, records):
    text = sample(name)
    assert NFDUMP.recognises(text[:65536])
    rows = drafted(*text.splitlines())
    assert Counter(row.get("fault", "session") for row in rows) == {"session": records}


def test_the_binary_sample_is_skipped():
    text = sample("slips_testdata/test1-malicious.nfdump")[:65536]
    assert not NFDUMP.recognises(text)
    assert "binary" in NFDUMP.no_sessions(text)


def test_the_csv_sample_adds_up_to_its_own_summary():
    lines = sample("slips_testdata/test1-malicious.nfdump.csv.gz").splitlines()
    flows, octets, packets, *_ = map(int, lines[-1].split(","))
    rows = drafted(*lines)
    assert len(rows) == flows
    assert sum(int(row["source_bytes"]) for row in rows) == octets
    assert sum(int(row["source_packets"]) for row in rows) == packets


def test_golden_sessions_of_the_samples():
    rows = {row["line"]: row for row in drafted(*sample("slips_testdata/test1-malicious.nfdump.csv.gz").splitlines())}
    common = {"network_transport": "TCP", "event_action": "allow", "event_name": "TRAFFIC"}
    exported = common | {"destination_ip": "147.32.82.62", "sensor": "147.32.82.62"}
    closed = common | {"event_reason": "tcp-fin", "established": "true", "repeat_cnt": "1"}
    assert rows[2] == exported | {
        "line": 2,
        "event_start": "2018-01-12 15:37:30",
        "event_end": "2018-01-12 15:37:30",
        "duration": "0.000",
        "source_ip": "147.32.80.119",
        "source_port": "52324",
        "destination_port": "902",
        "source_bytes": "60",
        "source_packets": "1",
        "established": "false",
    }
    assert rows[3919] == exported | {
        "line": 3919,
        "event_start": "2018-01-12 15:37:58",
        "event_end": "2018-01-12 15:38:00",
        "duration": "1.675",
        "source_ip": "50.62.139.155",
        "source_port": "44308",
        "destination_port": "22",
        "source_bytes": "1216",
        "source_packets": "12",
        "event_reason": "tcp-fin",
        "established": "true",
    }
    aligned = drafted(*sample("netflowlabeler_examples/nfcapd.sample2").splitlines())
    assert aligned[4] == closed | {
        "line": 6,
        "event_start": "2013-07-09 01:15:33.045",
        "duration": "10.173",
        "source_ip": "54.242.92.108",
        "source_port": "80",
        "destination_ip": "10.0.0.150",
        "destination_port": "39476",
        "source_bytes": "5697",
        "source_packets": "11",
    }
    tabbed = drafted(*sample("netflowlabeler_examples/nfcapd.sample1").splitlines())
    labelled = drafted(*sample("netflowlabeler_examples/nfcapd.sample1.labeled").splitlines())
    assert tabbed == labelled
    assert tabbed[-1] == closed | {
        "line": 36,
        "event_start": "2013-07-09 01:04:33.868",
        "duration": "0.097",
        "source_ip": "10.0.0.152",
        "source_port": "49700",
        "destination_ip": "10.0.0.150",
        "destination_port": "3128",
        "source_bytes": "332",
        "source_packets": "5",
    }
