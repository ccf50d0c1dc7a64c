"""What may be a name: of a stream, an event, a producer, a consumer, a system, a trigger."""

import functools
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

_CONTROL = "\x00-\x1f\x7f-\x9f"


def _checked(without: str = "") -> Callable[[str], str]:
    is_good = re.compile(rf"(?!\s*\Z)(?!\.\.?\Z)[^{_CONTROL}{without}]*\Z").match

    # The same names come again and again.
    @functools.lru_cache(4096)
    def check(value: str) -> str:
        if is_good(value):
            return value
        raise ValueError(_what_is_wrong(value, without))

    return check


def _what_is_wrong(value: str, without: str) -> str:
    if re.search(f"[{_CONTROL}]", value):
        return "must not contain control characters"
    if not value.strip():
        return "must not be blank"
    return "must not be . or .." if value in (".", "..") else f"must not contain {' or '.join(without)}"


def _name(without: str = "") -> object:
    """For the document the same as a pattern."""
    pattern = rf"^(?!\s*$)(?!\.\.?$)[^\x00-\x1f\x7f-\x9f{without}]+$"
    return Field(min_length=1, max_length=255, json_schema_extra={"pattern": pattern})


Name = Annotated[str, _name(), AfterValidator(_checked())]
StreamName = Annotated[str, _name("/"), AfterValidator(_checked("/"))]
# A doubled header arrives as one, joined by a comma.
Producer = Annotated[str, _name(","), AfterValidator(_checked(","))]
Consumer = Annotated[str, _name("/,"), AfterValidator(_checked("/,"))]
