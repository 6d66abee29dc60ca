"""The HTTP API's Lambda entry: an API Gateway event in, its response out."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Final

from shared.bucket import Limit
from shared.ports import Ports
from shared.runtime.api.app import Api
from shared.runtime.api.gateway import request_of, response_of
from shared.runtime.api.limiting import Limiter
from shared.runtime.api.routes import ROUTES
from shared.runtime.container import LambdaContext, container

RATE: Final = float(os.environ.get("LONGSHORE_REQUESTS_PER_SECOND", "50"))
BURST: Final = int(os.environ.get("LONGSHORE_REQUESTS_BURST", 4 * RATE))

LIVE_URL: Final = os.environ.get("LONGSHORE_WEBSOCKET_URL", "")


def handler(event: Mapping[str, object], _context: LambdaContext) -> dict[str, object]:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html"""
    request = request_of(event)

    async def invocation(ports: Ports) -> dict[str, object]:
        return response_of(await _api(ports).answer(request))

    return container().run(invocation)


@cache
def _api(ports: Ports) -> Api:
    """One a container: what it took from the tenants' buckets is kept."""
    return Api(ROUTES, ports, Limiter(ports, Limit(RATE, BURST)), live_url=LIVE_URL)
