"""No format takes a file of another: every real sample has exactly one source, or none and a reason."""

import gzip
import zlib
from pathlib import Path

import pytest

from ndr.sources.formats import SOURCES

SAMPLES = Path(__file__).parents[3] / "shared/data"
HEAD = 64 << 10
EXPECTED = {
    "panos_syslog/*.samplelog": "palo_alto_syslog",
    "netflowlabeler_examples/nfcapd.*": "nfdump",
    "netflowlabeler_examples/suricata.json": "suricata",
    "netflowlabeler_examples/*.binetflow": "argus",
    "netflowlabeler_examples/conn.*": "zeek",
    "slips_testdata/*.nfdump.*": "nfdump",
    "slips_testdata/*.nfdump": None,
    "slips_testdata/*.suricata.json.gz": "suricata",
    "slips_testdata/*.binetflow*": "argus",
    "slips_testdata/**/conn.log": "zeek",
}


def files():
    every = [path for path in sorted(SAMPLES.rglob("*")) if path.is_file() and path.stem not in {"README", "LICENSE"}]
    return [str(path.relative_to(SAMPLES)) for path in every]


def head(path):
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, HEAD)
    return data[:HEAD].decode(errors="replace")


@pytest.mark.parametrize("name", files() or [pytest.param("", marks=pytest.mark.skip(reason="no shared samples here"))])
def test_a_file_has_one_source_at_most(name):
    text = head(SAMPLES / name)
    takers = [source.name for source in SOURCES.values() if source.recognises(text)]
    assert len(takers) <= 1
    for source in SOURCES.values():
        if source.name not in takers and takers:
            assert source.no_sessions(text) is None, f"{source.name} disowns what {takers[0]} takes"


@pytest.mark.parametrize("pattern", EXPECTED)
def test_a_file_has_its_own_source(pattern):
    paths = [path for path in SAMPLES.glob(pattern) if "README" not in path.name]
    if not paths:
        pytest.skip(f"the shared samples {pattern} are not here")
    for path in paths:
        takers = [source.name for source in SOURCES.values() if source.recognises(head(path))]
        assert takers == ([EXPECTED[pattern]] if EXPECTED[pattern] else []), path.name


def test_compressed_heads_are_read(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"StartTime,Proto,SrcAddr,DstAddr\n"))
    assert SOURCES["argus"].recognises(head(tmp_path / "x.gz"))
