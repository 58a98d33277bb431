"""What an API server can answer other than success. Each class says what it means for the caller."""

from collections.abc import Mapping

from exposure.fields import integer, mapping, objects, text


class CannotStart(Exception):
    """The command line or the environment does not lead to a cluster. The message says what to change."""


class ApiError(Exception):
    """An answer that is not a success. `retry_after` in seconds, where the server names a time, else None."""

    def __init__(self, status: int, message: str, *, request: str, reason: str = "", retry_after: float | None = None):
        super().__init__(f"{request}: {status} {reason} {message}".replace("  ", " "))
        self.status, self.retry_after = status, retry_after


class Unreachable(ApiError):
    """No answer: refused, reset, timed out. Whether a write happened is unknown. The next snapshot shows it."""


class Forbidden(ApiError):
    """The role lacks a verb on a resource. The API server's message names both.

    It ends a pass, as every error of a write does. The namespace is tried again: first after 0.2 s, then up to 30 s.
    """


class Unauthorized(ApiError):
    """The token is expired or unknown. It is read again before the next request."""


class NamespaceTerminating(ApiError):
    """Nothing can be created there any more, and nothing needs to be."""


class NotFound(ApiError):
    """The object, its namespace or its whole kind does not exist."""


class Conflict(ApiError):
    """Another client wrote first, or owns the fields that we would write. The next snapshot shows it."""


class Gone(ApiError):
    """The resourceVersion or the continue token is too old. List again."""


class TooManyRequests(ApiError):
    """The server asks to wait for `retry_after` seconds."""


class Invalid(ApiError):
    """The object is refused as it stands. The same object would be refused again."""


class ServerError(ApiError):
    """A status of 500 or above. Try again later."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
}


def api_error(status: int, body: object, request: str, retry_after: str | None) -> ApiError:
    """The error that a status code and its body, usually a metav1.Status, mean. `request`: "VERB path"."""
    answer = body if isinstance(body, dict) else {}
    details = mapping(answer, "details")
    after = retry_after or str(integer(details, "retryAfterSeconds") or "")
    seconds = float(after) if after.strip().isdecimal() else None
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    if status == 403 and any(cause.get("reason") == "NamespaceTerminating" for cause in objects(details, "causes")):
        kind = NamespaceTerminating
    elif status == 429 or (status in (503, 504) and seconds is not None):
        kind = TooManyRequests
    message = text(answer, "message") or str(body)[:200]
    return kind(status, message, request=request, reason=text(answer, "reason"), retry_after=seconds)
