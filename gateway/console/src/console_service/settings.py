"""Every environment variable of the console."""

from pydantic import Field

from chassis.runtime.config import WebSettings


class Settings(WebSettings):
    services: str = Field(pattern="^[a-z]+(,[a-z]+)*$", description="The services, separated by commas")
    service_url: str = Field(
        "http://{service}-web:8000",
        pattern=r"^(http://|unix:/).*\{service\}",
        description="Where a service listens, with `{service}` for its name: `http://…` or `unix:/path`",
    )
    health_timeout_seconds: float = Field(2, gt=0, le=30, description="How long a service may take for its health")
    invariants_timeout_seconds: float = Field(
        60, gt=0, le=600, description="How long a service may take to check its invariants"
    )
