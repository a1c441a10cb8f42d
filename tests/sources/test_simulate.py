"""The simulated enterprise, read back from its own logs."""

import csv
import gzip
import json
from collections import Counter
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
import yaml

from ndr.sources.convert import convert
from ndr.sources.formats import recognised
from ndr.sources.simulate import Simulated, SimulationSpec, simulate
from ndr.sources.simulation.attacks import ATTACKS, play_all
from ndr.sources.simulation.flows import iso_ms
from ndr.sources.simulation.habits import Life
from ndr.sources.simulation.network import INTERNAL_NETWORKS, network
from ndr.sources.source import SourceSpec
from ndr.time import EPOCH

SMALL_ZONE = ZoneInfo("Europe/Berlin")
SMALL = SimulationSpec(hosts=40, days=1.5, sessions_per_host_day=120)
FIELDS = {
    *("source_ip", "destination_ip", "source_port", "destination_port", "source_bytes", "destination_bytes"),
    *("source_packets", "destination_packets", "event_start", "event_end", "event_action", "event_reason"),
    *("event_name", "network_transport", "application", "rule"),
}


def text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


def palo_alto(result: Simulated) -> list[dict]:
    paths = [path for path in result.files if path.parent.name == "palo_alto"]
    return [json.loads(line) for path in paths for line in text(path).splitlines()]


def zeek(result: Simulated) -> list[dict]:
    rows = []
    for path in (path for path in result.files if path.parent.name == "zeek"):
        lines = text(path).splitlines()
        assert lines[0] == r"#separator \x09"
        assert lines[-1].startswith("#close\t")
        names = next(line for line in lines if line.startswith("#fields")).split("\t")[1:]
        types = next(line for line in lines if line.startswith("#types")).split("\t")[1:]
        assert len(names) == len(types)
        rows += [dict(zip(names, line.split("\t"), strict=True)) for line in lines if not line.startswith("#")]
    return rows


def milliseconds(moment: str) -> int:
    return (datetime.fromisoformat(moment.removesuffix("Z")) - EPOCH) // timedelta(milliseconds=1)


def contents(result: Simulated) -> dict[str, bytes]:
    root = result.truth.parent
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("small"), SMALL)


@pytest.fixture(scope="module")
def rows(small):
    return palo_alto(small)


@pytest.fixture(scope="module")
def sessions(rows):
    return [row for row in rows if row["event_name"] == "TRAFFIC"]


@pytest.fixture(scope="module")
def truths(small):
    return json.loads(small.truth.read_text())


def test_the_same_specification_gives_the_same_bytes(small, tmp_path):
    assert contents(simulate(tmp_path / "again", SMALL)) == contents(small)


def test_another_seed_gives_another_enterprise(small, tmp_path):
    other = simulate(tmp_path / "other", SMALL.model_copy(update={"seed": 8}))
    assert not set(contents(other).values()) & {path.read_bytes() for path in small.files}


def test_a_file_holds_the_sessions_that_ended_on_its_day_in_the_order_of_their_ends(small):
    for path in small.files:
        if path.parent.name == "palo_alto":
            ends = [json.loads(line)["event_end"] for line in text(path).splitlines()]
            assert ends == sorted(ends)
            assert {end[:10] for end in ends} == {path.name[8:18]}
    names = [path.name for path in small.files]
    assert names[:2] == ["traffic-2026-03-02.json.gz", "traffic-2026-03-03.json.gz"]
    assert names[2:] == ["conn.2026-03-02.log.gz", "conn.2026-03-03.log.gz"]


def test_a_session_still_open_at_the_end_is_left_out_and_one_over_midnight_is_not(sessions):
    begin, end = milliseconds(SMALL.start.isoformat()), milliseconds((SMALL.start + timedelta(days=1.5)).isoformat())
    assert all(begin <= milliseconds(s["event_start"]) <= milliseconds(s["event_end"]) < end for s in sessions)
    assert any(s["event_start"][:10] < s["event_end"][:10] for s in sessions)


def test_rows_have_the_promised_fields(rows):
    for row in rows:
        assert set(row) - {"machine_name", "repeat_cnt"} == FIELDS
    assert Counter(row["event_name"] for row in rows)["THREAT"] > 0
    assert {row["event_action"] for row in rows if row["event_name"] == "THREAT"} == {"alert"}
    assert {row["source_bytes"] for row in rows if row["event_name"] == "THREAT"} == {None}
    repeats = [row["repeat_cnt"] for row in rows if "repeat_cnt" in row]
    assert repeats
    assert min(repeats) > 1
    for row in rows:
        assert (row["source_port"] is None) == (row["destination_port"] is None) == (row["network_transport"] == "icmp")


def test_the_counts_are_those_of_the_files(small, rows, sessions):
    assert (small.sessions, small.threats) == (len(sessions), len(rows) - len(sessions))


def test_both_formats_hold_the_same_sessions(small, sessions):
    assert Counter(map(as_seen_by_zeek, zeek(small))) == Counter(map(as_seen_by_firewall, sessions))


