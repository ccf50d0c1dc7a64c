"""What may be a name: of a stream, an event, a producer, a consumer, a system, a trigger."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def _checked(without: str = "") -> Callable[[str], str]:
    def check(value: str) -> str:
        if _CONTROL.search(value):
            raise ValueError("must not contain control characters")
        if not value.strip():
            raise ValueError("must not be blank")
        if value in (".", ".."):
            raise ValueError("must not be . or ..")
        for char in without:
            if char in value:
                raise ValueError(f"must not contain {char}")
        return value

    return check


def _name(without: str = "") -> object:
    """For the document the same as a pattern."""
    pattern = rf"^(?!\s*$)(?!\.\.?$)[^\x00-\x1f\x7f-\x9f{without}]+$"
    return Field(min_length=1, max_length=255, json_schema_extra={"pattern": pattern})


Name = Annotated[str, _name(), AfterValidator(_checked())]
StreamName = Annotated[str, _name("/"), AfterValidator(_checked("/"))]
# A doubled header arrives as one, joined by a comma.
Producer = Annotated[str, _name(","), AfterValidator(_checked(","))]
Consumer = Annotated[str, _name("/,"), AfterValidator(_checked("/,"))]
