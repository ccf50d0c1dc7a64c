"""The trace of a request: what it caused in all services, as JSON and as a page."""

from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

from flask import Blueprint, Response, redirect, request, url_for
from pydantic import BaseModel, ConfigDict
from werkzeug.wrappers import Response as BaseResponse

from chassis.errors import Invalid, Problem
from chassis.runtime import request_ids
from chassis.web.app import require_admin, this_app
from chassis.web.endpoints import ResponseSpec
from chassis.web.traces import TracePath
from chassis.web.validation import endpoint
from console_service import access_log
from console_service.clients import call
from console_service.routes import responses
from console_service.routes.pages import field_errors, read_parts, render_page
from console_service.routes.responses import Trace
from console_service.settings import Settings

bp = Blueprint("traces", __name__)
bp.before_request(require_admin)

# Where objects are returned as JSON if they have no page, or if their page needs more than their ID.
_JSON_URLS = {"event": "/api/v1/events/", "load": "/api/factories/load/"}


class NoQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")


@bp.get("/trace/<request_id>")
@endpoint(
    "Get what a request caused in all services",
    {
        200: ResponseSpec("The entries in order of time", Trace, example=responses.TRACE_EXAMPLE),
        400: responses.INVALID,
        403: responses.ADMIN_REQUIRED,
    },
    path=TracePath,
    query=NoQuery,
    tag="traces",
    description="Only admins may call this. Entries exist as long as what they describe is stored; an unknown request "
    "has none.",
)
def get_trace(request_id: str, query: NoQuery) -> dict[str, Any]:
    return _read_trace(request_id)


@bp.get("/console/trace")
def search() -> BaseResponse:
    """Show the form, or the page of the request ID that was entered."""
    request_id = request.args.get("id", "").strip()
    if not request_id:
        return render_page("traces/search.html", value="", errors={})
    try:
        _check(request_id)
    except Problem as problem:
        return render_page("traces/search.html", problem.status, value=request_id, errors=field_errors(problem))
    return redirect(url_for("traces.show_trace", request_id=request_id), 303)


@bp.get("/console/trace/<request_id>")
def show_trace(request_id: str) -> Response:
    _check(request_id)
    trace = _read_trace(request_id)
    log_file = cast(Settings, this_app().settings).access_log_file
    return render_page(
        "traces/detail.html",
        trace=trace,
        entries=_describe(trace["entries"]),
        gateway_entry=access_log.find_request(log_file, request_id) if log_file else None,
    )


def _describe(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to each entry the seconds since the first one, and the address of its object."""
    times = [datetime.fromisoformat(entry["at"]) for entry in entries]
    return [
        entry | {"seconds": (time - times[0]).total_seconds(), "url": _url_of(entry)}
        for entry, time in zip(entries, times, strict=True)
    ]


def _url_of(entry: dict[str, Any]) -> str | None:
    kind, id_ = entry["kind"], entry["id"]
    if kind == "number":
        return url_for("sequences.show_sequence", name=id_)
    if kind == "import":
        return url_for("orders.show_import", task_id=id_)
    if kind == "flow":
        owner, dataset, revision = id_.split("/")
        return url_for("datasets.show_dataset", owner=owner, dataset=dataset, revision=revision)
    if kind not in _JSON_URLS or (kind == "event" and entry["service"] != "event-service"):
        return None  # a job, or an event that waits to be published and is not in its stream yet
    return _JSON_URLS[kind] + quote(id_)


def _check(request_id: str) -> None:
    if not request_ids.is_valid(request_id):
        raise Invalid.field("id", "must have 1 to 128 characters of A-Z a-z 0-9 . _ -")


def _read_trace(request_id: str) -> dict[str, Any]:
    """Ask all services in parallel; those that do not respond in time are listed as unavailable."""
    settings = cast(Settings, this_app().settings)

    def read(service: str) -> Any:
        return call(service, "GET", "trace", request_id, timeout_seconds=settings.health_timeout_seconds)

    parts = read_parts(**{service: lambda service=service: read(service) for service in settings.service_urls})
    reports = {service: part for service, part in parts.items() if not isinstance(part, Problem)}
    entries = [
        {"at": entry["at"], "service": service, **entry}
        for service, report in reports.items()
        for entry in report["entries"]
    ]
    return {
        "request_id": request_id,
        "entries": sorted(entries, key=lambda entry: entry["at"]),
        "incomplete": [service for service, report in reports.items() if report["has_more"]],
        "unavailable": [service for service in parts if service not in reports],
    }
