"""A secret that says where it may go. Whoever may submit a job names a secret and a server; that the two belong
together is decided by whoever kept the secret."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared.errors import Permanent

PORTS: Final = {"http": 80, "https": 443}
ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")


def _checked(origin: str) -> str:
    try:
        known = ORIGIN.fullmatch(origin) and origin_of(origin)
    except ValueError:  # a port that is none
        known = None
    if not known:
        raise ValueError("an origin such as https://crm.example was expected")
    return origin


class BoundSecret(BaseModel):
    """As it is kept, in JSON. `origins`: scheme, host, and port where it is not the scheme's own."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    origins: Annotated[tuple[Annotated[str, AfterValidator(_checked)], ...], Field(min_length=1, max_length=32)]
    value: Annotated[str, Field(min_length=1, repr=False)]


def value_for(url: str, kept: str, *, name: str, field: str) -> str:
    """→ the secret's value. Raises Permanent("bad_secret") where it says of no origin that it may go there, or not of
    this one."""
    try:
        secret = BoundSecret.model_validate_json(kept)
    except ValidationError:
        message = f"secret://{name} does not say where it may go: longshore secret set {name} --for https://HOST"
        raise Permanent("bad_secret", message, field=field) from None
    if origin_of(url) not in {origin_of(origin) for origin in secret.origins}:
        raise Permanent("bad_secret", f"secret://{name} is for {', '.join(secret.origins)} alone", field=field)
    return secret.value


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """https://www.rfc-editor.org/rfc/rfc6454#section-4. Raises ValueError for a port that is none."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)
