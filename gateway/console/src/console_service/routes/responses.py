"""The JSON responses of the console, for its OpenAPI document."""

from typing import Annotated, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from chassis.web.endpoints import problem
from chassis.web.openapi_components import Api

API = Api(
    "Requests that concern all services: their health and invariants, traces, and dead letters.",
    {
        "health": "Whether the services and their dependencies respond.",
        "invariants": "Conditions that the services recompute from their tables.",
        "traces": "The effects of a request in all services.",
        "dead-letters": "Queues, and the messages that failed permanently.",
    },
)
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
RunStatus = Literal["PENDING", "PROGRESS", "SUCCESS", "FAILURE"]


class AnyQuery(BaseModel):
    """Monitoring tools add parameters, for instance against caches."""

    model_config = ConfigDict(extra="ignore")


class ServicePath(BaseModel):
    service: Annotated[str, Field(description="Full name of a service", examples=["orders-service"])]


class QueuePath(BaseModel):
    queue: Annotated[str, Field(description="Name of a queue", examples=["orders.import"])]


class Liveness(TypedDict):
    status: Literal["OK"]


class Readiness(TypedDict):
    status: Literal["OK", "DOWN"]


class DependencyHealth(TypedDict):
    status: Literal["OK", "DOWN"]
    latency_ms: NotRequired[float]
    detail: NotRequired[Annotated[str, Field(description="The reason if the dependency is down")]]


class ServiceHealth(TypedDict):
    status: Annotated[str, Field(description="`OK`, `DEGRADED` if a dependency is down that is not vital, or `DOWN`")]
    service: NotRequired[str]
    version: NotRequired[str]
    uptime_seconds: NotRequired[int]
    dependencies: NotRequired[dict[str, DependencyHealth]]
    error: NotRequired[Annotated[str, Field(description="The reason if the service does not respond")]]


class Health(TypedDict):
    status: Annotated[str, Field(description="The worst status of the services")]
    services: dict[str, ServiceHealth]


class InvariantCheck(TypedDict):
    name: str
    status: Literal["OK", "BROKEN"]
    detail: Annotated[str, Field(description="The violation, or how much is verified; empty if all is")]


class FullRun(TypedDict):
    status: RunStatus
    started_at: Time | None
    finished_at: Time | None
    checks: list[InvariantCheck]


class ServiceInvariants(TypedDict):
    status: Annotated[str, Field(description="`OK`, `BROKEN`, or `DOWN` if the service does not respond")]
    checks: NotRequired[list[InvariantCheck]]
    full: NotRequired[FullRun | None]
    service: NotRequired[str]
    error: NotRequired[Annotated[str, Field(description="The reason if the service does not respond")]]


class Invariants(TypedDict):
    status: Annotated[str, Field(description="`OK`, or `BROKEN` if one is broken or a service does not respond")]
    full: Annotated[RunStatus | None, Field(description="The status of the last full runs, as if they were one")]
    services: dict[str, ServiceInvariants]


class TraceEntry(TypedDict):
    at: Time
    service: str
    kind: Annotated[str, Field(description="`event`, `job`, `import`, `flow`, `number` or `load`")]
    what: str
    id: str
    caused_by: Annotated[str, Field(description="`request`, or the trigger of an event")]


class Trace(TypedDict):
    request_id: str
    entries: Annotated[list[TraceEntry], Field(description="In order of time")]
    incomplete: Annotated[list[str], Field(description="Services that store more than 1,000 entries for the request")]
    unavailable: Annotated[list[str], Field(description="Services that did not respond within 2 s")]


class Queue(TypedDict):
    service: str
    name: str
    dead_letters: Annotated[int | None, Field(description="null if the worker has not counted them yet")]
    messages: NotRequired[Annotated[int, Field(description="Number of messages that wait")]]
    consumers: NotRequired[int]
    handled_per_second: float


class Queues(TypedDict):
    queues: list[Queue]
    disconnected: Annotated[list[str], Field(description="Services without a worker that is connected to RabbitMQ")]
    unavailable: Annotated[list[str], Field(description="Services that did not respond within 2 s")]


class DeadLetter(TypedDict):
    id: Annotated[str | None, Field(description="The message ID, for `?id=`")]
    type: str | None
    request_id: str | None
    reason: str
    dead_at: str | None
    size_bytes: int
    body: Annotated[str, Field(description="The first 10,000 bytes")]


class DeadLetters(TypedDict):
    dead_letters: list[DeadLetter]


class MovedDeadLetters(TypedDict):
    count: Annotated[int, Field(description="Number of dead letters that were moved or deleted")]


INVALID = problem("InvalidRequest", "The request is invalid; `errors` names the fields")
ADMIN_REQUIRED = problem("AdminRequired", "This requires the role admin")
SERVICE_NOT_FOUND = problem("ServiceNotFound", "The service is unknown")
QUEUE_NOT_FOUND = problem("QueueNotFound", "The queue is unknown, or has no dead letter with this ID")
UNAVAILABLE = problem("Unavailable", "The service, or its connection to RabbitMQ, is unavailable")
TIMED_OUT = problem("TimedOut", "No worker has responded in time; some dead letters may have been moved: list them")

HEALTH_EXAMPLE = {
    "status": "DEGRADED",
    "service": "orders-service",
    "version": "0.2.0",
    "uptime_seconds": 86400,
    "dependencies": {
        "postgres": {"status": "OK", "latency_ms": 0.8},
        "rabbitmq": {"status": "DOWN", "detail": "no worker is connected to RabbitMQ"},
    },
}
_FULL_RUN = {
    "status": "SUCCESS",
    "started_at": "2026-11-27T08:00:00Z",
    "finished_at": "2026-11-27T08:00:04Z",
    "checks": [{"name": "counts_add_up", "status": "OK", "detail": ""}],
}
INVARIANTS_EXAMPLE = {
    "status": "OK",
    "full": "SUCCESS",
    "services": {
        "orders-service": {
            "status": "OK",
            "checks": [{"name": "counts_add_up", "status": "OK", "detail": ""}],
            "full": _FULL_RUN,
        }
    },
}
TRACE_EXAMPLE = {
    "request_id": "0f8fad5bd9cb469fa16570867728950e",
    "entries": [
        {
            "at": "2026-11-27T08:30:00.123456Z",
            "service": "event-service",
            "kind": "event",
            "what": "Webshop order was placed in webshop",
            "id": "019ac0de-7a5b-7c3d-8e4f-1a2b3c4d5e6f",
            "caused_by": "request",
        }
    ],
    "incomplete": [],
    "unavailable": [],
}
QUEUES_EXAMPLE = {
    "queues": [
        {
            "service": "orders-service",
            "name": "orders.import",
            "dead_letters": 1,
            "messages": 0,
            "consumers": 2,
            "handled_per_second": 2.5,
        }
    ],
    "disconnected": [],
    "unavailable": [],
}
DEAD_LETTERS_EXAMPLE = {
    "dead_letters": [
        {
            "id": "019ac0de-7a5b-7c3d-8e4f-1a2b3c4d5e6f",
            "type": "orders.import",
            "request_id": "0f8fad5bd9cb469fa16570867728950e",
            "reason": "the import does not exist",
            "dead_at": "2026-11-27T08:30:00+00:00",
            "size_bytes": 55,
            "body": '{"task_id": "019ac0de-7a5b-7c3d-8e4f-1a2b3c4d5e6f"}',
        }
    ]
}
