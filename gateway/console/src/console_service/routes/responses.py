"""The JSON responses of the console, for its OpenAPI document."""

from typing import Annotated, Any, Literal, NotRequired

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
    # Only of RabbitMQ.
    workers_alive: NotRequired[Annotated[int, Field(description="Number of workers that have reported recently")]]
    workers_connected: NotRequired[Annotated[int, Field(description="Number of these that are connected")]]
    outbox_backlog: NotRequired[Annotated[int, Field(description="Number of messages that are not published yet")]]
    outbox_oldest_seconds: NotRequired[Annotated[float, Field(description="Age of the oldest of these messages")]]
    queues: NotRequired[Annotated[dict[str, int | None], Field(description="Number of waiting messages by queue")]]
    dead_letters: NotRequired[Annotated[dict[str, int | None], Field(description="Number of dead letters by queue")]]


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
    what: Annotated[str, Field(description="What happened, for people")]
    id: Annotated[str, Field(description="ID of the event, the message, the import, the flow, …")]
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
    type: Annotated[str | None, Field(description="The name of the event or the job")]
    request_id: Annotated[str | None, Field(description="ID of the request that caused the message")]
    reason: Annotated[str, Field(description="The last error, or `unknown`")]
    dead_at: Annotated[str | None, Field(description="When it was dead-lettered; text if another program set it")]
    size_bytes: Annotated[int, Field(description="Size of the body")]
    body: Annotated[str, Field(description="The first 10,000 bytes of the body, as text")]


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
        "rabbitmq": {
            "status": "DOWN",
            "latency_ms": 1.2,
            "detail": "no worker is connected to RabbitMQ",
            "workers_alive": 1,
            "workers_connected": 0,
            "outbox_backlog": 3,
            "outbox_oldest_seconds": 41.5,
            "queues": {"orders.import": 0, "orders.undo": 0},
            "dead_letters": {"orders.import": 1, "orders.undo": 0},
        },
    },
}
_CHECKS = [{"name": "a finished import has counted each row once", "status": "OK", "detail": ""}]
_FULL_RUN = {
    "status": "SUCCESS",
    "started_at": "2026-11-27T08:00:00Z",
    "finished_at": "2026-11-27T08:00:04Z",
    "checks": _CHECKS,
}
INVARIANTS_EXAMPLE = {
    "status": "OK",
    "full": "SUCCESS",
    "services": {"orders-service": {"status": "OK", "checks": _CHECKS, "full": _FULL_RUN}},
}
_STARTED_RUN: dict[str, Any] = {"status": "PENDING", "started_at": None, "finished_at": None, "checks": []}
STARTED_RUNS_EXAMPLE = {
    "status": "OK",
    "full": "PENDING",
    "services": {"orders-service": {"status": "OK", "checks": _CHECKS, "full": _STARTED_RUN}},
}
BROKEN_EXAMPLE = {
    "status": "BROKEN",
    "full": "SUCCESS",
    "services": {"orders-service": {"status": "DOWN", "service": "orders-service", "error": "unreachable"}},
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
            "dead_at": "2026-11-27T08:30:00.123456Z",
            "size_bytes": 55,
            "body": '{"task_id": "019ac0de-7a5b-7c3d-8e4f-1a2b3c4d5e6f"}',
        }
    ]
}
