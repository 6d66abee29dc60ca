"""Where foreign errors enter: what botocore and aiohttp raise becomes one of ours, by this table.

throttled, 5xx, timed out, unreachable, denied, credentials over     → WorldFault  (decide nothing, come back)
anything else that AWS refuses                                       → AwsRefusal  (a Permanent, with AWS's code)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as AwsConnectionError,
)

from shared.errors import LongshoreError, Permanent, WorldFault

WORLD_CODES: Final = frozenset(
    {
        # asked too often: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
        "BandwidthLimitExceeded", "EC2ThrottledException", "KmsThrottled", "LimitExceededException",
        "PriorRequestNotComplete", "ProvisionedThroughputExceededException", "RequestLimitExceeded",
        "RequestThrottled", "RequestThrottledException", "SlowDown", "ThrottledException", "Throttling",
        "ThrottlingException", "TooManyRequestsException", "TransactionInProgressException",
        "OverLimit", "ServiceQuotaExceededException",
        # busy or broken: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        "InternalError", "InternalFailure", "InternalServerError", "InternalServerException", "RequestTimeout",
        "RequestTimeoutException", "ServiceUnavailable", "ServiceUnavailableException", "OperationAborted",
        "NoSuchBucket", "NoSuchUpload", "ReplicatedWriteConflictException",
        # not let in: https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
        "AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature",
        "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException", "KMSAccessDeniedException",
        "KmsAccessDenied", "KmsDisabled", "MissingAuthenticationToken", "NotAuthorized", "OptInRequired",
        "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "UnrecognizedClientException",
    }
)  # fmt: skip

UNREACHABLE: Final = (AwsConnectionError, HTTPClientError, aiohttp.ClientError, OSError)

NO_CREDENTIALS: Final = (
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)


class AwsRefusal(Permanent):
    """AWS understood, and will say the same again. `code` is AWS's own; `response` holds all that it said."""

    def __init__(self, code: str, message: str, response: dict[str, Any]) -> None:
        super().__init__(code, message)
        self.response = response


@contextmanager
def seam(action: str) -> Iterator[None]:
    """Map whatever leaves this block; `action` (e.g. "s3 get_object") begins the message."""
    try:
        yield
    except ClientError as error:
        raise _refused(action, error) from error
    except (*UNREACHABLE, *NO_CREDENTIALS) as error:
        raise WorldFault(type(error).__name__, f"{action}: {error}") from error
    except BotoCoreError as error:
        raise Permanent(type(error).__name__, f"{action}: {error}") from error


def is_world_code(code: str) -> bool:
    return code in WORLD_CODES


def _refused(action: str, error: ClientError) -> LongshoreError:
    code = error.response["Error"]["Code"]
    message = f"{action}: {error.response['Error'].get('Message', code)}"
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    if is_world_code(code) or status >= 500 or status in (401, 429):
        return WorldFault(code, message)
    return AwsRefusal(code, message, error.response)
