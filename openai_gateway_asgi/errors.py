"""Every failure the gateway can name, and its OpenAI shape.

    GatewayError                        500  server_error
    ├── InvalidRequest                  400  invalid_request_error
    │   ├── RequestTimeout              408  a body that stalled
    │   │   └── BodyNeverCame           408  nothing of it came: the host may have read it
    │   ├── PreconditionFailed          412  a lost configuration update
    │   ├── PayloadTooLarge             413
    │   └── UnsupportedMediaType        415
    ├── Unauthenticated                 401  authentication_error
    ├── PermissionDenied                403  permission_error
    │   └── CrossSite                   403  another site's page, perhaps, with the user's cookie
    ├── NotFound                        404  an unknown path or object
    │   └── ModelNotFound               404  denied or unknown: the two look the same
    ├── MethodNotAllowed                405
    ├── RateLimited                     429  rate_limit_error
    ├── HostFailure                     500  a callable of the host raised
    │   └── BodyAlreadyRead             500  the host has read the request's body and kept none of it
    ├── HostRefusal                          a callable or layer of the host raised its own status
    ├── NotServed                       501  a kind of endpoint this gateway does not serve
    ├── UpstreamError                   502  upstream_error: answered, but wrongly
    │   ├── UpstreamUnavailable         502  upstream_unavailable: could not be reached, or cut the line
    │   ├── UpstreamCredentialError     502  upstream_credential: it refused ours, or we have none
    │   ├── UpstreamAccountError        502  upstream_account: it refused our account: unpaid, forbidden, used up
    │   ├── UpstreamLacksApi            502  upstream_error: it has neither API for conversations
    │   ├── UpstreamTimeout             504  upstream_timeout
    │   └── UpstreamRefused                  its own status and body, passed on
    ├── ModelListUnavailable            503  unknown only because an upstream's list never loaded
    ├── GatewayBusy                     503  gateway_busy
    │   └── UpstreamFull                503  at an upstream's own limit
    ├── GatewayDraining                 503  gateway_draining: this process is about to stop
    ├── GatewayDisabled                 503  gateway_disabled
    └── LoopDetected                    508  the gateway was configured to call itself

``ClientDisconnected`` and ``ResponseAborted`` are not answers: nobody is left to read the first, and the second
breaks the framing of an answer that has begun, so that its reader sees the truncation.

``ConfigError`` is raised while the gateway is being configured; it names the field and says what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Self

import msgspec

from .causes import Cause, Failure

Headers = tuple[tuple[bytes, bytes], ...]
GivenHeaders = Mapping[str, str] | Headers

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[\t -~\x80-\xff]*")  # RFC 9110, 5.5

DO_NOT_RETRY: Headers = ((b"x-should-retry", b"false"),)
"""Tells the OpenAI SDKs that the same call would fail the same way."""


def raw_headers(given: GivenHeaders) -> Headers:
    """Headers of an answer as servers take them; those that are bytes already are taken as they are.

    Raises ``ValueError`` for what would not be one header, as a line break in a value.
    """
    if not isinstance(given, Mapping):
        return given
    headers = [(str(name), str(value).strip(" \t")) for name, value in given.items()]
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} cannot be sent: its name or value has characters that none may have")
    return tuple([(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers])


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class GatewayError(Exception):
    """A failure with a status and an OpenAI-shaped body. Callables and layers may raise one, or one of their own kind.

    ``message`` is shown to the client, so it never carries an address, a key or a trace. ``headers`` go with the
    answer: a mapping such as ``{"retry-after": "5"}``.
    """

    status = 500
    type = "server_error"
    code: str | None = None
    headers: Headers = ()
    content_type = b"application/json"
    host_advice = ""
    """What the host can do about it, where it can do something; for its log."""
    seen = ""
    """What of the request led to it, masked; for the same log."""
    reason: str | None = None
    """Which refusal it is, for operators, where the client must not tell it from another; else ``code``."""
    limit: str | None = None
    """Which limit of the gateway's own refused the call, where one did: for operators."""
    failure = Failure.CALLER
    """What kind of failure it is where it ends an attempt at an upstream."""
    cause: Cause | None = None
    """What it came from; for operators, never for clients."""

    def __init_subclass__(cls) -> None:
        cls.headers = raw_headers(cls.headers)

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, headers: GivenHeaders | None = None
    ) -> None:
        """``param`` names the field that is at fault, as ``messages[0].role``; ``code`` is for programs to read."""
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code
        if headers is not None:
            self.headers = raw_headers(headers)

    def noted(self, reason: str) -> Self:
        """The same, and which refusal it is."""
        self.reason = reason
        return self

    def detail(self) -> dict[str, str | None]:
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def body(self) -> bytes:
        try:
            return msgspec.json.encode({"error": self.detail()})
        except UnicodeEncodeError:  # half a character of the caller's, which no answer can hold
            told = {name: value and _writable(value) for name, value in self.detail().items()}
            return msgspec.json.encode({"error": told})

    def anew(self) -> Self:
        """The same failure for another call: what has been raised keeps its call alive."""
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        return twin


