"""API Gateway's events (HTTP API, payload format 2.0) as requests, and answers as what it expects.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any  # Any: an event is JSON from outside
from urllib.parse import parse_qsl

from shared.runtime.api.messages import Answer, Request, caller_of


def request_of(event: Mapping[str, Any]) -> Request:
    context = event["requestContext"]
    claims = context.get("authorizer", {}).get("jwt", {}).get("claims")
    return Request(
        method=context["http"]["method"],
        path=event["rawPath"],
        query=_query(event.get("rawQueryString", "")),
        headers={name.lower(): value for name, value in event.get("headers", {}).items()},
        body=_body(event),
        caller=None if claims is None else caller_of(claims),
        request_id=str(context.get("requestId", "")),
    )


def response_of(answer: Answer) -> dict[str, object]:
    try:
        text, is_base64 = answer.body.decode(), False
    except UnicodeDecodeError:
        text, is_base64 = base64.b64encode(answer.body).decode(), True
    return {
        "statusCode": answer.status,
        "headers": dict(answer.headers),
        "body": text,
        "isBase64Encoded": is_base64,
    }


def _query(text: str) -> Mapping[str, str]:
    """What is said twice is joined by a comma, as API Gateway does: nothing said is lost, nothing chosen in silence."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body)
    except binascii.Error:
        return b""
