"""The start page: the state and the traffic of all services, and the newest events of all streams."""

from functools import partial
from typing import Any, cast

from flask import Blueprint, Response

from chassis.web.app import this_app
from console_service import clients, sparklines, traffic
from console_service.domain import aggregate_status
from console_service.quick_reads import read, read_replicas
from console_service.routes.pages import read_parts, render_page
from console_service.settings import Settings

bp = Blueprint("overview", __name__)

PURPOSES = {
    "sequence-service": "Document numbers that are never issued twice",
    "event-service": "Append-only event streams, with an offset for each consumer",
    "orders-service": "Import of orders, validated against shipping rules",
    "specstore-service": "Dataset specs, and the pipelines that build them",
    "factory-service": "Production data of factories, and their sprockets",
}
_NEWEST_EVENTS = "/api/v1/events/newest?limit=10"


@bp.get("/")
@bp.get("/console")
def show_overview() -> Response:
    parts = read_parts(services=_read_services, events=_read_events)
    return render_page("overview.html", **parts["services"], events=parts["events"])


@bp.get("/console/overview/services")
def show_services() -> Response:
    """Return the services, which are refreshed while the page is visible."""
    return render_page("overview_services.html", **_read_services())


@bp.get("/console/overview/events")
def show_events() -> Response:
    """Return the newest events, which are refreshed while the page is visible."""
    return render_page("overview_events.html", events=read_parts(events=_read_events)["events"])


def _read_services() -> dict[str, Any]:
    settings = cast(Settings, this_app().settings)
    names = settings.service_urls
    parts = read_parts(_reports=_read_health_reports, **{name: partial(_read_traffic, name) for name in names})
    reports = parts.pop("_reports")
    return {
        "overall_status": aggregate_status(reports.values(), failed="DOWN"),
        "services": [(name, PURPOSES.get(name, ""), reports[name], parts[name]) for name in names],
    }


def _read_health_reports() -> dict[str, dict[str, Any]]:
    settings = cast(Settings, this_app().settings)
    return clients.fetch_reports(
        settings.service_urls, "/healthcheck", clients.identity_headers(), settings.health_timeout_seconds
    )


def _read_traffic(service: str) -> dict[str, Any]:
    """Return the figures of all replicas together, and the small charts."""
    recent = traffic.combine(read_replicas(service, "/metrics/recent"))
    return {
        "recent": recent,
        "request_bars": sparklines.bars([minute.requests_per_second for minute in recent.minutes]),
        "error_bars": sparklines.bars([minute.errors for minute in recent.minutes]),
        "latency_lines": sparklines.lines(recent.latencies_ms(0.5), recent.latencies_ms(0.95)),
    }


def _read_events() -> list[dict[str, Any]]:
    return read("event-service", _NEWEST_EVENTS)["events"]  # type: ignore[no-any-return]
