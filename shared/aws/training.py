"""Training by SageMaker and Bedrock.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateModelCustomizationJob.html

A training image is somebody else's program, and the role that it is given may read the whole bucket: so it runs without
a network, SageMaker alone moves its data, and only what the operator has listed is run at all.
"""

from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Any, Final

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal
from shared.errors import Permanent, WorldFault
from shared.names import Names
from shared.remote_training import Engine, Seen, Wanted

_BEGUN: Final = frozenset({"ConflictException", "ResourceInUse", "ResourceInUseException"})
_OVER: Final = frozenset({"ConflictException", "ResourceNotFound", "ResourceNotFoundException", "ValidationException"})
_NONE: Final = frozenset({"ResourceNotFound", "ResourceNotFoundException", "ValidationException", "ValidationError"})
"""What SageMaker says of a name that it does not know is a ValidationException."""

_NO_ROOM: Final = frozenset({"ResourceLimitExceeded", "ServiceQuotaExceededException"})

_STATUS: Final[Mapping[str, Any]] = {
    "Completed": "done",
    "Failed": "failed",
    "Stopped": "stopped",
    "Deleting": "stopped",
}
"""InProgress and Stopping are on their way to one of these."""

_WHY: Final = {"MaxRuntimeExceeded": "not done within remote.hours_max"}
"""SageMaker's secondary status → what to tell of it."""


class AwsTrainers:
    def __init__(self, clients: Clients, names: Names) -> None:
        self._clients = clients
        self._names = names

    async def start(self, key: str, wanted: Wanted) -> bool:
        self._check_offered()
        if wanted.model not in self._names.training_models:
            raise Permanent("model_not_offered", "not among those that this stack may train", field="model_id")
        begin = {"sagemaker": self._start_sagemaker, "bedrock": self._start_bedrock}[wanted.engine]
        try:
            await begin(self._names.training(key), wanted)
        except (AwsRefusal, WorldFault) as refusal:
            if refusal.code in _NO_ROOM:
                return False
            if refusal.code not in _BEGUN:
                raise
        return True

    async def look(self, engine: Engine, key: str) -> Seen | None:
        self._check_offered()
        looked = {"sagemaker": self._look_sagemaker, "bedrock": self._look_bedrock}[engine]
        try:
            return await looked(self._names.training(key))
        except AwsRefusal as refusal:
            if refusal.code in _NONE:
                return None
            raise

    async def stop(self, engine: Engine, key: str) -> None:
        name = self._names.training(key)
        asked: Awaitable[object] = (
            self._clients.call("sagemaker", "stop_training_job", TrainingJobName=name)
            if engine == "sagemaker"
            else self._clients.call("bedrock", "stop_model_customization_job", jobIdentifier=name)
        )
        try:
            await asked
        except AwsRefusal as refusal:
            if refusal.code not in _OVER:
                raise

    def _check_offered(self) -> None:
        if not self._names.training_role_arn:
            raise Permanent("engine_not_offered", "this stack has no role to train with elsewhere", field="engine")

    async def _start_sagemaker(self, name: str, wanted: Wanted) -> None:
        source = {"S3DataType": "S3Prefix", "S3Uri": wanted.dataset, "S3DataDistributionType": "FullyReplicated"}
        await self._clients.call(
            "sagemaker",
            "create_training_job",
            TrainingJobName=name,
            RoleArn=self._names.training_role_arn,
            AlgorithmSpecification={"TrainingImage": wanted.model, "TrainingInputMode": "File"},
            HyperParameters=dict(wanted.hyperparameters),
            InputDataConfig=[{"ChannelName": "training", "DataSource": {"S3DataSource": source}}],
            OutputDataConfig={"S3OutputPath": wanted.output},
            ResourceConfig={
                "InstanceType": wanted.instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": wanted.volume_gb,
            },
            StoppingCondition={"MaxRuntimeInSeconds": wanted.hours_max * 3600},
            EnableNetworkIsolation=True,
            Tags=[{"Key": name, "Value": value} for name, value in wanted.tags.items()],
        )

    async def _start_bedrock(self, name: str, wanted: Wanted) -> None:
        tags = [{"key": name, "value": value} for name, value in wanted.tags.items()]
        await self._clients.call(
            "bedrock",
            "create_model_customization_job",
            jobName=name,
            customModelName=name,
            clientRequestToken=name,
            roleArn=self._names.training_role_arn,
            baseModelIdentifier=wanted.model,
            trainingDataConfig={"s3Uri": wanted.dataset},
            outputDataConfig={"s3Uri": wanted.output},
            hyperParameters=dict(wanted.hyperparameters),
            jobTags=tags,
            customModelTags=tags,
        )

    async def _look_sagemaker(self, name: str) -> Seen:
        found = await self._clients.call("sagemaker", "describe_training_job", TrainingJobName=name)
        metrics, secondary = found.get("FinalMetricDataList", ()), found.get("SecondaryStatus", "")
        return Seen(
            status=_STATUS.get(found["TrainingJobStatus"], "running"),
            began_at=_ms(found["CreationTime"]),
            message=found.get("FailureReason") or _WHY.get(secondary, secondary),
            model=found.get("ModelArtifacts", {}).get("S3ModelArtifacts"),
            metrics={str(one["MetricName"]): float(one["Value"]) for one in metrics},
        )

    async def _look_bedrock(self, name: str) -> Seen:
        found = await self._clients.call("bedrock", "get_model_customization_job", jobIdentifier=name)
        return Seen(
            status=_STATUS.get(found["status"], "running"),
            began_at=_ms(found["creationTime"]),
            message=found.get("failureMessage", ""),
            model=found.get("outputModelArn"),
            metrics={str(kind): float(value) for kind, value in (found.get("trainingMetrics") or {}).items()},
        )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
