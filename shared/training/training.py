"""Training, epoch by epoch and batch by batch, from a state that can be kept between any two batches.

Rules of this file:
1. What is done next follows from the state, the dataset and the settings alone: whoever goes on from a state that was
   kept makes the bits that would have been made without a break. No clock, no dice.
2. A row's side, training or validation, is the hash of its features: the same text is never on both.
3. Without validation rows the training rows are judged by.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from shared.errors import Permanent
from shared.payloads.fine_tuning import FineTuningPayload
from shared.payloads.results import Artifact
from shared.training.dataset import FIELD, Dataset, Row, too_large
from shared.training.features import Survey, TextFeatures
from shared.training.model import (
    LABELS_MAX,
    Model,
    Spec,
    checked,
    new_spec,
    read_spec,
    read_tensors,
    tensor_bytes,
)
from shared.training.softmax import Floats, Integers, Rows, accuracy, evaluate, learn, macro_f1

FEATURES_MAX: Final = 100_000_000
"""Of all rows together: 800 MB."""

LOOK_EVERY_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Settings:
    """`patience`: how many epochs without a lower loss end the training, whose best weights are taken; None: none."""

    epochs: int
    learning_rate: float
    batch_size: int
    validation_split: float
    seed: int
    label_column: str
    patience: int | None


def settings_of(payload: FineTuningPayload) -> Settings:
    config = payload.training_config
    return Settings(
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        validation_split=config.validation_split,
        seed=config.seed,
        label_column=payload.label_column,
        patience=payload.options.patience,
    )


class Epoch(BaseModel):
    """`training_loss` while it learned; the others after it, on the rows that are judged by."""

    epoch: int
    training_loss: float
    loss: float
    accuracy: float
    f1: float


class Progress(BaseModel):
    """How far: `history` of the epochs that are done, `batches` of the next one, whose losses have this sum so far."""

    model_config = ConfigDict(extra="forbid")

    history: list[Epoch] = Field(default_factory=list)
    batches: int = 0
    loss_sum: float = 0.0
    best_epoch: int = 0
    files: Annotated[list[Artifact], Field(max_length=1_000)] = Field(default_factory=list)


@dataclass(slots=True)
class Training:
    """`weights`, `squares` and `best` are (places, labels); `best` only where patience may run out."""

    settings: Settings
    spec: Spec
    sha256: str
    """Of the dataset."""
    weights: Floats
    squares: Floats
    best: Floats | None = None
    progress: Progress = field(default_factory=Progress)
    learned_from: Rows = field(default_factory=Rows)
    held_out: Rows = field(default_factory=Rows)

    @property
    def stopped_early(self) -> bool:
        patience, done = self.settings.patience, len(self.progress.history)
        return patience is not None and done - self.progress.best_epoch >= patience

    @property
    def is_over(self) -> bool:
        return self.stopped_early or len(self.progress.history) >= self.settings.epochs

    @property
    def model(self) -> Model:
        """What has come out so far."""
        return Model(self.spec, self.weights if self.best is None else self.best)

    @property
    def chosen(self) -> Epoch:
        """The epoch that the model is of."""
        history = self.progress.history
        return history[-1] if self.best is None else history[self.progress.best_epoch - 1]

    def load(self, dataset: Dataset, look: Callable[[], object]) -> None:
        """Take in the rows. `look` is called now and then; what it raises ends it."""
        places = {label: number for number, label in enumerate(self.spec.labels)}
        for row, label, is_held_out in sided(dataset, self.settings, look):
            side = self.held_out if is_held_out else self.learned_from
            side.add(self.spec.features.places(row, self.spec.places), places[label])
            if len(self.learned_from.places) + len(self.held_out.places) > FEATURES_MAX:
                raise too_large(f"more than {FEATURES_MAX:,} words or values in all rows together")

    def learn(self, goes_on: Callable[[], bool]) -> bool:
        """The rest of the epoch, or of it what can be done while `goes_on()`, but one batch. → is the epoch done?"""
        order = self._order()
        size, progress = self.settings.batch_size, self.progress
        for begin in range(progress.batches * size, len(order), size):
            batch = self.learned_from.batch(order[begin : begin + size])
            progress.loss_sum += learn(self.weights, self.squares, batch, self.settings.learning_rate)
            progress.batches += 1
            if not goes_on():
                break
        if progress.batches * size < len(order):
            return False
        self._judge()
        return True

    def _order(self) -> Integers:
        """Of this epoch. Raw bits, since what numpy makes of them may change: https://numpy.org/neps/nep-0019-rng-policy.html"""
        seed = np.random.SeedSequence([self.settings.seed, len(self.progress.history)])
        return np.argsort(np.random.PCG64(seed).random_raw(len(self.learned_from)), kind="stable")

    def _judge(self) -> None:
        progress = self.progress
        loss, confusion = evaluate(self.weights, self.held_out if len(self.held_out) else self.learned_from)
        epoch = Epoch(
            epoch=len(progress.history) + 1,
            training_loss=progress.loss_sum / len(self.learned_from),
            loss=loss,
            accuracy=accuracy(confusion),
            f1=macro_f1(confusion),
        )
        if not progress.best_epoch or loss < progress.history[progress.best_epoch - 1].loss:
            progress.best_epoch = epoch.epoch
            self.best = None if self.settings.patience is None else self.weights.copy()
        progress.history.append(epoch)
        progress.batches, progress.loss_sum = 0, 0.0

    def kept(self) -> Iterator[bytes]:
        """The state as a file, in pieces."""
        best = {} if self.best is None else {"best": self.best}
        said = {"spec": self.spec.model_dump(), "progress": self.progress.model_dump(), "sha256": self.sha256}
        return tensor_bytes(json.dumps(said), {"weights": self.weights, "squares": self.squares, **best})


