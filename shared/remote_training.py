"""Training that SageMaker or Bedrock does: what is asked for, what is seen of it, and how often one looks.

A job's training has a key, the same for every attempt of one life of the job; the adapter makes a name of it. So who
starts it again finds that it has begun.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

Engine = Literal["sagemaker", "bedrock"]

LOOK_S: Final = (30.0, 600.0)
"""How long is waited between two looks: at first, at most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`model`: a training image, or a base model. `dataset` is `s3://…`, `output` a folder for what comes out.
    `tags`: whose it is, for whoever looks at it there."""

    engine: Engine
    model: str
    dataset: str
    output: str
    hyperparameters: Mapping[str, str]
    instance_type: str
    volume_gb: int
    hours_max: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """`model`: `s3://…`, or the custom model's ARN, once it is done. `began_at` in milliseconds."""

    status: Literal["running", "done", "failed", "stopped"]
    began_at: int
    message: str = ""
    model: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


class Trainers(Protocol):
    async def start(self, key: str, wanted: Wanted) -> bool:
        """Begin it; nothing happens if it has begun. False: there is no room for it now.

        Raises Permanent("engine_not_offered") about `engine`, ("model_not_offered") about `model_id`.
        """
        ...

    async def look(self, engine: Engine, key: str) -> Seen | None:
        """None: there is none. Raises Permanent("engine_not_offered") about `engine`."""
        ...

    async def stop(self, engine: Engine, key: str) -> None:
        """Ask for its end; nothing happens if it is over."""
        ...


def look_again_s(seen: Seen, now: int) -> float:
    """A quarter of the time it has taken so far: late by a quarter at most, and few looks."""
    first_s, most_s = LOOK_S
    return min(most_s, max(first_s, (now - seen.began_at) / 4000))
