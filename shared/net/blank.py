"""What others answer, without the secrets that they were told: in its own words, or as a JSON document writes it."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from pydantic_core import to_json

BLANK: Final = "…".encode()
SECRET_BYTES_MIN: Final = 4
"""What is shorter is found everywhere, and tells nothing."""


@dataclass(frozen=True, slots=True)
class Blank:
    """`secrets`: the longest first."""

    secrets: tuple[bytes, ...]

    @classmethod
    def of(cls, secrets: Iterable[str]) -> "Blank":
        words = {spelt for secret in secrets for spelt in (secret.encode(), to_json(secret)[1:-1])}
        return cls(tuple(sorted((word for word in words if len(word) >= SECRET_BYTES_MIN), key=len, reverse=True)))

    def text(self, header: str) -> str:
        """Of a header, whose bytes need be no UTF-8."""
        return self._blanked(header.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")

    async def stream(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same bytes, however they are cut: so many are held back as a secret may begin with."""
        held_bytes, held = max(map(len, self.secrets), default=1) - 1, b""
        async for chunk in chunks:
            held = self._blanked(held + chunk)
            ready = max(0, len(held) - held_bytes)
            if ready:
                yield held[:ready]
            held = held[ready:]
        if held:
            yield held

    def _blanked(self, said: bytes) -> bytes:
        for secret in self.secrets:
            said = said.replace(secret, BLANK)
        return said
