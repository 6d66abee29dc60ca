"""Mail by Amazon SES: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html

It knows no idempotency token: what is asked twice is sent twice. So nothing is repeated here, and whoever gets no
answer is told that there was none.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Final

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal
from shared.errors import Permanent, Transient, WorldFault

SERVICE: Final = "sesv2"
EVENTS: Final = "LONGSHORE_EMAIL_EVENTS"
"""The configuration set by which SES tells of bounces."""

PAUSE_S: Final = 5.0
DOOR_PAUSE_S: Final = 60.0
QUOTA_PAUSE_S: Final = 3600.0
"""Until some of what was sent in the last 24 hours counts no more: https://docs.aws.amazon.com/ses/latest/dg/quotas.html"""

_THROTTLED: Final = frozenset(
    {"LimitExceededException", "Throttling", "ThrottlingException", "TooManyRequestsException"}
)
_PAUSED: Final = frozenset({"AccountSuspendedException", "SendingPausedException"})
"""By AWS, or by the account's owner, for too many bounces: nobody's mail is wrong."""

_NOT_SENT: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "ConnectTimeoutError", "CredentialRetrievalError"}
    | {"EndpointConnectionError", "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"}
    | {"InvalidSignatureException", "NoCredentialsError", "PartialCredentialsError", "RequestExpired"}
    | {"SignatureDoesNotMatch", "TokenRetrievalError", "UnrecognizedClientException"}
)
"""Of what goes wrong, that which surely was before the mail was taken."""


class AwsMail:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def send(self, message: bytes, *, sender: str, recipients: Sequence[str], tags: Mapping[str, str]) -> str:
        told = {"ConfigurationSetName": os.environ[EVENTS]} if os.environ.get(EVENTS) else {}
        try:
            answer = await self._clients.call(
                SERVICE,
                "send_email",
                FromEmailAddress=sender,
                Destination={"BccAddresses": list(recipients)},
                Content={"Raw": {"Data": message}},
                EmailTags=[{"Name": name, "Value": value} for name, value in tags.items()],
                **told,
            )
        except AwsRefusal as refusal:
            if refusal.code in _PAUSED:
                raise Transient("sending_paused", refusal.message, retry_after_s=QUOTA_PAUSE_S) from None
            raise Permanent("mail_refused", refusal.message) from None
        except WorldFault as fault:
            if fault.code in _NOT_SENT:
                raise Transient(fault.code, fault.message, retry_after_s=DOOR_PAUSE_S) from None
            if fault.code not in _THROTTLED:
                raise
            pause_s = QUOTA_PAUSE_S if "quota" in fault.message.lower() else PAUSE_S
            raise Transient("throttled", fault.message, retry_after_s=pause_s) from None
        return str(answer["MessageId"])
