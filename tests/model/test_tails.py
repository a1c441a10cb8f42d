"""Evidence: a share as far as rows can be counted, an exponential beyond."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ndr.model.tails import ALL, KNOTS, MOST, Tail, evidence_by_label, fitted, fitted_by_label

numbers = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False).map(lambda x: round(x, 3))
training = st.lists(st.one_of(numbers, st.sampled_from([0.0, 0.0, 1.0])), min_size=1, max_size=400).map(np.array)
asked = st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=50).map(np.array)


@given(values=training, x=asked, exact=st.booleans())
def test_evidence_is_monotone_finite_and_never_negative(values: np.ndarray, x: np.ndarray, *, exact: bool) -> None:
    tail = fitted(values, exact=exact)
    found = tail.evidence(np.sort(np.concatenate([x, values])))
    known = found[: len(found) - int(np.isnan(x).sum())]
    assert (np.diff(known) >= -1e-12).all()
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found <= MOST).all()
    assert (tail.evidence(np.array([values.min(), values.min() - 1, np.nan, -np.inf])) == 0).all()
    assert len(tail.values) <= KNOTS + 2


@given(values=training, exact=st.booleans())
def test_no_step_at_any_point(values: np.ndarray, *, exact: bool) -> None:
    tail = fitted(values, exact=exact)
    at = np.array(tail.values)
    near = np.nextafter(at, np.inf)
    assert tail.evidence(near) == pytest.approx(tail.evidence(at), abs=1e-3, rel=1e-3)


@given(training)
def test_few_values_are_counted_exactly(values: np.ndarray) -> None:
    tail = fitted(values)
    if len(np.unique(values)) > KNOTS:
        return
    inside = np.unique(values[values <= tail.values[-1]])
    shares = np.array([(values >= x).mean() for x in inside])
    assert tail.evidence(inside) == pytest.approx(-np.log(shares), abs=1e-9)


@pytest.mark.parametrize("made", ["normal", "exponential", "lognormal"])
@pytest.mark.parametrize("exact", [False, True])
def test_evidence_is_a_share_of_the_training(made: str, *, exact: bool) -> None:
    values = getattr(np.random.default_rng(3), made)(size=20_000)
    evidence = fitted(values, exact=exact).evidence(values)
    for share in (0.5, 0.1, 0.02, *((0.002,) if exact else ())):
        assert (evidence >= -math.log(share)).mean() == pytest.approx(share, rel=0.06)


def test_beyond_the_rows_evidence_goes_on_as_an_exponential() -> None:
    values = np.random.default_rng(4).exponential(2.0, 50_000)
    x = np.array([10.0, 20.0, 30.0, 60.0])  # 60 is 30 nats, of at most 43 for so many rows
    assert fitted(values).evidence(x) == pytest.approx(x / 2, rel=0.15)


def test_one_known_value_still_judges_higher_ones() -> None:
    for constant in (0.0, 3.0, -2.0, 1e-300):
        tail = fitted(np.full(100, constant))
        found = tail.evidence(np.array([constant - 1, constant, constant + 1, constant + 2]))
        assert list(found[:2]) == [0, 0]
        assert 0 < found[2] < found[3] < MOST


def test_a_few_rows_cannot_tell_how_rare_the_rarest_is() -> None:
    tail = fitted(np.linspace(0, 1, 100))
    assert tail.evidence(np.array([1e9]))[0] == pytest.approx(4 * np.log(101))


def test_rows_that_nearly_agree_make_no_endless_slope() -> None:
    values = np.concatenate([np.linspace(0, 1, 1000), 1 + np.linspace(1e-9, 2e-9, 30)])
    assert fitted(values).evidence(np.array([1.01]))[0] < 10


def test_unknown_values_are_no_part_of_the_training() -> None:
    values = np.array([np.nan, 1.0, 2.0, np.inf, np.nan, 3.0])
    assert fitted(values).values == (1.0, 2.0, 3.0)
    assert fitted(np.array([np.nan])) is None
    assert fitted_by_label(np.array([np.nan]), np.array(["a"])) == {}


def test_window_labels_are_told_apart_when_there_are_enough() -> None:
    values = np.concatenate([np.arange(100.0), np.arange(100.0) + 1000, [5.0] * 10])
    labels = np.array(["a"] * 100 + ["b"] * 100 + ["few"] * 10)
    tails = fitted_by_label(values, labels)
    assert set(tails) == {"a", "b", ALL}
    found = evidence_by_label(tails, np.array([50.0, 1050.0, 50.0, 50.0]), np.array(["a", "b", "few", "unseen"]))
    assert found[:2] == pytest.approx([math.log(2)] * 2)
    assert found[2] == found[3] == tails[ALL].evidence(np.array([50.0]))[0]


def test_the_median_is_a_value_of_the_training() -> None:
    assert fitted(np.array([0.0] * 80 + [1.0] * 20)).median == 0
    assert fitted(np.arange(101.0)).median == 50
    assert fitted(np.array([7.0])).median == 7


@pytest.mark.parametrize(
    "broken",
    [
        {"values": (1.0, 1.0), "at_least": (2, 1), "scale": 1.0},
        {"values": (1.0, 2.0), "at_least": (1, 1), "scale": 1.0},
        {"values": (1.0, 2.0), "at_least": (2,), "scale": 1.0},
        {"values": (1.0,), "at_least": (0,), "scale": 1.0},
        {"values": (1.0,), "at_least": (1,), "scale": 0.0},
        {"values": (1.0,), "at_least": (1,), "scale": math.inf},
        {"values": (math.nan,), "at_least": (1,), "scale": 1.0},
        {"values": (), "at_least": (), "scale": 1.0},
        {"values": ("1",), "at_least": (1,), "scale": 1.0},
        {"values": (1.0,), "at_least": (1,), "scale": 1.0, "more": 1},
    ],
)
def test_what_is_no_tail_is_refused(broken: dict) -> None:
    with pytest.raises(ValidationError):
        Tail(**broken)
