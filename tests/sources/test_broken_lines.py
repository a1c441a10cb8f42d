"""Lines cut, doubled and garbled at random: one row each, never an exception."""

import random

import pyarrow as pa
import pytest

from ndr.sources.convert import convert
from ndr.sources.formats import SOURCES
from ndr.sources.source import SourceSpec
from ndr.tables.sessions import SESSION_FIELDS

PAN = (
    "<14>Mar  1 10:00:31 fw 1,2026/03/01 10:00:31,0011C100,{kind},end,1,2026/03/01 10:00:30,10.0.0.5,203.0.113.9,"
    '0.0.0.0,0.0.0.0,"a, ""b""",,,ssl,vsys1,trust,untrust,ae1,ae2,fwd,2026/03/01 10:00:30,4711,1,50123,443,0,0,0x19,'
    "tcp,allow,5000,1500,3500,20,2026/03/01 10:00:00,30,any,0,99,0x0,A,B,0,12,8,tcp-fin,0,0,0,0,,fw-edge-1,from-policy"
)
EVE = (
    '{{"timestamp":"2026-03-01T10:01:00.000001+0000","event_type":"{kind}","src_ip":"10.0.0.5","src_port":50123,'
    '"dest_ip":"203.0.113.9","dest_port":443,"proto":"TCP","alert":{{"action":"blocked","signature":"s"}},"flow":'
    '{{"pkts_toclient":4,"start":"2026-03-01T10:00:00.000001+0000","end":"2026-03-01T10:00:05.1+0000","state":"new"}},'
    '"tcp":{{"tcp_flags_ts":"1b","tcp_flags_tc":"1b"}}}}'
)
FORMATS = {
    "palo_alto_syslog": ([], [PAN.format(kind="TRAFFIC"), PAN.format(kind="THREAT"), PAN.format(kind="SYSTEM")]),
    "suricata": ([], [EVE.format(kind="flow"), EVE.format(kind="alert"), EVE.format(kind="netflow")]),
    "vpc_flow": ([], ["2 123 eni-1a 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"]),
    "nfdump": ([], ["2026-03-01 10:00:00.500 1.250 TCP 10.0.0.5:50123 -> 203.0.113.9:53 ...AP.SF 0 4 1.2 M 1"]),
    "argus": (
        ["StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,TotPkts,TotBytes,SrcBytes,SrcPkts,Label"],
        ['2026/03/01 10:00:00.1,5.0,tcp,10.0.0.5,50123,  <-,203.0.113.9,0x1bb,FSPA_FSRPA,20,5000,1500,12,"x, y"'],
    ),
}


def garbled(line, rng):
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.sample(range(len(line) + 1), 2)) if len(line) > 1 else (0, 0)
        part = rng.choice([line[:at], line[:at] + line[end:], line[:end] + line[at:]])
        junk = rng.choice(
            ['"', ",", "\t", "-1", "²", "\ud7ff", "99999999999999999999999999", "::", "\x1b[31m", "[{", "\r"]
        )
        line = part[: rng.randint(0, len(part))] + junk + part[rng.randint(0, len(part)) :]
    return line


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("seed", range(3))
def test_every_line_is_accounted_for(name, seed):
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    header, lines = FORMATS[name]
    broken = [garbled(rng.choice(lines), rng) for _ in range(700)]
    texts = header + [text for text in broken if text.strip()]
    block = pa.table({"line": pa.array(range(1, len(texts) + 1), pa.int64()), "text": texts})
    draft = SOURCES[name].reader(SourceSpec())(block)
    assert draft["line"].to_pylist() == list(range(len(header) + 1, len(texts) + 1))
    done = convert(draft, SourceSpec())
    assert len(draft) == len(done.sessions) + len(done.faults) + sum(done.filtered.values())
    assert any(reason in {"unparsable", "missing_columns"} for _, reason in done.faults)


@pytest.mark.parametrize("name", FORMATS)
def test_whole_lines_become_sessions(name):
    header, lines = FORMATS[name]
    texts = header + lines
    block = pa.table({"line": pa.array(range(1, len(texts) + 1), pa.int64()), "text": texts})
    done = convert(SOURCES[name].reader(SourceSpec())(block), SourceSpec())
    assert done.faults == []
    assert len(done.sessions) == min(len(lines), 2)
    assert not done.mended


@pytest.mark.parametrize("name", FORMATS)
def test_a_source_documents_every_session_column(name):
    assert [column for column in SESSION_FIELDS.names if column not in SOURCES[name].doc] == []
