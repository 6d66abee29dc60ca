"""What went wrong, told to a person: what is wrong, in which field, what to do. And its exit code.

Exit codes:  0 done · 1 the job failed · 2 bad input · 3 not found · 4 the endpoint cannot be reached, or refuses
"""

import json
import sys
from collections.abc import Sequence
from typing import Final

import click

from shared.errors import Conflict, InvalidInput, LongshoreError, NotFound

FAILED: Final = 1
BAD_INPUT: Final = 2
NOT_FOUND: Final = 3
UNREACHABLE: Final = 4
INTERRUPTED: Final = 130

_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (click.ClickException, BAD_INPUT),
    (InvalidInput, BAD_INPUT),
    (Conflict, BAD_INPUT),
    (NotFound, NOT_FOUND),
    (LongshoreError, UNREACHABLE),
    (OSError, BAD_INPUT),
)

_ADVICE: Final = {
    "ResourceNotFoundException": "no such stack there: give --stack and --region, or deploy it first",
    "NoCredentialsError": "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret",
    "NoRegionError": "no AWS region is set: give --region, or set AWS_REGION",
    "ExpiredToken": "the AWS credentials have expired: sign in again",
    "ExpiredTokenException": "the AWS credentials have expired: sign in again",
    "AccessDeniedException": "these AWS credentials may not do that",
    "unauthorized": "give --token, or set LONGSHORE_TOKEN; for the local cloud, `longshore token` makes one",
    "forbidden": "ask whoever gave you the token for another role",
    "no_such_job": "`longshore list` shows the newest jobs of this tenant",
    "conflict": "use another --key, or the same payload",
}
"""What to do about an error, by its code."""


def explain(error: Exception, *, as_json: bool) -> int:
    """Tell `error` on stderr; → its exit code."""
    document = _document(error)
    if as_json:
        sys.stderr.write(json.dumps({"error": document}, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(_sentence(error))
    return next(code for kind, code in _CODES if isinstance(error, kind))


def _document(error: Exception) -> dict[str, object]:
    if not isinstance(error, LongshoreError):
        return {"code": "usage" if isinstance(error, click.ClickException) else "file", "message": _said(error)}
    document: dict[str, object] = {"code": error.code, "message": error.message}
    document |= {"field": error.field} if error.field else {}
    if isinstance(error, InvalidInput) and error.problems:
        document["problems"] = [{"field": problem.field, "expected": problem.expected} for problem in error.problems]
    return document


def _sentence(error: Exception) -> str:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return f"{error.format_message()}\n"
    lines = [f"longshore: {_said(error)}"]
    if isinstance(error, InvalidInput) and error.problems:
        lines = ["longshore: this payload is not valid", *_aligned(error.problems)]
    if isinstance(error, click.UsageError) and error.ctx is not None:
        lines.append(f"  try: {error.ctx.command_path} --help")
    if isinstance(error, LongshoreError) and error.code in _ADVICE:
        lines.append(f"  {_ADVICE[error.code]}")
    return "\n".join(lines) + "\n"


def _said(error: Exception) -> str:
    match error:
        case click.ClickException():
            return error.format_message()
        case LongshoreError():
            return f"{error.field}: {error.message}" if error.field else error.message
        case OSError(filename=str(name), strerror=str(reason)):
            return f"{name}: {reason}"
    return str(error)


def _aligned(problems: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(field) for field, _ in problems)
    return [f"  {field:<{width}}  {expected}" for field, expected in problems]