def test_the_sources_read_every_line(small):
    read = Counter()
    for path in small.files:
        body = text(path)
        source, _ = recognised(path.name, body[:65536], None, {})
        assert source.name == path.parent.name
        lines = body.splitlines()
        draft = source.reader(SourceSpec())(pa.table({"line": range(1, len(lines) + 1), "text": lines}))
        converted = convert(draft, SourceSpec())
        assert (converted.faults, +converted.filtered, converted.mended) == ([], Counter(), Counter())
        read[source.name] += converted.sessions.num_rows
        established = Counter(converted.sessions["established"].to_pylist())
        assert established[True] > 0.7 * converted.sessions.num_rows
        assert established[None] < 0.05 * converted.sessions.num_rows
    assert read == {"palo_alto": small.sessions + small.threats, "zeek": small.sessions}


def as_seen_by_zeek(row):
    start = round(float(row["ts"]) * 1000)
    duration = 0 if row["duration"] == "-" else round(float(row["duration"]) * 1000)
    port = None if row["proto"] == "icmp" else int(row["id.resp_p"])
    sizes = (int(row[name]) for name in ("orig_ip_bytes", "resp_ip_bytes", "orig_pkts", "resp_pkts"))
    return start, start + duration, row["id.orig_h"], row["id.resp_h"], port, row["proto"], *sizes


def as_seen_by_firewall(row):
    times = (milliseconds(row[name]) for name in ("event_start", "event_end"))
    ends = (row[name] for name in ("source_ip", "destination_ip", "destination_port", "network_transport"))
    sizes = (row[f"{end}_{what}"] for what in ("bytes", "packets") for end in ("source", "destination"))
    return *times, *ends, *sizes


def test_zeek_states_fit_the_packets(small):
    for row in zeek(small):
        replies, state = int(row["resp_pkts"]), row["conn_state"]
        assert (state == "S0") <= (replies == 0)
        assert (state in ("SF", "S1", "RSTO", "RSTR")) <= (replies > 0)
        for side in ("orig", "resp"):
            payload = row[f"{side}_bytes"]
            assert payload == "-" or 0 <= int(payload) <= int(row[f"{side}_ip_bytes"])
            assert (payload == "-") == (row["duration"] == "-")
        if row["proto"] == "icmp":
            assert (row["id.orig_p"], row["id.resp_p"]) in {("8", "0"), ("128", "129")}
            assert state == "OTH"
    assert len({row["uid"] for row in zeek(small)}) == small.sessions


@pytest.mark.parametrize("kind", [k for k in ATTACKS if k.startswith(("beacon", "exfiltration", "mining"))])
def test_the_truth_is_exactly_what_the_log_says(kind, truths, sessions):
    (truth,) = (truth for truth in truths if truth["kind"] == kind)
    seen = [s for s in sessions if s["destination_ip"] in truth["peers"]]
    assert {s["source_ip"] for s in seen} == {truth["host"]}
    assert len(seen) == truth["sessions"]
    assert min(s["event_start"] for s in seen) == truth["start"]
    assert max(s["event_end"] for s in seen) == truth["end"]


def test_every_attack_is_in_the_last_part_on_a_host_of_its_own(truths):
    assert sorted(truth["kind"] for truth in truths) == sorted(ATTACKS)
    assert len({truth["host"] for truth in truths}) == len(ATTACKS)
    assert all(truth["technique"] == ATTACKS[truth["kind"]].technique for truth in truths)
    earliest = iso_ms(milliseconds((SMALL.start + timedelta(days=1.5 * 0.7)).isoformat()) - 1)
    latest = (SMALL.start + timedelta(days=1.5)).isoformat()
    assert all(earliest <= truth["start"] <= truth["end"] < latest for truth in truths)


def test_attacks_can_be_kept_to_the_last_days(tmp_path, sessions):
    """So that the days before them are a clean past to compare with."""
    late = simulate(tmp_path / "late", SMALL.model_copy(update={"attack_days": 0.25, "formats": ("palo_alto",)}))
    truths = json.loads(late.truth.read_text())
    assert {truth["kind"] for truth in truths} == set(ATTACKS)
    first = (SMALL.start + timedelta(days=1.25)).isoformat()
    assert all(first <= truth["start"] <= truth["end"] for truth in truths)
    before = [Counter(as_seen_by_firewall(s) for s in rows if s["event_end"] < first and s["event_name"] == "TRAFFIC")
              for rows in (palo_alto(late), sessions)]  # fmt: skip
    assert not before[0] - before[1]


def test_attack_sessions_are_in_the_log(truths, sessions):
    logged = Counter((s["source_ip"], s["destination_ip"]) for s in sessions)
    for truth in truths:
        assert sum(logged[truth["host"], peer] for peer in truth["peers"]) >= truth["sessions"]


