"""The Flask app of a service, its database and metrics, and what runs before and after every route."""

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.routing import Rule

from chassis.db import Database, Transaction
from chassis.errors import Invalid, Problem
from chassis.runtime import logs, request_ids, tracing
from chassis.runtime.config import ServiceSettings, WebSettings, metrics_directory
from chassis.runtime.metrics import installed_version
from chassis.web import errors
from chassis.web.metrics import WebMetrics

JSON_TYPE = "application/json; charset=utf-8"
MAX_BODY_BYTES = 1024 * 1024

log = logs.logger(__name__)

# Requested every few seconds by load balancers and monitoring, and therefore logged only at debug.
_PROBE_ROUTES = ("/livez", "/healthcheck", "/metrics", "/metrics/recent", "/metrics/backlog")


class _Rule(Rule):
    """With `head=False` a route rejects HEAD: HEAD must be safe, and the GET of such a route changes something."""

    def __init__(self, *args: Any, head: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not head and self.methods:
            self.methods.discard("HEAD")


class App(Flask):
    """A Flask app with the settings, the database and the metrics of one service."""

    url_rule_class = _Rule

    def __init__(self, service: str, settings: WebSettings) -> None:
        super().__init__(service, static_folder=None)
        self.service, self.version, self.settings = service, installed_version(service), settings
        self.metrics = WebMetrics(service, metrics_directory())
        self.started_at = time.time()
        self.render: errors.Render = errors.problem_json
        # Headers that are part of the fingerprint of an idempotent request, in addition to its method, path and body.
        self.idempotent_headers: tuple[str, ...] = ()
        # Returns True once the process is stopping; the server replaces it.
        self.is_stopping: Callable[[], bool] = lambda: False
        self._database = None
        if isinstance(settings, ServiceSettings):
            self._database = Database(
                settings.database_url,
                name=service,
                size=settings.pool_size,
                wait_seconds=settings.pool_wait_seconds,
                metrics=self.metrics,
            )

    def full_dispatch_request(self) -> Response:
        """Handle the request as a part of the trace that its header names."""
        method, route = _labels()
        attributes: dict[str, Any] = {"http.request.method": method, "http.route": route}
        traceparent = request.environ.get("HTTP_TRACEPARENT")
        with tracing.entry_span("SERVER", f"{method} {route}", traceparent, attributes):
            response = super().full_dispatch_request()
            attributes["http.response.status_code"] = response.status_code
            return response

    @property
    def database(self) -> Database:
        if self._database is None:
            raise RuntimeError(f"{self.service} has no database")
        return self._database


def create_app(
    service: str,
    settings: WebSettings,
    blueprints: Sequence[Blueprint],
    *,
    render: errors.Render = errors.problem_json,
    idempotent_headers: Sequence[str] = (),
) -> App:
    """Create the app. `render` renders every error, for services whose contract deviates from RFC 9457.

    `idempotent_headers` names headers that change the meaning of a request: a request that repeats an Idempotency-Key
    with another value of one of them returns 422.
    """
    app = App(service, settings)
    tracing.configure(service, "web", settings.otel_exporter_otlp_endpoint)
    app.render, app.idempotent_headers = render, tuple(idempotent_headers)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.merge_slashes = False
    app.json.mimetype = JSON_TYPE  # type: ignore[attr-defined]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.compact = True  # type: ignore[attr-defined]
    app.before_request(_before_request)
    app.after_request(_after_request)
    errors.register(app, render, app.metrics.unexpected_errors.inc)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app


def this_app() -> App:
    """Return the app that handles the current request."""
    return cast(App, current_app._get_current_object())  # type: ignore[attr-defined]


def transaction() -> AbstractContextManager[Transaction]:
    """Open a transaction on the database of the app that handles the current request."""
    return this_app().database.transaction()


def username() -> str:
    """Return the user that the gateway authenticated; empty if the service is called without the gateway."""
    return request.headers.get("X-Authenticated-User", "")


def role() -> str:
    """Return the user's role (`admin`, `writer`, `reader` or `runner`) from the gateway; empty without the gateway.

    Grant permissions only to named roles: an empty role has none.
    """
    return request.headers.get("X-Authenticated-Role", "")


def require_admin() -> None:
    """Raise 403 unless the user is an admin."""
    if role() != "admin":
        raise Problem("this requires the role admin", status=403)


def json_response(text: str | bytes, status: int = 200) -> Response:
    """Return a response whose body is `text`, which is serialized JSON, and a newline for terminals."""
    body = text.encode() if isinstance(text, str) else text
    return Response(body + b"\n", status, content_type=JSON_TYPE)


def _before_request() -> None:
    environ = request.environ
    request_id = environ.get("HTTP_X_REQUEST_ID", "")
    if not request_ids.is_valid(request_id):
        request_id = uuid.uuid4().hex
    g.started_at, g.request_id = time.perf_counter(), request_id
    logs.bind(request_id=request_id)
    # WSGI decodes bytes as Latin-1.
    raw = environ.get("RAW_URI", "").encode("latin-1", "replace")
    if b"%" in raw or not raw.isascii():
        _check_encoding(raw)
    for name in ("User", "Role"):
        # gunicorn joins repeated headers with a comma.
        if "," in environ.get(f"HTTP_X_AUTHENTICATED_{name.upper()}", ""):
            raise Invalid.field(f"X-Authenticated-{name}", "must not be repeated")


def _check_encoding(raw: bytes) -> None:
    """Reject bytes that are not UTF-8: they would all be replaced by U+FFFD, and different names would become equal."""
    path, _, query = raw.partition(b"?")
    if b"%2f" in path.lower():
        raise Invalid("path: a name must not contain a slash")
    for part_name, part in (("path", path), ("query", query)):
        try:
            text = unquote_to_bytes(part).decode("utf-8")
        except UnicodeDecodeError:
            raise Invalid("%(part)s: must be valid UTF-8", parameters={"part": part_name}) from None
        if "\0" in text:
            raise Invalid("%(part)s: must not contain the character U+0000", parameters={"part": part_name})


def _labels() -> tuple[str, str]:
    """Return the method and the route of the request; unmatched ones share a label: clients choose their paths."""
    return (request.method, request.url_rule.rule) if request.url_rule else ("-", "-")


def _after_request(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    method, route = _labels()
    seconds = time.perf_counter() - g.started_at
    this_app().metrics.observe(method, route, response.status_code, seconds)
    is_probe = route in _PROBE_ROUTES
    if not is_probe:
        this_app().metrics.recent_requests.observe(response.status_code, seconds)
    log_request = log.debug if is_probe else log.info
    log_request(
        "request.handled",
        method=request.method,
        path=request.path,
        status=response.status_code,
        seconds=round(seconds, 4),
    )
    return response
