"""What `resolve_issue` and `auto_resolve_issue` both do with a change that fits."""

from collections.abc import Mapping

from shared.issues.desk import Desk, Material
from shared.issues.patch import Change, Proposal
from shared.issues.result import IssueArtifacts, IssueResult


def rights(*, allow_ci_files: bool) -> Mapping[str, str]:
    """https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps"""
    needed = {"contents": "write", "issues": "write", "pull_requests": "write", "metadata": "read"}
    return needed | ({"workflows": "write"} if allow_ci_files else {})


async def handed_in(
    desk: Desk,
    material: Material,
    proposal: Proposal,
    changes: list[Change],
    *,
    post_to_github: bool,
    create_pr: bool,
    run_ci: bool,
    attempts: int,
) -> IssueResult:
    """The change as a file, and, where it may be posted, as a branch, a pull request and a word on the issue."""
    artifacts = IssueArtifacts(files_changed=[change.path for change in changes], diff_url=await desk.keep(changes))
    if post_to_github:
        branch, commit = await desk.push(material, proposal, changes, run_ci=run_ci)
        artifacts.branch_name, artifacts.commit_hash = branch, commit
        if create_pr:
            artifacts.pull_request_url = await desk.pull_request(material, proposal, branch)
        place = artifacts.pull_request_url or f"the branch `{branch}`"
        artifacts.comment_url = await desk.comment(f"There is a proposal for this issue: {place}")
    return desk.result(artifacts, plan=[*proposal.plan], summary=proposal.summary, attempts=attempts)
