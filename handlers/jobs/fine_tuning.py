"""`fine_tuning`: a classifier of texts or of table rows, trained here, epoch by epoch, in as many invocations as it
takes; or by SageMaker or Bedrock, and waited for.

Killed and resumed, it makes the same bits: what comes next follows from the kept state and the dataset alone.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterable
from functools import partial
from tempfile import TemporaryFile
from typing import IO, Final

from pydantic import JsonValue

from shared.errors import Permanent, Transient
from shared.ids import digest
from shared.outcomes import Proceed, Snooze
from shared.payloads.fine_tuning import FineTuningPayload, Remote, begun_elsewhere, hyperparameters
from shared.payloads.results import Artifact, ProcessResult
from shared.remote_training import LOOK_S, Engine, Seen, Wanted, look_again_s
from shared.runtime.calling import in_thread
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.training.card import card, markdown, told
from shared.training.dataset import DATASET_BYTES_MAX, FIELD, form_of, too_large
from shared.training.model import FILE_BYTES_MAX, Model, model_bytes, not_a_model, read_model
from shared.training.training import Settings, Training, begun, resumed

LOADING_SHARE: Final = 0.5
"""Of an invocation's time: a dataset that takes longer to read is too large to be read again by the next."""

KEEPING_SHARE: Final = 0.15
"""Left of it when training pauses, to keep the state."""

STATE: Final = ".state.safetensors"

NO_ROOM_S: Final = 300.0
"""Until SageMaker is asked again for machines that it had none of."""


@job(FineTuningPayload)
async def fine_tuning(payload: FineTuningPayload, context: Context) -> ProcessResult | Proceed | Snooze:
    """The model, its card, and what it makes of the rows that it has not learned from."""
    if payload.engine != "local":
        return await _elsewhere(payload, context, payload.engine)
    watch = _Watch(context)
    with TemporaryFile() as dataset:
        sha256 = await _fetch(payload, context, dataset)
        training = await _begun_or_resumed(payload, context, watch, dataset, sha256)
        form = payload.dataset_format or form_of(payload.dataset_path)
        await in_thread(partial(training.load, dataset, form, watch.loading))
    while not training.is_over:
        if not await in_thread(partial(training.learn, watch.goes_on)):
            return Proceed((await _stored(context, STATE, training.kept())).url)
        await _tell(payload, context, training)
    return await _finish(payload, context, training)


async def _fetch(payload: FineTuningPayload, context: Context, dataset: IO[bytes]) -> str:
    """→ its SHA-256, hex"""
    fingerprint = hashlib.sha256()
    async for chunk in context.artifacts.read(payload.dataset_path, field=FIELD):
        if dataset.tell() + len(chunk) > DATASET_BYTES_MAX:
            raise too_large(f"more than {DATASET_BYTES_MAX:,} bytes")
        fingerprint.update(chunk)
        dataset.write(chunk)
    return fingerprint.hexdigest()


async def _begun_or_resumed(
    payload: FineTuningPayload, context: Context, watch: "_Watch", dataset: IO[bytes], sha256: str
) -> Training:
    config = payload.training_config
    settings = Settings(
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        validation_split=config.validation_split,
        seed=config.seed,
        label_column=payload.label_column,
        patience=payload.options.patience,
    )
    if context.checkpoint:
        state = await _read(context, context.checkpoint)
        return await in_thread(partial(resumed, settings, state, sha256))
    make = partial(
        begun,
        settings,
        dataset,
        form=payload.dataset_format or form_of(payload.dataset_path),
        sha256=sha256,
        base=await _base(payload, context),
        text_column=payload.text_column if payload.model_id == "new:text" else None,
        look=watch.loading,
    )
    return await in_thread(make)


async def _base(payload: FineTuningPayload, context: Context) -> Model | None:
    if payload.model_id.startswith("new:"):
        return None
    return await in_thread(partial(read_model, await _read(context, payload.model_id)))


async def _read(context: Context, url: str) -> bytes:
    data = bytearray()
    async for chunk in context.artifacts.read(url, field="model_id"):
        data += chunk
        if len(data) > FILE_BYTES_MAX:
            raise not_a_model(f"it has more than {FILE_BYTES_MAX:,} bytes")
    return bytes(data)


