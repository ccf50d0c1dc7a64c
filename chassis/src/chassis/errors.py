"""Exceptions that every entry point translates into an error response.

Problem
├── Invalid      the request violates a rule; the caller must fix it
├── NotFound     the named resource does not exist
├── Conflict     the resource exists, but not in the state that the caller assumed
│   └── Busy     another request is in progress; the same request may succeed after it
└── Unavailable  a dependency is down; the same request may succeed later
    └── OutcomeUnknown  the connection was lost after the change was sent: it may have been made
"""

from collections.abc import Mapping, Sequence


class Problem(Exception):
    """An error that is reported to the caller; `errors` are pairs of a field and a message.

    A detail that contains a value has a placeholder, such as `%(max_bytes)s`, and the value among its `parameters`, so
    that a service can translate the `template`.
    """

    status = 500

    def __init__(
        self,
        detail: str,
        *,
        parameters: Mapping[str, object] | None = None,
        errors: Sequence[tuple[str, str]] = (),
        status: int | None = None,
    ) -> None:
        self.template, self.parameters = detail, dict(parameters or {})
        self.detail = detail % self.parameters if self.parameters else detail
        super().__init__(self.detail)
        self.errors = list(errors)
        if status is not None:
            self.status = status


class Invalid(Problem):
    status = 400

    @classmethod
    def field(cls, field: str, message: str) -> "Invalid":
        return cls(f"{field}: {message}", errors=[(field, message)])


class NotFound(Problem):
    status = 404


class Conflict(Problem):
    status = 409


class Busy(Conflict):
    """Nothing was done, because of another request that is in progress; it is reported with `Retry-After`."""

    retry_after_seconds = 1


class Unavailable(Problem):
    status = 503

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(Unavailable):
    """Whether the change was made is unknown; repeat it only if a repetition has no second effect."""

    status = 504
