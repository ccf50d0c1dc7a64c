"""Health, readiness and invariants of all services."""

import math
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request

from chassis import strictjson
from chassis.errors import NotFound
from chassis.web.app import json_response
from chassis.web.health import InvariantsQuery
from chassis.web.validation import endpoint
from console_service import clients
from console_service.clients import identity_headers
from console_service.domain import RESPONSIVE_STATUSES, aggregate_full_runs, aggregate_status
from console_service.settings import Settings

READINESS_TTL_SECONDS = 1.0


def blueprint(settings: Settings) -> Blueprint:
    bp = Blueprint("reports", __name__)
    urls = settings.service_urls

    @bp.get("/livez")
    def livez() -> dict[str, str]:
        return {"status": "OK"}

    readiness = CachedReadiness()

    @bp.get("/readyz")
    def readyz() -> Response:
        """Report readiness to unauthenticated clients: no details, and at most one check per second."""

        def check() -> bool:
            reports = clients.fetch_reports(urls, "/healthcheck", {}, settings.health_timeout_seconds)
            return all(report["status"] in RESPONSIVE_STATUSES for report in reports.values())

        is_ready = readiness.get(check)
        return _json({"status": "OK" if is_ready else "DOWN"}, is_ready)

    @bp.get("/health")
    @bp.get("/healthcheck")
    @bp.get("/info")
    def health() -> Response:
        reports = clients.fetch_reports(urls, "/healthcheck", identity_headers(), settings.health_timeout_seconds)
        status = aggregate_status(reports.values(), failed="DOWN")
        return _json({"status": status, "services": reports}, status == "OK")

    @bp.get("/health/<service>")
    def service_health(service: str) -> Response:
        if service not in urls:
            raise NotFound(f"unknown service; service must be one of {', '.join(urls)}")
        timeout = settings.health_timeout_seconds
        report = clients.fetch_report(service, urls[service], "/healthcheck", identity_headers(), timeout)
        return _json(report, report["status"] in RESPONSIVE_STATUSES)

    @bp.get("/invariants")
    @endpoint("Report the invariants of all services", {}, query=InvariantsQuery)
    def invariants(query: InvariantsQuery) -> Response:
        # HEAD must be safe.
        is_full_requested = query.full == "1" and request.method == "GET"
        path = "/invariants?full=1" if is_full_requested else "/invariants"
        reports = clients.fetch_reports(urls, path, identity_headers(), settings.invariants_timeout_seconds)
        status = aggregate_status(reports.values(), failed="BROKEN")
        is_started = is_full_requested and all("full" in report for report in reports.values())
        body = {"status": status, "full": aggregate_full_runs(reports.values()), "services": reports}
        response = _json(body, status == "OK" or is_started)
        if is_started:
            response.status_code = HTTPStatus.ACCEPTED
        return response

    return bp


class CachedReadiness:
    """The result of a check, cached for one second; concurrent requests share one check."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_ready = False
        self._valid_until = -math.inf

    def get(self, check: Callable[[], bool]) -> bool:
        with self._lock:
            if time.monotonic() > self._valid_until:
                self._is_ready = check()
                self._valid_until = time.monotonic() + READINESS_TTL_SECONDS
            return self._is_ready


def _json(body: dict[str, Any], is_ok: bool) -> Response:
    response = json_response(strictjson.dumps(body), HTTPStatus.OK if is_ok else HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Cache-Control"] = "no-store"
    if not is_ok:
        response.headers["Retry-After"] = "1"
    return response
