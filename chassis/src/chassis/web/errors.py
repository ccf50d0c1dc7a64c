"""How an exception becomes the response to a request."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import gevent
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from chassis import strictjson
from chassis.errors import Problem
from chassis.runtime import logs

log = logs.logger(__name__)

Render = Callable[[Problem], Response]

_DETAILS = {
    404: "this path does not exist",
    405: "this path does not support this method",
    413: "the body is larger than {largest} bytes",
}
_MAX_UNREAD_BYTES, _MAX_UNREAD_SECONDS = 16 * 1024 * 1024, 2
_READ_BYTES = 64 * 1024


def register(app: Flask, render: Render, count_unexpected: Callable[[], None]) -> None:
    """Let `render` make the body of every error; `count_unexpected` is called for each error that becomes a 500."""

    def respond(problem: Problem) -> Response:
        _discard_unread_body()
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("request.unavailable", detail=problem.detail, cause=repr(problem.__cause__))
        response = render(problem)
        if retry_after := getattr(problem, "retry_after_seconds", None):
            response.headers["Retry-After"] = str(retry_after)
        return response

    def respond_to_http_exception(error: HTTPException) -> Response:
        _discard_unread_body()
        status = error.code or 500
        detail = _DETAILS.get(status, error.description or error.name)
        response = render(Problem(detail.replace("{largest}", str(request.max_content_length)), status=status))
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


def problem_json(problem: Problem) -> Response:
    """RFC 9457, with the request's id as the instance."""
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


def _discard_unread_body() -> None:
    """Read what the client still sends, up to a limit: one that is still sending would not read an early response.

    Beyond the limit the connection is closed after the response: what is left must not be read as the next request.
    """
    environ = request.environ
    if not (environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ):
        return
    body, unread = environ["wsgi.input"], _MAX_UNREAD_BYTES
    with suppress(TimeoutError), gevent.Timeout(_MAX_UNREAD_SECONDS, TimeoutError()):
        while unread > 0 and (data := body.read(min(unread, _READ_BYTES))):
            unread -= len(data)
    if unread <= 0:
        # gunicorn closes the connection where reading has failed, as it has where the time was over.
        body.failed = True
