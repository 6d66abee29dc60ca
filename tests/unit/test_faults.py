"""Foreign errors are mapped where they enter: by a table, and none gets through."""

import aiohttp
import pytest
from botocore import exceptions as foreign

from shared.aws.faults import AwsRefusal, seam
from shared.errors import LongshoreError, Permanent, WorldFault


def client_error(code: str, status: int) -> foreign.ClientError:
    response = {"Error": {"Code": code, "Message": "said AWS"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return foreign.ClientError(response, "UpdateItem")


def mapped(error: BaseException) -> LongshoreError:
    with pytest.raises(LongshoreError) as caught, seam("dynamodb update_item"):
        raise error
    assert caught.value.__cause__ is error
    assert caught.value.message.startswith("dynamodb update_item: ")
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException", 400),
        client_error("ProvisionedThroughputExceededException", 400),
        client_error("SlowDown", 503),
        client_error("AccessDeniedException", 400),
        client_error("AccessDenied", 403),
        client_error("ExpiredTokenException", 400),
        client_error("NobodyHasHeardOfThisOne", 500),
        client_error("NobodyHasHeardOfThisOne", 429),
        foreign.EndpointConnectionError(endpoint_url="https://aws"),
        foreign.ConnectTimeoutError(endpoint_url="https://aws"),
        foreign.ReadTimeoutError(endpoint_url="https://aws"),
        foreign.ConnectionClosedError(endpoint_url="https://aws"),
        foreign.ResponseStreamingError(error="broken"),
        foreign.NoCredentialsError(),
        foreign.PartialCredentialsError(provider="env", cred_var="key"),
        foreign.CredentialRetrievalError(provider="sso", error_msg="expired"),
        aiohttp.ClientPayloadError("broken"),
        aiohttp.ServerDisconnectedError(),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda error: f"{type(error).__name__} {error}",
)
def test_what_is_the_worlds_fault_decides_nothing(error: Exception) -> None:
    assert type(mapped(error)) is WorldFault


def test_what_aws_will_say_again_is_permanent_and_keeps_its_code_and_answer() -> None:
    refusal = mapped(client_error("ValidationException", 400))
    assert isinstance(refusal, AwsRefusal)
    assert (refusal.code, refusal.message) == ("ValidationException", "dynamodb update_item: said AWS")
    assert refusal.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_our_own_misuse_of_the_client_is_permanent() -> None:
    assert type(mapped(foreign.NoRegionError())) is Permanent


def test_what_is_not_of_aws_goes_through_as_it_is() -> None:
    with pytest.raises(KeyError), seam("dynamodb update_item"):
        raise KeyError("a bug of ours")
