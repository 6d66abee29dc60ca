"""A language model that is asked for one JSON object: any OpenAI-compatible endpoint, or Amazon Bedrock's Converse.

https://platform.openai.com/docs/api-reference/chat
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydantic import BaseModel, Field, JsonValue, ValidationError
from pydantic_core import from_json

from shared.aws.bedrock import converse
from shared.errors import Permanent
from shared.issues.api import Api
from shared.issues.connection import Known, ModelConnection
from shared.issues.http import net
from shared.issues.patch import Form, Unusable
from shared.issues.words import printable
from shared.job import compact_json

FIELD: Final = "model"
TIMEOUT_S: Final = 120
ANSWER_BYTES_MAX: Final = 300_000
"""It is kept beside the job's row, which has room for 350,000."""

ENVELOPE_BYTES_MAX: Final = 2 << 20
"""Of an endpoint's whole answer: JSON may write each of those bytes in six."""

TOKENS_MAX: Final = 10**9
_USED: Final = ("prompt_tokens", "completion_tokens")

BEDROCK: Final = "bedrock://"
BEDROCK_VARIABLE: Final = "LONGSHORE_BEDROCK_MODEL"

F = TypeVar("F", bound=Form)

Talk = Callable[[str, str], Awaitable["Said"]]
"""(instructions, the document) → what the model said"""


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(slots=True)
class Model:
    """`tokens`: used up so far, in and out."""

    talk: Talk
    known: Known
    tokens: list[int] = field(default_factory=lambda: [0, 0])

    async def ask(self, instructions: str, document: dict[str, JsonValue], form: type[F]) -> F:
        """Raises Unusable for what is not the form, and what the server's refusals are."""
        said = await self.talk(instructions, compact_json(document))
        self.tokens[0] += said.tokens_in
        self.tokens[1] += said.tokens_out
        if len(said.text.encode("utf-8", "replace")) > ANSWER_BYTES_MAX:
            raise Unusable(f"the answer is longer than {ANSWER_BYTES_MAX:,} bytes")
        try:
            return form.model_validate(self.known.scrub_all(from_json(_bare(said.text))))
        except ValidationError as error:
            raise Unusable(_told(error)) from None
        except ValueError:
            raise Unusable("the answer is no JSON object") from None


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: JsonValue = None


@asynccontextmanager
async def endpoint(
    connection: ModelConnection, *, known: Known, now: Callable[[], int], is_local: bool
) -> AsyncIterator[Model]:
    """An OpenAI-compatible one."""
    known.learn(connection.api_key)
    key = None if connection.api_key is None else connection.api_key.get_secret_value()
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with net(
        FIELD, timeout_s=TIMEOUT_S, bytes_max=ENVELOPE_BYTES_MAX, is_private=connection.private, is_local=is_local
    ) as exchange:
        api = Api(exchange, connection.base_url, headers, FIELD, known, now)

        async def talk(instructions: str, document: str) -> Said:
            messages: list[JsonValue] = [
                {"role": "system", "content": instructions},
                {"role": "user", "content": document},
            ]
            body: dict[str, JsonValue] = {"model": connection.model, "response_format": {"type": "json_object"}}
            _, answer = await api.ask(
                "POST", "/chat/completions", body | connection.parameters | {"messages": messages}
            )
            completion = api.read(_Completion, answer)
            first, used = completion.choices[0], [_used(completion.usage, one) for one in _USED]
            _check_end(first.finish_reason)
            return Said(first.message.content or "", *used)

        yield Model(talk, known)


@asynccontextmanager
async def bedrock(reference: str, *, known: Known) -> AsyncIterator[Model]:
    """`bedrock://MODEL`, an id or ARN; `bedrock://` is the stack's own. Raises Permanent("no_model")."""
    name = reference.removeprefix(BEDROCK) or os.environ.get(BEDROCK_VARIABLE, "")
    if not name:
        message = "this stack has no model of its own: name bedrock://MODEL, or an endpoint's secret"
        raise Permanent("no_model", message, field=FIELD)

    async with converse(name, timeout_s=TIMEOUT_S, field=FIELD) as call:

        async def talk(instructions: str, document: str) -> Said:
            text, stopped, *tokens = await call(instructions, document)
            _check_end(stopped)
            return Said(text, *tokens)

        yield Model(talk, known)


def _used(usage: JsonValue, name: str) -> int:
    """As far as it can be believed: for a model's books no answer is thrown away."""
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if type(count) is int and 0 <= count <= TOKENS_MAX else 0


def _check_end(reason: str | None) -> None:
    if reason in ("length", "max_tokens"):
        raise Unusable("the answer broke off at its greatest length: a smaller one was expected")
    if reason in ("content_filter", "content_filtered", "guardrail_intervened"):
        raise Permanent("model_refused", "its own filter stopped the model's answer", field=FIELD)


def _bare(text: str) -> str:
    """Without the code fence that models like to put around it."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.partition("\n")[2].removesuffix("```")
    return text


def _told(error: ValidationError) -> str:
    """Where it is wrong, without repeating what stands there."""
    found = error.errors(include_input=False, include_url=False, include_context=False)[:5]
    places = (printable(".".join(str(part)[:40] for part in one["loc"])) or "the answer" for one in found)
    return "; ".join(f"{place}: {one['msg']}" for place, one in zip(places, found, strict=True))
