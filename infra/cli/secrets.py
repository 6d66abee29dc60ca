"""Connection URLs with a password become references to a secret before a payload is made of them. Pure."""

import re

from infra.cli.places import DATABASES, Document, changed
from shared.ids import digest


def hide_password(document: Document) -> tuple[Document, dict[str, str]]:
    """→ the payload with a reference where a database's field held a password, and the secrets to keep: name → URL.

    The name follows from the URL without its password, so that a changed password replaces the old one.
    """
    secrets: dict[str, str] = {}

    def hide(_: str, database: str) -> str:
        if (plain := without_password(database)) == database:
            return database
        name = f"database-{digest(plain)[:12]}"
        secrets[name] = database
        return f"secret://{name}"

    return changed(document, DATABASES, hide), secrets


def without_password(url: str) -> str:
    """The URL without `:password` before its `@` and without the values of `password=` and `sslpassword=`.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS; what is ambiguous is a password.
    """
    place, mark, query = url.partition("?")
    place = re.sub(r"^([a-z0-9+]+://[^:/]*):.*@", r"\1@", place, flags=re.IGNORECASE)
    return place + mark + re.sub(r"\b(password|sslpassword)=[^&]+", r"\1=", query, flags=re.IGNORECASE)
