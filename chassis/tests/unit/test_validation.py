"""Messages about invalid input state what is allowed."""

from typing import Annotated, Any, Literal

import pytest
from flask import Flask
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chassis.errors import Invalid
from chassis.web.input_errors import checked
from chassis.web.validation import endpoint


def reject(value: str) -> str:
    raise ValueError("Codes should be numbers")


class Inner(BaseModel):
    pass


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int = Field(1, ge=1, le=9)
    name: str = Field("ab", min_length=2, max_length=3, pattern="^[a-z]{2,3}$")
    color: Literal["red", "blue"] = "red"
    tags: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    is_new: bool = True
    inner: Inner = Inner()
    code: Annotated[str, AfterValidator(reject)] = ""


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n", 0, "must be greater than or equal to 1"),
        ("n", 10, "must be less than or equal to 9"),
        ("n", "1", "must be a valid integer"),
        ("name", "a", "must have at least 2 characters"),
        ("name", "abcd", "must have at most 3 characters"),
        ("name", "AB", "must match pattern '^[a-z]{2,3}$'"),
        ("name", 1, "must be a valid string"),
        ("color", "green", "must be 'red' or 'blue'"),
        ("tags", [], "must have at least 1 item after validation, not 0"),
        ("tags", ["a", "b", "c"], "must have at most 2 items after validation, not 3"),
        ("tags", "a", "must be a valid list"),
        ("is_new", 1, "must be a valid boolean"),
        ("inner", [], "must be an object"),
        ("code", "x", "Codes should be numbers"),
        ("other", 1, "is not a known parameter"),
    ],
)
def test_message_states_what_is_allowed(field, value, message):
    with pytest.raises(Invalid) as caught:
        checked(lambda: Body.model_validate({field: value}, strict=True))
    assert caught.value.errors == [(field, message)]
    assert caught.value.detail == f"{field}: {message}"


class LenientQuery(BaseModel):
    model_config = ConfigDict(extra="ignore")
    name: str = ""


class StrictQuery(BaseModel):
    name: str = ""


def parse_query(model: type[BaseModel], query: str) -> Any:
    view = endpoint("", {}, query=model)(lambda query: query)
    with Flask("test").test_request_context(f"/?{query}"):
        return view()


def test_unknown_parameters_are_ignored_by_a_model_that_ignores_them() -> None:
    assert parse_query(LenientQuery, "_=1&name=a&_=&x=y") == LenientQuery(name="a")


def test_unknown_parameters_are_rejected_by_other_models() -> None:
    with pytest.raises(Invalid) as caught:
        parse_query(StrictQuery, "_=1&name=a&_=&x=y")
    assert caught.value.errors == [("_", "is not a known parameter"), ("x", "is not a known parameter")]


def test_known_parameter_must_not_be_repeated_even_if_unknown_ones_are_ignored() -> None:
    with pytest.raises(Invalid, match="name: must not be repeated"):
        parse_query(LenientQuery, "name=a&name=b")
