"""The start page: the state of all services and their dependencies."""

from typing import Any, cast

from flask import Blueprint, Response

from chassis.web.app import this_app
from console_service import clients
from console_service.domain import aggregate_status
from console_service.routes.pages import render_page
from console_service.settings import Settings

bp = Blueprint("overview", __name__)

PURPOSES = {
    "sequence-service": "Document numbers that are never issued twice",
    "event-service": "Append-only event streams, with an offset for each consumer",
    "orders-service": "Import of orders, validated against shipping rules",
    "specstore-service": "Dataset specs, and the pipelines that build them",
    "factory-service": "Production data of factories, and their sprockets",
}


@bp.get("/")
@bp.get("/console")
def show_overview() -> Response:
    return render_page("overview.html", **_service_states())


@bp.get("/console/overview/services")
def show_services() -> Response:
    """Return the part of the page that is refreshed while it is visible."""
    return render_page("overview_services.html", **_service_states())


def _service_states() -> dict[str, Any]:
    settings = cast(Settings, this_app().settings)
    reports = clients.fetch_reports(
        settings.service_urls, "/healthcheck", clients.identity_headers(), settings.health_timeout_seconds
    )
    return {
        "overall_status": aggregate_status(reports.values(), failed="DOWN"),
        "services": [(name, PURPOSES.get(name, ""), report) for name, report in reports.items()],
    }
