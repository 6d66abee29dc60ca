"""Secrets as connections: where a server is, and who we are there, are one secret, so that no payload can send the
one to another. And what is known of them is kept out of all that is said.
"""

import re
from typing import Annotated, Final, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from shared.errors import Permanent

BaseUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*)?$", max_length=512)
]

_CREDENTIAL: Final = re.compile(r"[!-~]{1,4096}")


def is_credential(text: str) -> bool:
    """Can it stand in a header, and is it no JSON object?"""
    return _CREDENTIAL.fullmatch(text) is not None and not text.startswith("{")


def _checked(value: SecretStr) -> SecretStr:
    if not is_credential(value.get_secret_value()):
        raise ValueError("printable ASCII without blanks was expected")
    return value


Credential = Annotated[SecretStr, AfterValidator(_checked)]

KNOWN_CHARACTERS_MIN: Final = 8
"""Of what is searched for: a shorter one would be found everywhere."""

HIDDEN: Final = "[secret]"

_LOOKS_SECRET: Final = re.compile(
    r"\b(gh[opsur]_[A-Za-z0-9_]{20,}|github_pat_\w{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}|sk-[A-Za-z0-9_-]{20,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(-----END [A-Z ]*PRIVATE KEY-----)?"
)


class _Connection(BaseModel):
    """`private`: the server may be inside the worker's own network."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    private: bool = False


class GithubConnection(_Connection):
    """`{"token": …}`, or an app's `{"app_id": …, "private_key": PEM}`; `api_url` for GitHub Enterprise Server."""

    api_url: BaseUrl = "https://api.github.com"
    token: Credential | None = None
    app_id: Annotated[str, Field(coerce_numbers_to_str=True)] | None = None
    private_key: SecretStr | None = None
    installation_id: int | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.token is None) == (self.app_id is None or self.private_key is None):
            raise ValueError("either token, or app_id and private_key")
        return self


class ModelConnection(_Connection):
    """An OpenAI-compatible endpoint. `parameters` are added to each request (`max_tokens`, `temperature` …)."""

    base_url: BaseUrl
    model: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    api_key: Credential | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)


C = TypeVar("C", bound=_Connection)


def read_connection(form: type[C], text: str, *, field: str, is_local: bool) -> C:
    """A secret's value → a connection. `is_local`: http:// counts, too.

    Raises Permanent("bad_connection") about `field`: what is wrong with the secret, without a word of it.
    """
    try:
        found = form.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        unknown = first["type"] == "extra_forbidden"  # its name may be a secret that slipped
        place = ".".join(str(part) for part in first["loc"]) if first["loc"] and not unknown else "the JSON object"
        raise Permanent("bad_connection", f"its secret: {place}: {first['msg']}", field=field) from None
    urls = [value for name, value in found if name.endswith("_url")]
    if not is_local and not all(url.startswith("https://") for url in urls):
        raise Permanent("bad_connection", "its secret: an https:// URL was expected", field=field)
    return found


class Known:
    """The secrets that this job has seen, and texts without them."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def learn(self, *secrets: SecretStr | str | None) -> None:
        """All of it, and each of its lines but a PEM's first and last."""
        for secret in secrets:
            value = secret.get_secret_value() if isinstance(secret, SecretStr) else secret or ""
            parts = {value.strip(), *(line.strip() for line in value.splitlines() if not line.startswith("-----"))}
            self._values |= {part for part in parts if len(part) >= KNOWN_CHARACTERS_MIN}

    def scrub(self, text: str) -> str:
        """The same without them."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, HIDDEN)
        return text

    def scrub_all(self, document: JsonValue) -> JsonValue:
        """The same document, no text of which holds one: what was hidden behind an escape is found."""
        match document:
            case str():
                return self.scrub(document)
            case list():
                return [self.scrub_all(item) for item in document]
            case dict():
                return {self.scrub(name): self.scrub_all(value) for name, value in document.items()}
        return document


def without_lookalikes(text: str) -> str:
    """Without what looks like a secret of somebody else's."""
    return _LOOKS_SECRET.sub(HIDDEN, text)
