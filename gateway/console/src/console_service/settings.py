"""Settings of the console, read from environment variables."""

from pathlib import Path

from pydantic import Field

from chassis.runtime.config import WebSettings


class Settings(WebSettings):
    services: str = Field(pattern="^[a-z]+(,[a-z]+)*$", description="Names of the services, separated by commas")
    service_url: str = Field(
        "http://{service}-web:8000",
        pattern=r"^(http://|unix:/).*\{service\}",
        description="Address of a service, with `{service}` for its name: `http://…` or `unix:/path`",
    )
    users_file: Path | None = Field(
        None,
        description="File of the gateway's users and roles, `roles.conf`; without it, the console cannot list them",
    )
    access_log_file: Path | None = Field(
        None,
        description="Access log of the gateway, in which the pages of users and traces find requests",
    )
    users_program: Path | None = Field(
        None,
        description="Program that changes the users, `deploy/local`; without it, the console shows the commands",
    )
    health_timeout_seconds: float = Field(
        2, gt=0, le=30, description="Timeout of a request for the health, the queues or a trace of a service"
    )
    invariants_timeout_seconds: float = Field(
        60, gt=0, le=600, description="Timeout of an invariants request to a service"
    )
    page_timeout_seconds: float = Field(10, gt=0, le=30, description="Timeout of a request of a page to a service")

    @property
    def service_urls(self) -> dict[str, str]:
        """Addresses by the full names of the services, such as `sequence-service`."""
        return {f"{name}-service": self.service_url.format(service=name) for name in self.services.split(",")}
