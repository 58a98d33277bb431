"""What an API server can answer other than yes, decided once: each class says what the caller does about it."""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """Any answer that is not a success. `retry_after` in seconds, where the server names a time, else None."""

    def __init__(self, status: int, message: str, *, request: str, reason: str = "", retry_after: float | None = None):
        super().__init__(f"{request}: {status} {reason or ''} {message}".replace("  ", " "))
        self.status, self.message, self.request, self.reason = status, message, request, reason
        self.retry_after = retry_after


class Unreachable(ApiError):
    """No answer at all: refused, reset, timed out. Whether a write happened is unknown; the next snapshot tells."""


class Forbidden(ApiError):
    """The role lacks a verb on a resource; the message is the API server's own, which names both."""


class Unauthorized(ApiError):
    """The token is expired or unknown: it is read again before the next request."""


class NamespaceTerminating(ApiError):
    """Nothing can be created there any more, and nothing needs to be."""


class NotFound(ApiError):
    """The object, its namespace or its whole kind is gone."""


class Conflict(ApiError):
    """Somebody else wrote first, or owns what we would write: the next snapshot sees it."""


class Gone(ApiError):
    """The resourceVersion or continue token is too old: list anew."""


class TooManyRequests(ApiError):
    """The server asks for patience, for `retry_after` seconds."""


class Invalid(ApiError):
    """The object is refused as it stands; the same again would be refused again."""


class ServerError(ApiError):
    """5xx: worth another try later."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def decided(status: int, body: object, request: str, retry_after: str | None = None) -> ApiError:
    """The error that a status code and a metav1.Status body mean. `request` is "VERB path", for the message."""
    said: Mapping[str, Any] = body if isinstance(body, dict) else {}
    reason, message = str(said.get("reason", "")), str(said.get("message", "")) or str(body)[:200]
    details = said.get("details")
    details = details if isinstance(details, dict) else {}
    if retry_after is None and details.get("retryAfterSeconds"):
        retry_after = str(details["retryAfterSeconds"])
    seconds = float(retry_after) if retry_after and retry_after.strip().isdigit() else None
    kind: type[ApiError]
    if status == 403:
        causes = [cause.get("reason") for cause in details.get("causes") or () if isinstance(cause, dict)]
        kind = NamespaceTerminating if "NamespaceTerminating" in causes else Forbidden
    elif status >= 500:
        kind = ServerError
    else:
        kind = _BY_STATUS.get(status, ApiError)
    if kind is ServerError and seconds is not None and status in (503, 504):
        kind = TooManyRequests
    return kind(status, message, request=request, reason=reason, retry_after=seconds)
