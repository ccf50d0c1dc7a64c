"""Responses and parameters that several routes share."""

from typing import Annotated

from pydantic import BaseModel, StringConstraints

from chassis.web.openapi import problem

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class SequencePath(BaseModel):
    name: Name


INVALID = problem("The request is invalid; `errors` names the fields")
UNAVAILABLE = problem("A dependency is unavailable; retry after `Retry-After` seconds")
NOT_FOUND = problem("Sequence not found")
UNSUPPORTED_MEDIA_TYPE = problem("`Content-Type` must be `application/json`")
KEY_REUSED = problem("This `Idempotency-Key` was already used for a different request")
