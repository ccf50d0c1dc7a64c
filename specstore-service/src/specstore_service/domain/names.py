"""What may be a name, and where a spec may say that data lies."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$"
# Their places in paths are taken.
POST_PATHS = frozenset({"upload", "update", "plan"})
RESERVED_OWNERS = POST_PATHS | {"pipelines"}
RESERVED_DATASETS = frozenset({"files"})

_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def _owner(value: str) -> str:
    if value in RESERVED_OWNERS:
        raise ValueError(f"must not be one of {', '.join(sorted(RESERVED_OWNERS))}")
    return value


def _dataset(value: str) -> str:
    if value in RESERVED_DATASETS:
        raise ValueError("must not be files")
    return value


def owner_of(flow_or_pipeline: str) -> str:
    return flow_or_pipeline.partition("/")[0]


def is_url(location: str) -> bool:
    return _SCHEME.match(location) is not None


def check_location(value: str) -> str:
    """An http or https URL, or a relative path that leads nowhere but down."""
    if not value or len(value) > 2048:
        raise ValueError("must be 1 to 2048 characters")
    if is_url(value):
        if _CONTROL.search(value):
            raise ValueError("a URL must not contain blanks or control characters")
        return _check_url(value)
    if re.search(r"[\x00-\x1f\x7f-\x9f]", value):
        raise ValueError("must not contain control characters")
    if "\\" in value or any(part in ("", ".", "..") for part in value.split("/")):
        raise ValueError("must be an http or https URL, or a relative path without . and ..")
    return value


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError("must be an http or https URL with a host")
    return value


Name = Annotated[str, StringConstraints(pattern=PATTERN)]
OwnerId = Annotated[Name, AfterValidator(_owner)]
DatasetName = Annotated[Name, AfterValidator(_dataset)]
Location = Annotated[str, AfterValidator(check_location)]
