"""`comment_on_issue`: an answer to one GitHub issue, by a model that has read the issue and the code."""

from typing import Final

from shared.issues.desk import at_desk
from shared.issues.result import IssueArtifacts, IssueResult
from shared.payloads.comment_on_issue import CommentOnIssuePayload
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.runtime.patient import patient

RIGHTS: Final = {"contents": "read", "issues": "write", "metadata": "read"}


@job(CommentOnIssuePayload)
@patient
async def comment_on_issue(payload: CommentOnIssuePayload, context: Context) -> IssueResult:
    """Read, think, say it once."""
    async with at_desk(payload, context, RIGHTS) as desk:
        text = await desk.remark(await desk.gather())
        url = await desk.comment(text) if payload.post_to_github else None
        return desk.result(IssueArtifacts(comment_url=url), comment=text)


handler = comment_on_issue.lambda_handler
