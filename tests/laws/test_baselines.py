"""Baselines of random behaviour: what the oracle says, cell by cell, and what must hold whatever the rows are."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laws.comparing import keyed, looks
from laws.publishing import KEYS, Made, expect_baselines, expect_rows, oracle_of, press_of
from ndr.time import stamp
from oracle_baselines import bounds, capping, in_bounds
from strategies_baselines import CONFIGS, Case, random_case

each_config = pytest.mark.parametrize("config", range(len(CONFIGS)))
STATISTICS = ("median", "p25", "p75", "p95", "p99", "mad", "iqr", "support_count", "cold_start_flag")


@st.composite
def cases(draw: st.DrawFn, config: int, size: int = 12) -> Case:
    """A few rows, every choice hypothesis's own."""

    def pick(options: Sequence[Any]) -> Any:
        return draw(st.sampled_from(options))

    return random_case(pick, CONFIGS[config], size)


def holds(case: Case, config: int) -> None:
    """All publications of the case are the oracle's."""
    press = press_of(config)
    for (reference, provisional, horizons), wanted in zip(
        case.publications, oracle_of(case, CONFIGS[config]), strict=True
    ):
        publication = press.publication(reference, provisional, horizons)
        for horizon in horizons:
            made = press.baselines(case, publication, horizon)
            expect_baselines(made, wanted.horizons[horizon])
            _expect_capping(case, config, made, publication.reference, horizon, provisional=provisional)
            _expect_marks(made, reference, horizon)


def _expect_capping(case: Case, config: int, made: Made, reference: Any, horizon: str, *, provisional: bool) -> None:
    start, end = bounds(reference, horizon, CONFIGS[config], provisional=provisional)
    wanted = capping(in_bounds(case.past, start, end), CONFIGS[config])
    expect_rows(keyed(made["fg_b_capping"], ("segment_id", "time_band", "window_label")), wanted)


def _expect_marks(made: Made, reference: Any, horizon: str) -> None:
    """Every row says to which publication it belongs, and that it is null in what has no baseline."""
    for name in KEYS:
        for row in made[name]:
            assert (row["publication"], row["baseline_horizon"]) == (stamp(reference), horizon)


@each_config
@given(data=st.data())
@looks(25)
def test_baselines_are_the_statistics_of_what_lies_in_their_horizon(config: int, data: st.DataObject) -> None:
    holds(data.draw(cases(config)), config)


@each_config
@given(seed=st.integers(0, 2**32))
@looks(25)
def test_baselines_of_many_rows(config: int, seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - made-up data, not secrets
    holds(random_case(rng.choice, CONFIGS[config], rng.choice((20, 80, 200))), config)
