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
from chassis.web import openapi
from chassis.web.app import json_response
from chassis.web.endpoints import ResponseSpec
from chassis.web.health import InvariantsQuery
from chassis.web.validation import endpoint
from console_service import clients
from console_service.clients import identity_headers
from console_service.domain import RESPONSIVE_STATUSES, aggregate_full_runs, aggregate_status
from console_service.routes import responses
from console_service.routes.responses import (
    AnyQuery,
    Health,
    Invariants,
    Liveness,
    Readiness,
    ServiceHealth,
    ServicePath,
)
from console_service.settings import Settings

READINESS_TTL_SECONDS = 1.0

_HEALTHY = {
    **responses.HEALTH_EXAMPLE,
    "status": "OK",
    "dependencies": {"postgres": {"status": "OK", "latency_ms": 0.8}},
}
_HEALTH = {"status": "OK", "services": {"orders-service": _HEALTHY}}
_DEGRADED_HEALTH = {"status": "DEGRADED", "services": {"orders-service": responses.HEALTH_EXAMPLE}}
_DOWN = {"status": "DOWN", "service": "orders-service", "error": "unreachable"}


def blueprint(settings: Settings) -> Blueprint:
    bp = Blueprint("reports", __name__)
    urls = settings.service_urls

    @bp.get("/livez")
    @endpoint(
        "Report that the gateway is running",
        {200: ResponseSpec("The gateway is running", Liveness, example={"status": "OK"})},
        query=AnyQuery,
        tag="health",
        security=(),
        description="The gateway itself responds, without querying any service; no user is required.",
    )
    def get_liveness(query: AnyQuery) -> dict[str, str]:
        return {"status": "OK"}

    readiness = CachedReadiness()

    @bp.get("/readyz")
    @endpoint(
        "Report whether all services can respond",
        {
            200: ResponseSpec("Each service can respond", Readiness, example={"status": "OK"}),
            503: ResponseSpec("A service is down", Readiness, example={"status": "DOWN"}),
        },
        query=AnyQuery,
        tag="health",
        security=(),
        description="For load balancers: no user is required, and the response has no details. It is up to 1 s old.",
    )
    def get_readiness(query: AnyQuery) -> Response:
        """Report readiness to unauthenticated clients: no details, and at most one check per second."""

        def check() -> bool:
            reports = clients.fetch_reports(urls, "/healthcheck", {}, settings.health_timeout_seconds)
            return all(report["status"] in RESPONSIVE_STATUSES for report in reports.values())

        is_ready = readiness.get(check)
        return _json({"status": "OK" if is_ready else "DOWN"}, is_ready)

    @bp.get("/health")
    @endpoint(
        "Report the health of all services",
        {
            200: ResponseSpec("Each service and each of its dependencies responds", Health, example=_HEALTH),
            503: ResponseSpec("A service is degraded or down", Health, example=_DEGRADED_HEALTH),
        },
        query=AnyQuery,
        tag="health",
        description="The services are queried in parallel; one that does not respond within 2 s is reported as DOWN. "
        "The paths `/healthcheck` and `/info` return the same.",
    )
    def get_health(query: AnyQuery) -> Response:
        return report_health()

    @bp.get("/healthcheck")
    @bp.get("/info")
    def report_health() -> Response:
        reports = clients.fetch_reports(urls, "/healthcheck", identity_headers(), settings.health_timeout_seconds)
        status = aggregate_status(reports.values(), failed="DOWN")
        return _json({"status": status, "services": reports}, status == "OK")

    @bp.get("/health/<service>")
    @endpoint(
        "Report the health of a service",
        {
            200: ResponseSpec("The service can respond", ServiceHealth, example=responses.HEALTH_EXAMPLE),
            404: responses.SERVICE_NOT_FOUND,
            503: ResponseSpec("The service is down", ServiceHealth, example=_DOWN),
        },
        path=ServicePath,
        query=AnyQuery,
        tag="health",
        description="A service is `DEGRADED`, with status 200, if it can respond without the dependency that is down.",
    )
    def get_service_health(service: str, query: AnyQuery) -> Response:
        if service not in urls:
            raise NotFound(f"unknown service; service must be one of {', '.join(urls)}")
        timeout = settings.health_timeout_seconds
        report = clients.fetch_report(service, urls[service], "/healthcheck", identity_headers(), timeout)
        return _json(report, report["status"] in RESPONSIVE_STATUSES)

    @bp.get("/invariants")
    @endpoint(
        "Report the invariants of all services",
        {
            200: ResponseSpec("Each invariant holds", Invariants, example=responses.INVARIANTS_EXAMPLE),
            202: ResponseSpec(
                "Each service has started a full run", Invariants, example=responses.STARTED_RUNS_EXAMPLE
            ),
            400: responses.INVALID,
            403: responses.ADMIN_REQUIRED,
            503: ResponseSpec(
                "An invariant is broken, or a service is down", Invariants, example=responses.BROKEN_EXAMPLE
            ),
        },
        query=InvariantsQuery,
        tag="invariants",
        description="Only admins may call this. Services verify their tables continuously, and the report states how "
        "much of them is verified; a full run recomputes everything.",
    )
    def get_invariants(query: InvariantsQuery) -> Response:
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

    openapi.add_route(bp, responses.API)
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
