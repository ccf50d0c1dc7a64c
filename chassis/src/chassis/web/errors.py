"""Error responses: how an exception becomes the response to a request."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import gevent
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from chassis import strictjson
from chassis.errors import Busy, OutcomeUnknown, Problem, Unavailable
from chassis.runtime import logs

log = logs.logger(__name__)

Render = Callable[[Problem], Response]

_DETAILS = {
    404: "this path does not exist",
    405: "this path does not support this method",
    413: "the body is larger than %(max_bytes)s bytes",
}
_REPEAT_WITH_KEY = (
    "it is unknown whether the change was made, because the connection to the database was lost: "
    "repeat the request with the same Idempotency-Key"
)
_CHECK_FIRST = (
    "it is unknown whether the change was made, because the connection to the database was lost: "
    "check whether it was made before you repeat the request"
)
_REPEAT = (
    "it is unknown whether the change was made, because the connection to the database was lost: "
    "repeat the request, because its result is lost"
)
_MAX_UNREAD_BYTES, _MAX_UNREAD_SECONDS = 16 * 1024 * 1024, 2
_CHUNK_BYTES = 64 * 1024


def register(app: Flask, render: Render, count_unexpected: Callable[[], None]) -> None:
    """Render every error with `render`; call `count_unexpected` for each error that becomes a 500."""

    def respond(problem: Problem) -> Response:
        _discard_unread_body()
        if isinstance(problem, OutcomeUnknown):
            problem = _explain_unknown_outcome(problem)
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("request.unavailable", detail=problem.detail, cause=repr(problem.__cause__))
        response = render(problem)
        if isinstance(problem, Busy | Unavailable) and not isinstance(problem, OutcomeUnknown):
            response.headers["Retry-After"] = str(problem.retry_after_seconds)
        return response

    def respond_to_http_exception(error: HTTPException) -> Response:
        _discard_unread_body()
        status = error.code or 500
        detail = _DETAILS.get(status, error.description or error.name)
        parameters = {"max_bytes": request.max_content_length} if status == 413 else None
        response = render(Problem(detail, parameters=parameters, status=status))
        response.headers.update({name: value for name, value in error.get_headers() if name == "Allow"})
        return response

    def respond_to_unexpected(_error: Exception) -> Response:
        _discard_unread_body()
        count_unexpected()
        log.exception("request.failed", method=request.method, path=request.path)
        return render(Problem("an unexpected error occurred; the log records it under this request ID", status=500))

    app.register_error_handler(Problem, respond)
    app.register_error_handler(HTTPException, respond_to_http_exception)
    app.register_error_handler(Exception, respond_to_unexpected)


def _explain_unknown_outcome(problem: OutcomeUnknown) -> Problem:
    """Return what this request's client should do; a request that only reads can simply be repeated."""
    endpoint = getattr(current_app.view_functions.get(request.endpoint or ""), "endpoint", None)
    if request.url_rule and "HEAD" in (request.url_rule.methods or ()):
        explained: Problem = Unavailable("the database is unreachable")
    elif request.method == "GET":
        explained = OutcomeUnknown(_REPEAT)
    elif endpoint and endpoint.idempotent and "Idempotency-Key" in request.headers:
        explained = OutcomeUnknown(_REPEAT_WITH_KEY)
    else:
        explained = OutcomeUnknown(_CHECK_FIRST)
    explained.__cause__ = problem.__cause__
    return explained


def problem_json(problem: Problem) -> Response:
    """Return a problem document (RFC 9457) whose instance is the request ID."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": g.request_id,
    }
    if problem.errors:
        body["errors"] = [{"field": field, "message": message} for field, message in problem.errors]
    return Response(strictjson.dumps(body) + "\n", problem.status, content_type="application/problem+json")


def _discard_unread_body() -> None:
    """Read and discard the rest of the body, up to a limit: a client that is still sending does not read a response.

    Beyond the limit the connection is closed after the response: the rest must not be parsed as the next request.
    """
    environ = request.environ
    if not (environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ):
        return
    body, remaining = environ["wsgi.input"], _MAX_UNREAD_BYTES
    with suppress(TimeoutError), gevent.Timeout(_MAX_UNREAD_SECONDS, TimeoutError()):
        while remaining > 0 and (data := body.read(min(remaining, _CHUNK_BYTES))):
            remaining -= len(data)
    if remaining <= 0:
        # gunicorn closes the connection if reading the body failed; after a timeout it sets this itself.
        body.failed = True
