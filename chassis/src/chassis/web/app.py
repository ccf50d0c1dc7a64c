"""The Flask app of a service: what belongs to it while it runs, and what happens before and after each route."""

import re
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import metadata
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.routing import Rule

from chassis.db import Database, Transaction
from chassis.errors import Invalid
from chassis.runtime import logs
from chassis.runtime.config import ServiceSettings, WebSettings, metrics_folder
from chassis.web import errors
from chassis.web.metrics import Metrics

JSON_TYPE = "application/json; charset=utf-8"
LARGEST_BODY_BYTES = 1024 * 1024

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")


class _Rule(Rule):
    """`head=False`: asking without wanting must change nothing, so HEAD is not answered like GET."""

    def __init__(self, *args: Any, head: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not head and self.methods:
            self.methods.discard("HEAD")


class App(Flask):
    """A Flask app with the settings, the database and the metrics of one service."""

    url_rule_class = _Rule

    def __init__(self, service: str, settings: WebSettings) -> None:
        super().__init__(service, static_folder=None)
        self.service, self.version, self.settings = service, _installed_version(service), settings
        self.metrics = Metrics(metrics_folder())
        self.started_at = time.time()
        self.render: errors.Render = errors.problem_json
        # In the fingerprint of a request with an Idempotency-Key, as its method, path and body are.
        self.idempotent_headers: tuple[str, ...] = ()
        # True once the process is stopping; set by the server.
        self.is_stopping: Callable[[], bool] = lambda: False
        self._database = None
        if isinstance(settings, ServiceSettings):
            self._database = Database(
                settings.database_url, name=service, size=settings.pool_size, wait_seconds=settings.pool_wait_seconds
            )

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
    """`render` makes the body of every error; RFC 9457 unless a service's contract has another shape.

    `idempotent_headers` change what a request means: with a different value, a repeated Idempotency-Key returns 422.
    """
    app = App(service, settings)
    app.render, app.idempotent_headers = render, tuple(idempotent_headers)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.url_map.merge_slashes = False
    app.json.mimetype = JSON_TYPE  # type: ignore[attr-defined]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.compact = True  # type: ignore[attr-defined]
    app.before_request(_begin)
    app.after_request(_end)
    errors.register(app, render, app.metrics.problems.inc)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app


def this_app() -> App:
    """The app that answers this request."""
    return cast(App, current_app._get_current_object())  # type: ignore[attr-defined]


def transaction() -> AbstractContextManager[Transaction]:
    """A transaction on the database of the app that answers this request."""
    return this_app().database.transaction()


def username() -> str:
    """The authenticated user, as the gateway states it; empty where a service is called without the gateway."""
    return request.headers.get("X-Authenticated-User", "")


def role() -> str:
    """The user's role (`admin`, `writer`, `reader` or `runner`), as the gateway states it; empty without the gateway.

    Grant rights only for a role that is named: an empty one has none.
    """
    return request.headers.get("X-Authenticated-Role", "")


def json_response(text: str | bytes, status: int = 200) -> Response:
    """Return a response whose body is JSON already."""
    return Response(text, status, content_type=JSON_TYPE)


def _installed_version(service: str) -> str:
    """Return the version of the service's distribution; for an app that has none, that of the chassis."""
    try:
        return metadata.version(f"quintet-{service}-service")
    except metadata.PackageNotFoundError:
        return metadata.version("quintet-chassis")


def _begin() -> None:
    environ = request.environ
    request_id = environ.get("HTTP_X_REQUEST_ID", "")
    if not _REQUEST_ID.match(request_id):
        request_id = uuid.uuid4().hex
    g.started, g.request_id = time.perf_counter(), request_id
    logs.bind(request_id=request_id)
    # WSGI hands bytes over as Latin-1.
    raw = environ.get("RAW_URI", "").encode("latin-1", "replace")
    if b"%" in raw or not raw.isascii():
        _check_encoding(raw)
    for name in ("User", "Role"):
        # gunicorn joins repeated headers with a comma.
        if "," in environ.get(f"HTTP_X_AUTHENTICATED_{name.upper()}", ""):
            raise Invalid.field(f"X-Authenticated-{name}", "must not be repeated")


def _check_encoding(raw: bytes) -> None:
    """Refuse bytes that are not UTF-8: each would become the same replacement character, and two names one."""
    path, _, query = raw.partition(b"?")
    if b"%2f" in path.lower():
        raise Invalid("path: a name must not contain a slash")
    for part_name, part in (("path", path), ("query", query)):
        try:
            text = unquote_to_bytes(part).decode("utf-8")
        except UnicodeDecodeError:
            raise Invalid(f"{part_name}: must be valid UTF-8") from None
        if "\0" in text:
            raise Invalid(f"{part_name}: must not contain the character U+0000")


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    rule = request.url_rule
    this_app().metrics.observe(
        request.method if rule else "-",
        rule.rule if rule else "-",
        response.status_code,
        time.perf_counter() - g.started,
    )
    return response
