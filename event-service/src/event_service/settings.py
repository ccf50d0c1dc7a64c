"""Settings of the event-service, from environment variables."""

from typing import ClassVar

from pydantic import Field

from chassis.runtime.config import ServiceSettings


class Settings(ServiceSettings):
    queue_count: ClassVar[int] = 1

    reserved_streams: str = Field(
        "sequence,event,orders,specstore,factory",
        pattern="^[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)*$",
        description="Comma-separated streams of the services: HTTP requests never append to them, and the worker "
        "appends the events that the service of that name publishes",
    )
    nack_limit: int = Field(
        5, ge=1, le=1000, description="Number of NACKs after which an event is parked for its consumer"
    )
    live_heartbeat_seconds: float = Field(
        15, gt=0, le=60, description="Idle time after which a comment is sent on a live stream"
    )

    @property
    def web_connection_count(self) -> int:
        """Count also the connection on which each process receives notifications for its waiting readers."""
        return super().web_connection_count + self.web_concurrency

    @property
    def reserved(self) -> frozenset[str]:
        return frozenset(self.reserved_streams.split(","))
