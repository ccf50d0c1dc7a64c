"""The invariants of all services, and the runs that recompute them."""

from typing import Any, cast

from flask import Blueprint, Response, redirect, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis.web.app import require_admin, this_app
from console_service import clients
from console_service.domain import aggregate_status
from console_service.routes.pages import render_page
from console_service.settings import Settings

bp = Blueprint("invariants", __name__, url_prefix="/console/invariants")
bp.before_request(require_admin)


@bp.get("")
def show_invariants() -> Response:
    return _render("invariants.html")


@bp.get("/reports")
def show_reports() -> Response:
    """Return the part of the page that is refreshed while full runs are in progress."""
    return _render("invariants_reports.html")


@bp.post("")
def start_full_runs() -> BaseResponse:
    """Let each service start a full run, or join the one that is in progress."""
    _fetch_reports("/invariants?full=1")
    return redirect(url_for("invariants.show_invariants", done="started"), 303)


def _render(template: str) -> Response:
    reports = _fetch_reports("/invariants")
    full_statuses = {(report.get("full") or {}).get("status") for report in reports.values()}
    return render_page(
        template,
        overall_status=aggregate_status(reports.values(), failed="BROKEN"),
        is_running=bool(full_statuses & {"PENDING", "PROGRESS"}),
        reports=reports,
    )


def _fetch_reports(path: str) -> dict[str, dict[str, Any]]:
    settings = cast(Settings, this_app().settings)
    headers, timeout = clients.identity_headers(), settings.page_timeout_seconds
    return clients.fetch_reports(settings.service_urls, path, headers, timeout)
