"""What is asked most often, answered before Flask: the same answers in less than half the time."""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flask import Flask, request

from chassis.runtime import logs
from chassis.web.app import JSON_TYPE, request_id_of

_ERROR = "chassis.error"
_STATUS = {200: "200 OK", 304: "304 NOT MODIFIED"}
Headers = list[tuple[str, str]]


class Reply(NamedTuple):
    """`route` is the rule that Flask would have found."""

    route: str
    body: bytes
    headers: Headers
    status: int = 200


def add_shortcut(app: Flask, answer: Callable[[dict[str, Any], str], Reply | None]) -> None:
    """`answer` gets the WSGI environment, of a request without `%` in its address, and the request's id.

    None goes the whole way through Flask: whatever is not exactly as expected, and is told there what is wrong with it.
    What it raises is told by Flask too, and the request is not tried again.
    """
    app.before_request(_tell_known_error)
    app.wsgi_app = _Shortcut(app, answer)  # type: ignore[method-assign]


def _tell_known_error() -> None:
    if error := request.environ.get(_ERROR):
        raise error


class _Shortcut:
    def __init__(self, app: Flask, answer: Callable[[dict[str, Any], str], Reply | None]) -> None:
        self._app, self._answer = app.wsgi_app, answer
        self._metrics = app.metrics  # type: ignore[attr-defined]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        identity = environ.get("HTTP_X_AUTHENTICATED_USER", "") + environ.get("HTTP_X_AUTHENTICATED_ROLE", "")
        if "%" in environ.get("RAW_URI", "") or "," in identity:
            return self._app(environ, start_response)
        began = time.perf_counter()
        request_id = environ["HTTP_X_REQUEST_ID"] = request_id_of(environ)
        logs.bind(request_id=request_id)
        try:
            reply = self._answer(environ, request_id)
        except Exception as error:
            environ[_ERROR], reply = error, None
        if reply is None:
            return self._app(environ, start_response)
        headers = [*reply.headers, ("X-Request-ID", request_id)]
        if reply.body:
            headers += [("Content-Type", JSON_TYPE), ("Content-Length", str(len(reply.body)))]
        start_response(_STATUS[reply.status], headers)
        self._metrics.observe(environ["REQUEST_METHOD"], reply.route, reply.status, time.perf_counter() - began)
        return [reply.body]
