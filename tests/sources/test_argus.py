"""Argus binetflow: directions, states, missing columns, written and real."""

import gzip
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from ndr.sources.argus import ARGUS
from ndr.sources.source import DRAFT_FIELDS, SourceSpec

SAMPLES = Path(__file__).parents[3] / "shared/data"

HEADER = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label"
FLOW = "2026/03/01 10:00:00.000001,5.000000,tcp,10.0.0.5,50123,   {dir},203.0.113.9,443,{state},0,0,{amounts},flow=x"
SESSION = {
    "line": 2,
    "event_start": "2026/03/01 10:00:00.000001",
    "duration": "5.000000",
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
}


def drafted(*lines, **spec):
    table = pa.table({"line": pa.array(range(1, len(lines) + 1), pa.int64()), "text": list(lines)})
    draft = ARGUS.reader(SourceSpec(**spec))(table)
    assert draft.schema == DRAFT_FIELDS
    return [{name: value for name, value in row.items() if value is not None} for row in draft.to_pylist()]


def flow(direction="->", state="FSPA_FSPA", amounts="20,5000,1500,12"):
    return FLOW.format(dir=direction, state=state, amounts=amounts)


def sample(name):
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the shared sample {name} is not here")
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_the_header_rules_the_columns(delimiter):
    assert drafted(HEADER.replace(",", delimiter), flow().replace(",", delimiter)) == [SESSION]
    names, values = HEADER.split(","), flow().split(",")
    assert drafted(delimiter.join(names[::-1]), delimiter.join(values[::-1])) == [SESSION]


@pytest.mark.parametrize("direction", ["->", "<->", "<?>", "?>", " get_message  ->", "-"])
def test_these_directions_leave_the_sides_in_place(direction):
    assert drafted(HEADER, flow(direction)) == [SESSION]


@pytest.mark.parametrize("direction", ["<-", "<?", "<|", "<o"])
def test_a_left_arrow_swaps_the_sides(direction):
    (row,) = drafted(HEADER, flow(direction, "SRPA_SPA"))
    assert row == SESSION | {
        "source_ip": "203.0.113.9",
        "destination_ip": "10.0.0.5",
        "source_port": "443",
        "destination_port": "50123",
        "source_bytes": "3500",
        "destination_bytes": "1500",
        "source_packets": "8",
        "destination_packets": "12",
        "event_reason": "tcp-rst-from-server",
    }


@pytest.mark.parametrize(
    ("state", "amounts", "established", "reason"),
    [
        ("S_", "3,180,180,3", "false", None),
        ("S_RA", "2,120,60,1", "false", "tcp-rst-from-server"),
        ("SR_SA", "3,180,120,2", "true", "tcp-rst-from-client"),
        ("SRPA_SRPA", "20,5000,1500,12", "true", None),
        ("FSRPA_FSPA", "20,5000,1500,12", "true", "tcp-fin"),
        ("PA_PA", ",,,", "true", None),
        ("S_", ",,,", "false", None),
        ("CON", ",,,", "true", None),
        ("CON", "2,120,60,1", "true", None),
        ("REQ", ",,,", "false", None),
        ("INT", "2,120,120,2", "false", None),
        ("FIN", ",,,", "true", "tcp-fin"),
        ("TIM", "2,120,60,1", "true", "aged-out"),
        ("RST", "6,366,186,3", None, "rst"),
        ("RST", "3,186,186,3", "false", "rst"),
        ("URP", ",,,", None, None),
        ("", ",,,", None, None),
    ],
)
def test_established_and_reason_come_from_amounts_flags_and_state(state, amounts, established, reason):
    (row,) = drafted(HEADER, flow(state=state, amounts=amounts))
    assert (row.get("established"), row.get("event_reason")) == (established, reason)


def test_what_is_not_counted_is_unknown():
    header = HEADER.replace(",SrcBytes,SrcPkts,Label", "")
    (row,) = drafted(header, flow().rsplit(",", 3)[0])
    gone = {"source_bytes", "destination_bytes", "source_packets", "destination_packets"}
    assert row == {name: value for name, value in SESSION.items() if name not in gone}


def test_other_than_ip_is_filtered():
    rows = drafted(
        HEADER,
        "1970/01/01 01:00:00.000000,0.000000,llc,00:00:00:00:00:00,0,   ->,00:00:00:00:00:00,0,INT,,,1,60,60,1,",
        "1970/01/01 01:00:10.472338,2.002366,arp,0.0.0.0,,  who,192.168.1.122,,INT,,,3,126,126,3,",
        "2018/05/10 10:52:47.283479,0.045010,man,0,0,,0,0,STA,,,0,0,0,0,",
        "2018/05/10 10:52:47.283479,0.045010,35041,8:0:27:1:2:3,0,->,1:80:c2:0:0:e,0,INT,,,1,60,60,1,",
    )
    assert [row["filtered"] for row in rows] == ["non_ip"] * 4


def test_ports_in_hexadecimal_and_blank_ports():
    line = "2026/03/01 10:00:00,0,udp,10.0.0.5,0x0303,->,10.0.0.6,,INT,0,,1,60,60,1,"
    (row,) = drafted(HEADER, line)
    assert row["source_port"] == "771"
    assert "destination_port" not in row


