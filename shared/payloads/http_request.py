"""`http_request`: one HTTP request; its answer checked, and kept."""

import re
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from shared.payloads.base import Payload, refuse_user_info, shaped
from shared.payloads.extract import OutputPath
from shared.retry import Policy

BODY_BYTES_MAX: Final = 256 * 1024
ANSWER_BYTES_MAX: Final = 1024**3

SECRET: Final = re.compile(r"secret://([A-Za-z0-9][A-Za-z0-9_.@-]{0,63})$")
"""At the end of a header's value: the secret's own value takes its place when the request is made."""

PRIVATE: Final = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
"""Headers that are credentials: a row is no place for them."""

OURS: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "te", "transfer-encoding"}
    | {"trailer", "upgrade"}
)
"""Headers that belong to the connection: https://www.rfc-editor.org/rfc/rfc9110#field.connection"""

RequestUrl = Annotated[
    str,
    shaped(r"^https?://[!-~]+$", "an https:// URL of printable ASCII, the rest of it percent-encoded", max_length=4096),
    AfterValidator(refuse_user_info),
]
HeaderName = Annotated[
    str, shaped(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", "a header's name, as Accept-Language", max_length=64)
]
HeaderValue = Annotated[str, shaped(r"^[ -~]*$", "printable ASCII, on one line", max_length=2048)]
"""No line breaks: https://www.rfc-editor.org/rfc/rfc9110#section-5.5"""

StatusCode = Annotated[int, Field(ge=200, le=599)]


class HttpRequestPayload(Payload):
    """`expect`: the statuses that are a success, any 2xx if none is named; `retry_on`: those worth another attempt.
    What goes on top of the answer's `answer_bytes_max` is refused."""

    policy: ClassVar[Policy] = Policy(timeout_s=60, attempts_max=5, base_delay_s=2.0, max_delay_s=300.0)

    type: Literal["http_request"] = "http_request"
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: RequestUrl
    headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=32)] = Field(default_factory=dict)
    document: JsonValue = Field(default=None, validation_alias="json", serialization_alias="json")
    body: Annotated[str, StringConstraints(max_length=BODY_BYTES_MAX)] | None = None
    expect: Annotated[tuple[StatusCode, ...], Field(max_length=32)] = ()
    retry_on: Annotated[tuple[StatusCode, ...], Field(max_length=32)] = (408, 425, 429, 500, 502, 503, 504)
    timeout: Annotated[int, Field(ge=1, le=50)] = 30
    redirects_max: Annotated[int, Field(ge=0, le=10)] = 5
    answer_bytes_max: Annotated[int, Field(ge=1, le=ANSWER_BYTES_MAX)] = 10 * 1024**2
    name: OutputPath | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.body is not None and self.document is not None:
            raise ValueError("give json or body, not both")
        if self.method in ("GET", "HEAD") and (self.body is not None or self.document is not None):
            raise ValueError(f"a {self.method} has no body")
        if len({name.lower() for name in self.headers}) < len(self.headers):
            raise ValueError("a header is named twice")
        for name, value in self.headers.items():
            if name.lower() in OURS:
                raise ValueError(f"headers.{name} belongs to the connection")
            if "secret://" in value and not SECRET.search(value):
                raise ValueError(f"headers.{name} must end with secret://NAME")
            if name.lower() in PRIVATE and not SECRET.search(value):
                raise ValueError(f"headers.{name} must name a secret: 'Bearer secret://NAME'")
        return self
