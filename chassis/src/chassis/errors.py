"""What can go wrong, in words every entrypoint understands.

Problem
├── Invalid      the request breaks a rule; fixing it is up to the caller
├── NotFound     the thing named does not exist
├── Conflict     the thing exists, but not in the state the caller assumed
└── Unavailable  a dependency is down; the same request may work later
"""

from collections.abc import Sequence


class Problem(Exception):
    """Something the caller is told about; `errors` are (field, message) pairs."""

    status = 500

    def __init__(self, detail: str, *, errors: Sequence[tuple[str, str]] = (), status: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
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


class Unavailable(Problem):
    status = 503

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds
