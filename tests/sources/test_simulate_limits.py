"""The simulator at its limits: tiny, huge, and asked for what it cannot do."""

import json
import tracemalloc
from datetime import datetime, timedelta
from itertools import islice, pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from ndr.errors import AdapterError, UsageError
from ndr.sources.simulate import SimulationSpec, _ended, simulate
from ndr.sources.simulation.attacks import play_all
from ndr.sources.simulation.network import network, scattered
from ndr.sources.simulation.writing import DailyLog, PaloAlto

START = datetime(2026, 3, 2)


def test_one_host_and_one_hour(tmp_path):
    result = simulate(tmp_path / "tiny", SimulationSpec(hosts=1, days=1 / 24, start=datetime(2026, 3, 2, 9)))
    kinds = {truth["kind"] for truth in json.loads(result.truth.read_text())}
    assert result.sessions > 0
    assert "beacon_fast" in kinds
    assert "lateral_rdp" not in kinds


@pytest.mark.parametrize("hosts", [2, 3, 5, 11, 17])
def test_small_networks(hosts, tmp_path):
    shares = []
    result = simulate(tmp_path / "out", SimulationSpec(hosts=hosts, days=0.2), shares.append)
    assert result.sessions > 0
    assert shares[-1] == 1
    assert all(earlier < later for earlier, later in pairwise(shares))


def test_no_sessions_at_all(tmp_path):
    spec = SimulationSpec(hosts=1, days=0.001, sessions_per_host_day=0, attacks=())
    result = simulate(tmp_path / "out", spec)
    assert (result.sessions, result.files) == (0, ())


def test_memory_is_bounded_however_many_sessions_there_are():
    spec = SimulationSpec(hosts=400, days=30, start=datetime(2026, 3, 2, 9), sessions_per_host_day=1e6)
    tracemalloc.start()
    blocks = _ended(network(spec.hosts, spec.seed), spec, [])
    sizes = [len(flows) for _, flows in islice(blocks, 6)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 30_000 < min(sizes[1:]) < max(sizes) < 200_000
    assert peak < 300e6


def test_a_directory_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UsageError, match="not an empty directory"):
        simulate(tmp_path, SimulationSpec())


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(AdapterError, match="cannot write the simulation"):
        simulate(tmp_path / "file" / "below", SimulationSpec())


def test_a_failure_leaves_no_half_log(tmp_path):
    net = network(5, 1)
    (played,) = play_all(net, ("beacon_fast",), 1, (START, START + timedelta(days=1)))

    def interrupted():
        with DailyLog(tmp_path, PaloAlto(net)) as log:
            log.write(played.flows)
            log.write(played.flows)
            log.write(played.flows)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("attacks", ("port_skan",), "Did you mean 'port_scan'"),
        ("time_zone", "Mars/Base", "not a time zone"),
        ("start", "2026-03-02T00:00:00Z", "must carry no zone"),
        ("hosts", 0, "greater than or equal to 1"),
        ("formats", (), "at least 1 item"),
        ("colour", "red", "Extra inputs"),
        ("attack_days", 0, "greater than 0"),
        ("attack_days", 2.5, "before the simulated time: days is only 2"),
    ],
)
def test_a_wrong_value_is_named(key, value, said):
    with pytest.raises(ValidationError, match=said):
        SimulationSpec(**{key: value})


def test_scattered_numbers_are_spread_evenly():
    numbers = scattered(3, np.arange(10_000))
    assert abs(numbers.mean() - 0.5) < 0.02
    assert len(set(numbers.tolist())) == 10_000
