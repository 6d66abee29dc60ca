"""What template.yaml promises, and no linter checks: numbers that fit each other, rights, durability."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.intrinsics import Place
from infra.local.template import Resource, Template, read_template
from shared.audit import Problem
from shared.envelope import Envelope, read_message
from shared.lanes import LANES, queue_of, split
from shared.moves import RETENTION_MS
from shared.payloads import TYPES
from shared.retry import DELAY_S_MAX
from shared.runtime.documents import SIDE_RETENTION_MS
from shared.runtime.logs import NAMESPACE

ROOT = Path(__file__).resolve().parents[2]
STACK = "some-stack"
TEMPLATE = read_template(
    (ROOT / "template.yaml").read_text(),
    Place(stack=STACK),
    {
        "SubnetIds": "subnet-1",
        "SecurityGroupIds": "sg-1",
        "EmailFrom": "shop@example.com",
        "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms",
        "ArtifactsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1",
        "TrainingRoleArn": "arn:aws:iam::123456789012:role/training",
    },
)
"""With every option taken, so that nothing conditional escapes the rules."""

FUNCTIONS = TEMPLATE.of_type("AWS::Serverless::Function")
QUEUES = {queue.properties["QueueName"]: queue.properties for queue in TEMPLATE.of_type("AWS::SQS::Queue")}
JOB_FUNCTIONS = {
    function.properties["Handler"].split(".")[2]: function
    for function in FUNCTIONS
    if function.properties["Handler"].startswith("handlers.jobs.")
}
LANED = TEMPLATE.resources["ApiFunction"].properties["Environment"]["Variables"]["LONGSHORE_LANES"].split(",")
MAPPED = {
    mapping.properties["EventSourceArn"].rpartition(f":{STACK}-")[2]: mapping.properties
    for mapping in TEMPLATE.of_type("AWS::Lambda::EventSourceMapping")
}
each_job_type = pytest.mark.parametrize("job_type", sorted(JOB_FUNCTIONS))
each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.logical_id)


def event_sources(function: Resource, kind: str) -> list[dict[str, Any]]:
    events = function.properties.get("Events", {}).values()
    return [event["Properties"] for event in events if event["Type"] == kind]


def grants(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """(role's logical id, statement) of every statement that allows a role something."""
    for role in template.of_type("AWS::IAM::Role"):
        for policy in role.properties.get("Policies", []):
            yield from ((role.logical_id, statement) for statement in policy["PolicyDocument"]["Statement"])
    for policy in template.of_type("AWS::IAM::Policy"):
        for name in policy.properties["Roles"]:
            statements = policy.properties["PolicyDocument"]["Statement"]
            yield from ((name.removeprefix(f"{STACK}-"), statement) for statement in statements)


def granted(role: str, queue: str) -> set[str]:
    """What a role may do to a queue."""
    arn = f"arn:aws:sqs:us-east-1:123456789012:{STACK}-{queue}"
    found = [statement for name, statement in grants(TEMPLATE) if name == role]
    return {
        action for statement in found if arn in listed(statement["Resource"]) for action in listed(statement["Action"])
    }


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_all_that_a_role_may_fits_what_iam_takes() -> None:
    """10,240 characters without blanks; some are left for a longer stack's name and for types to come:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    sizes: Counter[str] = Counter()
    for role in TEMPLATE.of_type("AWS::IAM::Role"):
        for policy in role.properties.get("Policies", []):
            sizes[role.logical_id] += len(json.dumps(policy["PolicyDocument"], separators=(",", ":")))
    for policy in TEMPLATE.of_type("AWS::IAM::Policy"):
        for name in policy.properties["Roles"]:
            document = json.dumps(policy.properties["PolicyDocument"], separators=(",", ":"))
            sizes[name.removeprefix(f"{STACK}-")] += len(document)
    assert {name: size for name, size in sizes.items() if size > 9_000} == {}


# --- a job type is a turn of the loop ---


def test_every_job_type_is_a_turn_of_the_loop() -> None:
    assert set(JOB_FUNCTIONS) == set(TYPES)


@each_job_type
def test_a_types_queue_feeds_its_function(job_type: str) -> None:
    (source,) = event_sources(JOB_FUNCTIONS[job_type], "SQS")
    assert source["Queue"].endswith(f":{STACK}-{job_type}")


# --- numbers that fit each other ---


@each_job_type
def test_a_function_outlives_its_job_by_15_seconds(job_type: str) -> None:
    assert JOB_FUNCTIONS[job_type].properties["Timeout"] == TYPES[job_type].policy.timeout_s + 15 <= 900


@each_job_type
def test_a_message_stays_hidden_until_its_invocation_is_surely_over(job_type: str) -> None:
    (source,) = event_sources(JOB_FUNCTIONS[job_type], "SQS")
    window_s = source["MaximumBatchingWindowInSeconds"]
    needed_s = window_s + JOB_FUNCTIONS[job_type].properties["Timeout"] + 30
    assert QUEUES[f"{STACK}-{job_type}"]["VisibilityTimeout"] >= needed_s


@each_job_type
def test_a_long_job_has_no_neighbour_in_its_batch(job_type: str) -> None:
    (source,) = event_sources(JOB_FUNCTIONS[job_type], "SQS")
    assert source["BatchSize"] == 1 or (TYPES[job_type].policy.timeout_s <= 60 and source["BatchSize"] <= 10)


@each_job_type
def test_one_failure_of_a_batch_is_answered_alone_and_nothing_is_throttled(job_type: str) -> None:
    (source,) = event_sources(JOB_FUNCTIONS[job_type], "SQS")
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 2 <= source["ScalingConfig"]["MaximumConcurrency"] <= 1000
    assert "ReservedConcurrentExecutions" not in JOB_FUNCTIONS[job_type].properties
    assert "FilterCriteria" not in source, "a filter deletes what it does not let through"


# --- priority lanes ---


def test_who_sends_knows_which_types_have_lanes() -> None:
    assert set(LANED) <= set(TYPES)
    assert sorted(MAPPED) == sorted(queue_of(job_type, lane) for job_type in LANED for lane in LANES)


@pytest.mark.parametrize("queue", sorted(MAPPED))
def test_a_lane_is_like_its_types_own_queue(queue: str) -> None:
    job_type, _ = split(queue)
    function = JOB_FUNCTIONS[job_type]
    (source,) = event_sources(function, "SQS")
    assert MAPPED[queue]["FunctionName"] == f"{STACK}-{job_type}"
    for setting in ("BatchSize", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes"):
        assert MAPPED[queue][setting] == source[setting]
    theirs, ours = QUEUES[f"{STACK}-{job_type}"], QUEUES[f"{STACK}-{queue}"]
    assert ours == theirs | {"QueueName": f"{STACK}-{queue}"}
    for role in ("ApiRole", "AuditRole", "DeadLetterRole", "ReactorRole", "SchedulerRole", role_of(function)):
        assert granted(role, queue) == granted(role, job_type), role


def test_low_jobs_move_but_get_in_nobodys_way() -> None:
    concurrency = {queue: mapping["ScalingConfig"]["MaximumConcurrency"] for queue, mapping in MAPPED.items()}
    for job_type in LANED:
        assert 2 <= concurrency[f"{job_type}-low"] <= concurrency[f"{job_type}-high"] / 5
        assert concurrency[f"{job_type}-urgent"] >= concurrency[f"{job_type}-high"]


# --- nothing is lost ---


@pytest.mark.parametrize("name", sorted(QUEUES))
def test_a_queue_keeps_messages_for_14_days_and_encrypted(name: str) -> None:
    assert QUEUES[name]["MessageRetentionPeriod"] == 14 * 86_400
    assert QUEUES[name]["SqsManagedSseEnabled"] is True


@each_job_type
def test_a_message_is_received_20_times_before_it_is_a_dead_letter(job_type: str) -> None:
    redrive = QUEUES[f"{STACK}-{job_type}"]["RedrivePolicy"]
    assert redrive["maxReceiveCount"] == 20
    assert redrive["deadLetterTargetArn"].endswith(f":{STACK}-dead-letters")


def test_dead_letters_are_received_by_one_function_that_answers_for_each_and_outlived_by_their_visibility() -> None:
    (healer,) = (function for function in FUNCTIONS if function.properties["Handler"] == "handlers.dead_letter.handler")
    (source,) = event_sources(healer, "SQS")
    queue = QUEUES[f"{STACK}-dead-letters"]
    assert source["Queue"].endswith(f":{STACK}-dead-letters")
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert queue["VisibilityTimeout"] >= source["MaximumBatchingWindowInSeconds"] + healer.properties["Timeout"] + 30
    assert "RedrivePolicy" not in queue, "nothing is behind it: a letter that fails stays"


def test_a_stream_record_is_tried_for_23_hours_and_then_kept_whole() -> None:
    (moves,) = event_sources(TEMPLATE.resources["ReactorFunction"], "DynamoDB")
    (creations,) = event_sources(TEMPLATE.resources["BroadcastFunction"], "DynamoDB")
    for setting in ("StartingPosition", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "DestinationConfig"):
        assert creations[setting] == moves[setting], f"a record that the tally loses is a difference: {setting}"
    assert moves["StartingPosition"] == "TRIM_HORIZON"
    assert moves["BisectBatchOnFunctionError"] is True
    assert moves["MaximumRetryAttempts"] == -1
    assert moves["MaximumRecordAgeInSeconds"] == 23 * 3600
    assert moves["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert moves["DestinationConfig"]["OnFailure"]["Destination"].startswith("arn:aws:s3:::")


def test_the_tally_is_told_which_shard_it_counts() -> None:
    (creations,) = event_sources(TEMPLATE.resources["BroadcastFunction"], "DynamoDB")
    assert 0 < creations["TumblingWindowInSeconds"] <= 30, "counts are as old as that"


def test_who_counts_costs_knows_every_types_memory() -> None:
    sizes = {name: function.properties["MemorySize"] for name, function in JOB_FUNCTIONS.items()}
    said = {function.properties["Environment"]["Variables"]["LONGSHORE_MEMORY_MB"] for function in FUNCTIONS}
    (pairs,) = (dict(pair.split("=") for pair in text.split(",")) for text in said)
    assert pairs == {name: str(size) for name, size in sizes.items()}


def test_the_audit_is_looked_after_every_hour_and_has_time_for_a_page() -> None:
    audit = TEMPLATE.resources["AuditFunction"]
    assert event_sources(audit, "Schedule") == [{"Schedule": "rate(1 hour)"}]
    assert audit.properties["Timeout"] == 900


def test_schedules_are_looked_at_every_minute_and_by_a_function_that_is_over_by_then() -> None:
    clock = TEMPLATE.resources["ScheduleFunction"]
    assert event_sources(clock, "Schedule") == [{"Schedule": "rate(1 minute)"}]
    assert clock.properties["Timeout"] <= 60


def test_tables_are_recoverable_encrypted_and_outlive_the_stack() -> None:
    for table in TEMPLATE.of_type("AWS::DynamoDB::Table"):
        assert table.properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table.properties["SSESpecification"]["SSEEnabled"] is True
        assert table.properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    kept = re.findall(
        r"^    (?:DeletionPolicy|UpdateReplacePolicy): Retain$", (ROOT / "template.yaml").read_text(), re.MULTILINE
    )
    assert len(kept) == 2 * 3, "two tables and the bucket"


def test_only_the_jobs_table_has_a_stream() -> None:
    streams = {name: table.properties.get("StreamSpecification") for name, table in TEMPLATE.resources.items()}
    assert streams["JobsTable"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert streams["SideTable"] is None


# --- rights ---


WIDER = {
    f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{STACK}-": "names there have no folders",
    "arn:aws:bedrock:us-east-1::foundation-model/": "which of them, says TrainingModels",
    "arn:aws:bedrock:us-east-1:123456789012:custom-model/": "Bedrock names them itself",
    "arn:aws:bedrock:us-east-1:123456789012:model-customization-job/": "Bedrock names them itself",
}
"""What can't be said more narrowly, and why."""


def test_nothing_is_granted_on_everything() -> None:
    found = list(grants(TEMPLATE))
    assert len(found) > len(TEMPLATE.of_type("AWS::IAM::Role"))
    for role, statement in found:
        assert statement["Effect"] == "Allow", role
        assert not any("*" in action for action in listed(statement["Action"])), (role, statement)
        for resource in listed(statement["Resource"]):
            stem, star, rest = resource.partition("*")
            is_ours = STACK in stem and stem[-1] in "/:"
            assert not star or ((is_ours or stem in WIDER) and not rest), (role, resource)


def role_of(function: Resource) -> str:
    return function.logical_id.replace("Function", "Role")


@each_function
def test_every_function_has_a_role_of_its_own(function: Resource) -> None:
    assert function.properties["Role"].endswith(f":role/{STACK}-{role_of(function)}")
    (trust,) = TEMPLATE.resources[role_of(function)].properties["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_only_schedules_of_this_account_may_take_the_schedulers_role() -> None:
    (trust,) = TEMPLATE.resources["SchedulerRole"].properties["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"]["aws:SourceAccount"] == "123456789012"


def test_workers_send_nothing() -> None:
    workers = {role_of(function) for function in JOB_FUNCTIONS.values()}
    actions = {
        action for role, statement in grants(TEMPLATE) if role in workers for action in listed(statement["Action"])
    }
    assert "sqs:DeleteMessage" in actions
    assert "sqs:SendMessage" not in actions


@each_job_type
def test_a_queue_can_be_woken_by_the_reactor_schedules_dead_letters_the_audit_and_an_admin(job_type: str) -> None:
    senders = {
        role
        for role, statement in grants(TEMPLATE)
        if "sqs:SendMessage" in listed(statement["Action"])
        and f"arn:aws:sqs:us-east-1:123456789012:{STACK}-{job_type}" in listed(statement["Resource"])
    }
    assert senders == {"ApiRole", "AuditRole", "DeadLetterRole", "ReactorRole", "SchedulerRole"}


@each_function
def test_a_wakeup_may_pass_from_queue_to_queue_more_than_16_times(function: Resource) -> None:
    assert function.properties["RecursiveLoop"] == "Allow"


def test_the_bucket_is_private_and_speaks_tls_alone() -> None:
    (bucket,) = TEMPLATE.of_type("AWS::S3::Bucket")
    assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket.properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (policy,) = TEMPLATE.of_type("AWS::S3::BucketPolicy")
    (statement,) = policy.properties["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": False}}
    assert statement["Resource"] == [f"arn:aws:s3:::{bucket.properties['BucketName']}{end}" for end in ("", "/*")]


# --- what operators hear ---


def test_what_a_job_still_needs_does_not_expire_before_it() -> None:
    rules = TEMPLATE.resources["ArtifactsBucket"].properties["LifecycleConfiguration"]["Rules"]
    days = {rule.get("Prefix", ""): rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    assert "" not in days, "a rule for all would expire payloads as well: of several rules the shortest wins"
    assert days["payloads/"] * 86_400 >= DELAY_S_MAX + RETENTION_MS / 1000
    assert days["quarantine/"] * 86_400_000 >= SIDE_RETENTION_MS


def test_every_queue_the_streams_readers_and_the_books_are_watched() -> None:
    alarms = [alarm.properties for alarm in TEMPLATE.of_type("AWS::CloudWatch::Alarm")]
    watched = {(alarm["MetricName"], alarm["Dimensions"][0]["Value"]) for alarm in alarms}
    assert watched == {
        *(("ApproximateAgeOfOldestMessage", f"{STACK}-{queue}") for queue in (*JOB_FUNCTIONS, *MAPPED)),
        ("ApproximateNumberOfMessagesVisible", f"{STACK}-dead-letters"),
        ("IteratorAge", f"{STACK}-reactor"),
        ("IteratorAge", f"{STACK}-broadcast"),
        ("Errors", f"{STACK}-audit"),
        ("Errors", f"{STACK}-schedule"),
        *((f"audit_{what}", STACK) for what in (*Problem, "unreadable", "unbalanced")),
        ("dead_letter_returned", STACK),
        ("quarantined", STACK),
    }
    assert {alarm["Namespace"] for alarm in alarms} == {"AWS/SQS", "AWS/Lambda", NAMESPACE}
    assert all(alarm["AlarmActions"] == ["arn:aws:sns:us-east-1:123456789012:alarms"] for alarm in alarms)


# --- bundles ---


def test_all_functions_run_on_one_runtime() -> None:
    kinds = {(function.properties["Runtime"], *function.properties["Architectures"]) for function in FUNCTIONS}
    assert len(kinds) == 1, kinds


@pytest.mark.parametrize("folder", sorted({function.properties["CodeUri"] for function in FUNCTIONS}))
def test_what_is_shipped_is_what_was_tested(folder: str) -> None:
    pin = re.compile(r"^([a-z0-9-]+==[^ ;]+)", re.MULTILINE)
    tested = set(pin.findall((ROOT / "requirements" / "dev.lock").read_text()))
    shipped = set(pin.findall((ROOT / folder / "requirements.txt").read_text()))
    assert shipped, folder
    assert shipped <= tested


def test_in_the_cloud_no_tenant_reaches_what_the_workers_reach() -> None:
    text = (ROOT / "template.yaml").read_text()
    assert re.search(r'OpenDatabases:\n    Type: String\n    Default: "0"\n', text)
    variables = TEMPLATE.resources["ExtractFunction"].properties["Environment"]["Variables"]
    assert variables["LONGSHORE_OPEN_DATABASES"] == "1", "on a laptop: infra/local/template.py"


# --- what SES tells ---------------------------------------------------------------------------------------------------


def test_what_ses_tells_becomes_a_job_of_whose_mail_it_was() -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html"""
    rule = TEMPLATE.resources["MailEventRule"].properties
    (target,) = rule["Targets"]
    detail = {"eventType": "Reject", "mail": {"messageId": "m", "tags": {"tenant_id": ["acme"], "job_id": ["job_1"]}}}
    event: Any = {"id": "7bf73129-1428-4cd3-a780-95db273d1602", "source": "aws.ses", "detail": detail}
    body = target["InputTransformer"]["InputTemplate"]
    for name, path in target["InputTransformer"]["InputPathsMap"].items():
        found = event
        for step in re.findall(r"\w+", path):
            found = found[int(step)] if step.isdigit() else found[step]
        body = body.replace(f"<{name}>", found if isinstance(found, str) else json.dumps(found))
    read = read_message(body, job_type="mail_event", message_id="1")
    assert isinstance(read, Envelope)
    assert (read.tenant_id, read.job_id, read.problem) == ("acme", f"mail-{event['id']}", None)
    pattern = rule["EventPattern"]
    assert pattern["detail"]["mail"]["tags"] == {"ses:configuration-set": [STACK], "tenant_id": [{"exists": True}]}


def test_nobody_from_outside_but_that_rule_may_send_to_a_queue() -> None:
    (policy,) = TEMPLATE.of_type("AWS::SQS::QueuePolicy")
    (statement,) = policy.properties["PolicyDocument"]["Statement"]
    arn = "arn:aws:events:us-east-1:123456789012:rule/some-stack-mail-events"
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": f"arn:aws:sqs:us-east-1:123456789012:{STACK}-mail_event",
        "Condition": {"ArnEquals": {"aws:SourceArn": arn}},
    }
