"""Mail in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.errors import Permanent
from shared.memory.clock import turn


@dataclass(slots=True)
class MemoryMail:
    """`sent`: (sender, recipients, message); `refused`: addresses that are not taken."""

    sent: list[tuple[str, tuple[str, ...], bytes]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def send(self, message: bytes, *, sender: str, recipients: Sequence[str]) -> str:
        await turn()
        if refused := self.refused & set(recipients):
            raise Permanent("mail_refused", f"Email address is not verified: {min(refused)}")
        self.sent.append((sender, tuple(recipients), message))
        return f"mail-{len(self.sent)}"
