"""What a stack's resources are called: `template.yaml` makes them so, the adapters find them so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """`schedule_role_arn` is needed only where schedules are made; its ARN tells the partition and the account."""

    stack: str
    bucket: str
    schedule_role_arn: str = ""

    @property
    def jobs_table(self) -> str:
        return f"{self.stack}-jobs"

    @property
    def side_table(self) -> str:
        return f"{self.stack}-side"

    @property
    def schedule_group(self) -> str:
        return self.stack

    def queue(self, job_type: str) -> str:
        return f"{self.stack}-{job_type}"

    def queue_arn(self, job_type: str, region: str) -> str:
        _, partition, _, _, account, _ = self.schedule_role_arn.split(":", 5)
        return f"arn:{partition}:sqs:{region}:{account}:{self.queue(job_type)}"

    def secret(self, name: str) -> str:
        """`name` begins with the tenant's id and a slash; functions may read nothing outside of their own stack's."""
        return f"{self.stack}/{name}"


def default_bucket(stack: str, account: str, region: str) -> str:
    return f"{stack}-{account}-{region}"
