"""The environment variables of this service."""

import os
from typing import ClassVar

from pydantic import Field, model_validator

from chassis.runtime.config import UploadSettings
from orders_service.domain.rules import RULES_BY_NAME, Policy


class Settings(UploadSettings):
    queue_count: ClassVar[int] = 2

    sequence_url: str = Field(
        "http://sequence-web:8000",
        pattern="^(http://|unix:/).+",
        description="sequence-service, which issues the batch numbers: `http://host:port` or `unix:/path`",
    )
    largest_upload_bytes: int = Field(
        2**31, ge=1, le=2**40, description="A larger file is rejected with 413; the gateway has a separate limit"
    )
    rules_off: str | None = Field(None, description="Disabled validation rules, separated by commas")
    refused_states: str = Field(
        ",".join(Policy.excluded_states),
        pattern="^([A-Z]{2}(,[A-Z]{2})*)?$",
        description="States that orders are not shipped to, separated by commas",
    )
    largest_zipcode_sum: int = Field(
        Policy.max_zipcode_sum, ge=0, le=1000, description="Maximum sum of the digits of a zip code"
    )
    smallest_age: int = Field(Policy.min_age, ge=0, le=120, description="Minimum age in years for ordering")

    @model_validator(mode="after")
    def _check_rule_names(self) -> "Settings":
        if unknown := set(_split_names(self.rules_off)) - set(RULES_BY_NAME):
            raise ValueError(
                f"RULES_OFF must be one or more of {', '.join(RULES_BY_NAME)}, not {', '.join(sorted(unknown))}"
            )
        return self

    @property
    def web_connection_count(self) -> int:
        """Count also the connection of each process that holds the idempotency keys of uploads."""
        return super().web_connection_count + self.web_concurrency

    @property
    def policy(self) -> Policy:
        return Policy(
            frozenset(_split_names(self.rules_off)),
            tuple(_split_names(self.refused_states)),
            self.largest_zipcode_sum,
            self.smallest_age,
        )


def _split_names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def limit_polars_threads() -> None:
    """Limit the threads of polars, each of which takes memory; polars reads the limit when it is first imported."""
    os.environ.setdefault("POLARS_MAX_THREADS", "2")