# --- the beginning ----------------------------------------------------------------------------------------------------


def begun(
    settings: Settings,
    dataset: Dataset,
    *,
    base: Model | None,
    text_column: str | None,
    look: Callable[[], object],
) -> Training:
    """From `base`, or anew: for a text in `text_column`, or (None) from all columns.

    Raises Permanent about `dataset_path`: what `Dataset.rows` raises, "empty_dataset", "no_label", "wrong_columns",
    "one_class", "too_many_classes", "too_few_rows".
    """
    survey, labels, counts = Survey(), set[str](), [0, 0]
    wanted = base.spec.features.columns() if base else {text_column} if text_column else set()
    if settings.label_column in wanted:
        raise _wrong("wrong_columns", f"the column {settings.label_column!r} is learned from: it can't be the label's")
    for row, label, is_held_out in sided(dataset, settings, look):
        if not any(counts) and (missing := wanted - row.keys()):
            raise _no_column(min(map(str, missing)), row)
        labels.add(label)
        if len(labels) > LABELS_MAX:
            raise _wrong("too_many_classes", f"more than {LABELS_MAX:,} labels")
        counts[is_held_out] += 1
        if not is_held_out and not wanted:
            survey.note(row, settings.label_column)
    known = base.spec.labels if base else []
    _check(labels | {*known}, learned_from=counts[0], held_out=counts[1], split=settings.validation_split)
    all_labels = [*known, *sorted(labels - {*known})]
    if base is None:
        spec = new_spec(TextFeatures(column=text_column) if text_column else survey.features(), all_labels)
        weights = np.zeros((spec.places, len(all_labels)), np.float32)
    else:
        spec, weights = _widened(base, all_labels)
    return Training(settings, spec, dataset.sha256, weights, np.zeros_like(weights))


def resumed(settings: Settings, dataset: Dataset, state: bytes) -> Training:
    """From what `Training.kept` wrote. Raises Permanent("dataset_changed", "not_a_model")."""
    text, tensors = read_tensors(state)
    said = json.loads(text)
    if said["sha256"] != dataset.sha256:
        raise _wrong("dataset_changed", "it is not the file that the training began with: begin again with a new job")
    spec = read_spec(json.dumps(said["spec"]))
    weights, squares = checked(tensors, "weights", spec), checked(tensors, "squares", spec)
    best = checked(tensors, "best", spec) if "best" in tensors else None
    return Training(settings, spec, dataset.sha256, weights, squares, best, Progress.model_validate(said["progress"]))


def sided(dataset: Dataset, settings: Settings, look: Callable[[], object]) -> Iterator[tuple[Row, str, bool]]:
    """Each row with its label, and whether it is for validation."""
    limit = int(settings.validation_split * 2**64)
    for number, row in enumerate(dataset.rows(), 1):
        if number % LOOK_EVERY_ROWS == 0:
            look()
        if number == 1 and settings.label_column not in row:
            raise _no_column(settings.label_column, row)
        label = row.get(settings.label_column)
        if label in (None, "") or (isinstance(label, float) and math.isnan(label)):  # how some programs write a gap
            raise _wrong("no_label", f"row {number} has nothing in the column {settings.label_column!r}")
        yield row, str(label), _hash(row, settings) < limit


def _hash(row: Row, settings: Settings) -> int:
    seen = {name: value for name, value in row.items() if name != settings.label_column}
    said = json.dumps(seen, sort_keys=True).encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8, salt=settings.seed.to_bytes(16, "little")).digest())


def _check(labels: set[str], *, learned_from: int, held_out: int, split: float) -> None:
    if not learned_from + held_out:
        raise _wrong("empty_dataset", "it has no rows")
    if len(labels) < 2:
        raise _wrong("one_class", "all rows have the same label")
    if len(labels) > LABELS_MAX:
        raise _wrong("too_many_classes", f"{len(labels):,} labels with the base model's; at most {LABELS_MAX:,}")
    if (longest := max(map(len, labels))) > 200:
        raise _wrong("bad_dataset", f"a label of {longest} characters; at most 200")
    if not learned_from or (split and not held_out):
        raise _wrong("too_few_rows", f"{learned_from} rows are left to learn from, {held_out} for validation")


def _widened(base: Model, labels: list[str]) -> tuple[Spec, Floats]:
    """The base model with room for labels that it has never seen."""
    try:
        spec = base.spec.model_validate(base.spec.model_dump() | {"labels": labels})
    except ValueError:
        raise _wrong("too_many_classes", f"{len(labels):,} labels with the base model's: it has no room") from None
    fresh = np.zeros((spec.places, len(labels) - base.weights.shape[1]), np.float32)
    return spec, np.concatenate([base.weights, fresh], axis=1)


def _no_column(name: str, row: Row) -> Permanent:
    return _wrong("wrong_columns", f"there is no column {name!r}; the first row has {', '.join(map(repr, row))}")


def _wrong(code: str, message: str) -> Permanent:
    return Permanent(code, message, field=FIELD)
