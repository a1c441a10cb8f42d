"""Deviations of random behaviour: what the oracle says, cell by cell, and what must hold whatever the rows are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laws.comparing import keyed, looks
from laws.publishing import FG_C_KEYS, KEYS, Made, Press, Result, alike, expect_rows, oracle_of, press_of
from ndr.table import Publication
from oracle_baselines import BaselineConfig, Published, Row, Table
from oracle_deviations import TRANSFORMS, fg_c
from oracle_deviations import Publication as NaivePublication
from strategies_baselines import CONFIGS, Case, random_case

each_config = pytest.mark.parametrize("config", range(len(CONFIGS)))
SCORES = (
    "anomaly_strength_core", "exfiltration_suspicion_score", "lateral_movement_score", "beacon_suspicion_score",
    "scan_suspicion_score", "novelty_suspicion_score",
)  # fmt: skip
BEACON = {
    "beacon_dst_ip": "dst_ip", "beacon_dst_port": "dst_port", "beacon_score": "beacon_score",
    "beacon_interval_seconds": "interval_median_seconds",
}  # fmt: skip


@st.composite
def cases(draw: st.DrawFn, config: int, size: int = 12) -> Case:
    """A few rows, every choice hypothesis's own."""

    def pick(options: Sequence[Any]) -> Any:
        return draw(st.sampled_from(options))

    return random_case(pick, CONFIGS[config], size)


def of_seed(seed: int, config: int) -> Case:
    rng = Random(seed)  # noqa: S311 - made-up data, not secrets
    return random_case(rng.choice, CONFIGS[config], rng.choice((20, 80, 200)))


def wanted_of(case: Case, config: BaselineConfig, publications: Sequence[NaivePublication] | None = None) -> Table:
    return fg_c(
        case.now, oracle_of(case, config) if publications is None else publications, config,
        pair_counts=case.pair_counts, beacons=case.beacons, slow_beacons=case.slow_beacons,
    )  # fmt: skip


def expect_deviations(got: Sequence[Row], wanted: Table, config: BaselineConfig) -> None:
    found = keyed(got, FG_C_KEYS)
    expect_rows(found, {key: _stored(row, found.get(key, {}), config) for key, row in wanted.items()})
    for key, row in wanted.items():
        expect_top(found[key]["top_deviations"], row["_deviating"])
        expect_beacon(found[key], row["_beacons"])


def _stored(wanted: Row, got: Row, config: BaselineConfig) -> Row:
    """What of the oracle's row the table must hold: scales, and drifts of other than core metrics, it may keep back."""
    core = config.of_theme("core")
    inner = {c for c in wanted if c.endswith("_scale")} | {
        f"baseline_drift_{kind}_{m}" for kind in ("z", "ratio") for m in config.metrics if m not in core
    }
    return {c: v for c, v in wanted.items() if c in got or c not in inner}


def expect_top(got: Sequence[Row] | None, deviating: Sequence[Row]) -> None:
    """The five that deviate most, each as the oracle has it; where rounding decides who is fifth, either will do."""
    got = got or []
    assert len(got) == min(5, len(deviating)), (got, deviating)
    by_metric = {each["metric"]: each for each in deviating}
    for place, each in enumerate(got):
        own = by_metric[each["metric"]]
        assert all(alike(each[name], value) for name, value in own.items() if name != "_strength")
        assert alike(own["_strength"], deviating[place]["_strength"]), (each, deviating[place])
        assert own["_strength"] or alike(abs(each["z"]), abs(deviating[place]["z"]))


def expect_beacon(row: Row, candidates: Sequence[tuple[float, Row]]) -> None:
    """The pair that adds most to suspicion, and nothing where no pair was scored."""
    told = {column: row[column] for column in BEACON}
    best = [{c: b[name] for c, name in BEACON.items()} for s, b in candidates if alike(s, candidates[0][0])]
    assert told in (best or [dict.fromkeys(BEACON)])


def holds(case: Case, config: int) -> Result:
    made = press_of(config).make(case)
    expect_deviations(made.deviations, wanted_of(case, CONFIGS[config]), CONFIGS[config])
    return made


@each_config
@given(data=st.data())
@looks(15)
def test_deviations_are_measured_as_the_definitions_say(config: int, data: st.DataObject) -> None:
    holds(data.draw(cases(config)), config)


@each_config
@given(seed=st.integers(0, 2**32))
@looks(15)
def test_deviations_of_many_rows(config: int, seed: int) -> None:
    holds(of_seed(seed, config), config)


@each_config
@given(seed=st.integers(0, 2**32))
@looks(12)
def test_deviations_where_parts_of_the_baselines_are_missing(config: int, seed: int) -> None:
    """Tiers, metadata and pairs that are not there, single statistics that are null."""
    rng, case, press = Random(seed), of_seed(seed, config), press_of(config)  # noqa: S311 - made-up data
    publications = [press.publication(*each) for each in case.publications]
    made: dict[Any, Made] = {}
    kept: list[NaivePublication] = []
    for publication in publications:
        left = {horizon: _torn(rng, press.baselines(case, publication, horizon)) for horizon in publication.horizons}
        made |= {(publication.reference, horizon): tables for horizon, tables in left.items()}
        kept.append(_as_naive(publication, left))
    got = [row for end in case.ends for row in press.deviations(case, publications, made, [end])]
    expect_deviations(got, wanted_of(case, CONFIGS[config], kept), CONFIGS[config])


