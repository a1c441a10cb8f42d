"""Baselines and deviations through plan and run, on a small network over a few days, with horizons of a day or two."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from handmade import session
from laws.comparing import keyed
from laws.publishing import KEYS, config_of, expect_rows, oracle_of
from laws.test_deviations import expect_deviations, wanted_of
from ndr.specs import Config
from ndr.tables import TABLES
from ndr.time import Interval
from oracle import batch_of
from oracle_baselines import DAY, BaselineConfig, Row
from oracle_deviations import in_force
from strategies_baselines import FEW, Case, both_roles, measures
from worlds import World

START = datetime(2026, 3, 2)  # a Monday
END = START + 4 * DAY
NOW = END - timedelta(hours=20)
BETWEEN = Interval(NOW - timedelta(hours=5), NOW)
"""The window ends that are looked at: from before the last midnight but one until after it."""
NAIVE = BaselineConfig(
    measures(FEW), ("sessions_cnt", "bytes_src_sum"), ("sessions_cnt",), both_roles(dict.fromkeys(FEW, 12)),
    capping_z_max=20.0, prefixes=("vdi",), tails={"1d": 0, "2d": 1},
)  # fmt: skip


def _config() -> Config:
    """The oracle's configuration, new baselines every midnight."""
    config = config_of(NAIVE)
    jobs = {job: dict(values) for job, values in config.jobs.items()}
    jobs["fg_b_builder"] |= {"horizons": ["1d", "2d"], "schedule": "daily"}
    return Config.model_validate({"jobs": jobs})


def traffic(seed: int = 1) -> list[Row]:
    """Sessions of four days, some of which arrive up to a day late; one host shows up on the last day only."""
    rng = Random(seed)  # noqa: S311 - made-up data, not secrets
    found = []
    for hour in range(4 * 24):
        for host in ("10.1.1.1", "10.1.1.2", "10.1.2.1", "10.1.3.9"):
            if rng.random() < (0.1 if host == "10.1.2.1" else 0.7) and (host != "10.1.3.9" or hour >= 72):
                end = START + timedelta(hours=hour, seconds=rng.randrange(3600))
                found.append(_session(rng, host, end))
    return found


def _session(rng: Random, host: str, end: datetime) -> Row:
    late = START + timedelta(hours=-(-(end - START) // timedelta(hours=1)) + rng.choice((1, 9, 30)))
    batch = {"batch_end_ts": late, "mini_batch_id": f"late-{late:%d%H}"} if rng.random() < 0.1 else {}
    plain: dict[str, Any] = dict.fromkeys((*TABLES["sessions"].columns, "mini_batch_id", "batch_end_ts"))
    peers = ("10.1.1.2", "203.0.113.5", f"203.0.113.{rng.randrange(20)}")
    return plain | session(
        end, source_ip=host, destination_ip=rng.choice(peers), destination_port=rng.choice((443, 443, 22, None)),
        source_bytes=rng.choice((None, 10, 1000, 10**7)), event_action=rng.choice(("allow", "allow", "deny")), **batch,
    )  # fmt: skip


def a_world(root: Path, *imports: list[Row]) -> World:
    world = World(root, _config())
    for place, rows in enumerate(imports):
        world.put(rows, f"import-{place}")
    return world


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = a_world(tmp_path_factory.mktemp("lake"), traffic())
    world.build(["fg_c"], BETWEEN)
    world.learn(trees=5)
    world.build(["predictions", "prediction_feature_join"], BETWEEN)
    yield world
    world.close()


def test_every_table_has_one_row_per_key(built: World) -> None:
    """No join multiplies rows, in no table there is; the sessions themselves have no key."""
    for name, table in TABLES.items():
        rows = built.read(name) if table.recipe else []
        assert rows or not table.recipe or "beacons" in name, name
        assert all(row[key] is not None for row in rows for key in table.keys if key != "dst_port"), name
        assert len(keyed(rows, table.keys)) == len(rows)


def test_published_baselines_hold_what_lies_in_their_horizons(built: World) -> None:
    case = _case(built)
    wanted = {(p.reference, h): tables for p in oracle_of(case, NAIVE) for h, tables in p.horizons.items()}
    for place, (name, columns) in enumerate(KEYS.items()):
        rows = built.read(name)
        for (reference, horizon), tables in wanted.items():
            own = [r for r in rows if (r["reference_time"], r["baseline_horizon"]) == (reference, horizon)]
            expect_rows(keyed(own, columns), list(vars(tables).values())[place])
        assert {(r["reference_time"], r["baseline_horizon"]) for r in rows} == set(wanted)


def test_deviations_are_held_against_the_baselines_in_force(built: World) -> None:
    case = _case(built)
    rows = built.read("fg_c")
    publications = oracle_of(case, NAIVE)
    used = [in_force(publications, row["window_end_ts"]) for row in rows]
    assert {publication.reference for publication in used if publication} == {p.reference for p in publications}
    expect_deviations(rows, wanted_of(case, NAIVE), NAIVE)


def _case(built: World) -> Case:
    """The behaviour of the world, and the publications in force in between; two days are not covered by the first."""
    behaviour = built.read("fg_a")
    now = [row for row in behaviour if BETWEEN.start < row["window_end_ts"] <= BETWEEN.end]
    publications = ((START + 2 * DAY, False, ("1d",)), (START + 3 * DAY, False, ("1d", "2d")))
    return Case(behaviour, now, publications, days=built.read("pair_days"), pair_counts=built.read("pair_counts"))


def test_what_comes_later_changes_no_bit_of_past_deviations(built: World, tmp_path: Path) -> None:
    """Neither what happened later nor what was reported late: a past moment sees what was known then."""
    rows = traffic()
    known = [row for row in rows if batch_of(row)[1] <= NOW]
    world = a_world(tmp_path, known)
    world.build(["fg_c"], BETWEEN)
    before = {path: Path(world.lake.path(path)).read_bytes() for path in _paths(world)}
    world.put([row for row in rows if batch_of(row)[1] > NOW], "later")
    world.build(["fg_c"], Interval(BETWEEN.start, END))
    assert before
    assert {path: Path(world.lake.path(path)).read_bytes() for path in _paths(world) if path in before} == before
    world.close()


def _paths(world: World) -> list[str]:
    return [part.path for part in world.ledger.parts("fg_c", "1") if part.path and part.key.known_at <= NOW]
