"""The HTTP side of a service: request id, errors, health and metrics around its own routes."""

import re
import time
import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from flask import Blueprint, Flask, Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from chassis import strictjson
from chassis.db import Database
from chassis.errors import Invalid, Problem
from chassis.runtime import logs
from chassis.runtime.config import ServiceSettings, WebSettings, metrics_folder
from chassis.web.current import JSON_TYPE, Render, Running, running
from chassis.web.metrics import Metrics

log = logs.logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
LARGEST_BODY_BYTES = 1024 * 1024


class _Rule(Rule):
    """`head=False`: asking without wanting must change nothing, so HEAD is not answered like GET."""

    def __init__(self, *args: Any, head: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not head and self.methods:
            self.methods.discard("HEAD")


class _App(Flask):
    url_rule_class = _Rule


def create_app(
    service: str,
    version: str,
    settings: WebSettings,
    blueprints: Sequence[Blueprint],
    *,
    render: Render | None = None,
    idempotent_headers: Sequence[str] = (),
) -> Flask:
    """`render` makes the body of every error; RFC 9457 unless a service's contract has another shape.

    `idempotent_headers` change what a request means: with a different value, a repeated Idempotency-Key returns 422.
    """
    app = _App(service, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.url_map.merge_slashes = False
    app.json.mimetype = JSON_TYPE  # type: ignore[attr-defined]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.compact = True  # type: ignore[attr-defined]
    app.extensions["chassis"] = Running(
        service,
        version,
        settings,
        _database(service, settings),
        Metrics(metrics_folder()),
        render or problem_json,
        time.time(),
        idempotent_headers=tuple(idempotent_headers),
    )
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(Problem, _answer_problem)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app


def _database(service: str, settings: WebSettings) -> Database | None:
    if not isinstance(settings, ServiceSettings):
        return None
    return Database(
        settings.database_url, name=service, size=settings.pool_size, wait_seconds=settings.pool_wait_seconds
    )


def request_id_of(environ: dict[str, Any]) -> str:
    """The one that it came with, or a new one."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.match(given) else uuid.uuid4().hex


def _begin() -> None:
    environ = request.environ
    request_id = request_id_of(environ)
    own = g._get_current_object()
    own.started, own.request_id = time.perf_counter(), request_id
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
    """Bytes that are no UTF-8 would all become one replacement character, and two names one."""
    path, _, query = raw.partition(b"?")
    if b"%2f" in path.lower():
        raise Invalid("path: a name must not contain a slash")
    for what, part in (("path", path), ("query", query)):
        try:
            text = unquote_to_bytes(part).decode("utf-8")
        except UnicodeDecodeError:
            raise Invalid(f"{what}: no UTF-8") from None
        if "\0" in text:
            raise Invalid(f"{what}: the character U+0000 is not allowed")


def _end(response: Response) -> Response:
    own = g._get_current_object()
    asked = request._get_current_object()  # type: ignore[attr-defined]
    response.headers["X-Request-ID"] = own.request_id
    rule = asked.url_rule
    running().metrics.observe(
        asked.method if rule else "-",
        rule.rule if rule else "-",
        response.status_code,
        time.perf_counter() - own.started,
    )
    return response


def problem_json(problem: Problem) -> Response:
    """RFC 9457, with the request id as the instance."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": g.request_id,
    }
    if problem.errors:
        body["errors"] = [{"field": field, "message": message} for field, message in problem.errors]
    return Response(strictjson.dumps(body), problem.status, content_type="application/problem+json")


def _answer_problem(problem: Problem) -> Response:
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request.unavailable", detail=problem.detail, cause=repr(problem.__cause__))
    response = running().render(problem)
    if retry_after := getattr(problem, "retry_after_seconds", None):
        response.headers["Retry-After"] = str(retry_after)
    return response


def _answer_http(error: HTTPException) -> Response:
    status = error.code or 500
    words = _WORDS.get(status, error.description or error.name).replace("{largest}", str(request.max_content_length))
    response = running().render(Problem(words, status=status))
    response.headers.update({name: value for name, value in error.get_headers() if name == "Allow"})
    return response


_WORDS = {
    404: "there is nothing at this path",
    405: "this path does not take this method",
    413: "the body is larger than {largest} bytes",
}


def _answer_unexpected(_error: Exception) -> Response:
    running().metrics.problems.inc()
    log.exception("request.failed", method=request.method, path=request.path)
    return running().render(Problem("an unexpected error; the log has it under this request's id", status=500))
