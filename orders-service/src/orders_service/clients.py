"""sequence-service over HTTP."""

import socket
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from chassis import logs

log = logs.logger(__name__)

_PATH = "/sequences/batch-sequence/next"
_TIMEOUT_SECONDS = (0.5, 1.0)


def draw_batch_no(sequence_url: str, import_id: str, request_id: str) -> int | None:
    """The same number for the same import, however often it is asked; None: sequence-service is down."""
    headers = {"Idempotency-Key": f"orders-import-{import_id}", "X-Request-ID": request_id}
    headers["X-Authenticated-User"] = "orders-service"
    with requests.Session() as session:
        session.trust_env = False
        session.mount("unix://", _OverSocket())
        try:
            answer = session.post(_base(sequence_url) + _PATH, json={}, headers=headers, timeout=_TIMEOUT_SECONDS)
            answer.raise_for_status()
            return int(answer.json()["sequence_list"][0])
        except (requests.RequestException, KeyError, IndexError, TypeError, ValueError) as error:
            log.warning("batch_no.not_drawn", reason=repr(error))
            return None


def _base(url: str) -> str:
    path = url.removeprefix("unix:")
    return url.rstrip("/") if path == url else f"unix://{quote(path, safe='')}"


class _OverSocket(HTTPAdapter):
    """`unix://<path, encoded>/…`: HTTP on a socket of this machine."""

    def get_connection_with_tls_context(self, request: Any, *_: Any, **__: Any) -> Any:
        from urllib.parse import unquote, urlsplit

        return _SocketPool(unquote(urlsplit(request.url).netloc))

    def request_url(self, request: Any, _proxies: Any) -> str:
        return request.path_url


class _SocketPool(HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def _new_conn(self) -> Any:
        return _SocketConnection(self._path, timeout=self.timeout.connect_timeout)


class _SocketConnection(HTTPConnection):
    def __init__(self, path: str, **options: Any) -> None:
        super().__init__("localhost", **options)
        self._path = path

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(0.5)
        connection.connect(self._path)
        return connection
