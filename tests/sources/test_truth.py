"""What a truth file says, and how well a ranking finds it."""

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndr.errors import AdapterError, DataError, UsageError
from ndr.sources.simulate import SimulationSpec, simulate
from ndr.sources.truth import KnownAttack, found_by, part_in, read_truth, recall_at
from ndr.time import Interval

MONDAY, TUESDAY, WEDNESDAY = (datetime(2026, 3, day) for day in (2, 3, 4))
SCAN = {"kind": "port_scan", "host": "10.0.0.1", "start": "2026-03-02T10:00:00.000Z", "end": "2026-03-02T10:05:00Z"}


def attack(host: str, kind: str = "beacon", start: datetime = MONDAY, end: datetime = TUESDAY, **more) -> KnownAttack:
    said = {"kind": kind, "host": host, "start": start.isoformat(), "end": end.isoformat(), **more}
    return KnownAttack.model_validate(said)


def ranks(ranked, truth) -> dict[str, int | None]:
    return {found.attack.host: found.rank for found in found_by(ranked, truth)}


def at_any_time(*hosts: str):
    return [(host, None) for host in hosts]


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
        ([{key: SCAN[key] for key in ("kind", "start", "end")}], r"\[0\].host: Field required"),
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


def test_a_host_takes_one_place_however_many_rows_it_has():
    truth = [attack("10.0.0.1"), attack("10.0.0.2"), attack("10.0.0.3")]
    ranked = at_any_time("10.0.0.9", "10.0.0.9", "10.0.0.2", "10.0.0.9", "10.0.0.1")
    assert ranks(ranked, truth) == {"10.0.0.2": 2, "10.0.0.1": 3, "10.0.0.3": None}


def test_a_host_that_stood_out_on_the_day_before_was_not_found_for_today():
    truth = [attack("10.0.0.1", start=TUESDAY, end=TUESDAY)]
    monday, tuesday = Interval(MONDAY, TUESDAY), Interval(TUESDAY, WEDNESDAY)
    assert ranks([("10.0.0.1", monday), ("10.0.0.2", tuesday)], truth) == {"10.0.0.1": None}
    later = [("10.0.0.1", monday), ("10.0.0.2", tuesday), ("10.0.0.1", tuesday), ("10.0.0.3", tuesday)]
    assert ranks(later, truth) == {"10.0.0.1": 2}


def test_the_best_place_comes_first_and_the_missed_last():
    truth = [attack("10.0.0.1", "dga"), attack("10.0.0.2", "scan"), attack("10.0.0.1", "mining")]
    found = found_by(at_any_time("10.0.0.1"), truth)
    assert [(f.attack.kind, f.rank) for f in found] == [("dga", 1), ("mining", 1), ("scan", None)]
    assert found[0].row() == {
        "attack": "dga", "host_ip": "10.0.0.1", "start": "2026-03-02T00:00:00Z", "end": "2026-03-03T00:00:00Z",
        "rank": 1,
    }  # fmt: skip


def test_recall_counts_hosts_not_attacks():
    truth = [attack("10.0.0.1", "dga"), attack("10.0.0.1", "mining"), attack("10.0.0.2"), attack("10.0.0.3")]
    found = found_by(at_any_time("10.0.0.3", "10.0.0.9", "10.0.0.1", "10.0.0.2"), truth)
    recall = recall_at(found, 3)
    assert (recall.found, recall.missed) == (("10.0.0.3", "10.0.0.1"), ("10.0.0.2",))
    assert recall.share == pytest.approx(2 / 3)
    assert str(recall) == "recall at 3: 2 of 3 attacking hosts (67%)"
    assert str(recall_at(found, 1)) == "recall at 1: 1 of 3 attacking hosts (33%; 1 fit in)"
    assert recall_at(found, 4).share == 1


def test_there_is_no_recall_where_nothing_was_planted():
    recall = recall_at(found_by(at_any_time("10.0.0.1"), []), 10)
    assert recall.share is None
    assert str(recall) == "recall at 10: nothing was to be found"
    assert recall_at(found_by([], [attack("10.0.0.1")]), 10).share == 0
    with pytest.raises(UsageError, match="at least 1"):
        recall_at([], 0)


def test_a_target_is_no_false_alarm_either():
    truth = [attack("10.0.0.1", "dga", peers=("10.0.0.5",)), attack("10.0.0.5", "scan", TUESDAY, WEDNESDAY)]
    assert part_in("10.0.0.1", truth) == "dga"
    assert part_in("10.0.0.5", truth) == "scan, target of dga"
    assert part_in("10.0.0.9", truth) == ""
    assert part_in("10.0.0.5", truth, Interval(MONDAY, MONDAY.replace(hour=1))) == "target of dga"


HOSTS = st.sampled_from([f"10.0.0.{n}" for n in range(1, 7)])


@given(st.lists(HOSTS), st.lists(HOSTS.map(attack)), st.integers(1, 8))
def test_recall_is_what_counting_by_hand_gives(ranked, truth, k):
    recall = recall_at(found_by(at_any_time(*ranked), truth), k)
    first = list(dict.fromkeys(ranked))[:k]
    attackers = {one.host for one in truth}
    assert set(recall.found) == attackers & set(first)
    assert set(recall.missed) == attackers - set(first)
    assert recall.hosts == len(attackers) == len(recall.found) + len(recall.missed)
    assert recall.reachable >= len(recall.found)
