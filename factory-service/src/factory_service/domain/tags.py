"""ETags: the version of a response."""

import re

from chassis.errors import Problem

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class PreconditionFailed(Problem):
    """The resource has changed since the caller read it."""

    status = 412


def matches(header: str, tag: str) -> bool:
    """Return whether the header lists the tag, ignoring `W/`, which the gateway adds when it compresses a response."""
    if header.strip() == "*":
        return True
    return any(listed.removeprefix("W/") == f'"{tag}"' for listed in _ETAG.findall(header))


def check(if_match: str | None, tag: str) -> None:
    if if_match is not None and not matches(if_match, tag):
        raise PreconditionFailed("If-Match must list the current ETag: read the resource again")