def test_attacks_look_like_what_they_are():
    net = network(60, 7)
    span = (SMALL.start, SMALL.start + timedelta(days=10))
    flows = {played.attack.kind: played.flows for played in play_all(net, tuple(ATTACKS), 7, span)}
    pauses = np.diff(flows["beacon_fast"]["start"]) / 1000
    assert abs(np.median(pauses) - 60) < 1
    assert 0.5 < pauses.std() < 6
    assert abs(np.median(np.diff(flows["beacon_slow"]["start"])) / 1000 - 1800) < 120
    assert len(set(flows["port_scan"]["destination_port"].tolist())) > 1000
    assert len(set(flows["host_sweep"]["destination"].tolist())) == 253
    assert set(flows["lateral_ssh"]["destination_port"].tolist()) == {22}
    assert flows["exfiltration_burst"]["sent"].sum() > 2e9
    assert 1e6 < np.median(flows["exfiltration_slow"]["sent"]) < 1e7
    assert np.median(flows["mining"]["end"] - flows["mining"]["start"]) > 3_000_000
    assert (flows["dga"]["packets_in"] == 0).sum() > 100


def test_attacks_leave_the_rest_as_it_was(tmp_path, sessions):
    quiet = simulate(tmp_path / "quiet", SMALL.model_copy(update={"attacks": (), "formats": ("palo_alto",)}))
    assert json.loads(quiet.truth.read_text()) == []
    ordinary = Counter(map(as_seen_by_firewall, (r for r in palo_alto(quiet) if r["event_name"] == "TRAFFIC")))
    assert not ordinary - Counter(map(as_seen_by_firewall, sessions))


def test_rates_are_as_in_life(sessions):
    share = Counter(s["event_action"] for s in sessions)
    assert 0.001 < share["deny"] / len(sessions) < 0.06
    assert 120 * 40 * 1.5 * 0.8 < len(sessions) < 120 * 40 * 1.5 * 4
    hours = Counter(s["event_start"][:13] for s in sessions if s["destination_port"] == 443)
    assert hours["2026-03-02T09"] > 5 * hours["2026-03-02T02"]
    assert {s["network_transport"] for s in sessions} == {"tcp", "udp", "icmp"}
    assert any(":" in s["source_ip"] for s in sessions)
    assert max(milliseconds(s["event_end"]) - milliseconds(s["event_start"]) for s in sessions) > 2 * 3_600_000
    assert max(s["source_bytes"] for s in sessions if s["application"] == "backup") > 1e9


def test_weekends_are_quiet(tmp_path):
    spec = SimulationSpec(
        hosts=30, days=3, start=datetime(2026, 3, 5), sessions_per_host_day=100, attacks=(), formats=("palo_alto",)
    )
    people = [s for s in palo_alto(simulate(tmp_path / "week", spec)) if s["destination_port"] == 993]
    days = Counter(s["event_start"][:10] for s in people)
    assert days["2026-03-07"] < days["2026-03-05"] / 3
    assert len(people) > 100


def test_peers_are_favourites_that_drift(tmp_path):
    net = network(60, 7)
    life = Life(net, SMALL.start, SMALL_ZONE, 600)
    rng = np.random.default_rng(1)
    client = np.full(20_000, 20)
    tops = [Counter(life._peers(rng, 1, client, day, 3000, popular=True).tolist()) for day in (0, 1, 20)]
    first, next_day, later = ({peer for peer, _ in top.most_common(30)} for top in tops)
    assert tops[0].most_common(1)[0][1] > 2000
    assert len(first & next_day) > len(first & later) > 3


def test_the_inventory_names_every_host_and_every_machine_of_a_vdi_address(small, sessions):
    with small.inventory.open(encoding="utf-8") as stream:
        inventory = list(csv.DictReader(stream))
    current = Counter(row["ip_address"] for row in inventory if row["active"] == "true")
    assert len(current) == SMALL.hosts
    assert set(current.values()) == {1}
    known = {(row["ip_address"], row["machine_name"]) for row in inventory}
    seen = {(s["source_ip"], s["machine_name"]) for s in sessions if "machine_name" in s and "." in s["source_ip"]}
    assert seen <= known
    pool = {}
    for address, name in seen:
        if name.startswith("VDI-"):
            pool.setdefault(address, set()).add(name)
    assert max(map(len, pool.values())) == 2


def test_addresses_are_inside_the_segments_or_nobodys(small, sessions):
    settings = yaml.safe_load(small.configuration.read_text())["project_parameters"]
    assert settings["internal_networks"] == list(INTERNAL_NETWORKS)
    assert settings["calendar"] == {"time_zone": SMALL.time_zone}
    segments = [ip_network(cidr) for cidr in settings["segments"]]
    reserved = ("198.18.0.0/15", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
    known = [*segments, *map(ip_network, reserved)]
    addresses = {s[f"{end}_ip"] for s in sessions for end in ("source", "destination")}
    assert all(str(ip_address(a)) == a and any(ip_address(a) in n for n in known) for a in addresses)
    assert len(set(settings["segments"].values())) == 5
