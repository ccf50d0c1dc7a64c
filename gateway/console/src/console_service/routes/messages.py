"""Queues and dead letters of all services, as JSON and as pages."""

import json
from datetime import datetime
from http import HTTPStatus
from typing import Any, cast

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis.errors import NotFound, Problem
from chassis.web.app import require_admin, this_app
from chassis.web.endpoints import ResponseSpec
from chassis.web.queues import MessageQuery
from chassis.web.validation import endpoint
from console_service.clients import call
from console_service.routes import responses
from console_service.routes.pages import field_errors, read_parts, render_page, run_action
from console_service.routes.responses import DeadLetters, MovedDeadLetters, QueuePath, Queues
from console_service.settings import Settings

bp = Blueprint("messages", __name__)
bp.before_request(require_admin)

_ERRORS = {
    400: responses.INVALID,
    403: responses.ADMIN_REQUIRED,
    404: responses.QUEUE_NOT_FOUND,
    503: responses.UNAVAILABLE,
    504: responses.TIMED_OUT,
}


@bp.get("/dead-letters")
@endpoint(
    "List the queues of all services with their dead letters",
    {
        200: ResponseSpec("The queues, ordered by name", Queues, example=responses.QUEUES_EXAMPLE),
        403: responses.ADMIN_REQUIRED,
    },
    tag="dead-letters",
    description="Only admins may call this. The numbers are those that the workers last reported, up to 5 s ago.",
)
def list_dead_letter_queues() -> dict[str, Any]:
    return _read_queues()


@bp.get("/dead-letters/<queue>")
@endpoint(
    "List the dead letters of a queue",
    {
        200: ResponseSpec("The first 100 dead letters", DeadLetters, example=responses.DEAD_LETTERS_EXAMPLE),
        **_ERRORS,
    },
    path=QueuePath,
    tag="dead-letters",
    description="Only admins may call this. Listing them changes nothing.",
)
def list_dead_letters(queue: str) -> Any:
    return _list(queue)


@bp.post("/dead-letters/<queue>/retry")
@endpoint(
    "Requeue the dead letters of a queue, or one",
    {200: ResponseSpec("They are in the queue again", MovedDeadLetters, example={"count": 1}), **_ERRORS},
    path=QueuePath,
    query=MessageQuery,
    tag="dead-letters",
    description="Only admins may call this. One call moves as many as it can within 4 s: repeat it until `count` is 0. "
    "Handlers process a message that is requeued twice only once.",
)
def requeue_dead_letters(queue: str, query: MessageQuery) -> Any:
    return _retry(queue, query.id)


@bp.delete("/dead-letters/<queue>")
@endpoint(
    "Delete the dead letters of a queue, or one",
    {200: ResponseSpec("They are deleted", MovedDeadLetters, example={"count": 1}), **_ERRORS},
    path=QueuePath,
    query=MessageQuery,
    tag="dead-letters",
    description="Only admins may call this. A deleted message cannot be restored; repeat the call until `count` is 0.",
)
def delete_dead_letters(queue: str, query: MessageQuery) -> Any:
    return _discard(queue, query.id)


@bp.get("/console/messages")
def list_queues() -> Response:
    return render_page("messages/list.html", **_read_queues())


@bp.get("/console/messages/queues")
def show_queues() -> Response:
    """Return the part of the page that is refreshed while it is visible."""
    return render_page("messages/queues.html", **_read_queues())


@bp.get("/console/messages/<queue>")
def show_queue(queue: str) -> Response:
    return _render_queue(queue)


@bp.post("/console/messages/<queue>")
def act_on_queue(queue: str) -> BaseResponse:
    # Without an ID, the action applies to all dead letters of the queue.
    message = request.form.get("id") or None

    def move(action: Any, notice: str) -> BaseResponse:
        action(queue, message)
        return redirect(url_for("messages.show_queue", queue=queue, done=notice), 303)

    actions = {"retry": lambda: move(_retry, "requeued"), "delete": lambda: move(_discard, "deleted")}
    return run_action(actions, lambda problem, action: _render_queue(queue, problem))


def _render_queue(queue: str, problem: Problem | None = None) -> Response:
    parts = read_parts(queue=lambda: _find_queue(queue), dead_letters=lambda: _list(queue)["dead_letters"])
    if isinstance(parts["queue"], NotFound):
        raise parts["queue"]
    if not isinstance(parts["dead_letters"], Problem):
        parts["dead_letters"] = [
            letter | {"text": _indent(letter["body"]), "dead_at": _valid_time(letter["dead_at"])}
            for letter in parts["dead_letters"]
        ]
    status = problem.status if problem else 200
    return render_page("messages/detail.html", status, name=queue, errors=field_errors(problem), **parts)


def _read_queues() -> dict[str, Any]:
    """Return the queues of all services, and the services whose queues are unknown."""
    services, timeout = _settings().service_urls, _settings().health_timeout_seconds

    def read(service: str) -> Any:
        return call(service, "GET", "queues", timeout_seconds=timeout)

    parts = read_parts(**{service: lambda service=service: read(service) for service in services})
    reports = {service: part for service, part in parts.items() if not isinstance(part, Problem)}
    queues = [{"service": service, **queue} for service, report in reports.items() for queue in report["queues"]]
    return {
        "queues": sorted(queues, key=lambda queue: queue["name"]),
        "disconnected": [service for service, report in reports.items() if not report["is_connected"]],
        "unavailable": [service for service in services if service not in reports],
    }


def _find_queue(queue: str) -> Any:
    report = call(_service_of(queue), "GET", "queues")
    match = next((entry for entry in report["queues"] if entry["name"] == queue), None)
    if match is None and report["is_connected"]:
        raise NotFound(f"{queue}: unknown queue")
    return match


def _list(queue: str) -> Any:
    return call(_service_of(queue), "GET", "queues", queue, "dead")


def _retry(queue: str, message: str | None) -> Any:
    return _move("POST", queue, message, "retry")


def _discard(queue: str, message: str | None) -> Any:
    return _move("DELETE", queue, message)


def _move(method: str, queue: str, message: str | None, *suffix: str) -> Any:
    query = {"id": message} if message else {}
    try:
        return call(_service_of(queue), method, "queues", queue, "dead", *suffix, query=query)
    except Problem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        # The services state this in different shapes.
        reason = f"no dead letter has the ID {message}" if message else "unknown queue"
        raise NotFound(f"{queue}: {reason}") from None


def _service_of(queue: str) -> str:
    """Return the service that consumes the queue, whose name begins with that of the service."""
    service = f"{queue.partition('.')[0]}-service"
    if service not in _settings().service_urls:
        raise NotFound(f"{queue}: unknown queue")
    return service


def _settings() -> Settings:
    return cast(Settings, this_app().settings)


def _valid_time(value: Any) -> str | None:
    """Return a time with its offset, or None: any program may have sent the message with its headers."""
    try:
        return value if datetime.fromisoformat(value).tzinfo else None
    except (TypeError, ValueError):
        return None


def _indent(body: str) -> str:
    """Return JSON with line breaks, and unchanged what is not JSON or has numbers that would be changed."""
    try:
        return json.dumps(json.loads(body, parse_float=_parse_exactly), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body


def _parse_exactly(digits: str) -> float:
    if repr(float(digits)) != digits:
        raise ValueError(digits)
    return float(digits)
