"""Queues and dead letters of a service, for admins. Web processes do not reach RabbitMQ; workers do."""

import time
from typing import Annotated, Any

from flask import Blueprint
from pydantic import BaseModel, Field

from chassis.db import Row
from chassis.errors import NotFound, Problem, Unavailable
from chassis.messaging import dead_letter_requests
from chassis.messaging.worker_reports import live_workers
from chassis.web.app import require_admin, transaction
from chassis.web.validation import endpoint

_MAX_WAIT_SECONDS, _POLL_SECONDS = 8.0, 0.05  # a worker usually takes less, and the console waits longer


class MessageQuery(BaseModel):
    id: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        None, description="The ID of one dead letter; all if omitted"
    )


def add_routes(bp: Blueprint) -> None:
    @bp.get("/queues")
    def list_queues() -> dict[str, Any]:
        """Return the reports of the workers, which are up to five seconds old."""
        require_admin()
        with transaction() as tx:
            workers = live_workers(tx)
        queues = [_describe_queue(queue, workers) for queue in (workers[0]["queues"] if workers else ())]
        return {"is_connected": any(worker["broker_connected"] for worker in workers), "queues": queues}

    @bp.get("/queues/<queue>/dead")
    def list_dead_letters(queue: str) -> dict[str, Any]:
        return {"dead_letters": _request("list", queue)}

    @bp.post("/queues/<queue>/dead/retry")
    @endpoint("Requeue the dead letters of a queue, or one", {}, query=MessageQuery)
    def retry_dead_letters(queue: str, query: MessageQuery) -> dict[str, Any]:
        return {"count": _request("retry", queue, query.id)}

    @bp.delete("/queues/<queue>/dead")
    @endpoint("Delete the dead letters of a queue, or one", {}, query=MessageQuery)
    def discard_dead_letters(queue: str, query: MessageQuery) -> dict[str, Any]:
        return {"count": _request("discard", queue, query.id)}


def _describe_queue(queue: str, workers: list[Row]) -> dict[str, Any]:
    rates = [worker["queues"].get(queue, {}).get("handled_per_second", 0) for worker in workers]
    newest = {"name": queue, "dead_letters": workers[0]["dead_letters"].get(queue), **workers[0]["queues"][queue]}
    return newest | {"handled_per_second": sum(rates)}


def _request(action: str, queue: str, message_id: str | None = None) -> Any:
    """Let a worker perform the action, and return its result."""
    require_admin()
    with transaction() as tx:
        workers = live_workers(tx)
        if not any(worker["broker_connected"] for worker in workers):
            raise Unavailable("no worker is connected to RabbitMQ")
        if queue not in workers[0]["queues"]:
            raise NotFound(f"{queue}: unknown queue")
        request_id = dead_letter_requests.request(tx, action, queue, message_id)
    deadline, outcome = time.monotonic() + _MAX_WAIT_SECONDS, None
    while outcome is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        with transaction() as tx:
            outcome = dead_letter_requests.find_result(tx, request_id)
    if outcome is None:
        outcome = {"error": "no worker has responded in time"}
    if "error" in outcome:
        raise Problem(f"{outcome['error']}; some dead letters may have been moved: list them", status=504)
    if message_id is not None and not outcome["result"]:
        raise NotFound(f"{queue}: no dead letter has the ID {message_id}")
    return outcome["result"]
