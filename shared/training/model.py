"""A model as a file: safetensors, which holds numbers and a text, and nothing that runs when it is read.

Rules of this file:
1. Whoever can write a file may have written this one: what it says of itself is checked before memory is taken for it.
2. The text says which version, which features, which labels; the tensor's shape must be what they make it.
3. No pickle, here or anywhere.

The format: https://huggingface.co/docs/safetensors/index#format. To use a model: `read_model(bytes).predict(rows)`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import Permanent
from shared.training.dataset import Row
from shared.training.features import Features, TabularFeatures, TextFeatures
from shared.training.softmax import Floats, Rows, probabilities

VERSION: Final = 1
HEADER_BYTES_MAX: Final = 4 << 20
NUMBERS_MAX: Final = 1 << 25
"""Of one tensor: 128 MiB."""

TENSORS_MAX: Final = 3
FILE_BYTES_MAX: Final = 8 + HEADER_BYTES_MAX + TENSORS_MAX * 4 * NUMBERS_MAX

LABELS_MAX: Final = 1_000
PLACES_MAX: Final = 1 << 18
PREDICT_ROWS: Final = 1_024

_METADATA: Final = "__metadata__"
_OURS: Final = "longshore"

Label = Annotated[str, Field(min_length=1, max_length=200)]


class Spec(BaseModel):
    """What a model's weights mean. `places`: how many features there are room for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = VERSION
    features: Annotated[TextFeatures | TabularFeatures, Field(discriminator="kind")]
    labels: Annotated[list[Label], Field(min_length=2, max_length=LABELS_MAX)]
    places: Annotated[int, Field(ge=2, le=PLACES_MAX)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.labels)) < len(self.labels) or self.places * len(self.labels) > NUMBERS_MAX:
            raise ValueError("labels repeat, or are too many for so many places")
        if isinstance(self.features, TabularFeatures) and self.places <= 2 * len(self.features.numeric):
            raise ValueError("more columns than places")
        return self


def new_spec(features: Features, labels: list[str]) -> Spec:
    """With as many places as there is room for, a power of two."""
    places = min(PLACES_MAX, 1 << (NUMBERS_MAX // max(1, len(labels))).bit_length() - 1)
    return Spec(features=features, labels=labels, places=places)


@dataclass(frozen=True, slots=True)
class Prediction:
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Model:
    """`weights`: (places, labels)."""

    spec: Spec
    weights: Floats

    def predict(self, rows: Iterable[Row | str]) -> Iterator[Prediction]:
        """The likeliest label of each row: its columns by name, or of a text classifier the text alone."""
        waiting = Rows()
        for row in rows:
            waiting.add(self.spec.features.places(self._as_row(row), self.spec.places), 0)
            if len(waiting) == PREDICT_ROWS:
                yield from self._predicted(waiting)
                waiting = Rows()
        if len(waiting):
            yield from self._predicted(waiting)

    def _as_row(self, row: Row | str) -> Row:
        if not isinstance(row, str):
            return row
        if not isinstance(self.spec.features, TextFeatures):
            raise Permanent("wrong_columns", "a tabular classifier is given rows, not texts")
        return {self.spec.features.column: row}

    def _predicted(self, rows: Rows) -> Iterator[Prediction]:
        shares = probabilities(self.weights, rows.batch(np.arange(len(rows))))
        for place, share in zip(shares.argmax(axis=1), shares.max(axis=1), strict=True):
            yield Prediction(self.spec.labels[place], float(share))


def read_model(data: bytes) -> Model:
    """Raises Permanent("not_a_model") about `model_id`."""
    text, tensors = read_tensors(data)
    spec = read_spec(text)
    return Model(spec, checked(tensors, "weights", spec))


def model_bytes(model: Model) -> Iterator[bytes]:
    """The file, in pieces."""
    return tensor_bytes(model.spec.model_dump_json(), {"weights": model.weights})


# --- safetensors ------------------------------------------------------------------------------------------------------


def tensor_bytes(text: str, tensors: Mapping[str, Floats]) -> Iterator[bytes]:
    """The same text and tensors make the same bytes."""
    header: dict[str, object] = {_METADATA: {_OURS: text}}
    offset = 0
    for name, tensor in tensors.items():
        offsets = [offset, offset := offset + tensor.nbytes]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
    said = json.dumps(header).encode()
    said += b" " * (-len(said) % 8)
    yield len(said).to_bytes(8, "little") + said
    for tensor in tensors.values():
        yield np.ascontiguousarray(tensor, "<f4").tobytes()


def read_tensors(data: bytes) -> tuple[str, dict[str, Floats]]:
    """Our text, and each tensor as two dimensions of finite numbers. Raises Permanent("not_a_model")."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= size <= min(HEADER_BYTES_MAX, len(data) - 8):
        raise not_a_model("it is no safetensors file")
    try:
        header = json.loads(data[8 : 8 + size])
        text = header.pop(_METADATA)[_OURS]
        tensors = {name: _tensor(data, 8 + size, said) for name, said in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise not_a_model("its header is not one of ours") from None
    if not isinstance(text, str) or len(tensors) > TENSORS_MAX:
        raise not_a_model("its header is not one of ours")
    return text, tensors


def read_spec(text: str) -> Spec:
    try:
        return Spec.model_validate_json(text)
    except ValidationError as error:
        raise not_a_model(f"{error.errors()[0]['msg']} ({'.'.join(map(str, error.errors()[0]['loc']))})") from None


def checked(tensors: Mapping[str, Floats], name: str, spec: Spec) -> Floats:
    """The tensor of this name, if its shape is what `spec` makes it."""
    tensor = tensors.get(name)
    if tensor is None or tensor.shape != (spec.places, len(spec.labels)):
        raise not_a_model(f"its tensor {name!r} is missing or of another shape")
    return tensor


def not_a_model(why: str) -> Permanent:
    return Permanent("not_a_model", why, field="model_id")


def _tensor(data: bytes, base: int, said: dict[str, object]) -> Floats:
    """A copy, which may be written to. Raises ValueError."""
    match said:
        case {"dtype": "F32", "shape": [int(rows), int(columns)], "data_offsets": [int(begin), int(end)]}:
            count = rows * columns
            if not (0 < count <= NUMBERS_MAX and begin >= 0 and end - begin == 4 * count and base + end <= len(data)):
                raise ValueError("sizes")
            tensor = np.frombuffer(data, "<f4", count, base + begin).astype(np.float32).reshape(rows, columns)
            if np.isfinite(tensor).all():
                return tensor
    raise ValueError("no such tensor")
