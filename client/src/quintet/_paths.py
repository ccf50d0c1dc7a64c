"""Paths of requests: a name becomes exactly one segment."""

from __future__ import annotations

from urllib.parse import quote

from quintet.errors import InvalidInput


def segment(name: str) -> str:
    """Return the name as one segment of a path.

    Raises InvalidInput for the names that a URL cannot contain: they would lead to another resource.
    """
    if name in ("", ".", ".."):
        raise InvalidInput(f"a name must not be empty, . or ..: {name!r}")
    try:
        return quote(name, safe="")
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a name must be valid Unicode text: {name!r}") from error


def segments(path: str) -> str:
    """Return a path of several names, such as `folder/file.csv`."""
    return "/".join(map(segment, path.split("/")))
