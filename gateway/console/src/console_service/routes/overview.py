"""The start page: the state and the traffic of all services, and the newest events of all streams."""

from typing import Any

from flask import Blueprint, Response

from console_service.routes.pages import read_parts, render_page
from console_service.routes.services import read, read_services

bp = Blueprint("overview", __name__)

_NEWEST_EVENTS = 10


@bp.get("/")
@bp.get("/console")
def show_overview() -> Response:
    parts = read_parts(services=read_services, events=_read_events)
    return render_page("overview.html", **parts["services"], events=parts["events"])


@bp.get("/console/overview/services")
def show_services() -> Response:
    """Return the services, which are refreshed while the page is visible."""
    return render_page("overview_services.html", **read_services())


@bp.get("/console/overview/events")
def show_events() -> Response:
    """Return the newest events, which are refreshed while the page is visible."""
    return render_page("overview_events.html", events=read_parts(events=_read_events)["events"])


def _read_events() -> list[dict[str, Any]]:
    page = read("event-service", "api", "v1", "events", "newest", query={"limit": _NEWEST_EVENTS})
    return page["events"]  # type: ignore[no-any-return]
