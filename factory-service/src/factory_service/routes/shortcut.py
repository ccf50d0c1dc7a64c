"""What is asked most often, answered before Flask: the same answers in half the time.

Whatever is not exactly as expected goes the whole way, where it is told what is wrong.
"""

import re
import time
import uuid
from collections.abc import Iterable
from typing import Any

from flask import request

from chassis.current import JSON_TYPE
from chassis.metrics import Metrics
from factory_service.cache import warming
from factory_service.domain import tags
from factory_service.routes import charts, factories, sprockets
from factory_service.routes.answers import Web, headers_of

_PATH = re.compile(
    r"/api/(?:factory/([1-9][0-9]{0,17})(/chart-data|/production-actual|/production-goal|/time)?"
    r"|sprocket/([1-9][0-9]{0,17})|(factories)|(sprockets))/?\Z"
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
_ERROR = "factory.error"
_EVERYTHING = charts.ChartQuery()


def tell_known_error() -> None:
    """What went wrong on the shortcut is not tried again."""
    if error := request.environ.get(_ERROR):
        raise error


class Shortcut:
    def __init__(self, app: Any, own: Web, metrics: Metrics) -> None:
        self._app, self._own, self._metrics = app, own, metrics

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET" and not environ.get("QUERY_STRING"):
            match = _PATH.match(environ.get("RAW_URI") or environ["PATH_INFO"])
            if match and "," not in environ.get("HTTP_X_AUTHENTICATED_USER", ""):
                body = self._answer(match, environ, start_response)
                if body is not None:
                    return body
        return self._app(environ, start_response)

    def _answer(self, match: Any, environ: dict[str, Any], start_response: Any) -> Iterable[bytes] | None:
        began = time.perf_counter()
        try:
            rule, entry = self._find(match)
        except Exception as error:
            # Flask tells it, whatever it is, and does not try again.
            environ[_ERROR] = error
            return None
        if entry is None:
            return None
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        headers = [*headers_of(entry), ("X-Request-ID", request_id)]
        if_none_match = environ.get("HTTP_IF_NONE_MATCH")
        if if_none_match and tags.matches(if_none_match, entry.tag):
            start_response("304 NOT MODIFIED", headers)
            self._metrics.observe("GET", rule, 304, time.perf_counter() - began)
            return [b""]
        headers += [("Content-Type", JSON_TYPE), ("Content-Length", str(len(entry.body)))]
        start_response("200 OK", headers)
        self._metrics.observe("GET", rule, 200, time.perf_counter() - began)
        return [entry.body]

    def _find(self, match: Any) -> Any:
        factory, part, sprocket, all_factories, _ = match.groups()
        if factory:
            return f"/api/factory/<id>{part or ''}", charts.find_chart(self._own, int(factory), part or "", _EVERYTHING)
        if sprocket:
            return "/api/sprocket/<id>", sprockets.find_sprocket(self._own, int(sprocket))
        if all_factories:
            return "/api/factories", factories.find_page(self._own, warming.FIRST_PAGE)
        return "/api/sprockets", sprockets.find_page(self._own, warming.FIRST_PAGE)