class InvalidRequest(GatewayError):
    """400: the request cannot be served as it is; ``param`` says what to mend."""

    status = 400
    type = "invalid_request_error"


class RequestTimeout(InvalidRequest):
    status = 408
    code = "request_timeout"


class BodyNeverCame(RequestTimeout):
    """Nothing of a body came. Its client stalls, or an application around the gateway has read it."""

    host_advice = (
        "nothing of a request's body came. Where a dependency, a route or a middleware of yours reads bodies, hand "
        "them on: gateway.response(user, request=request)."
    )


class PreconditionFailed(InvalidRequest):
    status = 412
    code = "precondition_failed"


class PayloadTooLarge(InvalidRequest):
    """413: the body, or something in it, is more than is taken."""

    status = 413
    code = "payload_too_large"


class UnsupportedMediaType(InvalidRequest):
    status = 415
    code = "unsupported_media_type"


class Unauthenticated(GatewayError):
    """401: who asks is not known. The answer says ``WWW-Authenticate: Bearer`` unless ``headers`` say otherwise."""

    status = 401
    type = "authentication_error"
    code = "unauthenticated"


class PermissionDenied(GatewayError):
    """403: who asks is known, and may not."""

    status = 403
    type = "permission_error"
    code = "permission_denied"


class CrossSite(PermissionDenied):
    """Another site's page may be behind a request that nothing but the browser's own credentials makes known."""

    code = "cross_site_request"
    host_advice = (
        "a request that only the browser's own credentials make known was refused, because it may be another site's. "
        "Where it is a page of yours, list its origin in Settings(trusted_origins=...), as behind a proxy that "
        "rewrites Host; where it has a credential in a header of its own, name that in credential_headers; where a "
        "route of yours has checked it, say gateway.response(user, checked_origin=True)."
    )


class NotFound(GatewayError):
    """404: it is not there, or not for the one who asks."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"
    reason = "unknown"
    headers = DO_NOT_RETRY


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RateLimited(GatewayError):
    """429: too much for now. With ``headers={"retry-after": "5"}`` the OpenAI SDKs try again after so many seconds."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class HostFailure(GatewayError):
    code = "host_failure"


class BodyAlreadyRead(HostFailure):
    """What Starlette keeps of a body is what ``request.body()`` and ``request.json()`` gave, no form and no stream."""

    code = "body_already_read"
    headers = DO_NOT_RETRY
    host_advice = (
        "a request's body was read as a form or a stream before gateway.response(), and nothing of it is left. "
        "Read it with `await request.body()` or `await request.json()`, or leave it to the gateway."
    )


