"""Every environment variable of this service."""

from pydantic import Field

from chassis.runtime.config import UploadSettings


class Settings(UploadSettings):
    redis_url: str | None = Field(
        None,
        repr=False,
        pattern="^(rediss?|unix)://",
        description="Redis or Valkey: `redis://:password@host:port/0`; without it every answer comes from Postgres",
    )
    redis_timeout_seconds: float = Field(
        0.25, gt=0, le=5, description="Without an answer for so long Redis counts as away, for a second"
    )
    read_database_url: str | None = Field(
        None,
        repr=False,
        pattern="^postgres(ql)?://",
        description="A read replica; the primary states which version of a thing it must have",
    )
