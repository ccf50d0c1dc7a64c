"""ETags: the version of a response."""

import re

from chassis.errors import Problem

_LISTED = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class PreconditionFailed(Problem):
    """The thing is no longer what the caller has seen."""

    status = 412


def matches(header: str, tag: str) -> bool:
    """`W/` counts for nothing: the gateway puts it before the tag of an answer that it compresses."""
    if header.strip() == "*":
        return True
    return any(listed.removeprefix("W/") == f'"{tag}"' for listed in _LISTED.findall(header))


def check(if_match: str | None, tag: str) -> None:
    if if_match is not None and not matches(if_match, tag):
        raise PreconditionFailed("it has changed since, or never had this ETag: read it again")
