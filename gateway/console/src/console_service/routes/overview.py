"""The start page: the state and the traffic of all services, and the newest events of all streams."""

from functools import partial
from typing import Any, cast

from flask import Blueprint, Response

from chassis.web.app import this_app
from console_service import clients, sparklines, traffic
from console_service.domain import aggregate_status
from console_service.replicas import replica_urls
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
_NEWEST_EVENTS = 10


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


def _settings() -> Settings:
    return cast(Settings, this_app().settings)


def _read_services() -> dict[str, Any]:
    names = _settings().service_urls
    parts = read_parts(_reports=_read_health_reports, **{name: partial(_read_traffic, name) for name in names})
    reports = parts.pop("_reports")
    return {
        "overall_status": aggregate_status(reports.values(), failed="DOWN"),
        "services": [(name, PURPOSES.get(name, ""), reports[name], parts[name]) for name in names],
    }


def _read_health_reports() -> dict[str, dict[str, Any]]:
    settings = _settings()
    return clients.fetch_reports(
        settings.service_urls, "/healthcheck", clients.identity_headers(), settings.health_timeout_seconds
    )


def _read_traffic(service: str) -> dict[str, Any]:
    """Return the figures of all replicas together, and the small charts."""
    urls = replica_urls(_settings().service_urls[service])
    recent = traffic.combine(_read(service, "metrics", "recent", url=url) for url in urls)
    return {
        "recent": recent,
        "request_bars": sparklines.bars([minute.requests_per_second for minute in recent.minutes]),
        "error_bars": sparklines.bars([minute.errors for minute in recent.minutes]),
        "latency_lines": sparklines.lines(recent.latencies_ms(0.5), recent.latencies_ms(0.95)),
    }


def _read_events() -> list[dict[str, Any]]:
    page = _read("event-service", "api", "v1", "events", "newest", query={"limit": _NEWEST_EVENTS})
    return page["events"]  # type: ignore[no-any-return]


def _read(service: str, *path: str, **options: Any) -> Any:
    """Read a part of the page, for which the rest does not wait: it fails after the timeout of health requests."""
    return clients.call(service, "GET", *path, timeout_seconds=_settings().health_timeout_seconds, **options)
