"""`resolve_issue`: a branch of its own with a change for one GitHub issue, and a pull request."""

from typing import Literal

from shared.payloads.comment_on_issue import IssuePayload


class ResolveIssuePayload(IssuePayload):
    """`post_to_github`: false writes nothing there, the change is the job's artefact. `create_pr`: false leaves it at
    the branch. `allow_ci_files`: the change may touch what runs with the repository's own rights. `run_ci`: CI may run
    the change before anybody has read it."""

    type: Literal["resolve_issue"] = "resolve_issue"
    post_to_github: bool = True
    create_pr: bool = True
    allow_ci_files: bool = False
    run_ci: bool = False