def _torn(rng: Random, made: Made) -> Made:
    """Some rows lost, and some metrics of the others without a median."""
    found: Made = {}
    for name in KEYS:
        keep = rng.choice((0.3, 0.8, 1.0))
        found[name] = [_blinded(rng, row) for row in made[name] if rng.random() < keep]
    return found


def _blinded(rng: Random, row: Row) -> Row:
    gone = tuple(
        f"{c.removesuffix('median')}{s}"
        for c in row
        if c.endswith("_median") and rng.random() < 0.2
        for s in ("median", "p25", "p75", "p95", "p99", "mad", "iqr")
    )
    return {c: None if c in gone else v for c, v in row.items()}


def _as_naive(publication: Publication, left: dict[str, Made]) -> NaivePublication:
    tables = {
        horizon: Published(*(keyed(made[name], columns) for name, columns in KEYS.items()))
        for horizon, made in left.items()
    }
    return NaivePublication(publication.reference, tables, publication.provisional)


# --- what must hold whatever the rows are


@each_config
@given(seed=st.integers(0, 2**32))
@looks(6)
def test_the_scale_is_never_0(config: int, seed: int) -> None:
    """Where value and baseline are known every measure of distance is a finite number."""
    case = of_seed(seed, config)
    for row in press_of(config).make(case).deviations:
        for m in CONFIGS[config].metrics:
            told = {name: row[f"{m}_{name}"] for name in TRANSFORMS if f"{m}_{name}" in row and name != "iqr_dev"}
            nulls = {value is None for value in told.values()}
            assert len(nulls) == 1, (m, told)
            assert nulls == {True} or all(math.isfinite(value) for value in told.values())
            if f"{m}_scale" in row and row[f"{m}_scale"] is not None:
                assert row[f"{m}_scale"] > 0


@each_config
@given(seed=st.integers(0, 2**32))
@looks(8)
def test_suspicion_scores_are_monotone(config: int, seed: int) -> None:
    """More of one metric never lowers a score; the strength of all deviations counts from the baseline on."""
    case, press = of_seed(seed, config), press_of(config)
    rng = Random(seed + 1)  # noqa: S311 - made-up data
    metric, by = rng.choice(sorted(CONFIGS[config].metrics)), rng.choice((1, 0.25, 10**6))
    step = by if isinstance(case.now[0][metric] if case.now else 0.5, float) else max(1, int(by))
    raised = [row if row[metric] is None else {**row, metric: row[metric] + step} for row in case.now]
    before, after = (_by_key(press, each) for each in (case, replace(case, now=raised)))
    assert set(before) == set(after)
    for key, old in before.items():
        for score in SCORES:
            if score == "anomaly_strength_core" and (old[f"{metric}_z_mad"] or 0) < 0:
                continue
            assert (old[score] is None) == (after[key][score] is None)
            assert old[score] is None or after[key][score] >= old[score] - 1e-12, (key, score)


@each_config
@given(seed=st.integers(0, 2**32))
@looks(6)
def test_a_more_regular_pair_is_never_less_suspicious(config: int, seed: int) -> None:
    case, press = of_seed(seed, config), press_of(config)
    raised = [{**b, "beacon_score": min(1.0, b["beacon_score"] + 0.125)} for b in case.beacons]
    before, after = (_by_key(press, each) for each in (case, replace(case, beacons=raised)))
    for key, old in before.items():
        assert after[key]["beacon_suspicion_score"] >= old["beacon_suspicion_score"]


def _by_key(press: Press, case: Case) -> dict[Any, Row]:
    return keyed(press.make(case).deviations, FG_C_KEYS)


@each_config
@given(seed=st.integers(0, 2**32))
@looks(8)
def test_no_join_multiplies_rows(config: int, seed: int) -> None:
    """One row of deviations for each row of behaviour and horizon in force; one row per key in every baseline."""
    case = of_seed(seed, config)
    made = press_of(config).make(case)
    for tables in made.baselines.values():
        for name, columns in KEYS.items():
            keyed(tables[name], columns)
    found = keyed(made.deviations, FG_C_KEYS)
    assert {key[:3] for key in found} <= {tuple(row[c] for c in FG_C_KEYS[:3]) for row in case.now}
    assert set(found) == set(wanted_of(replace(case, pair_counts=[], beacons=[]), CONFIGS[config]))


@each_config
@given(seed=st.integers(0, 2**32))
@looks(6)
def test_window_ends_compared_together_are_those_compared_alone(config: int, seed: int) -> None:
    case, press = of_seed(seed, config), press_of(config)
    alone = [
        row
        for end in case.ends
        for row in press.make(replace(case, now=[r for r in case.now if r["window_end_ts"] == end])).deviations
    ]
    assert keyed(alone, FG_C_KEYS) == _by_key(press, case)
