"""What GitHub tells, as far as it is looked at."""

from pydantic import BaseModel


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


class Comment(BaseModel):
    html_url: str = ""
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