def test_quoted_user_data_is_passed_over():
    header = HEADER.replace("SrcPkts,Label", "srcUdata,dstUdata,Label")
    line = flow(amounts='20,5000,1500,"s[9]=a,""b"",c",d[2]=xx')
    (row,) = drafted(header, line)
    assert (row["source_bytes"], row["destination_bytes"]) == ("1500", "3500")


def test_short_lines_and_lines_without_header_are_faults():
    rows = drafted(flow(), HEADER, flow().rsplit(",", 4)[0])
    assert [row["fault"] for row in rows] == ["missing_header", "missing_columns"]


def test_a_header_may_come_again_with_other_columns():
    second = HEADER.replace("Label", "SrcId,Label")
    rows = drafted(HEADER, flow(), second, flow(amounts="20,5000,1500,12,argus-1"))
    assert [row.get("sensor") for row in rows] == [None, "argus-1"]


def test_the_label_is_reached_by_field_mapping():
    assert drafted(HEADER, flow(), field_mapping={"rule": "Label"}) == [SESSION | {"rule": "flow=x"}]


def test_only_the_header_of_ra_is_recognised():
    assert ARGUS.recognises("\ufeff" + HEADER)
    assert ARGUS.recognises("\n" + HEADER)
    for text in ("", flow(), "SrcAddr,DstAddr\n", "ts,te,td,sa,da,sp,dp,pr"):
        assert not ARGUS.recognises(text)


@pytest.mark.parametrize(
    ("name", "sessions", "non_ip"),
    [
        ("slips_testdata/old-1970-hexports-ipv6.binetflow.gz", 4982, 17),
        ("slips_testdata/old-no-SrcBytes-no-Label.binetflow.gz", 2380, 18),
        ("slips_testdata/old-udata-columns.binetflow.gz", 4786, 15),
        ("slips_testdata/tabs-mgmt-first-row.binetflow.gz", 6721, 4),
        ("slips_testdata/test2-malicious.binetflow.gz", 6751, 0),
        ("slips_testdata/test3-mixed.binetflow", 89, 0),
        ("slips_testdata/test4-malicious.binetflow", 392, 2),
        ("slips_testdata/test5-mixed.binetflow", 296, 4),
        ("slips_testdata/test11-portscan.binetflow", 66, 0),
        ("netflowlabeler_examples/test.binetflow", 91, 8),
    ],
)
def test_the_samples_are_read_to_the_last_line(name, sessions, non_ip):
    text = sample(name)
    assert ARGUS.recognises(text[:65536])
    rows = drafted(*text.split("\n"))
    found = Counter(row.get("fault") or row.get("filtered") or "session" for row in rows)
    assert found == Counter(session=sessions, non_ip=non_ip)
    assert sessions + non_ip + 1 == len([line for line in text.split("\n") if line.strip()])


def test_golden_sessions_of_the_samples():
    rows = {row["line"]: row for row in drafted(*sample("slips_testdata/test3-mixed.binetflow").split("\n"))}
    common = {"network_transport": "tcp", "event_action": "allow", "event_name": "TRAFFIC"}
    assert rows[2] == common | {
        "line": 2,
        "event_start": "2018/12/18 14:00:00.075359",
        "duration": "0.000000",
        "source_ip": "216.73.23.146",
        "source_port": "52691",
        "destination_ip": "147.32.81.57",
        "destination_port": "445",
        "source_bytes": "70",
        "destination_bytes": "0",
        "source_packets": "1",
        "destination_packets": "0",
        "established": "false",
    }
    assert rows[3] == common | {
        "line": 3,
        "event_start": "2018/12/18 14:00:00.527012",
        "duration": "0.699716",
        "source_ip": "216.73.23.146",
        "source_port": "52798",
        "destination_ip": "147.32.81.58",
        "destination_port": "445",
        "source_bytes": "70",
        "destination_bytes": "64",
        "source_packets": "1",
        "destination_packets": "1",
        "event_reason": "tcp-rst-from-server",
        "established": "false",
    }
    assert rows[4] == common | {
        "line": 4,
        "event_start": "2018/12/18 14:00:00.595719",
        "duration": "0.000181",
        "source_ip": "2001:718:2:1634:96de:80ff:fe7a:bdf0",
        "source_port": "47428",
        "destination_ip": "2a00:1450:400c:c00::bd",
        "destination_port": "443",
        "source_bytes": "135",
        "destination_bytes": "241",
        "source_packets": "1",
        "destination_packets": "1",
        "established": "true",
    }
    rows = {row["line"]: row for row in drafted(*sample("slips_testdata/test4-malicious.binetflow").split("\n"))}
    assert rows[2] == common | {
        "line": 2,
        "event_start": "2018/09/27 22:40:52.362768",
        "duration": "193.831726",
        "source_ip": "192.168.2.1",
        "source_port": "52893",
        "destination_ip": "192.168.2.12",
        "destination_port": "22",
        "source_bytes": "1224",
        "destination_bytes": "2542",
        "established": "true",
    }
