"""`comment_on_issue`: an answer to one GitHub issue, written by a language model that has read the code."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from shared.payloads.base import Payload, shaped
from shared.retry import Policy


def _refuse_dots(name: str) -> str:
    if name.partition("/")[2] in (".", ".."):
        raise ValueError("OWNER/NAME of a repository")
    return name


RepoName = Annotated[
    str,
    shaped(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,38}/[A-Za-z0-9._-]{1,100}$", "OWNER/NAME of a repository"),
    AfterValidator(_refuse_dots),
]
"""`OWNER/NAME`"""

GithubRef = Annotated[str, shaped(r"^secret://[A-Za-z0-9][A-Za-z0-9_.@-]*$", "secret://NAME", max_length=80)]
"""A secret of the tenant: a token, or a JSON object that says where GitHub is and who we are there."""

ModelRef = Annotated[
    str,
    shaped(
        r"^(secret://[A-Za-z0-9][A-Za-z0-9_.@-]*|bedrock://[A-Za-z0-9_.:/-]*)$",
        "secret://NAME, bedrock://MODEL, or bedrock:// for the stack's own",
        max_length=256,
    ),
]
"""A secret of the tenant (an OpenAI-compatible endpoint), `bedrock://MODEL`, or `bedrock://` for the stack's own."""


class IssuePayload(Payload):
    """What all jobs on issues are told. No key or host is ever in it: both are in the secrets it names."""

    policy: ClassVar[Policy] = Policy(attempts_max=5, base_delay_s=5.0, max_delay_s=300.0, timeout_s=300)

    issue_number: Annotated[int, Field(ge=1, le=2**31 - 1)]
    repo_full_name: RepoName
    github: GithubRef = "secret://github"
    model: ModelRef = "bedrock://"


class CommentOnIssuePayload(IssuePayload):
    """`post_to_github`: false leaves the comment in the result alone."""

    type: Literal["comment_on_issue"] = "comment_on_issue"
    post_to_github: bool = True
