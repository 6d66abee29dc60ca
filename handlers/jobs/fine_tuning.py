"""`fine_tuning`: a classifier of texts or of table rows, trained here, epoch by epoch, in as many invocations as it
takes; or by SageMaker or Bedrock, and waited for.

Killed and resumed, it makes the same bits: what comes next follows from the kept state and the dataset alone.
"""

import json
from functools import partial
from tempfile import TemporaryFile
from typing import Final

from shared.outcomes import Proceed, Snooze
from shared.payloads.fine_tuning import FineTuningPayload, begun_elsewhere
from shared.payloads.results import ProcessResult
from shared.remote_training import Engine
from shared.runtime.calling import in_thread
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.training.card import card, markdown, told
from shared.training.dataset import FIELD, Dataset, form_of
from shared.training.elsewhere import asked_for, became, key_of, wanted
from shared.training.files import fetch_dataset, read_model_file, store
from shared.training.model import Model, model_bytes, read_model
from shared.training.training import Training, begun, resumed, settings_of
from shared.training.watch import Watch

STATE: Final = ".state.safetensors"


@job(FineTuningPayload)
async def fine_tuning(payload: FineTuningPayload, context: Context) -> ProcessResult | Proceed | Snooze:
    """The model, its card, and what it makes of the rows that it has not learned from."""
    if payload.engine != "local":
        return await _elsewhere(payload, context, payload.engine)
    form = payload.dataset_format or form_of(payload.dataset_path)
    watch = Watch(lambda: context.time_left_s, lambda: context.cancelled)
    with TemporaryFile() as file:
        dataset = await fetch_dataset(context.artifacts, payload.dataset_path, form, file)
        training = await _begun_or_resumed(payload, context, dataset, watch)
        await in_thread(partial(training.load, dataset, watch.loading))
    while not training.is_over:
        if not await in_thread(partial(training.learn, watch.goes_on)):
            return Proceed((await store(context.artifacts, STATE, training.kept())).url)
        await _tell(payload, context, training)
    return await _finish(payload, context, training)


async def _begun_or_resumed(payload: FineTuningPayload, context: Context, dataset: Dataset, watch: Watch) -> Training:
    settings = settings_of(payload)
    if context.checkpoint:
        state = await read_model_file(context.artifacts, context.checkpoint)
        return await in_thread(partial(resumed, settings, dataset, state))
    base = None
    if not payload.model_id.startswith("new:"):
        base = await in_thread(partial(read_model, await read_model_file(context.artifacts, payload.model_id)))
    text_column = payload.text_column if payload.model_id == "new:text" else None
    make = partial(begun, settings, dataset, base=base, text_column=text_column, look=watch.loading)
    return await in_thread(make)


async def _tell(payload: FineTuningPayload, context: Context, training: Training) -> None:
    """After an epoch."""
    epoch = training.progress.history[-1]
    metrics = told(epoch, payload.options.metrics)
    context.progress(epoch.epoch, training.settings.epochs, message="epochs", metadata=metrics)
    if payload.options.save_checkpoints:
        name = f"checkpoints/epoch-{epoch.epoch:04}.safetensors"
        pieces = model_bytes(Model(training.spec, training.weights))
        training.progress.files.append(await store(context.artifacts, name, pieces))


async def _finish(payload: FineTuningPayload, context: Context, training: Training) -> ProcessResult:
    document = card(training, payload, name=context.job_id)
    model = await store(context.artifacts, "model.safetensors", model_bytes(training.model))
    cards = [
        await store(context.artifacts, "model_card.json", [json.dumps(document, indent=1).encode()]),
        await store(context.artifacts, "model_card.md", [markdown(document, training).encode()]),
    ]
    files = [model, *cards, *training.progress.files]
    return ProcessResult(
        data=document | {"files": [file.model_dump(mode="json", exclude_none=True) for file in files]},
        records_processed=len(training.learned_from) + len(training.held_out),
        artifact=model,
    )


async def _elsewhere(payload: FineTuningPayload, context: Context, engine: Engine) -> ProcessResult | Proceed | Snooze:
    """Begun once in each life of the job. That it may have begun is known to the row before it does, so that whoever
    ends the job ends this, too."""
    row, trainers, now = context.children.job, context.ports.trainers, context.ports.now()
    key = key_of(row)
    mark = begun_elsewhere(engine, key)
    seen = await trainers.look(engine, key)
    if context.checkpoint != mark:
        await anext(context.artifacts.read(payload.dataset_path, field=FIELD), None)  # is it there, and the tenant's?
        return Proceed(mark)
    if seen is None:
        asked = wanted(payload, engine, row, context.artifacts.place(engine))
        return asked_for(has_begun=await trainers.start(key, asked))
    context.progress((now - seen.began_at) // 1000, message=f"seconds at {engine}", context=seen.message)
    return became(seen, payload, engine, now)


handler = fine_tuning.lambda_handler
