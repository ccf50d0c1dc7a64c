"""Every environment variable of this service."""

import os

from pydantic import Field, model_validator

from chassis.runtime.config import UploadSettings
from orders_service.domain.rules import RULE, Policy


class Settings(UploadSettings):
    sequence_url: str = Field(
        "http://sequence-web:8000",
        pattern="^(http://|unix:/).+",
        description="sequence-service, where batch numbers come from: `http://host:port` or `unix:/path`",
    )
    largest_upload_bytes: int = Field(
        2**31, ge=1, le=2**40, description="A larger file is refused with 413; the gateway has a limit of its own"
    )
    rules_off: str | None = Field(None, description="Rules that do not count, with commas between them")
    refused_states: str = Field(
        ",".join(Policy.refused_states),
        pattern="^([A-Z]{2}(,[A-Z]{2})*)?$",
        description="States that nothing is shipped to, with commas between them",
    )
    largest_zipcode_sum: int = Field(
        Policy.largest_zipcode_sum, ge=0, le=1000, description="What the digits of a zip code may add up to"
    )
    smallest_age: int = Field(Policy.smallest_age, ge=0, le=120, description="Who is younger may not order")

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if unknown := set(_names(self.rules_off)) - set(RULE):
            raise ValueError(f"RULES_OFF names no rule: {', '.join(sorted(unknown))}")
        return self

    @property
    def policy(self) -> Policy:
        return Policy(
            frozenset(_names(self.rules_off)),
            tuple(_names(self.refused_states)),
            self.largest_zipcode_sum,
            self.smallest_age,
        )


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def spare_memory() -> None:
    """Before polars is imported, which has no other way to be told: a thread each would want memory of its own."""
    os.environ.setdefault("POLARS_MAX_THREADS", "2")
