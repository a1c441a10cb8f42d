"""Random networks on both engines: every recipe gives the same rows, cell by cell, whatever the sessions are.

One query looks at many small networks at once, for it costs Spark seconds however few its rows are.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ndr.engines.spark import Spark
from ndr.table import PartKey, in_force
from ndr.tables import TABLES
from ndr.time import SLICE
from oracle import OracleConfig
from oracle_baselines import BaselineConfig
from parity.crowds import WORLDS, beats_of, case_of, moved, sessions_of
from parity.rounds import Baselines, Rhythms, Slices, differences
from strategies import CONFIGS, sessions
from strategies_baselines import CONFIGS as BASELINES
from strategies_baselines import PUBLICATIONS

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FULL = {
    "oracle": range(len(CONFIGS)),
    "measured, published": [(n % len(BASELINES), n) for n in range(len(PUBLICATIONS) - 1)],
}
SMALL = {"oracle": (0,), "measured, published": [(1, 1)]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    wanted = FULL if metafunc.config.getoption("--parity") == "full" else SMALL
    for names, values in wanted.items():
        if set(names.split(", ")) <= set(metafunc.fixturenames):
            metafunc.parametrize(names, values)


@pytest.fixture
def looks(request: pytest.FixtureRequest) -> int:
    """How many crowds of networks are drawn."""
    return 2 if request.config.getoption("--parity") == "full" else 1


def holds(looks: int, law: Callable[..., None], *drawn: st.SearchStrategy[Any]) -> None:
    """Whether a law holds for some drawn examples; none is made smaller, which would take hours."""
    usual = settings(
        max_examples=looks,
        deadline=None,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    usual(given(*drawn)(law))()


def test_a_cell_or_a_row_that_is_not_the_same_is_found() -> None:
    one = pa.table({"key": ["a", "b", None], "n": [1, None, 3], "x": [0.5, 1.0, None]})
    shuffled, key = one.take(pa.array([2, 0, 1])), ["key"]
    assert differences(one, shuffled, key) == []
    assert differences(one, one.set_column(2, "x", pa.array([0.5, 1 + 1e-11, None])), key)
    assert differences(one, one.set_column(2, "x", pa.array([0.5, 1.0, 0.0])), key)
    assert differences(one, shuffled.set_column(1, "n", pa.array([3, 1, 0])), key)
    assert differences(one, one.set_column(1, "n", one.column("n").cast("int32")), key)
    assert differences(one, one.slice(1), key)
    assert differences(one, pa.concat_tables([one, one.slice(2)]), key)


def test_every_network_of_a_crowd_has_hosts_of_its_own() -> None:
    inside = ("10.1.1.9", "10.1.1.1", "10.1.2.1", "192.168.7.7", "fd00:1::9", "fd00:2::1")
    found = [moved(address, world) for address in inside for world in range(WORLDS)]
    assert len(set(found)) == len(found)
    assert all(str(ip_address(each)) == each and ip_address(each).is_private for each in found)
    assert moved("8.8.8.8", 7) == "8.8.8.8"


def seeds_of(seed: int, worlds: int) -> list[int]:
    rng = Random(seed)  # noqa: S311 - made-up data, not secrets
    return [rng.randrange(2**32) for _ in range(worlds)]


def test_sessions_become_the_same_behaviour(spark: Spark, tmp_path: Path, oracle: int, looks: int) -> None:
    config: OracleConfig = CONFIGS[oracle]
    made = Slices(config, spark, tmp_path)

    def law(seed: int, own: list[dict[str, Any]]) -> None:
        rows, ends = sessions_of(seeds_of(seed, 3 * WORLDS), config, own)
        made.make(rows, ends)

    holds(looks, law, st.integers(0, 2**32), sessions(clock=config.clock))
    assert made.round.cells > 100_000
    assert all(made.round.rows[name] > 100 for name in ("delta", "pair_counts", "pair_days", "pair_history", "fg_a"))


def test_moments_become_the_same_beacons(spark: Spark, tmp_path: Path, looks: int) -> None:
    made = Rhythms(CONFIGS[0], spark, tmp_path)
    hour, midnight = datetime(2026, 3, 29, 2), datetime(2026, 3, 1)

    def law(seed: int) -> None:
        seeds = seeds_of(seed, WORLDS)
        made.fast(beats_of(seeds, hour, DAY), [hour, hour + HOUR])
        made.slow(beats_of(seeds, midnight, 14 * DAY), [midnight, midnight + DAY])

    holds(looks, law, st.integers(0, 2**32))
    assert made.round.rows["beacons"] > 20
    assert made.round.rows["slow_beacons"] > 20


def test_behaviour_becomes_the_same_baselines_deviations_and_features(
    spark: Spark, tmp_path: Path, measured: int, published: int, looks: int
) -> None:
    config: BaselineConfig = BASELINES[measured]
    made = Baselines(config, spark, tmp_path)

    def law(seed: int) -> None:
        case = case_of(seeds_of(seed, WORLDS), config, PUBLICATIONS[published])
        publications = [made.publication(*each) for each in case.publications]
        tables = {(p.reference, h): made.baselines(case, p, h) for p in publications for h in p.horizons}
        found = made.deviations(case, publications, tables, case.ends)
        if not found:
            return
        parts = [PartKey(end - SLICE, end) for end in case.ends if in_force(publications, end)]
        scored = made.run("predictions", {"fg_a": case.now, "fg_c": found}, parts, publications)
        told = [{**row, **dict.fromkeys(TABLES["predictions"].judged)} for row in scored]
        made.run("prediction_feature_join", {"predictions": told, "fg_a": case.now, "fg_c": found}, parts, publications)

    holds(looks, law, st.integers(0, 2**32))
    assert made.round.cells > 100_000
    assert made.round.rows["fg_b_host"] > 20
