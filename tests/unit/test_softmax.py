"""The mathematics of a classifier, against numbers that are worked out by hand."""

import math

import numpy as np
import pytest

from shared.training.softmax import Rows, accuracy, evaluate, learn, macro_f1, probabilities


def test_the_metrics_are_what_the_textbook_says() -> None:
    """Truth a a a b b c; said a a b b a c."""
    confusion = np.array([[2, 1, 0], [1, 1, 0], [0, 0, 1]])
    assert accuracy(confusion) == pytest.approx(4 / 6)
    precision, recall = (2 / 3, 1 / 2, 1), (2 / 3, 1 / 2, 1)
    f1 = [2 * p * r / (p + r) for p, r in zip(precision, recall, strict=True)]
    assert macro_f1(confusion) == pytest.approx(sum(f1) / 3)


def test_precision_and_recall_that_differ_meet_in_their_harmonic_mean() -> None:
    """Of a: 3 said, 2 right, 4 there. Of b: 3 said, 1 right, 2 there."""
    confusion = np.array([[2, 2], [1, 1]])
    f1 = [2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4), 2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2)]
    assert macro_f1(confusion) == pytest.approx(sum(f1) / 2)


def test_a_label_that_nobody_has_or_says_is_not_averaged() -> None:
    assert macro_f1(np.array([[2, 0, 0], [0, 2, 0], [0, 0, 0]])) == 1.0


def rows(*said: tuple[list[tuple[int, float]], int]) -> Rows:
    found = Rows()
    for features, of_class in said:
        found.add(features, of_class)
    return found


def test_the_loss_is_the_mean_surprise() -> None:
    """Scores (1, 0) and, at twice the value, (2, 0): the shares of the truth are e/(1+e) and 1/(1+e²)."""
    weights = np.array([[0, 0], [1, 0]], np.float32)
    loss, confusion = evaluate(weights, rows(([(1, 1.0)], 0), ([(1, 2.0)], 1)))
    e = math.e
    assert loss == pytest.approx(-(math.log(e / (1 + e)) + math.log(1 / (1 + e * e))) / 2, rel=1e-6)
    assert confusion.tolist() == [[1, 0], [1, 0]]


def test_one_step_goes_down_the_slope_by_the_learning_rate() -> None:
    """AdaGrad's first step is slope / |slope|: the same length wherever there is a slope at all."""
    weights, squares = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    batch = rows(([(0, 1.0), (1, 0.5)], 0)).batch(np.arange(1))
    assert learn(weights, squares, batch, 0.1) == pytest.approx(math.log(2))
    assert weights == pytest.approx(np.array([[0.1, -0.1], [0.1, -0.1], [0, 0]]), abs=1e-5)
    assert squares == pytest.approx(np.array([[0.25, 0.25], [0.0625, 0.0625], [0, 0]]))


def test_scores_without_measure_are_probabilities_still() -> None:
    weights = np.array([[1e4, -1e4]], np.float32)
    assert probabilities(weights, rows(([(0, 1.0)], 0)).batch(np.arange(1))).tolist() == [[1.0, 0.0]]


def test_two_twins_in_a_batch_are_as_one() -> None:
    squares = [np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32)]
    for count, found in enumerate(squares, 1):
        batch = rows(*[([(0, 1.0)], 0)] * count).batch(np.arange(count))
        learn(np.zeros((1, 2), np.float32), found, batch, 0.1)
    assert (squares[0] == squares[1]).all()


def test_a_batch_learns_the_mean_of_its_rows() -> None:
    """Two rows that share a place and contradict each other move nothing there."""
    weights, squares = np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)
    learn(weights, squares, rows(([(0, 1.0)], 0), ([(0, 1.0)], 1)).batch(np.arange(2)), 0.1)
    assert not weights.any()
