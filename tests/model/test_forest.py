"""The forest as arrays is scikit-learn's own, and its contributions are whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from model import rows as made
from ndr.errors import ModelError
from ndr.model.forest import Forest, average_path
from ndr.model.training import TrainingOptions, _forest, train


def grid(count: int = 700, width: int = 6) -> np.ndarray:
    """Numbers with many ties: thresholds that lie on values would show."""
    chance = np.random.default_rng(5)
    return np.round(chance.normal(0, 2, (count, width)) * 4).astype(np.float32) / np.float32(3)


@pytest.fixture(scope="module")
def forest() -> Forest:
    return _forest(grid(), TrainingOptions(trees=30, max_samples=256))


def test_scores_equal_scikit_learns(forest: Forest) -> None:
    grown = IsolationForest(n_estimators=30, max_samples=256, random_state=0).fit(grid())
    asked = np.concatenate([grid(1500), forest.threshold.astype(np.float32).repeat(6).reshape(-1, 6)[:600]])
    assert np.abs(forest.scores(asked) + grown.score_samples(asked)).max() < 1e-12


def test_a_threshold_is_compared_as_scikit_learn_compares_it() -> None:
    third = 1 / 3  # between two float32 numbers
    one = Forest(
        tree=np.zeros(3, np.int32), feature=np.array([0, -1, -1], np.int32), threshold=np.array([third, 0, 0]),
        left=np.array([1, -1, -1], np.int32), right=np.array([2, -1, -1], np.int32),
        samples=np.array([4, 1, 3], np.int32), max_samples=4,
    )  # fmt: skip
    above = np.float32(third)
    assert float(above) > third
    below = np.nextafter(above, np.float32(0))
    scores = one.scores(np.array([[above], [below]], np.float32))
    c3, c4 = average_path([3, 4])
    assert scores == pytest.approx([2 ** (-(1 + c3) / c4), 2 ** (-1 / c4)])


def test_contributions_sum_to_what_the_path_was_shortened_by(forest: Forest) -> None:
    asked = grid(1200)
    parts = forest.contributions(asked, np.arange(6, dtype=np.int32), 6)
    paths = -np.log2(forest.scores(asked)) * average_path(256)
    roots = forest._expected[forest._roots].mean()
    assert parts.sum(axis=1) == pytest.approx(roots - paths, abs=1e-9)
    grouped = forest.contributions(asked, np.array([0, 0, 1, 1, 1, 0], np.int32), 2)
    assert grouped[:, 0] == pytest.approx(parts[:, [0, 1, 5]].sum(axis=1), abs=1e-9)


def test_the_feature_that_is_off_has_the_greatest_part(forest: Forest) -> None:
    asked = np.zeros((1, 6), np.float32)
    asked[0, 3] = 50
    assert forest.contributions(asked, np.arange(6, dtype=np.int32), 6)[0].argmax() == 3


def test_no_rows_have_no_scores(forest: Forest) -> None:
    assert forest.scores(np.empty((0, 6), np.float32)).shape == (0,)
    assert forest.contributions(np.empty((0, 6), np.float32), np.arange(6, dtype=np.int32), 6).shape == (0, 6)


def test_a_grown_forest_is_sound(forest: Forest) -> None:
    forest.check(6)


def changed(forest: Forest, column: str, node: int, value: float) -> Forest:
    array = getattr(forest, column).copy()
    array[node] = value
    return replace(forest, **{column: array})


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("left", 10**6, "one parent"),
        ("left", -7, "after their parents"),
        ("left", 0, "after their parents"),
        ("right", 5, "one parent"),
        ("feature", 6, "numbered 0 to 5"),
        ("feature", -2, "numbered 0 to 5"),
        ("threshold", np.nan, "finite"),
        ("threshold", np.inf, "finite"),
        ("samples", 255, "those of its children"),
        ("tree", 1, "trees must be numbered"),
    ],
)
def test_what_is_no_forest_is_refused(forest: Forest, column: str, value: float, rule: str) -> None:
    with pytest.raises(ModelError, match=rule):
        changed(forest, column, 0, value).check(6)


def test_other_breakage_is_refused(forest: Forest) -> None:
    leaf = int(np.flatnonzero(forest.feature < 0)[0])
    with pytest.raises(ModelError, match="a leaf has no children"):
        changed(forest, "left", leaf, leaf + 1).check(6)
    with pytest.raises(ModelError, match="needs trees"):
        replace(forest, max_samples=1).check(6)
    with pytest.raises(ModelError, match="roots must have all samples"):
        replace(forest, max_samples=255).check(6)
    names = ("tree", "feature", "threshold", "left", "right", "samples")
    empty = replace(forest, **{name: getattr(forest, name)[:0] for name in names})
    with pytest.raises(ModelError, match="needs trees"):
        empty.check(6)


def test_a_chain_is_too_deep() -> None:
    length = 40
    inner = np.arange(length)
    nodes = 2 * length + 1  # inner node n has the leaf 2n + 1 and goes on to 2n + 2
    feature = np.full(nodes, -1, np.int32)
    left, right = feature.copy(), feature.copy()
    feature[2 * inner], left[2 * inner], right[2 * inner] = 0, 2 * inner + 1, 2 * inner + 2
    samples = np.ones(nodes, np.int32)
    samples[2 * np.arange(length + 1)] = length + 1 - np.arange(length + 1)
    chain = Forest(np.zeros(nodes, np.int32), feature, np.zeros(nodes), left, right, samples, length + 1)
    with pytest.raises(ModelError, match="no deeper"):
        chain.check(1)


def test_the_forest_of_a_training_is_sound() -> None:
    detector, _ = train(made.matrix(), made.COLUMNS, made.SMALL)
    detector.check()
