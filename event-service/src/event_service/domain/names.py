"""Valid names of streams, events, producers, consumers, systems and triggers."""

import functools
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

_CONTROL = "\x00-\x1f\x7f-\x9f"


def _create_check(forbidden: str = "") -> Callable[[str], str]:
    match_valid = re.compile(rf"(?!\s*\Z)(?!\.\.?\Z)[^{_CONTROL}{forbidden}]*\Z").match

    # Cached, because most requests use the same few names.
    @functools.lru_cache(4096)
    def check(value: str) -> str:
        if match_valid(value):
            return value
        raise ValueError(_describe_violation(value, forbidden))

    return check


def _describe_violation(value: str, forbidden: str) -> str:
    if re.search(f"[{_CONTROL}]", value):
        return "must not contain control characters"
    if not value.strip():
        return "must not be blank"
    return "must not be . or .." if value in (".", "..") else f"must not contain {' or '.join(forbidden)}"


def _name_field(forbidden: str = "", excluded: str = "") -> object:
    """Return the length limits and, for the OpenAPI document, a pattern that is equivalent to the check."""
    pattern = rf"^(?!\s*$)(?!\.\.?$){excluded}[^\x00-\x1f\x7f-\x9f{forbidden}]+$"
    return Field(min_length=1, max_length=255, json_schema_extra={"pattern": pattern})


Name = Annotated[str, _name_field(), AfterValidator(_create_check())]
StreamName = Annotated[str, _name_field("/"), AfterValidator(_create_check("/"))]
# A repeated header is received as one value, joined by a comma.
Producer = Annotated[str, _name_field(","), AfterValidator(_create_check(","))]
Consumer = Annotated[str, _name_field("/,"), AfterValidator(_create_check("/,"))]


def _check_event_name(value: str) -> str:
    if value == "*":
        raise ValueError("must not be *, which stands for all names")
    return value


EventName = Annotated[
    str, _name_field(excluded=r"(?!\*$)"), AfterValidator(_create_check()), AfterValidator(_check_event_name)
]
