"""What is asked of SageMaker and Bedrock, and what is made of their answers: decisions alone.

running    looked at again later, at no attempt's cost
done       the result: the model's address, the engine's metrics
failed     } the job's failure, in the engine's words
stopped    }
"""

from typing import Final

from pydantic import JsonValue

from shared.errors import Permanent
from shared.ids import digest
from shared.job import Job
from shared.outcomes import Snooze
from shared.payloads.fine_tuning import FineTuningPayload, Remote, hyperparameters
from shared.payloads.results import ProcessResult
from shared.remote_training import LOOK_S, Engine, Seen, Wanted, look_again_s

NO_ROOM_S: Final = 300.0
"""Until an engine is asked again for what it had no room for."""

HOUR_MS: Final = 3_600_000


def key_of(job: Job) -> str:
    """One for each life of the job. The engines never forget a name, and a job's id may be given again: so when it was
    made is part of it."""
    return digest(f"{job.tenant_id}#{job.job_id}#{job.created_at}#{job.redrives or 0}")


def wanted(payload: FineTuningPayload, engine: Engine, job: Job, output: str) -> Wanted:
    """`output`: `s3://…`, a folder."""
    remote = payload.remote or Remote()
    return Wanted(
        engine=engine,
        model=payload.model_id,
        dataset=payload.dataset_path,
        output=output,
        hyperparameters=hyperparameters(payload),
        instance_type=remote.instance_type,
        volume_gb=remote.volume_gb,
        hours_max=remote.hours_max,
        tags={"longshore:tenant": job.tenant_id, "longshore:job": job.job_id},
    )


def asked_for(*, has_begun: bool) -> Snooze:
    return Snooze(LOOK_S[0], "begun") if has_begun else Snooze(NO_ROOM_S, "no room there")


def became(seen: Seen, payload: FineTuningPayload, engine: Engine, now: int) -> ProcessResult | Snooze:
    """Raises Permanent("training_failed", "training_stopped") about `engine`, or about `remote.hours_max`: SageMaker
    keeps to that, Bedrock knows no such thing; whatever still runs when the job has failed is stopped (`cleanup`)."""
    match seen.status:
        case "done":
            data: dict[str, JsonValue] = {"engine": engine, "model": seen.model, "metrics": dict(seen.metrics)}
            return ProcessResult(data=data)
        case "running":
            hours_max = (payload.remote or Remote()).hours_max
            if engine == "bedrock" and now - seen.began_at > hours_max * HOUR_MS:
                message = f"bedrock: not done within {hours_max} hours"
                raise Permanent("training_stopped", message, field="remote.hours_max")
            return Snooze(look_again_s(seen, now), f"{engine} is at it")
    raise Permanent(f"training_{seen.status}", f"{engine}: {seen.message or seen.status}", field="engine")
