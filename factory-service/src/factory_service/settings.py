"""Every environment variable of this service."""

from typing import ClassVar

from pydantic import Field

from chassis.runtime.config import UploadSettings


class Settings(UploadSettings):
    queue_count: ClassVar[int] = 3

    redis_url: str | None = Field(
        None,
        repr=False,
        pattern="^(rediss?|unix)://",
        description="Redis or Valkey: `redis://:password@host:port/0`; if unset, every response is read from Postgres",
    )
    redis_timeout_seconds: float = Field(
        0.25, gt=0, le=5, description="Redis counts as unavailable for a second if it does not respond in this time"
    )
    read_database_url: str | None = Field(
        None,
        repr=False,
        pattern="^postgres(ql)?://",
        description="A read replica; only documents that have the version stated by the primary are read from it",
    )

    @property
    def web_connection_count(self) -> int:
        """Count also the connection of each process that reads the versions of cached resources."""
        return super().web_connection_count + self.web_concurrency
