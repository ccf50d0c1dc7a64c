"""The state and the figures of the services: parts of the overview, and a page for each."""

import csv
import io
from functools import partial
from typing import Any, cast

from flask import Blueprint, Response

from chassis.errors import NotFound, Problem
from chassis.web.app import this_app
from console_service import clients, sparklines, traffic
from console_service.domain import aggregate_status
from console_service.replicas import replica_urls
from console_service.routes.pages import read_parts, render_page
from console_service.settings import Settings

bp = Blueprint("services", __name__, url_prefix="/console/services")

PURPOSES = {
    "sequence-service": "Document numbers that are never issued twice",
    "event-service": "Append-only event streams, with an offset for each consumer",
    "orders-service": "Import of orders, validated against shipping rules",
    "specstore-service": "Dataset specs, and the pipelines that build them",
    "factory-service": "Production data of factories, and their sprockets",
}
_CSV_COLUMNS = ("time", "requests", "errors", "median_ms", "slow_ms", "backlog")


@bp.get("/<service>")
def show_service(service: str) -> Response:
    return render_page("services/detail.html", **_read_service(service))


@bp.get("/<service>/minutes")
def show_minutes(service: str) -> Response:
    """Return the figures per minute, which are refreshed while the page is visible."""
    return render_page("services/minutes.html", **_read_service(service))


@bp.get("/<service>/minutes.csv")
def download_minutes(service: str) -> Response:
    minutes = _read_service(service)["minutes"]
    if isinstance(minutes, Problem):
        raise minutes
    text = io.StringIO()
    writer = csv.DictWriter(text, _CSV_COLUMNS)
    writer.writeheader()
    writer.writerows(minutes)
    headers = {"Content-Disposition": f'attachment; filename="{service}.csv"', "Cache-Control": "no-store"}
    return Response(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def read_services() -> dict[str, Any]:
    """Return the state, the traffic and the backlogs of all services; what could not be read is a Problem."""
    names = _settings().service_urls
    parts = read_parts(
        reports=lambda: _read_health_reports(names),
        **{f"traffic of {name}": partial(_read_traffic, name) for name in names},
        **{f"backlogs of {name}": partial(_read_backlogs, name) for name in names},
    )
    return {
        "overall_status": aggregate_status(parts["reports"].values(), failed="DOWN"),
        "services": [
            {
                "name": name,
                "purpose": PURPOSES.get(name, ""),
                "report": parts["reports"][name],
                "traffic": parts[f"traffic of {name}"],
                "backlogs": parts[f"backlogs of {name}"],
            }
            for name in names
        ],
    }


def read(service: str, *path: str, **options: Any) -> Any:
    """Read a part of the page, for which the rest does not wait: it fails after the timeout of health requests."""
    return clients.call(service, "GET", *path, timeout_seconds=_settings().health_timeout_seconds, **options)


def _settings() -> Settings:
    return cast(Settings, this_app().settings)


def _read_health_reports(urls: dict[str, str]) -> dict[str, dict[str, Any]]:
    return clients.fetch_reports(urls, "/healthcheck", clients.identity_headers(), _settings().health_timeout_seconds)


def _read_traffic(service: str) -> dict[str, Any]:
    """Return the figures of all replicas together, and the small charts."""
    urls = replica_urls(_settings().service_urls[service])
    recent = traffic.combine(read(service, "metrics", "recent", url=url) for url in urls)
    return {
        "recent": recent,
        "request_bars": sparklines.bars([minute.requests_per_second for minute in recent.minutes]),
        "error_bars": sparklines.bars([minute.errors for minute in recent.minutes]),
        "latency_lines": sparklines.lines(recent.latencies_ms(0.5), recent.latencies_ms(0.95)),
    }


def _read_backlogs(service: str) -> dict[str, Any]:
    """Return the greatest number of unpublished messages per minute, and the small chart."""
    minutes = read(service, "metrics", "backlog")["minutes"]
    return {"minutes": minutes, "bars": sparklines.bars([minute["backlog"] or 0 for minute in minutes])}


def _read_service(service: str) -> dict[str, Any]:
    urls = _settings().service_urls
    if service not in urls:
        raise NotFound(f"{service}: unknown service")
    parts = read_parts(
        reports=lambda: _read_health_reports({service: urls[service]}),
        minutes=lambda: _read_minutes(service),
    )
    report = parts["reports"][service]
    return {"service": service, "purpose": PURPOSES.get(service, ""), "report": report, "minutes": parts["minutes"]}


def _read_minutes(service: str) -> list[dict[str, Any]]:
    """Return the figures per minute, oldest first; of the current minute, only the backlog is known."""
    parts = read_parts(traffic=lambda: _read_traffic(service), backlogs=lambda: _read_backlogs(service))
    if isinstance(parts["traffic"], Problem):
        raise parts["traffic"]
    recent = parts["traffic"]["recent"]
    minutes: dict[int, dict[str, Any]] = {
        minute.time: {
            "time": minute.time,
            "requests": minute.requests,
            "errors": minute.errors,
            "median_ms": recent.minute_latency_ms(minute, 0.5),
            "slow_ms": recent.minute_latency_ms(minute, 0.95),
            "backlog": None,
        }
        for minute in recent.minutes
    }
    if not isinstance(parts["backlogs"], Problem):
        for minute in parts["backlogs"]["minutes"]:
            entry = minutes.setdefault(minute["time"], dict.fromkeys(_CSV_COLUMNS))
            entry |= minute
    return [minutes[time] for time in sorted(minutes)]
