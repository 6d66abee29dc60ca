"""Mail in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.errors import Permanent
from shared.memory.clock import turn


@dataclass(slots=True)
class MemoryMail:
    """`sent`: (sender, recipients, message), `tags` of the last; `refused`: addresses that are not taken."""

    sent: list[tuple[str, tuple[str, ...], bytes]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    tags: Mapping[str, str] = field(default_factory=dict)

    async def send(self, message: bytes, *, sender: str, recipients: Sequence[str], tags: Mapping[str, str]) -> str:
        await turn()
        if refused := self.refused & set(recipients):
            raise Permanent("mail_refused", f"Email address is not verified: {min(refused)}")
        self.tags = tags
        self.sent.append((sender, tuple(recipients), message))
        return f"mail-{len(self.sent)}"
