"""The errors of invalid input, in requests and in messages; workers import this module without Flask."""

import re
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from chassis.errors import Invalid

Errors = list[tuple[str, str]]
Parsed = TypeVar("Parsed")

UNKNOWN_PARAMETER = "is not a known parameter"
_INPUT_MESSAGES = {"extra_forbidden": UNKNOWN_PARAMETER, "missing": "is required", "model_type": "must be an object"}
_MAX_ERRORS, _MAX_ERRORS_IN_DETAIL = 1000, 20


def checked(parse: Callable[[], Parsed]) -> Parsed:
    """Return the result of `parse`, which validates with pydantic; raise Invalid that names every invalid field."""
    errors: Errors = []
    value = collect_errors(errors, parse)
    raise_if_any(errors)
    return value  # type: ignore[return-value]  # it is None only if there are errors


def raise_if_any(errors: Errors) -> None:
    if errors:
        detail = "; ".join(f"{name}: {message}" for name, message in errors[:_MAX_ERRORS_IN_DETAIL])
        raise Invalid(detail, errors=errors[:_MAX_ERRORS])


def collect_errors(errors: Errors, parse: Callable[[], Parsed]) -> Parsed | None:
    """Return the result of `parse`; if its input is invalid, add to `errors` and return None."""
    try:
        return parse()
    except Invalid as invalid:
        if not invalid.errors:
            raise
        errors.extend(invalid.errors)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = ".".join(str(part) for part in problem["loc"]) or "body"
            errors.append((name, describe_input_error(problem)))
    return None


def describe_input_error(error: ErrorDetails) -> str:
    """Return what is allowed; for instance, pydantic's "Input should be a valid integer" begins with "must" instead."""
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    return _INPUT_MESSAGES.get(error["type"]) or re.sub(r"^\w+ should ", "must ", error["msg"])
