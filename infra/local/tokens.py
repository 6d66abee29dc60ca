"""Tokens of the local cloud: signed with a development key that never leaves this machine, checked as API Gateway does.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final  # Any: a claim is whatever its issuer says

import jwt

from infra.local.specs import Authorizer

ALGORITHM: Final = "HS256"
LIFE_S: Final = 12 * 3600


def development_key(path: Path) -> str:
    """The key kept in `path`, made at its first use, for its owner's eyes alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path.read_text().strip()


def signed(
    key: str, authorizer: Authorizer, *, tenant_id: str, user_id: str, roles: Sequence[str], life_s: int = LIFE_S
) -> str:
    """A bearer token for `tenant_id`."""
    now = int(time.time())
    claims = {
        "iss": authorizer.issuer,
        "aud": authorizer.audience[0],
        "sub": user_id,
        "tenant_id": tenant_id,
        "roles": list(roles),
        "iat": now,
        "exp": now + life_s,
    }
    return jwt.encode(claims, key, ALGORITHM)


def checked(token: str, key: str, authorizer: Authorizer) -> Mapping[str, str] | None:
    """The claims as API Gateway hands them on: texts, a list as `[one two]`. None for a token that it would refuse."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=authorizer.audience,
            issuer=authorizer.issuer,
            options={"require": ["exp", "iss", "aud"]},
        )
    except jwt.InvalidTokenError:
        return None
    return {name: _text(value) for name, value in claims.items() if value is not None}


def _text(value: object) -> str:
    return f"[{' '.join(map(str, value))}]" if isinstance(value, list) else str(value)
