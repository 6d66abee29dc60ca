"""`resolve_issue`: a change for one GitHub issue on a branch of its own, and a pull request that people decide on."""

from shared.issues.desk import at_desk
from shared.issues.resolving import handed_in, rights
from shared.issues.result import IssueResult
from shared.payloads.resolve_issue import ResolveIssuePayload
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.runtime.patient import patient


@job(ResolveIssuePayload)
@patient
async def resolve_issue(payload: ResolveIssuePayload, context: Context) -> IssueResult:
    """An answer that cannot be used is a failure like others: the job's next attempt asks again."""
    async with at_desk(payload, context, rights(allow_ci_files=payload.allow_ci_files)) as desk:
        material = await desk.gather()
        proposal, changes = await desk.proposal(material, allow_ci_files=payload.allow_ci_files)
        return await handed_in(
            desk,
            material,
            proposal,
            changes,
            post_to_github=payload.post_to_github,
            create_pr=payload.create_pr,
            run_ci=payload.run_ci,
            attempts=context.attempt,
        )


handler = resolve_issue.lambda_handler
