"""What a stack's resources are called: `template.yaml` makes them so, the adapters find them so."""

from dataclasses import dataclass

from shared.lanes import queues_of, routed


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """`schedule_role_arn` is needed only where schedules are made; its ARN tells the partition and the account."""

    stack: str
    bucket: str
    schedule_role_arn: str = ""
    lanes: frozenset[str] | None = None
    """The job types that have lanes (`shared/lanes.py`); None: nobody said, so SQS must be asked."""
    training_role_arn: str = ""
    """What SageMaker and Bedrock train with; empty: they are not used."""
    training_models: frozenset[str] = frozenset()
    """The training images and base models that they may be given."""

    @property
    def jobs_table(self) -> str:
        return f"{self.stack}-jobs"

    @property
    def side_table(self) -> str:
        return f"{self.stack}-side"

    @property
    def schedule_group(self) -> str:
        return self.stack

    def queue(self, queue: str) -> str:
        """Of a job type, or of one of its lanes."""
        return f"{self.stack}-{queue}"

    def queue_arn(self, job_type: str, region: str, lane: str | None = None) -> str:
        _, partition, _, _, account, _ = self.schedule_role_arn.split(":", 5)
        queues = queues_of(job_type) if self.lanes and job_type in self.lanes else ()
        return f"arn:{partition}:sqs:{region}:{account}:{self.queue(routed(job_type, lane, queues))}"

    def training(self, key: str) -> str:
        """What SageMaker or Bedrock trains: at most 63 characters, so a stack of more than 46 has none."""
        return f"{self.stack}-{key[:16]}"

    def secret(self, name: str) -> str:
        """`name` begins with the tenant's id and a slash; functions may read nothing outside of their own stack's."""
        return f"{self.stack}/{name}"


def default_bucket(stack: str, account: str, region: str) -> str:
    return f"{stack}-{account}-{region}"
