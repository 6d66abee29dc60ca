"""`auto_resolve_issue`: a change for one GitHub issue, in several tries.

Each try has a run of its own, and tells the model what was wrong with the answer before. Tries are the model's;
attempts, as of any job, are spent by what fails; a rate limit spends neither.
"""

from typing import Final

from pydantic import BaseModel

from shared.errors import Permanent
from shared.issues.desk import at_desk
from shared.issues.patch import Unusable
from shared.issues.resolving import handed_in, rights
from shared.issues.result import IssueResult
from shared.outcomes import Proceed
from shared.payloads.auto_resolve_issue import AutoResolveIssuePayload
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.runtime.patient import patient
from shared.verdict import shortened

PROBLEM_BYTES_MAX: Final = 400
"""Of a checkpoint's 1,024: escaped, it may take twice as many."""


class Tries(BaseModel):
    """Those that came to nothing, and why the last one did."""

    made: int = 0
    problem: str | None = None


@job(AutoResolveIssuePayload)
@patient
async def auto_resolve_issue(payload: AutoResolveIssuePayload, context: Context) -> IssueResult | Proceed:
    """A try that fits is handed in; one that doesn't is what the next begins with."""
    options, tries = payload.options, Tries.model_validate_json(context.checkpoint or "{}")
    async with at_desk(payload, context, rights(allow_ci_files=options.allow_ci_files)) as desk:
        try:
            material = await desk.gather()
            proposal, changes = await desk.proposal(
                material, allow_ci_files=options.allow_ci_files, problem=tries.problem
            )
        except Unusable as unusable:
            return _again(tries, options.max_attempts, unusable.message)
        return await handed_in(
            desk,
            material,
            proposal,
            changes,
            post_to_github=options.post_to_github,
            create_pr=options.create_pr,
            run_ci=options.run_ci,
            attempts=tries.made + 1,
        )


def _again(tries: Tries, attempts_max: int, problem: str) -> Proceed:
    """A redriven job makes its last try once more."""
    if tries.made + 1 >= attempts_max:
        raise Permanent("unresolved", f"no answer of {attempts_max} could be used: {problem}", field="issue_number")
    return Proceed(Tries(made=tries.made + 1, problem=shortened(problem, PROBLEM_BYTES_MAX)).model_dump_json())


handler = auto_resolve_issue.lambda_handler
