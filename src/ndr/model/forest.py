"""An isolation forest as plain arrays: what is cut off from the rest by few questions is unusual.

After Liu, Ting and Zhou, "Isolation Forest" (2008). The arrays come from scikit-learn; scores equal its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ndr.errors import ModelError
from ndr.model.tails import Floats

Matrix = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

BLOCK = 512
"""Rows that go through all trees at once: they and the trees fit the processor's cache."""
LEAF = -1
"""The feature and the children of a node that asks nothing."""


def average_path(samples: npt.ArrayLike) -> Floats:
    """The average length of a search in a random binary tree of so many samples that finds nothing."""
    n = np.asarray(samples, np.float64)
    many = np.maximum(n, 3.0)
    length = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(n <= 1, 0.0, np.where(n <= 2, 1.0, length))  # noqa: PLR2004 - one sample, two samples


@dataclass(frozen=True, eq=False)
class Forest:
    """All nodes of all trees, tree by tree, parents before their children.

    A node asks whether ``matrix[:, feature] <= threshold`` and goes ``left``, else ``right`` (numbers of nodes);
    ``samples`` of the training came by. The first node of a tree is its root.
    """

    tree: Ints
    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    samples: Ints
    max_samples: int
    """Rows that each tree was grown on."""

    def check(self, width: int) -> None:
        """Whether these are trees over ``width`` features.

        Raises:
            ModelError: they are not: a number out of range, a circle, a node without or with two parents.
        """
        nodes = np.arange(len(self.tree))
        leaf = self.feature == LEAF
        left, right, here = self.left[~leaf], self.right[~leaf], nodes[~leaf]
        own = self.tree[here]
        _insist("it needs trees, of 2 rows or more each", len(nodes) and self.max_samples > 1)
        _insist("trees must be numbered 0, 1, 2, …", self.tree[0] == 0 and np.isin(np.diff(self.tree), (0, 1)).all())
        _insist(f"features must be numbered 0 to {width - 1}", ((self.feature < width) & (self.feature >= LEAF)).all())
        _insist("thresholds must be finite", np.isfinite(self.threshold).all())
        _insist("a leaf has no children", ((self.left[leaf] == LEAF) & (self.right[leaf] == LEAF)).all())
        _insist("children must stand after their parents", ((left > here) & (right > here)).all())
        children = np.sort(np.concatenate([left, right]))
        _insist("every node but a root must have one parent", np.array_equal(children, nodes[~self._is_root]))
        _insist("children must be of their parent's tree", ((self.tree[left] == own) & (self.tree[right] == own)).all())
        sums = self.samples[left].astype(np.int64) + self.samples[right]
        _insist("samples of a node must be those of its children", np.array_equal(self.samples[here], sums))
        _insist("leaves must have samples", (self.samples > 0).all())
        _insist("roots must have all samples", (self.samples[self._roots] == self.max_samples).all())
        level, depth = self._roots, 0
        while len(level := self._below(level)):
            depth += 1
            _insist("trees must be no deeper than log2 of their samples", 2 ** (depth - 1) < self.max_samples)

    def _below(self, level: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """The children of these nodes."""
        level = level[self.feature[level] != LEAF]
        return np.concatenate([self.left[level], self.right[level]]).astype(np.intp)

    @cached_property
    def _is_root(self) -> npt.NDArray[np.bool_]:
        return np.diff(self.tree, prepend=np.int32(-1)) > 0

    @cached_property
    def _roots(self) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self._is_root)

    @cached_property
    def _levels(self) -> list[npt.NDArray[np.intp]]:
        """The nodes that ask, from the roots down."""
        levels, level = [], self._roots
        while len(asking := level[self.feature[level] != LEAF]):
            levels.append(asking)
            level = self._below(level)
        return levels

    @cached_property
    def _expected(self) -> Floats:
        """The path length of a leaf; of other nodes the mean over the training samples that came by."""
        depth = np.zeros(len(self.tree))
        for level in self._levels:
            depth[self.left[level]] = depth[self.right[level]] = depth[level] + 1
        expected = depth + average_path(self.samples)
        for level in reversed(self._levels):
            left, right = self.left[level], self.right[level]
            total = expected[left] * self.samples[left] + expected[right] * self.samples[right]
            expected[level] = total / self.samples[level]
        return expected

    @cached_property
    def _steps(self) -> tuple[npt.NDArray[np.intp], Matrix, npt.NDArray[np.intp]]:
        """Feature, threshold and both children of each node; a leaf leads to itself.

        A float32 is at most a threshold when it is at most the greatest float32 that is at most the threshold.
        """
        leaf = self.feature == LEAF
        here = np.arange(len(self.tree))
        with np.errstate(over="ignore"):
            threshold = self.threshold.astype(np.float32)
        above = threshold.astype(np.float64) > self.threshold
        threshold[above] = np.nextafter(threshold[above], np.float32(-np.inf))
        children = np.stack([np.where(leaf, here, self.left), np.where(leaf, here, self.right)], axis=1)
        return np.where(leaf, 0, self.feature).astype(np.intp), threshold, children.ravel().astype(np.intp)

    def _walks(self, block: Matrix) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """Where the rows of a block stand in each tree, before and after every step."""
        feature, threshold, children = self._steps
        cells = np.ascontiguousarray(block).ravel()
        row = (np.arange(len(block)) * block.shape[1])[:, None]
        node = np.tile(self._roots, (len(block), 1))
        for _ in self._levels:
            below = cells.take(feature.take(node) + row) <= threshold.take(node)
            after = children.take(2 * node + ~below)
            yield node, after
            node = after

    def scores(self, matrix: Matrix) -> Floats:
        """The anomaly score of each row: 2^(-mean path / average path), between 0 and 1, the higher the stranger."""
        paths = np.empty(len(matrix))
        trees = len(self._roots)
        for start in range(0, len(matrix), BLOCK):
            block = matrix[start : start + BLOCK]
            node = np.tile(self._roots, (len(block), 1))
            for _, node in self._walks(block):  # noqa: B007 - the last is wanted
                pass
            paths[start : start + BLOCK] = self._expected.take(node).sum(axis=1) / trees
        return np.exp2(-paths / float(average_path(self.max_samples)))

    def contributions(self, matrix: Matrix, groups: Ints, count: int) -> Floats:
        """By how much the questions about each group of features shortened a row's mean path (negative: lengthened).

        A question contributes the change of the expected path (A. Saabas, "Interpreting random forests", 2014); all
        of a row together make the expected path at the roots less its own. ``groups`` numbers the group of each
        feature, below ``count``.
        """
        found = np.empty((len(matrix), count))
        expected, trees = self._expected, len(self._roots)
        group = groups.astype(np.intp)[self._steps[0]]
        for start in range(0, len(matrix), BLOCK):
            block = matrix[start : start + BLOCK]
            total = np.zeros(len(block) * count)
            row = (np.arange(len(block)) * count)[:, None]
            for before, after in self._walks(block):
                gain = expected.take(before) - expected.take(after)
                total += np.bincount((group.take(before) + row).ravel(), gain.ravel(), minlength=len(total))
            found[start : start + BLOCK] = total.reshape(len(block), count) / trees
        return found


def _insist(rule: str, kept: Any) -> None:
    if not kept:
        raise ModelError(f"the forest is broken: {rule}.")
