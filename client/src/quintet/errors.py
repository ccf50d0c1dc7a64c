"""Exceptions of the client.

QuintetError
├── NotConfigured        no URL was passed, and none is configured
├── TimedOut             a `wait` reached its timeout; what it waited for continues
├── ImportFailed         an import ended as FAILURE
├── LoadFailed           a load of a factory file ended as FAILURE
├── FlowFailed           a flow ended as FAILED
└── ResponseError        a request failed
    ├── InvalidInput         400  the request is invalid; `errors` names the fields
    ├── Unauthorized         401  the user name, the password or the token is wrong
    ├── Forbidden            403  the role or the owner does not allow the request
    ├── NotFound             404  the resource does not exist, or is not visible to this user
    ├── Conflict             409  the resource is not in the state that the request assumes
    ├── PreconditionFailed   412  the resource has changed
    ├── TooLarge             413  the body exceeds a limit
    ├── KeyReused            422  the idempotency key was used for a different request
    ├── Locked               423  the stream belongs to another producer
    ├── RateLimited          429  still at the deadline of the retries
    ├── ServerError          500  a defect of a service
    └── Unavailable          503, or no connection, until the deadline of the retries: nothing was done
        └── OutcomeUnknown   an attempt may have been applied, and no response confirmed it until the deadline
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from quintet.models import FlowStatus, ImportStatus, LoadStatus


class FieldError(NamedTuple):
    """An invalid field of a request."""

    field: str
    message: str


class QuintetError(Exception):
    """The base class of all exceptions of this package."""


class NotConfigured(QuintetError):
    """No URL is configured."""


class TimedOut(QuintetError, TimeoutError):
    """A `wait` reached its timeout."""


class ImportFailed(QuintetError):
    """An import ended as FAILURE; `status` is its last status."""

    def __init__(self, status: ImportStatus) -> None:
        super().__init__(f"import {status.task_id} failed: {status.message}")
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, the message would be passed to the constructor when the exception arrives in another process.
        return type(self), (self.status,)


class LoadFailed(QuintetError):
    """A load ended as FAILURE, and nothing was loaded; `status` is its last status."""

    def __init__(self, status: LoadStatus) -> None:
        super().__init__(f"load {status.id} failed: {status.error}")
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status,)


class FlowFailed(QuintetError):
    """A flow ended as FAILED; `status` is its last status."""

    def __init__(self, status: FlowStatus) -> None:
        reason = status.error_log[0] if status.error_log else "no pipeline reported an error"
        super().__init__(f"flow {status.id} failed: {reason}")
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status,)


class ResponseError(QuintetError):
    """A request failed.

    `status` is None if no response was received. `request_id` identifies the request in logs and traces; all attempts
    have the same.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        title: str = "",
        errors: Sequence[FieldError] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id

    def __str__(self) -> str:
        facts = [f"{self.status} {self.title}".strip() if self.status else self.title]
        facts += [f"request {self.request_id}"] if self.request_id else []
        facts = [fact for fact in facts if fact]
        return f"{self.detail} ({', '.join(facts)})" if facts else self.detail


class InvalidInput(ResponseError):
    """The request is invalid; `errors` names the fields if the service does."""


class Unauthorized(ResponseError):
    """The user name, the password or the token is missing or wrong."""


class Forbidden(ResponseError):
    """The role of the user, or the owner of the resource, does not allow the request."""


class NotFound(ResponseError):
    """The resource does not exist, or is not visible to this user."""


class Conflict(ResponseError):
    """The resource is not in the state that the request assumes."""


class PreconditionFailed(ResponseError):
    """The resource has changed since the version that the request names."""


class TooLarge(ResponseError):
    """The body exceeds a limit."""


class KeyReused(ResponseError):
    """The idempotency key was used for a different request."""


class Locked(ResponseError):
    """The stream belongs to another producer or user, or is reserved for a service."""


class RateLimited(ResponseError):
    """The limit of requests, uploads or downloads was still exceeded at the deadline of the retries."""


class ServerError(ResponseError):
    """A service reported a defect; its log has the details under the request ID."""


class Unavailable(ResponseError):
    """No service could process the request until the deadline of the retries; nothing was done."""


class OutcomeUnknown(Unavailable):
    """An attempt may have been applied, and no response confirmed it until the deadline of the retries.

    A write can be repeated with the same idempotency key.
    """