class HostRefusal(GatewayError):
    """A status the host's own code chose, by raising an exception with ``status_code``."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: GivenHeaders = (),
    ) -> None:
        super().__init__(message, param=param, headers=headers)
        self.status = status
        self.type, usual = _HOST_NAMES.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
        self.code = code or usual


_HOST_NAMES: dict[int, tuple[str, str | None]] = {
    401: (Unauthenticated.type, Unauthenticated.code),
    403: (PermissionDenied.type, PermissionDenied.code),
    404: (NotFound.type, NotFound.code),
    429: (RateLimited.type, RateLimited.code),
}


class NotServed(GatewayError):
    status = 501
    type = "invalid_request_error"
    code = "not_served"
    headers = DO_NOT_RETRY


class UpstreamError(GatewayError):
    status = 502
    type = "upstream_error"
    code = "upstream_error"
    failure = Failure.SERVER_ERROR

    def because(self, cause: Cause, failure: Failure | None = None) -> Self:
        """Notes what it came from, and of what kind it therefore is."""
        self.cause = cause
        if failure is not None:
            self.failure = failure
        return self


class UpstreamUnavailable(UpstreamError):
    code = "upstream_unavailable"
    failure = Failure.CUT


class UpstreamCredentialError(UpstreamError):
    code = "upstream_credential"
    headers = DO_NOT_RETRY
    failure = Failure.NO_CREDENTIAL


class UpstreamAccountError(UpstreamError):
    code = "upstream_account"
    headers = DO_NOT_RETRY
    failure = Failure.ACCOUNT


class UpstreamLacksApi(UpstreamError):
    """A 404 for the API that a call was translated to. To a client a 404 would say that there is no such model."""

    reason = "api_missing"
    failure = Failure.UNABLE


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"
    failure = Failure.TIMEOUT


class UpstreamRefused(UpstreamError):
    """An upstream's own answer of 400 or more, held whole; the client gets it as it is."""

    failure = Failure.CALLER

    def __init__(self, status: int, headers: Headers, body: bytes, *, content_type: bytes) -> None:
        super().__init__(f"The upstream answered {status}.", headers=headers)
        self.status = status
        self.content_type = content_type
        self._body = body

    def body(self) -> bytes:
        return self._body

    def with_body(self, headers: Headers, body: bytes, *, content_type: bytes) -> UpstreamRefused:
        """The same refusal, told otherwise."""
        other = UpstreamRefused(self.status, headers, body, content_type=content_type)
        other.failure, other.cause = self.failure, self.cause
        return other


class ModelListUnavailable(GatewayError):
    status = 503
    reason = "list_missing"
    type = "upstream_error"
    code = "upstream_unavailable"


class GatewayBusy(GatewayError):
    status = 503
    code = "gateway_busy"
    failure = Failure.BUSY


class UpstreamFull(GatewayBusy):
    """No place came free at an upstream with ``max_concurrency``."""

    reason = "upstream_full"


class GatewayDraining(GatewayError):
    status = 503
    code = "gateway_draining"
    headers = ((b"retry-after", b"1"),)


class GatewayDisabled(GatewayError):
    status = 503
    code = "gateway_disabled"


class LoopDetected(GatewayError):
    status = 508
    code = "loop_detected"
    host_advice = (
        "a request came back to the gateway that sent it: an upstream's base_url is the gateway's own address."
    )
    headers = DO_NOT_RETRY


class ClientDisconnected(Exception):
    """The client left; whatever was under way for it has been stopped."""


class ResponseAborted(Exception):
    """An answer that has begun cannot be finished; raised through to the server, which cuts the connection."""


class ConfigError(ValueError):
    """A value the gateway cannot be configured with. ``field`` names it as its writer does.

    ``problem`` says what was seen and what to write instead, ``code`` of what kind it is; ``others`` are the errors
    that were found with it.
    """

    def __init__(
        self, field: str, problem: str, *, code: str = "invalid_value", others: Sequence[ConfigError] = ()
    ) -> None:
        super().__init__("\n".join([f"{field}: {problem}", *map(str, others)]))
        self.field = field
        self.problem = problem
        self.code = code
        self.others = tuple(others)
