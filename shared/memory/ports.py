"""All ports in memory, the same every time: give the clock of `run_virtual` and a seed."""

from random import Random

from shared.memory.connections import MemoryConnections
from shared.memory.jobs import MemoryJobs
from shared.memory.mail import MemoryMail
from shared.memory.objects import MemoryObjects
from shared.memory.queues import MemoryQueues
from shared.memory.schedules import MemorySchedules
from shared.memory.secrets import MemorySecrets
from shared.memory.side import MemorySide
from shared.memory.training import MemoryTrainers
from shared.ports import Clock, Ports


def memory_ports(now: Clock, seed: int = 0, *, queues: MemoryQueues | None = None) -> Ports:
    """Fresh and empty. `queues` to choose their visibility, receives or job types. Dice and tokens follow `seed`."""
    random = Random(seed)  # noqa: S311  repeatable on purpose
    queues = queues or MemoryQueues(now)
    return Ports(
        jobs=MemoryJobs(),
        side=MemorySide(),
        queues=queues,
        schedules=MemorySchedules(queues, now),
        objects=MemoryObjects(),
        secrets=MemorySecrets(),
        connections=MemoryConnections(),
        mail=MemoryMail(),
        trainers=MemoryTrainers(now),
        now=now,
        dice=random.random,
        token=lambda: f"{random.getrandbits(64):016x}",
    )
