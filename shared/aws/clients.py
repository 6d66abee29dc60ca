"""aiobotocore clients, made when first needed and kept: one per service on one event loop.

The only place that knows endpoints, time-outs and pools. `AWS_ENDPOINT_URL` (and `AWS_ENDPOINT_URL_SQS` …) are
honoured by botocore itself: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
Loading a service's model takes a good part of a cold start, so nothing makes a client that it does not call.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from shared.aws.faults import seam

USER_AGENT = "longshore"
"""A fixed user agent spares botocore from composing one at every call: a quarter of its CPU."""


READ_TIMEOUT_S: Final = {
    "dynamodb": 10,  # a beat that hangs, four times over, must not outlast the lease of 60 s
    "s3": 60,  # parts of 8 MiB over a slow line
    "sqs": 30,  # longer than a long poll's 20 s
    "bedrock-runtime": 120,  # a model that thinks
}
READ_TIMEOUT_DEFAULT_S: Final = 20

TRIES: Final = {
    "bedrock-runtime": 1,  # its job asks again, and knows for how long
    "sesv2": 1,  # it has no idempotency token: what is repeated is sent twice
}
TRIES_DEFAULT: Final = 4


class Clients:
    """`await clients.call("sqs", "send_message", QueueUrl=…)`. Close with `await clients.close()` on the same loop.

    `credentials` (access key, secret) are for endpoints that check none; else botocore finds them where it always does.
    `endpoints`: of services that live elsewhere.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        http_session_cls: Any = None,
        credentials: tuple[str, str] | None = None,
        pool: int = 50,
        endpoints: Mapping[str, str] | None = None,
    ) -> None:
        self._session = AioSession()
        if credentials is not None:
            self._session.set_credentials(*credentials)
        self._stack = AsyncExitStack()
        self._made: dict[str, Any] = {}
        self._making = asyncio.Lock()
        self._endpoint_url = endpoint_url
        self._endpoints = endpoints or {}
        self._region = region
        options: dict[str, Any] = {} if http_session_cls is None else {"http_session_cls": http_session_cls}
        self._config = AioConfig(
            max_pool_connections=pool,
            connect_timeout=5,
            user_agent=USER_AGENT,
            parameter_validation=False,
            **options,
        )

    async def get(self, service: str) -> Any:
        """→ the service's client; two that ask at once get the same one."""
        if service not in self._made:
            async with self._making:
                if service not in self._made:
                    self._made[service] = await self._make(service)
        return self._made[service]

    async def call(self, service: str, operation: str, **arguments: Any) -> Any:
        """→ AWS's answer. Raises WorldFault, or AwsRefusal with AWS's code (`shared/aws/faults.py`)."""
        with seam(f"{service} {operation}"):
            client = await self.get(service)
            return await getattr(client, operation)(**arguments)

    async def close(self) -> None:
        self._made.clear()
        await self._stack.aclose()

    async def _make(self, service: str) -> Any:
        maker = self._session.create_client(
            service,
            region_name=self._region,
            endpoint_url=self._endpoints.get(service, self._endpoint_url),
            config=self._config.merge(
                AioConfig(
                    retries={"mode": "standard", "total_max_attempts": TRIES.get(service, TRIES_DEFAULT)},
                    read_timeout=READ_TIMEOUT_S.get(service, READ_TIMEOUT_DEFAULT_S),
                    signature_version="v4" if service != "s3" else "s3v4",  # presigned URLs, too: they sign more
                )
            ),
        )
        return await self._stack.enter_async_context(maker)
