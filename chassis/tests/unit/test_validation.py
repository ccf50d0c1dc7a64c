"""Messages about invalid input state what is allowed."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from chassis.errors import Invalid
from chassis.web.validation import checked


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int = Field(1, ge=1, le=9)
    name: str = Field("ab", min_length=2, max_length=3, pattern="^[a-z]{2,3}$")
    color: Literal["red", "blue"] = "red"
    tags: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    is_new: bool = True
    inner: dict[str, int] = {}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n", 0, "must be at least 1"),
        ("n", 10, "must be at most 9"),
        ("n", "1", "must be an integer"),
        ("name", "a", "must have a length of at least 2"),
        ("name", "abcd", "must have a length of at most 3"),
        ("name", "AB", "must match ^[a-z]{2,3}$"),
        ("name", 1, "must be a string"),
        ("color", "green", "must be 'red' or 'blue'"),
        ("tags", [], "must have a length of at least 1"),
        ("tags", ["a", "b", "c"], "must have a length of at most 2"),
        ("tags", "a", "must be an array"),
        ("is_new", 1, "must be true or false"),
        ("inner", [], "must be an object"),
        ("other", 1, "is not a known parameter"),
    ],
)
def test_message_states_what_is_allowed(field, value, message):
    with pytest.raises(Invalid) as caught:
        checked(lambda: Body.model_validate({field: value}, strict=True))
    assert caught.value.errors == [(field, message)]
    assert caught.value.detail == f"{field}: {message}"
