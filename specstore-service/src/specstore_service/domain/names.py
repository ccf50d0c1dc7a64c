"""Valid names, and valid locations of data in a spec."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$"
# Owners and datasets are path segments, so the names of other endpoints are reserved.
POST_PATHS = frozenset({"upload", "update", "plan"})
RESERVED_OWNERS = POST_PATHS | {"pipelines"}
RESERVED_DATASETS = frozenset({"files"})

_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def _check_owner(value: str) -> str:
    if value in RESERVED_OWNERS:
        raise ValueError(f"must not be one of {', '.join(sorted(RESERVED_OWNERS))}")
    return value


def _check_dataset(value: str) -> str:
    if value in RESERVED_DATASETS:
        raise ValueError('must not be "files"')
    return value


def owner_of(flow_or_pipeline_id: str) -> str:
    return flow_or_pipeline_id.partition("/")[0]


def is_url(location: str) -> bool:
    return _SCHEME.match(location) is not None


def check_location(value: str) -> str:
    """Return the value if it is an http or https URL, or a relative path without `.` and `..`; raise ValueError."""
    if not value or len(value) > 2048:
        raise ValueError("must be 1 to 2048 characters")
    if is_url(value):
        if _CONTROL.search(value):
            raise ValueError("must not contain spaces or control characters")
        return _check_url(value)
    if re.search(r"[\x00-\x1f\x7f-\x9f]", value):
        raise ValueError("must not contain control characters")
    if "\\" in value or any(part in ("", ".", "..") for part in value.split("/")):
        raise ValueError("must be an http or https URL, or a relative path without . and ..")
    return value


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("must be an http or https URL with a host")
    return value


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
OwnerId = Annotated[Name, AfterValidator(_check_owner)]
DatasetName = Annotated[Name, AfterValidator(_check_dataset)]
Location = Annotated[str, AfterValidator(check_location)]
