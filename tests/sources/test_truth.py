"""What a truth file says."""

import json
from datetime import datetime

import pytest

from ndr.errors import AdapterError, DataError
from ndr.sources.simulate import SimulationSpec, simulate
from ndr.sources.truth import read_truth

SCAN = {"kind": "port_scan", "host": "10.0.0.1", "start": "2026-03-02T10:00:00.000Z", "end": "2026-03-02T10:05:00Z"}


def file(tmp_path, content):
    path = tmp_path / "truth.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_what_the_simulation_planted_is_read_as_it_was_written(tmp_path):
    made = simulate(tmp_path / "out", SimulationSpec(hosts=40, days=1, sessions_per_host_day=20))
    written = json.loads(made.truth.read_text())
    read = read_truth(made.truth)
    assert len(read) == len(written) > 5
    for one, said in zip(read, written, strict=True):
        assert (one.kind, one.host, list(one.peers), one.technique) == (
            said["kind"], said["host"], said["peers"], said["technique"],
        )  # fmt: skip
        assert one.start == datetime.fromisoformat(said["start"]).replace(tzinfo=None) <= one.end


def test_only_kind_host_and_times_are_needed(tmp_path):
    (one,) = read_truth(file(tmp_path, [{**SCAN, "ticket": {"nr": 1}}]))
    assert one.peers == ()
    assert read_truth(file(tmp_path, [])) == []


def test_addresses_and_times_are_written_in_one_way(tmp_path):
    said = {**SCAN, "host": "FD00:0::1", "peers": ["::ffff:10.0.0.9"], "start": "2026-03-02T11:00:00+01:00"}
    (one,) = read_truth(file(tmp_path, [said]))
    assert (one.host, one.peers, one.start) == ("fd00::1", ("10.0.0.9",), datetime(2026, 3, 2, 10))


def test_what_a_file_says_cannot_drive_the_terminal(tmp_path):
    (one,) = read_truth(file(tmp_path, [{**SCAN, "kind": "scan\x1b[2J\nall clear"}]))
    assert one.kind == "scan\\x1b[2J\\x0aall clear"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"{}", "must hold a list of attacks, not dict"),
        ([SCAN, "scan"], r"attack \[1\] must be an object"),
        ([SCAN, {**SCAN, "host": "pc-17"}], r"\[1\].host: .*not an IP address, seen pc-17"),
        ([{**SCAN, "host": 7}], r"\[0\].host"),
        ([{**SCAN, "kind": ""}], r"\[0\].kind"),
        ([{**SCAN, "start": "yesterday"}], r"\[0\].start: .*is not a time"),
        ([{**SCAN, "start": 1_772_445_600}], r"\[0\].start: .*is not a time"),
        ([{**SCAN, "start": None}], r"\[0\].start"),
        ([{**SCAN, "end": "2026-03-01"}], "before its start"),
        ([{**SCAN, "peers": "10.0.0.2"}], r"\[0\].peers"),
        ([{**SCAN, "peers": ["10.0.0.2", "x"]}], r"\[0\].peers.1"),
        ([{key: SCAN[key] for key in ("kind", "start", "end")}], r"\[0\].host: this key is needed"),
    ],
)
def test_a_file_that_is_no_truth_is_refused_with_its_fault(content, said, tmp_path):
    with pytest.raises(DataError, match=said) as caught:
        read_truth(file(tmp_path, content))
    assert "truth.json" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(AdapterError, match="No such file"):
        read_truth(tmp_path / "truth.json")
