"""What is asked most often: whole charts, single sprockets, first pages of the lists."""

import re
from typing import Any

from chassis.web.shortcut import Reply
from factory_service.cache import warming
from factory_service.domain import tags
from factory_service.routes import charts, factories, sprockets
from factory_service.routes.answers import Web, headers_of

_PATH = re.compile(
    r"/api/(?:factory/([1-9][0-9]{0,17})(/chart-data|/production-actual|/production-goal|/time)?"
    r"|sprocket/([1-9][0-9]{0,17})|(factories)|(sprockets))/?\Z"
)
_EVERYTHING = charts.ChartQuery()


class Shortcut:
    def __init__(self, own: Web) -> None:
        self._own = own

    def __call__(self, environ: dict[str, Any], _request_id: str) -> Reply | None:
        if environ["REQUEST_METHOD"] != "GET" or environ.get("QUERY_STRING"):
            return None
        match = _PATH.match(environ["PATH_INFO"])
        if not match:
            return None
        route, entry = self._find(match)
        if entry is None:
            return None
        if_none_match = environ.get("HTTP_IF_NONE_MATCH")
        if if_none_match and tags.matches(if_none_match, entry.tag):
            return Reply(route, b"", headers_of(entry), 304)
        return Reply(route, entry.body, headers_of(entry))

    def _find(self, match: re.Match[str]) -> Any:
        factory, part, sprocket, all_factories, _ = match.groups()
        if factory:
            return f"/api/factory/<id>{part or ''}", charts.find_chart(self._own, int(factory), part or "", _EVERYTHING)
        if sprocket:
            return "/api/sprocket/<id>", sprockets.find_sprocket(self._own, int(sprocket))
        if all_factories:
            return "/api/factories", factories.find_page(self._own, warming.FIRST_PAGE)
        return "/api/sprockets", sprockets.find_page(self._own, warming.FIRST_PAGE)
