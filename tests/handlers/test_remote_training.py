"""`fine_tuning` by SageMaker and Bedrock: begun once, waited for without being paid for, ended with its job."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest
from aiohttp import web

from infra.local.endpoint import Endpoint
from infra.testing.crash import Producer
from infra.testing.kit import Longshore
from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal
from shared.aws.training import AwsTrainers
from shared.errors import Permanent, WorldFault
from shared.memory.training import MemoryTrainers
from shared.names import Names
from shared.payloads.fine_tuning import FineTuningPayload, TrainingConfig, hyperparameters
from shared.remote_training import Engine, Seen, Trainers, Wanted
from shared.status import Status
from shared.training.elsewhere import key_of
from shared.view import JobView
from tests.databases import job_row

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/bert:1"
BASE = "amazon.titan-text-lite-v1:0:4k"
DATASET = "artifacts/default/uploads/1/mail.jsonl"
ROLE = "arn:aws:iam::123456789012:role/training"
KEY = "0123456789abcdef" * 2


def payload(engine: str, **fields: object) -> FineTuningPayload:
    return FineTuningPayload.model_validate(
        {
            "model_id": IMAGE if engine == "sagemaker" else BASE,
            "dataset_path": f"s3://memory/{DATASET}",
            "engine": engine,
            **fields,
        }
    )


def trainers_of(kit: Longshore) -> MemoryTrainers:
    return cast("MemoryTrainers", kit.ports.trainers)


def begin(kit: Longshore, engine: str = "sagemaker", **fields: object) -> JobView:
    """Submitted, and drained as far as it goes by itself."""
    kit.run(kit.ports.objects.put(DATASET, b'{"text":"a","label":"b"}'))
    job = kit.submit(payload(engine, **fields))
    kit.drain()
    return job


def become(kit: Longshore, status: str, **fields: object) -> None:
    """What is there elsewhere goes on."""
    trainers = trainers_of(kit)
    ((place, seen),) = trainers.seen.items()
    trainers.seen[place] = replace(seen, **{"status": status, **fields})  # type: ignore[arg-type]  # as Seen has them


def status_of(kit: Longshore, job: JobView) -> JobView:
    return kit.job(job)


@pytest.mark.parametrize("engine", ["sagemaker", "bedrock"])
def test_it_is_begun_once_waited_for_in_growing_intervals_and_told(longshore: Longshore, engine: str) -> None:
    job = begin(longshore, engine, training_config={"epochs": 2}, remote={"hyperparameters": {"layers": "3"}})
    (wanted,) = trainers_of(longshore).wanted
    name = "epochs" if engine == "sagemaker" else "epochCount"
    assert wanted.hyperparameters == {name: "2", "layers": "3"}
    assert wanted.output.startswith(f"s3://memory/artifacts/default/{job.job_id}/")
    snoozes = 0
    for _ in range(8 * 60):
        longshore.clock.advance(60)
        snoozes += longshore.drain().snoozed
    assert 40 < snoozes < 80, "eight hours, at last every ten minutes"
    become(longshore, "done", model="s3://memory/model.tar.gz", metrics={"loss": 0.5})
    longshore.clock.advance(700)
    assert longshore.drain().succeeded == 1
    result = longshore.result(job).data.result
    assert isinstance(result, dict)
    assert result["data"] == {"engine": engine, "model": "s3://memory/model.tar.gz", "metrics": {"loss": 0.5}}
    assert len(trainers_of(longshore).wanted) == 1
    assert status_of(longshore, job).attempts == 0


@pytest.mark.parametrize("status", ["failed", "stopped"])
def test_what_fails_there_fails_here_and_a_redrive_begins_anew(longshore: Longshore, status: str) -> None:
    job = begin(longshore)
    become(longshore, status, message="AlgorithmError: no such column")
    longshore.clock.advance(700)
    longshore.drain()
    failed = status_of(longshore, job)
    assert failed.error is not None
    assert (failed.error.code, failed.error.field) == (f"training_{status}", "engine")
    assert "no such column" in failed.error.message
    longshore.redrive(job)
    longshore.drain()
    assert len(trainers_of(longshore).seen) == 2
    assert status_of(longshore, job).status == "QUEUED"


def test_sagemaker_keeps_its_own_time(longshore: Longshore) -> None:
    """Which begins when it has found machines."""
    job = begin(longshore, remote={"hours_max": 1})
    longshore.clock.advance(9000)
    longshore.drain()
    assert status_of(longshore, job).status is Status.QUEUED


def test_what_bedrock_has_not_done_in_time_is_stopped(longshore: Longshore) -> None:
    job = begin(longshore, "bedrock", remote={"hours_max": 2})
    longshore.clock.advance(7100)
    longshore.drain()
    assert status_of(longshore, job).status is Status.QUEUED
    longshore.clock.advance(700)
    longshore.drain()
    error = status_of(longshore, job).error
    assert error is not None
    assert (error.code, error.field) == ("training_stopped", "remote.hours_max")
    (seen,) = trainers_of(longshore).seen.values()
    assert seen.status == "stopped"


def test_no_room_there_costs_no_attempt(longshore: Longshore) -> None:
    trainers_of(longshore).is_full = True
    job = begin(longshore)
    for _ in range(10):
        longshore.clock.advance(301)
        longshore.drain()
    assert trainers_of(longshore).wanted == []
    trainers_of(longshore).is_full = False
    longshore.clock.advance(301)
    longshore.drain()
    assert len(trainers_of(longshore).wanted) == 1
    assert status_of(longshore, job).attempts == 0


def test_who_is_cancelled_while_it_waits_ends_what_it_began(longshore: Longshore) -> None:
    job = begin(longshore)
    longshore.cancel(job)
    longshore.drain()
    (seen,) = trainers_of(longshore).seen.values()
    assert seen.status == "stopped"


def test_who_is_cancelled_before_anything_began_leaves_nothing_to_end(longshore: Longshore) -> None:
    job = longshore.submit(payload("sagemaker"), delay_s=100)
    longshore.cancel(job)
    longshore.drain()
    assert len(longshore.world.jobs.rows) == 1


def test_what_begins_after_its_jobs_end_is_ended_too(longshore: Longshore) -> None:
    """By a run that did not know."""
    trainers = trainers_of(longshore)
    trainers.is_full = True
    job = begin(longshore)
    longshore.cancel(job)
    longshore.drain()
    trainers.is_full = False
    (key,) = {row.checkpoint for row in longshore.world.jobs.rows.values() if row.checkpoint}
    _, _, name = key.partition("/")
    late = Wanted("sagemaker", IMAGE, "s3://memory/x", "s3://memory/y", {}, "ml.m5.large", 1, 1, {})
    longshore.run(trainers.start(name, late))
    longshore.clock.advance(61)
    longshore.drain()
    assert trainers.seen["sagemaker", name].status == "stopped"
    longshore.clock.advance(3600)
    longshore.drain()
    assert all(row.status.is_terminal for row in longshore.world.jobs.rows.values())


def test_a_local_training_that_is_cancelled_leaves_nothing_to_end() -> None:
    assert FineTuningPayload.cleanup("acme", "s3://memory/artifacts/acme/job/1/.state.safetensors", 0) is None


@pytest.mark.parametrize("path", ["artifacts/other/mail.jsonl", "artifacts/default/uploads/1/gone.jsonl"])
def test_another_tenants_dataset_goes_nowhere(longshore: Longshore, path: str) -> None:
    longshore.run(longshore.ports.objects.put("artifacts/other/mail.jsonl", b"{}"))
    job = longshore.submit(payload("bedrock", dataset_path=f"s3://memory/{path}"))
    longshore.drain()
    error = status_of(longshore, job).error
    assert error is not None
    assert (error.code, error.field) == ("no_such_artifact", "dataset_path")
    assert trainers_of(longshore).wanted == []


async def until_begun(producer: Producer) -> MemoryTrainers:
    trainers = cast("MemoryTrainers", producer._world.ports.trainers)
    while not trainers.seen:  # noqa: ASYNC110  virtual time, and nobody there to set an event
        await asyncio.sleep(30)
    return trainers


def test_begun_once_whatever_happens_at_any_call(longshore: Longshore) -> None:
    async def story(producer: Producer) -> None:
        await producer.ports.objects.put(DATASET, b"{}")
        job = await producer.submit(payload("sagemaker"))
        trainers = await until_begun(producer)
        for place in trainers.seen:
            trainers.seen[place] = Seen("done", 0, model="s3://memory/m")
        await producer.until(job, Status.SUCCESS)

    def check(kit: Longshore) -> None:
        assert len(trainers_of(kit).wanted) == 1

    longshore.crash_points(story, check)


def test_ended_with_its_job_whatever_happens_at_any_call(longshore: Longshore) -> None:
    async def story(producer: Producer) -> None:
        await producer.ports.objects.put(DATASET, b"{}")
        job = await producer.submit(payload("bedrock"))
        await until_begun(producer)
        await producer.cancel(await producer.until(job, Status.QUEUED))

    def check(kit: Longshore) -> None:
        (seen,) = trainers_of(kit).seen.values()
        assert seen.status == "stopped"

    longshore.crash_points(story, check)


# --- over the wire ----------------------------------------------------------------------------------------------------


def names(role: str = ROLE) -> Names:
    return Names(stack="shop", bucket="b", training_role_arn=role, training_models=frozenset({IMAGE, BASE}))


def wanted(engine: Engine) -> Wanted:
    model = IMAGE if engine == "sagemaker" else BASE
    return Wanted(
        engine,
        model,
        "s3://b/artifacts/a/x.jsonl",
        "s3://b/artifacts/a/out",
        {"epochs": "2"},
        "ml.m5.large",
        30,
        24,
        {"longshore:tenant": "a", "longshore:job": "job_1"},
    )


@asynccontextmanager
async def trainers_at(url: str) -> AsyncIterator[AwsTrainers]:
    clients = Clients(endpoint_url=url, region="us-east-1", credentials=("test", "test"))
    try:
        yield AwsTrainers(clients, names())
    finally:
        await clients.close()


def at_moto(story: Callable[[Trainers], Awaitable[None]]) -> None:
    async def run() -> None:
        endpoint = Endpoint()
        try:
            async with trainers_at(await endpoint.start()) as trainers:
                await story(trainers)
        finally:
            await endpoint.close()

    asyncio.run(run())


def test_bedrock_begins_finds_and_stops() -> None:
    async def story(trainers: Trainers) -> None:
        assert await trainers.look("bedrock", KEY) is None
        assert await trainers.start(KEY, wanted("bedrock"))
        assert await trainers.start(KEY, wanted("bedrock")), "it has begun"
        seen = await trainers.look("bedrock", KEY)
        assert seen is not None
        assert seen.began_at > 1_700_000_000_000
        await trainers.stop("bedrock", KEY)
        stopped = await trainers.look("bedrock", KEY)
        assert stopped is not None
        assert stopped.status == "stopped"
        await trainers.stop("bedrock", "f" * 32)

    at_moto(story)


def test_sagemaker_begins_and_finds() -> None:
    async def story(trainers: Trainers) -> None:
        assert await trainers.look("sagemaker", KEY) is None
        assert await trainers.start(KEY, wanted("sagemaker"))
        seen = await trainers.look("sagemaker", KEY)
        assert seen is not None
        assert seen.status == "done", "moto's are done at once"
        assert seen.model == f"s3://b/artifacts/a/out/shop-{KEY[:16]}/output/model.tar.gz"

    at_moto(story)


def answering(
    story: Callable[[Trainers], Awaitable[None]], body: dict[str, object], asked: list[dict[str, object]], status: int
) -> None:
    """The cloud says this to everything."""

    async def answer(request: web.Request) -> web.Response:
        said = await request.json() if request.can_read_body else {}
        asked.append(said | {"target": request.headers.get("X-Amz-Target", request.path)})
        return web.json_response(body, status=status, headers={"x-amzn-ErrorType": str(body.get("__type", ""))})

    async def run() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with trainers_at(f"http://127.0.0.1:{runner.addresses[0][1]}") as trainers:
                await story(trainers)
        finally:
            await runner.cleanup()

    asyncio.run(run())


def refusing(story: Callable[[Trainers], Awaitable[None]], code: str, asked: list[dict[str, object]]) -> None:
    answering(story, {"__type": code, "message": "no"}, asked, 400)


def test_what_sagemaker_is_asked_for_reaches_no_network() -> None:
    asked: list[dict[str, object]] = []

    async def story(trainers: Trainers) -> None:
        assert await trainers.start(KEY, wanted("sagemaker")), "somebody else began it"

    refusing(story, "ResourceInUse", asked)
    (request,) = asked
    assert request["EnableNetworkIsolation"] is True
    assert request["TrainingJobName"] == f"shop-{KEY[:16]}"
    assert request["RoleArn"] == ROLE
    assert "dataset" not in json.dumps(request)


@pytest.mark.parametrize(
    ("engine", "code", "expected"),
    [
        ("sagemaker", "ResourceLimitExceeded", False),
        ("sagemaker", "ResourceInUse", True),
        ("sagemaker", "ValidationException", AwsRefusal),
        ("sagemaker", "AccessDeniedException", WorldFault),
        ("sagemaker", "ExpiredTokenException", WorldFault),
        ("bedrock", "ServiceQuotaExceededException", False),
        ("bedrock", "ConflictException", True),
        ("bedrock", "ValidationException", AwsRefusal),
        ("bedrock", "AccessDeniedException", WorldFault),
        ("bedrock", "ExpiredTokenException", WorldFault),
    ],
)
def test_how_a_start_that_is_refused_is_taken(engine: Engine, code: str, expected: bool | type[Exception]) -> None:
    async def story(trainers: Trainers) -> None:
        if isinstance(expected, bool):
            assert await trainers.start(KEY, wanted(engine)) is expected
        else:
            with pytest.raises(expected):
                await trainers.start(KEY, wanted(engine))

    refusing(story, code, [])


AT_SAGEMAKER = {"TrainingJobName": "x", "CreationTime": 1_800_000_000, "SecondaryStatus": "Training"}
AT_BEDROCK = {"creationTime": "2027-01-15T08:00:00Z", "outputModelArn": "arn:m", "trainingMetrics": {"trainingLoss": 1}}


@pytest.mark.parametrize(
    ("engine", "said", "status", "message"),
    [
        ("sagemaker", {"TrainingJobStatus": "InProgress"}, "running", "Training"),
        ("sagemaker", {"TrainingJobStatus": "Stopping", "SecondaryStatus": "Stopping"}, "running", "Stopping"),
        ("sagemaker", {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"}, "done", "Completed"),
        ("sagemaker", {"TrainingJobStatus": "Failed", "FailureReason": "no column"}, "failed", "no column"),
        ("sagemaker", {"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"}, "stopped", "Stopped"),
        (
            "sagemaker",
            {"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"},
            "stopped",
            "not done within remote.hours_max",
        ),
        ("sagemaker", {"TrainingJobStatus": "Deleting", "SecondaryStatus": "Failed"}, "stopped", "Failed"),
        ("bedrock", {"status": "InProgress"}, "running", ""),
        ("bedrock", {"status": "Stopping"}, "running", ""),
        ("bedrock", {"status": "Completed"}, "done", ""),
        ("bedrock", {"status": "Failed", "failureMessage": "bad JSONL"}, "failed", "bad JSONL"),
        ("bedrock", {"status": "Stopped"}, "stopped", ""),
    ],
)
def test_every_status_that_the_cloud_has_is_known(
    engine: Engine, said: dict[str, object], status: str, message: str
) -> None:
    """What is Stopping is not over: why it stops is told at its end."""

    async def story(trainers: Trainers) -> None:
        seen = await trainers.look(engine, KEY)
        assert seen is not None
        assert (seen.status, seen.message, seen.began_at) == (status, message, 1_800_000_000_000)

    answering(story, (AT_SAGEMAKER if engine == "sagemaker" else AT_BEDROCK) | said, [], 200)


@pytest.mark.parametrize("engine", ["sagemaker", "bedrock"])
def test_the_cloud_is_told_whose_training_it_is(engine: Engine) -> None:
    asked: list[dict[str, object]] = []

    async def story(trainers: Trainers) -> None:
        await trainers.start(KEY, wanted(engine))

    answering(story, {}, asked, 200)
    (request,) = asked
    pairs = {"longshore:tenant": "a", "longshore:job": "job_1"}
    if engine == "sagemaker":
        assert request["Tags"] == [{"Key": name, "Value": value} for name, value in pairs.items()]
        assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 24 * 3600}
    else:
        tags = [{"key": name, "value": value} for name, value in pairs.items()]
        assert request["jobTags"] == request["customModelTags"] == tags
        assert request["clientRequestToken"] == request["jobName"] == f"shop-{KEY[:16]}"


@pytest.mark.parametrize("code", ["ThrottlingException", "ExpiredTokenException", "EndpointConnectionError"])
def test_a_cloud_that_lets_nobody_in_costs_no_attempt_and_is_told(longshore: Longshore, code: str) -> None:
    """Throttled, unreachable, or its credentials are over: the operator's to mend, and then it goes on."""
    trainers = trainers_of(longshore)
    trainers.fault = WorldFault(code, "sagemaker describe_training_job: no")
    job = begin(longshore)
    for _ in range(5):
        longshore.clock.advance(31)
        longshore.drain()
    row = longshore.world.jobs.rows[f"default#{job.job_id}"]
    assert (row.status, row.attempts) == (Status.QUEUED, 0)
    assert code in row.history[-1]
    trainers.fault = None
    longshore.clock.advance(31)
    longshore.drain()
    assert len(trainers.wanted) == 1


