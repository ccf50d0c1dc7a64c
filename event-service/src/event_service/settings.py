"""Every environment variable of this service."""

from pydantic import Field

from chassis.runtime.config import ServiceSettings


class Settings(ServiceSettings):
    reserved_streams: str = Field(
        "sequence,event,orders,specstore,factory",
        pattern="^[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)*$",
        description="Streams of the services, separated by commas: HTTP never appends to them, and the worker appends "
        "the events that the service of that name publishes",
    )
    nack_limit: int = Field(5, ge=1, le=1000, description="At this NACK an event is parked for its consumer")
    watch_seconds: float = Field(
        0.05,
        gt=0,
        le=1,
        description="How often a web process asks Postgres on behalf of those who wait in it",
    )
    live_heartbeat_seconds: float = Field(
        15, gt=0, le=60, description="A comment goes out on a live stream that was silent for so long"
    )

    @property
    def reserved(self) -> frozenset[str]:
        return frozenset(self.reserved_streams.split(","))
