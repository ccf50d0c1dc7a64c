"""Ownership: the users that may change a stream or a consumer."""

from typing import NamedTuple

from chassis.errors import Problem


class Caller(NamedTuple):
    """The authenticated user of a request.

    `user` is None for a request that bypasses the gateway and for an event of another service.
    """

    user: str | None = None
    is_admin: bool = False

    def may_act_for(self, owner: str | None) -> bool:
        """Return whether the caller may change what `owner` owns; if `owner` is None, any user may."""
        return self.is_admin or owner is None or owner == self.user

    def owns(self, owner: str | None) -> bool:
        """Return whether the caller may act as `owner`; if `owner` is None, only an admin may."""
        return self.is_admin or (owner is not None and owner == self.user)


NO_USER = Caller()


def create_caller(username: str, role: str) -> Caller:
    """Return the caller for the header values of the gateway; empty values grant nothing."""
    return Caller(username or None, role == "admin")


# These are functions, because a shared exception would collect the frames of every request that raises it.
def second_writer_error() -> Problem:
    return Problem("Second writers not allowed", status=423)


def not_stream_owner_error(subject: str) -> Problem:
    return Problem(
        f"the stream belongs to another user or has no owner yet: only its owner and admins may set {subject}",
        status=403,
    )


def not_admin_error() -> Problem:
    return Problem("only admins may erase events", status=403)


def not_consumer_owner_error() -> Problem:
    return Problem("the consumer belongs to another user", status=403)
