"""Softmax regression on rows of few features, by AdaGrad: the mathematics, and nothing else.

Every sum is taken in the same order every time, by one thread: the same rows make the same bits on the same kind of
processor. (Nothing here calls BLAS, whose order depends on threads.)

AdaGrad: Duchi, Hazan and Singer, https://jmlr.org/papers/v12/duchi11a.html: rare words move as far as frequent ones.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

EPSILON: Final = np.float32(1e-6)
EVALUATE_ROWS: Final = 1_024


@dataclass(slots=True)
class Rows:
    """Row after row: the places of its features, their values, and its class, in memory 8 bytes a feature."""

    places: "array[int]" = field(default_factory=lambda: array("i"))
    values: "array[float]" = field(default_factory=lambda: array("f"))
    ends: "array[int]" = field(default_factory=lambda: array("q", [0]))
    classes: "array[int]" = field(default_factory=lambda: array("i"))

    def __len__(self) -> int:
        return len(self.classes)

    def add(self, features: Sequence[tuple[int, float]], of_class: int) -> None:
        """`features`: at least one, no place twice."""
        for place, value in features:
            self.places.append(place)
            self.values.append(value)
        self.ends.append(len(self.places))
        self.classes.append(of_class)

    def batch(self, numbers: Integers) -> "Batch":
        """The rows of these numbers (from 0), at least one."""
        ends = np.frombuffer(self.ends, np.int64)
        begins, lengths = ends[numbers], ends[numbers + 1] - ends[numbers]
        starts = np.cumsum(lengths) - lengths
        flat = np.repeat(begins - starts, lengths) + np.arange(lengths.sum())
        return Batch(
            places=np.frombuffer(self.places, np.int32)[flat],
            values=np.frombuffer(self.values, np.float32)[flat][:, None],
            rows=np.repeat(np.arange(len(numbers)), lengths),
            starts=starts,
            classes=np.frombuffer(self.classes, np.int32)[numbers],
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """`places`, `values` and `rows` of each feature; `starts` and `classes` of each row."""

    places: NDArray[np.int32]
    values: Floats
    rows: Integers
    starts: Integers
    classes: NDArray[np.int32]


def probabilities(weights: Floats, batch: Batch) -> Floats:
    """(rows, classes); `weights` is (places, classes)."""
    scores = np.add.reduceat(weights[batch.places] * batch.values, batch.starts, axis=0)
    scores -= scores.max(axis=1, keepdims=True)
    shares = np.exp(scores)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def learn(weights: Floats, squares: Floats, batch: Batch, learning_rate: float) -> float:
    """One step, in place; → the sum of the batch's losses before it."""
    shares = probabilities(weights, batch)
    loss = _loss(shares, batch.classes)
    shares[np.arange(len(batch.classes)), batch.classes] -= 1
    shares /= len(batch.classes)
    order = np.argsort(batch.places, kind="stable")
    places, first = np.unique(batch.places[order], return_index=True)
    slopes = np.add.reduceat((batch.values * shares[batch.rows])[order], first, axis=0)
    squares[places] += slopes * slopes
    weights[places] -= np.float32(learning_rate) * slopes / (np.sqrt(squares[places]) + EPSILON)
    return loss


def evaluate(weights: Floats, rows: Rows) -> tuple[float, Integers]:
    """→ the mean loss, and how often each class (row) was taken for each (column)."""
    classes = weights.shape[1]
    confusion = np.zeros((classes, classes), np.int64)
    loss = 0.0
    for begin in range(0, len(rows), EVALUATE_ROWS):
        batch = rows.batch(np.arange(begin, min(begin + EVALUATE_ROWS, len(rows))))
        shares = probabilities(weights, batch)
        loss += _loss(shares, batch.classes)
        np.add.at(confusion, (batch.classes, shares.argmax(axis=1)), 1)
    return loss / len(rows), confusion


def accuracy(confusion: Integers) -> float:
    return float(np.trace(confusion) / confusion.sum())


def macro_f1(confusion: Integers) -> float:
    """The mean over the classes that occur, or were taken for one that does."""
    right = np.diagonal(confusion)
    seen = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(np.mean(2 * right[seen > 0] / seen[seen > 0]))


def _loss(shares: Floats, classes: NDArray[np.int32]) -> float:
    """The sum over the rows."""
    of_truth = shares[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(of_truth, 1e-12)).sum(dtype=np.float64))
