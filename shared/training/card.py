"""What whoever uses a model should know of it: where it comes from, and how good it is.

https://arxiv.org/abs/1810.03993
"""

import json
from collections.abc import Collection

from pydantic import JsonValue

from shared.payloads.fine_tuning import FineTuningPayload
from shared.training.features import TextFeatures
from shared.training.training import Epoch, Training

FORMAT = "safetensors"


def card(training: Training, payload: FineTuningPayload, *, name: str) -> dict[str, JsonValue]:
    """The same training makes the same card."""
    settings, spec, progress = training.settings, training.spec, training.progress
    metrics = payload.options.metrics
    return {
        "name": name,
        "base": payload.model_id,
        "kind": spec.features.kind,
        "format": f"{FORMAT}, version {spec.version}",
        "labels": list[JsonValue](spec.labels),
        "columns": list[JsonValue](sorted(spec.features.columns())),
        "dataset": {
            "path": payload.dataset_path,
            "sha256": training.sha256,
            "rows": len(training.learned_from) + len(training.held_out),
            "validation_rows": len(training.held_out),
        },
        "training": {
            "epochs": settings.epochs,
            "learning_rate": settings.learning_rate,
            "batch_size": settings.batch_size,
            "validation_split": settings.validation_split,
            "seed": settings.seed,
        },
        "judged_by": "validation" if len(training.held_out) else "training",
        "epoch": training.chosen.epoch,
        "stopped_early": training.stopped_early,
        "metrics": told(training.chosen, metrics),
        "history": [{"epoch": epoch.epoch, **told(epoch, metrics)} for epoch in progress.history],
    }


def told(epoch: Epoch, metrics: Collection[str]) -> dict[str, JsonValue]:
    """Those that were asked for, to six digits; with the loss that of the rows learned from."""
    known = epoch.model_dump(exclude={"epoch"})
    return {name: round(value, 6) for name, value in known.items() if name.removeprefix("training_") in metrics}


def markdown(document: dict[str, JsonValue], training: Training) -> str:
    """The card for people."""
    beware = "" if len(training.held_out) else " It has learned from them all: expect less of it elsewhere."
    is_text = isinstance(training.spec.features, TextFeatures)
    tables = [_table(document[part]) for part in ("metrics", "dataset", "training")]
    example = '["some text"]' if is_text else '[{"column": "value"}]'
    labels = ", ".join(json.dumps(label, ensure_ascii=False) for label in training.spec.labels[:50])
    more = f" and {len(training.spec.labels) - 50} more" if len(training.spec.labels) > 50 else ""
    return f"""# {document["name"]}

A classifier of {"texts" if is_text else "table rows"}, trained from `{document["base"]}`.
It is a softmax regression on hashed features. Labels: {labels}{more}.

## How good it is

After epoch {document["epoch"]}, judged by the {document["judged_by"]} rows.{beware}

{tables[0]}

## What it was trained on

{tables[1]}

{tables[2]}

## How to use it

```python
from pathlib import Path
from shared.training.model import read_model

model = read_model(Path("model.safetensors").read_bytes())
for prediction in model.predict({example}):
    print(prediction.label, prediction.probability)
```

It knows words, not meanings, and no label but those above: it names one of them whatever it is given.
"""


def _table(values: JsonValue) -> str:
    pairs = values.items() if isinstance(values, dict) else ()
    return "\n".join(["| | |", "|---|---|", *(f"| {name.replace('_', ' ')} | `{value}` |" for name, value in pairs)])
