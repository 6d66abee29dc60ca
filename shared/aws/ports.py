"""All ports on AWS, for one stack. Clients are made when first called, so a function pays for those it uses."""

from shared.aws.clients import Clients
from shared.aws.connections import AwsConnections
from shared.aws.jobs import AwsJobs
from shared.aws.mail import AwsMail
from shared.aws.objects import AwsObjects
from shared.aws.queues import AwsQueues
from shared.aws.schedules import AwsSchedules
from shared.aws.secrets import AwsSecrets
from shared.aws.side import AwsSide
from shared.aws.training import AwsTrainers
from shared.names import Names, default_bucket
from shared.ports import Clock, Dice, Ports, Tokens


def aws_ports(
    clients: Clients, names: Names, *, now: Clock, dice: Dice, token: Tokens, polling: Clients | None = None
) -> Ports:
    """`polling`: clients of its own for long polls, in a process that does much else at the same time."""
    return Ports(
        jobs=AwsJobs(clients, names, dice),
        side=AwsSide(clients, names, dice),
        queues=AwsQueues(clients, names, dice, polling=polling),
        schedules=AwsSchedules(clients, names),
        objects=AwsObjects(clients, names, dice),
        secrets=AwsSecrets(clients, names),
        connections=AwsConnections(clients),
        mail=AwsMail(clients),
        trainers=AwsTrainers(clients, names),
        now=now,
        dice=dice,
        token=token,
    )


async def stack_bucket(clients: Clients, stack: str) -> str:
    """The bucket that the template makes for `stack`, where nobody said its name: one call to STS."""
    account = (await clients.call("sts", "get_caller_identity"))["Account"]
    return default_bucket(stack, account, (await clients.get("sts")).meta.region_name)
