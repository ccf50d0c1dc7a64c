"""The declaration of a route: its inputs, its responses, and what the OpenAPI document states about them."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

JSON, FORM, PROBLEM = "application/json", "application/x-www-form-urlencoded", "application/problem+json"


class FieldError(BaseModel):
    field: str
    message: str


class ProblemDocument(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str = Field(description="The reason phrase of the status")
    status: int
    detail: str = Field(description="What is wrong, and what to do")
    instance: str = Field(description="The request ID")
    errors: list[FieldError] = Field([], description="Each invalid field, if the request is invalid")


@dataclass(frozen=True)
class ResponseSpec:
    """A response in the OpenAPI document; `type` is any type that pydantic supports, or None if there is no body.

    An error has a `name`: all operations refer to one description of it. `headers` are names of headers that the
    response has in addition to those that chassis.web.openapi adds.
    """

    description: str
    type: Any = None
    content_type: str | Sequence[str] = JSON
    name: str | None = None
    headers: Sequence[str] = ()
    example: Any = None


def problem(name: str, description: str) -> ResponseSpec:
    return ResponseSpec(description, ProblemDocument, PROBLEM, name)


@dataclass(frozen=True)
class Endpoint:
    summary: str
    responses: Mapping[int, ResponseSpec]
    path: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    body: Any = None
    # The OpenAPI description of a body that the route reads itself; if `body` is declared too, it is then None.
    streamed_body: Mapping[str, Any] | None = None
    idempotent: bool = False
    tag: str | None = None
    description: str | None = None
    # An example of the body or the form.
    example: Any = None
    # Alternatives, each with the names of the security schemes that it requires; None is that of the document.
    security: Sequence[Sequence[str]] | None = None

    @property
    def has_body(self) -> bool:
        return self.body is not None or self.form is not None or self.streamed_body is not None

    @functools.cached_property
    def is_body_optional(self) -> bool:
        """True if the model accepts an empty object: an omitted body is equivalent to one."""
        try:
            return issubclass(self.body, BaseModel) and self.body.model_validate({}) is not None
        except (TypeError, ValidationError):
            return False

    @functools.cached_property
    def default_query(self) -> BaseModel | None:
        """The query of a request without parameters, or None if a parameter is required."""
        fields = self.query.model_fields.values() if self.query else []
        return self.query() if self.query and not any(field.is_required() for field in fields) else None
