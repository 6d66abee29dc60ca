"""What GitHub tells, as far as it is looked at."""

from typing import Annotated

from pydantic import BaseModel, NonNegativeInt, StringConstraints

PageUrl = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$", max_length=1024)]
"""What people are led to."""


class User(BaseModel):
    login: str = ""


class About(BaseModel):
    default_branch: str
    archived: bool = False


class Issue(BaseModel):
    title: str
    body: str | None = None
    state: str = "open"
    user: User | None = None
    comments: NonNegativeInt = 0


class Comment(BaseModel):
    html_url: PageUrl
    body: str | None = None
    user: User | None = None


class Entry(BaseModel):
    path: str
    mode: str
    type: str
    sha: str
    size: int = 0


class Tree(BaseModel):
    sha: str
    tree: list[Entry]
    truncated: bool = False
