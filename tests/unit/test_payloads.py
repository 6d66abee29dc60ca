"""The doors' first question: what may a payload say?"""

from collections.abc import Iterator

import pytest
from pydantic import JsonValue

from shared.errors import InvalidInput
from shared.payloads import json_schema, open_types, read_payload
from shared.payloads.base import SHAPES
from shared.payloads.restore import RestorePayload

RESTORE = '"type": "restore", "backup_url": "s3://b/k"'


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ("{", "(the document)"),
        ("[]", "(the document)"),
        ('{"type": "nope"}', "type"),
        ("{}", "type"),
        ('{"type": "generic"}', "operation"),
        ('{"type": "generic", "operation": "x", "extra": 1}', "extra"),
        ('{"type": "generic", "operation": "x", "options": {"timeout": "5"}}', "options.timeout"),
        ('{"type": "generic", "operation": "x", "job_id": "a/b"}', "job_id"),
        ('{"type": "generic", "operation": "x", "tenantId": "a#b"}', "tenantId"),
        ('{"type": "extract", "database": "sqlite:///x", "tables": [""]}', "tables.0"),
        ('{"type": "extract", "database": "sqlite:///x", "tables": ["a"], "output_path": "../up"}', "output_path"),
        (f'{{{RESTORE}, "backupUrl": "s3://b/other", "database": "sqlite:///x"}}', "backupUrl"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(document: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_payload(document)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://me:hunter2@host/db",
        "postgresql://me:hun/ter2@host/db",
        "postgres://me:@host/db",
        "postgresql://host/db?user=me&password=hunter2",
    ],
)
def test_a_password_is_refused_at_the_door_and_not_repeated(database: str) -> None:
    with pytest.raises(InvalidInput, match="secret://NAME") as caught:
        read_payload(f'{{{RESTORE}, "database": "{database}"}}')
    assert caught.value.field == "database"
    assert "hun" not in str(caught.value)


@pytest.mark.parametrize(
    "database", ["postgresql://me@host:5432/db", "sqlite:///a:b@c.db", "secret://shop", "env://SHOP"]
)
def test_a_database_without_a_password_is_welcome(database: str) -> None:
    assert f'"database":"{database}"' in read_payload(f'{{{RESTORE}, "database": "{database}"}}').body_json()


def test_a_files_address_may_not_hold_a_user() -> None:
    with pytest.raises(InvalidInput, match="presigned") as caught:
        read_payload('{"type": "restore", "backup_url": "https://me:pw@host/x", "database": "secret://a"}')
    assert caught.value.field == "backup_url"


@pytest.mark.parametrize("skip_errors", ["skip_errors", "skipErrors"])
def test_both_spellings_are_read_and_one_is_kept(skip_errors: str) -> None:
    payload = read_payload(
        f'{{{RESTORE}, "database": "secret://a", "options": {{"{skip_errors}": true, "validate": false}}}}'
    )
    assert isinstance(payload, RestorePayload)
    assert (payload.options.skip_errors, payload.options.verify) == (True, False)
    kept = payload.body_json()
    assert '"skip_errors":true' in kept
    assert '"validate":false' in kept
    assert read_payload(kept.replace("{", '{"type":"restore",', 1)) == payload


def test_the_schema_spells_fields_as_people_write_them() -> None:
    definitions = json_schema()["$defs"]
    assert {"validate", "skip_errors", "batch_size"} <= set(definitions["RestoreOptions"]["properties"])
    assert {"timeout", "retries", "async"} == set(definitions["GenericOptions"]["properties"])


def patterns_in(schema: JsonValue) -> Iterator[str]:
    match schema:
        case dict():
            if isinstance(pattern := schema.get("pattern"), str):
                yield pattern
            yield from (pattern for value in schema.values() for pattern in patterns_in(value))
        case list():
            yield from (pattern for value in schema for pattern in patterns_in(value))


def test_nobody_is_answered_with_a_regular_expression() -> None:
    assert {pattern for model in open_types().values() for pattern in patterns_in(model.model_json_schema())} <= {
        *SHAPES
    }
    with pytest.raises(InvalidInput) as refusal:
        read_payload('{"type": "send_email", "to": ["ann"], "subject": "x", "text": "x", "tenant_id": "a b"}')
    told = {one.field: one.expected for one in refusal.value.problems}
    assert told["to.0"] == "a mail address, such as ann@example.com"
    assert told["tenant_id"] == "up to 64 letters, digits and . _ @ -"
