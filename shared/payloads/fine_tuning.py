"""`fine_tuning`: a classifier of texts or of table rows, trained here or by SageMaker or Bedrock."""

import re
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from shared.payloads.base import Payload, Strict, shaped
from shared.payloads.stop_training import StopTrainingPayload
from shared.payloads.transcode import StoredUrl
from shared.retry import Policy

Column = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Setting = Annotated[str, shaped(r"^[A-Za-z0-9_.:/ -]*$", "letters, digits, blanks and _ . : / -", max_length=200)]

MODELS: Final = {
    "local": (
        re.compile(r"new:(text|tabular)|s3://[^\s]+"),
        "new:text, new:tabular or s3://… of a model that was made here",
    ),
    "sagemaker": (re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9.-]+/[A-Za-z0-9._/:@-]+"), "the address of a training image"),
    "bedrock": (
        re.compile(r"[a-z0-9-]+\.[A-Za-z0-9.:_-]+|arn:aws[a-z-]*:bedrock:[^\s]+"),
        "a Bedrock model's id or ARN",
    ),
}
"""Engine → how it names what training begins with."""

ELSEWHERE: Final = ("sagemaker", "bedrock")

BEGUN_LATE_S: Final = 60
"""A run that does not know of its job's end ends with its function."""

HYPERPARAMETERS: Final = {
    "sagemaker": {"epochs": "epochs", "learning_rate": "learning_rate", "batch_size": "batch_size"},
    "bedrock": {"epochs": "epochCount", "learning_rate": "learningRate", "batch_size": "batchSize"},
}
"""https://docs.aws.amazon.com/bedrock/latest/userguide/custom-models-hp.html"""


class TrainingConfig(Strict):
    """`validation_split`: the share of rows that are not learned from. The same `seed` makes the same model."""

    epochs: Annotated[int, Field(ge=1, le=1_000)] = 5
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.3
    batch_size: Annotated[int, Field(ge=1, le=4_096)] = 32
    validation_split: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class TrainingOptions(Strict):
    """`early_stop`: after how many epochs without a lower loss; true: 3. `metrics`: which are told."""

    save_checkpoints: bool = False
    early_stop: bool | Annotated[int, Field(ge=1, le=100)] = False
    metrics: Annotated[tuple[Literal["loss", "accuracy", "f1"], ...], Field(min_length=1, max_length=3)] = (
        "loss",
        "accuracy",
        "f1",
    )

    @property
    def patience(self) -> int | None:
        """In epochs; None: to the end."""
        return {True: 3, False: None}.get(self.early_stop) if isinstance(self.early_stop, bool) else self.early_stop


class Remote(Strict):
    """For SageMaker: on what. For either: how long, and `hyperparameters` beside those of `training_config`."""

    instance_type: Annotated[
        str, shaped(r"^ml\.[a-z0-9]+\.[a-z0-9]+$", "a machine such as ml.m5.large", max_length=40)
    ] = "ml.m5.xlarge"
    volume_gb: Annotated[int, Field(ge=1, le=1_024)] = 30
    hours_max: Annotated[int, Field(ge=1, le=120)] = 24
    hyperparameters: Annotated[dict[Column, Setting], Field(max_length=50)] = Field(default_factory=dict)


class FineTuningPayload(Payload):
    policy: ClassVar[Policy] = Policy(timeout_s=300)

    type: Literal["fine_tuning"] = "fine_tuning"
    model_id: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    dataset_path: StoredUrl
    dataset_format: Literal["csv", "jsonl", "parquet"] | None = None
    text_column: Column = "text"
    label_column: Column = "label"
    engine: Literal["local", "sagemaker", "bedrock"] = "local"
    training_config: TrainingConfig = Field(default_factory=TrainingConfig)
    options: TrainingOptions = Field(default_factory=TrainingOptions)
    remote: Remote | None = None

    @classmethod
    def cleanup(cls, tenant_id: str, checkpoint: str, ended_at: int) -> Payload | None:
        engine = checkpoint.partition("/")[0]
        if engine not in ELSEWHERE:
            return None
        until = ended_at + 1000 * (cls.policy.timeout_s + BEGUN_LATE_S)
        return StopTrainingPayload(tenant_id=tenant_id, training=checkpoint, until=until)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        pattern, expected = MODELS[self.engine]
        if not pattern.fullmatch(self.model_id):
            raise ValueError(f"model_id: for the engine {self.engine} {expected} is expected")
        if self.engine == "local" and self.remote is not None:
            raise ValueError("remote: is for the engines sagemaker and bedrock")
        if self.model_id == "new:text" and self.text_column == self.label_column:
            raise ValueError("label_column: another than the text's, which would tell it")
        if self.engine == "bedrock" and self.remote and self.remote.model_fields_set & {"instance_type", "volume_gb"}:
            raise ValueError("remote: instance_type and volume_gb are for the engine sagemaker")
        if self.options.patience is not None and not self.training_config.validation_split:
            raise ValueError("options.early_stop: needs a training_config.validation_split above 0")
        return self


def begun_elsewhere(engine: str, key: str) -> str:
    """The checkpoint of a job whose training an engine may have begun."""
    return f"{engine}/{key}"


def hyperparameters(payload: FineTuningPayload) -> dict[str, str]:
    """As an engine elsewhere takes them: those of the config that the payload names, and its own."""
    config = payload.training_config
    named = {ours: getattr(config, ours) for ours in HYPERPARAMETERS[payload.engine] if ours in config.model_fields_set}
    said = {HYPERPARAMETERS[payload.engine][ours]: f"{value:.10g}" for ours, value in named.items()}
    return said | (payload.remote.hyperparameters if payload.remote else {})