def test_an_id_that_is_given_again_is_another_training() -> None:
    """The cloud never forgets a name; rows are forgotten after a while."""
    row = job_row("job_1", 1, None)
    assert key_of(row) == key_of(replace(row, epoch=7, attempts_left=1))
    others = [replace(row, created_at=1), replace(row, redrives=1), replace(row, tenant_id="b")]
    assert len({key_of(one) for one in [row, *others]}) == 4


def test_what_is_over_need_not_be_stopped() -> None:
    asked: list[dict[str, object]] = []
    refusing(lambda trainers: trainers.stop("sagemaker", KEY), "ValidationException", asked)
    assert asked == [{"TrainingJobName": f"shop-{KEY[:16]}", "target": "SageMaker.StopTrainingJob"}]


def test_only_what_the_operator_lists_is_trained_and_only_with_a_role() -> None:
    clients = Clients(region="us-east-1", credentials=("test", "test"))

    async def refused(trainers: AwsTrainers, asked: Wanted) -> Permanent:
        with pytest.raises(Permanent) as caught:
            await trainers.start(KEY, asked)
        return caught.value

    other = replace(wanted("sagemaker"), model=f"{IMAGE}0")
    error = asyncio.run(refused(AwsTrainers(clients, names()), other))
    assert (error.code, error.field) == ("model_not_offered", "model_id")
    error = asyncio.run(refused(AwsTrainers(clients, names(role="")), wanted("bedrock")))
    assert (error.code, error.field) == ("engine_not_offered", "engine")


def test_what_the_config_does_not_name_is_left_to_the_engine() -> None:
    assert hyperparameters(payload("bedrock")) == {}
    config = TrainingConfig(learning_rate=0.00001, batch_size=8)
    assert hyperparameters(payload("bedrock", training_config=config)) == {"learningRate": "1e-05", "batchSize": "8"}
