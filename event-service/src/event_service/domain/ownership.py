"""Rules about who may change a stream or a consumer."""

from typing import NamedTuple

from chassis.errors import Problem


class Caller(NamedTuple):
    """The authenticated user of a request. `user` is None without the gateway, and for an event of another service."""

    user: str | None = None
    is_admin: bool = False

    def may_act_for(self, owner: str | None) -> bool:
        """Return whether the caller may change what `owner` owns. None: it has no owner yet, so any user may."""
        return self.is_admin or owner is None or owner == self.user


NO_USER = Caller()


def caller_of(username: str, role: str) -> Caller:
    """Return the caller for the values that the gateway sends; empty values grant nothing."""
    return Caller(username or None, role == "admin")


# Functions, because an exception that is raised again and again keeps the frames of every request that raised it.
def second_writer() -> Problem:
    return Problem("Second writers not allowed", status=423)


def not_owner_of_stream() -> Problem:
    return Problem("the stream belongs to another user or has no owner yet: only its owner may set schemas", status=403)


def not_owner_of_consumer() -> Problem:
    return Problem("the consumer belongs to another user", status=403)
