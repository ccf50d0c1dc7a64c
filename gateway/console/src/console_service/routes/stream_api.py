"""Calls of the event-service that the pages of streams share."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Response, request

from chassis.errors import Invalid, Problem
from console_service.clients import call
from console_service.routes.pages import field_errors, read_parts, render_page

SERVICE = "event-service"
# Only the services append to their streams.
SERVICE_STREAMS = ("sequence", "event", "orders", "specstore", "factory")
# Of the event names of a stream, so many can be selected.
_MAX_NAMES = 200


def call_stream(method: str, stream: str, *path: str, **options: Any) -> Any:
    return call(SERVICE, method, "api", "v1", "streams", stream, *path, **options)


def read_stream_parts(stream: str, **parts: Callable[[], Any]) -> dict[str, Any]:
    """Read the parts of a page and the state of the stream, without which the page cannot be shown."""
    result = read_parts(state=lambda: call_stream("GET", stream), **parts)
    if isinstance(result["state"], Problem):
        raise result["state"]
    return result


def render_stream_page(
    template: str, state: dict[str, Any], problem: Problem | None, failed_form: str, **context: Any
) -> Response:
    """Render a page of the stream; `failed_form` is the action of the form at which `problem` is shown."""
    return render_page(
        template,
        problem.status if problem else 200,
        state=state,
        names=list(state["events"])[:_MAX_NAMES],
        count=sum(state["events"].values()),
        is_of_service=state["stream"] in SERVICE_STREAMS,
        form=request.form,
        failed_form=failed_form,
        errors=field_errors(problem),
        **context,
    )


def parse_utc_time(field: str, text: str) -> str:
    """Return the time in RFC 3339; a time without an offset is in UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid.field(field, "must be a time such as 2026-11-27T08:30") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()
