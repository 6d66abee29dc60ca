"""The table of moves has two readers, `status.permitted` and the condition that DynamoDB evaluates. They must agree."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from moto.dynamodb.comparisons import create_condition_expression_parser
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from shared.aws.clients import Clients
from shared.aws.expressions import Clause, Terms, clauses_of, condition_of, item_of, job_of, update_arguments
from shared.job import Job, attributes
from shared.memory.jobs import MemoryJobs
from shared.ports import Applied, Refused
from shared.status import Event, Status, permitted
from tests.contract.cases import TENANT, Case, all_cases, attributes_read, combinations
from tests.contract.conftest import STACK, World

CASES = all_cases()
JOBS_TABLE = f"{STACK}-jobs"


def test_both_stores_answer_every_move_on_every_row_alike(aws_world: World) -> None:
    """Permitted or refused, the row after it, the image that a refusal brings, and what is stored in the end."""
    memory = MemoryJobs()
    memory.rows = {case.row.key: case.row for case in CASES if case.row}
    assert aws_world.clients is not None
    aws_world.run(_put(aws_world.clients, list(memory.rows.values())))

    async def both() -> Iterator[tuple[Case, Applied | Refused, Applied | Refused]]:
        in_memory = [await memory.apply(case.move) for case in CASES]
        on_aws = [await aws_world.ports.jobs.apply(case.move) for case in CASES]
        return zip(CASES, in_memory, on_aws, strict=True)

    answers = list(aws_world.run(both()))
    assert [answer for answer in answers if answer[1] != answer[2]] == []
    assert aws_world.run(_stored(aws_world.clients)) == memory.rows
    tried = Counter(type(answer).__name__ for _, answer, _ in answers)
    print(f"\n{len(CASES):,} moves made on both stores, {dict(tried)}, standing for {combinations():,}")
    assert min(tried["Applied"], tried["Refused"]) > 500


@pytest.mark.parametrize("event", Event)
def test_a_condition_reads_what_the_table_reads_and_nothing_else(event: Event) -> None:
    for case in (case for case in CASES if case.move.event is event):
        arguments = update_arguments(case.move)
        names = {
            arguments["ExpressionAttributeNames"][name]
            for name in re.findall(r"#\d+", arguments["ConditionExpression"])
        }
        assert names <= attributes_read(event) | {"pk", "status"}


def test_no_write_is_unconditional() -> None:
    assert all(update_arguments(case.move)["ConditionExpression"] for case in CASES)


# --- a comparison that notices nothing would prove nothing ------------------------------------------------------------

Mutant = tuple[str, tuple[Clause, ...]]

GROUPS = [
    (f"{event} {sorted(facts)}", list(group))
    for (event, facts), group in groupby(CASES, key=lambda case: (case.move.event, tuple(case.move.facts)))
]

SAID_TWICE = {"reclaim ['epoch', 'now']": {"without alone present"}}
"""What ran in company needs no attempts, so that who asks for attempts need not have been alone: true, and kept."""


@pytest.mark.parametrize(("name", "cases"), GROUPS, ids=[name for name, _ in GROUPS])
def test_the_comparison_notices_every_fence_and_guard_that_is_taken_out(name: str, cases: list[Case]) -> None:
    true = clauses_of(cases[0].move)
    assert list(_disagreements(cases, true)) == []
    unnoticed = {what for what, mutant in _mutants(true) if not any(_disagreements(cases, mutant))}
    assert unnoticed == SAID_TWICE.get(name, set())


MOVED = {"<": "<=", "<=": "<", ">": "<=", "not <=": "<="}


def _mutants(clauses: tuple[Clause, ...]) -> Iterator[Mutant]:
    """Each with one test or one alternative taken out, one boundary moved by one, or another status."""
    for index, (source, tests) in enumerate(clauses):
        other = Status.QUEUED if source is not Status.QUEUED else Status.WAITING
        yield f"{other} instead of {source}", _with(clauses, index, (other, tests))
        for test in tests:
            rest = tuple(other for other in tests if other != test)
            yield f"without {test.attribute} {test.operator}", _with(clauses, index, (source, rest))
            if test.operator in MOVED:
                moved = replace(test, operator=MOVED[test.operator])
                changed = tuple(moved if other == test else other for other in tests)
                yield f"{test.attribute} {moved.operator}", _with(clauses, index, (source, changed))
        if len(clauses) > 1:
            yield f"without rule {index}", clauses[:index] + clauses[index + 1 :]


def _with(clauses: tuple[Clause, ...], index: int, clause: Clause) -> tuple[Clause, ...]:
    return (*clauses[:index], clause, *clauses[index + 1 :])


def _disagreements(cases: Sequence[Case], clauses: Sequence[Clause]) -> Iterator[Case]:
    """Cases of one group in which the compiled `clauses`, evaluated, say otherwise than the table, interpreted."""
    terms = Terms()
    facts = cases[0].move.facts
    condition = condition_of(clauses, facts, terms)
    compiled = create_condition_expression_parser(condition, terms.names, terms.values).parse()
    for case in cases:
        row = None if case.row is None else attributes(case.row)
        if compiled.expr(_moto_item(case.row)) != permitted(case.move.event, row, facts):
            yield case


def _moto_item(job: Job | None) -> Item:
    item = {} if job is None else item_of(job)
    return Item(DynamoType(item.get("pk", {"S": ""})), None, item)


async def _put(clients: Clients, jobs: list[Job]) -> None:
    for start in range(0, len(jobs), 25):
        puts = [{"PutRequest": {"Item": item_of(job)}} for job in jobs[start : start + 25]]
        await clients.call("dynamodb", "batch_write_item", RequestItems={JOBS_TABLE: puts})
        await asyncio.sleep(0)


async def _stored(clients: Clients) -> dict[str, Job]:
    rows: dict[str, Job] = {}
    start: dict[str, Any] = {}
    while True:
        answer = await clients.call("dynamodb", "scan", TableName=JOBS_TABLE, ConsistentRead=True, **start)
        jobs = (job_of(item) for item in answer["Items"])
        rows |= {job.key: job for job in jobs if job.tenant_id == TENANT}
        if "LastEvaluatedKey" not in answer:
            return rows
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
