"""Responses and parameters that several routes share."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from chassis.web.endpoints import problem

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class SequencePath(BaseModel):
    name: Annotated[Name, Field(description="Name of the sequence", examples=["invoices"])]


INVALID = problem("InvalidRequest", "The request is invalid; `errors` names the fields")
UNAVAILABLE = problem("Unavailable", "A dependency is unavailable; retry after `Retry-After` seconds")
NOT_FOUND = problem("SequenceNotFound", "Sequence not found")
UNSUPPORTED_MEDIA_TYPE = problem("UnsupportedMediaType", "`Content-Type` must be `application/json`")
# Part of the description of 409.
IN_PROGRESS = "Or the first request with this `Idempotency-Key` is still in progress"
KEY_REUSED = problem("KeyReused", "This `Idempotency-Key` was already used for a different request")
