"""The files of a new job type, as an author would begin them: small, whole, and green."""

from infra.scaffold.entries import NewType


def payload_text(new: NewType) -> str:
    return f'''"""`{new.name}`: a text, a word on each line."""

from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints

from shared.payloads.base import Payload
from shared.retry import Policy


class {new.model}(Payload):
    """What each field means, where its name does not say it, and its limits."""

    policy: ClassVar[Policy] = Policy(timeout_s={new.timeout_s})

    type: Literal["{new.name}"] = "{new.name}"
    text: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
'''


def handler_text(new: NewType) -> str:
    return f'''"""`{new.name}`: a text, a word on each line."""

{
        _sorted(
            "from shared.errors import Permanent",
            "from shared.payloads.results import Artifact, ProcessResult",
            f"from shared.payloads.{new.name} import {new.model}",
            "from shared.runtime.context import Context",
            "from shared.runtime.definition import job",
        )
    }

@job({new.model})
async def {new.name}(payload: {new.model}, context: Context) -> ProcessResult:
    """The story: each line a step. Another worker may tell it again from the top."""
    words = payload.text.split()
    if not words:
        raise Permanent("no_words", "a text with words in it was expected", field="text")
    context.progress(len(words), len(words), message="words")
    async with context.artifacts.create("words.txt") as upload:
        await upload.write("\\n".join(words).encode())
    artifact = Artifact(url=upload.url, size_bytes=upload.size_bytes, sha256=upload.sha256)
    return ProcessResult(records_processed=len(words), artifact=artifact)


handler = {new.name}.lambda_handler
'''


def test_text(new: NewType) -> str:
    return f'''"""`{new.name}`, on its whole way: submitted, queued, run, settled; and whatever happens to it."""

{
        _sorted(
            f"from handlers.jobs.{new.name} import {new.name}",
            "from infra.testing import Drained, Longshore",
            "from shared.outcomes import Failed",
            f"from shared.payloads.{new.name} import {new.model}",
        )
    }

def test_each_word_gets_its_line(longshore: Longshore) -> None:
    submitted = longshore.submit({new.model}(text="a  few words"))
    assert longshore.drain() == Drained(succeeded=1)
    result = longshore.result(submitted).data.result
    assert longshore.artifact(result["artifact"]["url"]) == b"a\\nfew\\nwords"


def test_a_text_without_words_is_refused(longshore: Longshore) -> None:
    outcome = longshore.perform({new.name}, {new.model}(text=" "))
    assert outcome == Failed("no_words", "a text with words in it was expected", permanent=True, field="text")


def test_it_survives_a_crash_at_any_point(longshore: Longshore) -> None:
    longshore.crash_points({new.model}(text="one two"))
'''


def docs_text(new: NewType) -> str:
    return f"""# {new.name}

A text, a word on each line.

```json
{{"type": "{new.name}", "text": "a few words"}}
```

| field | |
|---|---|
| `text` | up to 10,000 characters |

The result: `artifact`, and in `records_processed` how many words there were.

## Errors

`no_words` (`text`) ends the job.
"""


def _sorted(*lines: str) -> str:
    return "\n".join(sorted(lines)) + "\n"
