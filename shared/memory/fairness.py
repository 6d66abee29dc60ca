"""Fair queues, as both local twins of SQS have them: who sends much waits behind himself.

Of what may be received, the groups (tenants) that have the fewest messages in flight come first; of equals, the one
that was served longest ago. SQS does so once it finds a group noisy, and promises no order:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
"""

import heapq
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import count
from typing import TypeVar

M = TypeVar("M")


def fairly(waiting: Mapping[str, deque[M]], in_flight: Mapping[str, int], served: dict[str, int]) -> Iterator[M]:
    """The messages that wait, by group, in the order in which they are to be handed out; `waiting` is used up.

    `served` remembers for the next time which groups had their turn: give the queue's own. A step costs the logarithm
    of the number of groups.
    """
    turns = count(1 + max(served.values(), default=0))
    heap = [(in_flight.get(name, 0), served.get(name, 0), place, name) for place, name in enumerate(waiting)]
    heapq.heapify(heap)
    while heap:
        busy, _, place, name = heap[0]
        served[name] = next(turns)
        yield waiting[name].popleft()
        if waiting[name]:
            heapq.heapreplace(heap, (busy + 1, served[name], place, name))
        else:
            heapq.heappop(heap)