async def _tell(payload: FineTuningPayload, context: Context, training: Training) -> None:
    """After an epoch."""
    epoch = training.progress.history[-1]
    metrics = told(epoch, payload.options.metrics)
    context.progress(epoch.epoch, training.settings.epochs, message="epochs", metadata=metrics)
    if payload.options.save_checkpoints:
        name = f"checkpoints/epoch-{epoch.epoch:04}.safetensors"
        file = await _stored(context, name, model_bytes(Model(training.spec, training.weights)))
        training.progress.files.append(file)


async def _finish(payload: FineTuningPayload, context: Context, training: Training) -> ProcessResult:
    document = card(
        training,
        name=context.job_id,
        model_id=payload.model_id,
        dataset_path=payload.dataset_path,
        metrics=payload.options.metrics,
    )
    model = await _stored(context, "model.safetensors", model_bytes(training.model))
    cards = [
        await _stored(context, "model_card.json", [json.dumps(document, indent=1).encode()]),
        await _stored(context, "model_card.md", [markdown(document, training).encode()]),
    ]
    files = [model, *cards, *training.progress.files]
    return ProcessResult(
        data=document | {"files": [file.model_dump(mode="json", exclude_none=True) for file in files]},
        records_processed=len(training.learned_from) + len(training.held_out),
        artifact=model,
    )


async def _stored(context: Context, name: str, pieces: Iterable[bytes]) -> Artifact:
    async with context.artifacts.create(name) as upload:
        for piece in pieces:
            await upload.write(piece)
            await asyncio.sleep(0)
    return Artifact(url=upload.url, size_bytes=upload.size_bytes, sha256=upload.sha256)


class _Watch:
    """Looked at in the thread, between two batches or some rows."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._all_s = context.time_left_s

    def loading(self) -> None:
        if self._left() < 1 - LOADING_SHARE:
            raise Permanent("too_long", "it takes too much of an invocation only to be read", field=FIELD)

    def goes_on(self) -> bool:
        return self._left() > KEEPING_SHARE

    def _left(self) -> float:
        """The share of the time."""
        if self._context.cancelled:
            raise Transient("stopped", "told to stop")
        return self._context.time_left_s / self._all_s


# --- elsewhere --------------------------------------------------------------------------------------------------------


async def _elsewhere(payload: FineTuningPayload, context: Context, engine: Engine) -> ProcessResult | Proceed | Snooze:
    """Begun once in each life of the job. That it may have begun is known to the row before it does, so that whoever
    ends the job ends this, too."""
    key = digest(f"{context.tenant_id}#{context.job_id}#{context.life}")
    mark = begun_elsewhere(engine, key)
    trainers = context.ports.trainers
    seen = await trainers.look(engine, key)
    if context.checkpoint != mark:
        await anext(context.artifacts.read(payload.dataset_path, field=FIELD), None)  # is it there, and the tenant's?
        return Proceed(mark)
    if seen is None:
        has_begun = await trainers.start(key, _wanted(payload, context, engine))
        return Snooze(LOOK_S[0] if has_begun else NO_ROOM_S, "begun" if has_begun else "no room there")
    return _what_became_of(seen, payload, context)


def _wanted(payload: FineTuningPayload, context: Context, engine: Engine) -> Wanted:
    remote = payload.remote or Remote()
    return Wanted(
        engine=engine,
        model=payload.model_id,
        dataset=payload.dataset_path,
        output=context.artifacts.place(engine),
        hyperparameters=hyperparameters(payload),
        instance_type=remote.instance_type,
        volume_gb=remote.volume_gb,
        hours_max=remote.hours_max,
    )


def _what_became_of(seen: Seen, payload: FineTuningPayload, context: Context) -> ProcessResult | Snooze:
    match seen.status:
        case "running":
            now = context.ports.now()
            context.progress(
                (now - seen.began_at) // 1000, message=f"seconds at {payload.engine}", context=seen.message
            )
            return Snooze(look_again_s(seen, now), f"{payload.engine} is at it")
        case "done":
            data: dict[str, JsonValue] = {"engine": payload.engine, "model": seen.model, "metrics": dict(seen.metrics)}
            return ProcessResult(data=data)
    raise Permanent(f"training_{seen.status}", f"{payload.engine}: {seen.message or seen.status}", field="engine")


handler = fine_tuning.lambda_handler
