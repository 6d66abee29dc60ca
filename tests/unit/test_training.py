"""How a training goes on from epoch to epoch, and what it takes from which rows."""

import io
import json
import math

import pytest

from shared.errors import Transient
from shared.training.dataset import Dataset
from shared.training.features import DEVIATIONS_MAX, NumericColumn, TabularFeatures
from shared.training.training import Settings, Training, begun, sided
from shared.training.watch import KEEPING_SHARE, Watch

ROWS = [{"size": n, "label": "ab"[n % 2]} for n in range(64)]
SETTINGS = Settings(
    epochs=3, learning_rate=1e-7, batch_size=8, validation_split=0.3, seed=0, label_column="label", patience=None
)


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(io.BytesIO("\n".join(map(json.dumps, ROWS)).encode()), "jsonl", "")


@pytest.fixture
def training(dataset: Dataset) -> Training:
    found = begun(SETTINGS, dataset, base=None, text_column=None, look=lambda: None)
    found.load(dataset, lambda: None)
    return found


def test_each_epoch_has_an_order_of_its_own(training: Training) -> None:
    first = training._order().tolist()
    assert training.learn(lambda: True)
    second = training._order().tolist()
    assert first != second
    assert sorted(first) == sorted(second) == [*range(len(training.learned_from))]


def test_each_epochs_training_loss_is_its_own(training: Training) -> None:
    """Which does not change, where next to nothing is learned."""
    while not training.is_over:
        training.learn(lambda: True)
    losses = [epoch.training_loss for epoch in training.progress.history]
    assert losses == pytest.approx([math.log(2)] * 3, abs=1e-3)


def test_what_is_held_out_shapes_nothing(training: Training, dataset: Dataset) -> None:
    """No mean, no deviation: a model that had seen them would be judged too well."""
    seen = [row["size"] for row, _, held_out in sided(dataset, SETTINGS, lambda: None) if not held_out]
    assert 0 < len(seen) < len(ROWS)
    features = training.spec.features
    assert isinstance(features, TabularFeatures)
    assert features.numeric[0].mean == pytest.approx(sum(map(float, map(str, seen))) / len(seen))


def test_one_wild_number_does_not_outweigh_the_others() -> None:
    features = TabularFeatures(numeric=[NumericColumn(name="size", mean=5.0, deviation=2.0)], categorical=[])
    assert features.places({"size": 9.0}, 8) == [(0, 1.0), (1, 2.0)]
    assert features.places({"size": -1e90}, 8) == [(0, 1.0), (1, -DEVIATIONS_MAX)]


def test_a_training_pauses_while_there_is_time_to_keep_it() -> None:
    left_s = [300.0]
    watch = Watch(lambda: left_s[0], lambda: False)
    left_s[0] = 300 * KEEPING_SHARE + 1
    assert watch.goes_on()
    left_s[0] -= 2
    assert not watch.goes_on()


def test_a_run_that_is_told_to_stop_does() -> None:
    with pytest.raises(Transient, match="stopped"):
        Watch(lambda: 300.0, lambda: True).goes_on()
